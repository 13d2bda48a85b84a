//! A small Spacelift on this machine: the part of its GraphQL API that autoscalers and drainers
//! use, behind a real GraphQL parser and real validation, over HTTP or TLS.
//!
//! Errors come with HTTP 200, as Spacelift sends them: a field that the schema does not have, an
//! expired token, a worker that is gone. A document that does not pass validation is recorded, and
//! fails the test when the server is dropped. Workers move only as a test says, before the call
//! that it names: [`SpaceliftServer::before`] makes every race on purpose.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]
mod schema;
mod serve;
mod tls;
mod world;

pub use world::{Call, Failure, Pool, Worker, now_s};

use async_graphql::Value;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::runtime::Runtime;
use world::{Rule, Script, Shared};

/// The key that is taken at first.
pub const KEY_ID: &str = "01JKEYKEYKEYKEYKEYKEYKEYKE";
pub const KEY_SECRET: &str = "spacelift-key-secret-0123456789";
/// The pool that is there from the start, without workers.
pub const POOL: &str = "01JPOOLPOOLPOOLPOOLPOOLPOOL";

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    /// A server from before `Worker.availableAt`.
    pub legacy: bool,
    /// Speaks TLS as `localhost`, with a certificate of an authority of its own.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), legacy: false, tls: false }
    }
}

/// A running server. It ends when this is dropped.
pub struct SpaceliftServer {
    shared: Arc<Shared>,
    url: String,
    authority: Option<String>,
    runtime: Option<Runtime>,
}

impl SpaceliftServer {
    /// Starts on a free port of 127.0.0.1, on threads of its own.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as(&Options::default())
    }

    #[must_use]
    pub fn start_as(options: &Options) -> Self {
        let listener = TcpListener::bind(options.listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new());
        let schema = schema::of(&shared, options.legacy);
        let identity = options.tls.then(tls::Identity::new);
        let authority = identity.as_ref().map(|identity| identity.authority.clone());
        let url = match options.tls {
            true => format!("https://localhost:{}", address.port()),
            false => format!("http://{address}"),
        };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        serve::spawn(&runtime, listener, identity, shared.clone(), schema);
        Self { shared, url, authority, runtime: Some(runtime) }
    }

    /// The account's address, without `/graphql` and without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// With [`Options::tls`]: who signed the server's certificate, as PEM.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The pool as it is, to be read or changed.
    pub fn pool<T>(&self, look: impl FnOnce(&mut Pool) -> T) -> T {
        look(&mut self.shared.world().pool)
    }

    /// One worker as it is.
    #[must_use]
    pub fn worker(&self, id: &str) -> Option<Worker> {
        self.pool(|pool| pool.worker(id).cloned())
    }

    /// Just before the next operation on this root field (`workerDrainSet`) is carried out. Of
    /// several, each has its own operation, in order.
    pub fn before(&self, field: &str, then: impl FnOnce(&mut Pool) + Send + 'static) {
        let script = Script { field: field.to_owned(), then: Box::new(then) };
        self.shared.world().scripts.push_back(script);
    }

    /// The next `times` operations on this root field go wrong like this.
    pub fn fail(&self, field: &str, times: u32, failure: Failure) {
        let rule = Rule { field: field.to_owned(), left: times, failure };
        self.shared.world().rules.push(rule);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.world().rules.clear();
    }

    /// The secret of the one key that is taken from now on.
    pub fn set_key_secret(&self, secret: &str) {
        secret.clone_into(&mut self.shared.world().key_secret);
    }

    /// Whether the key may drain workers. It may always look.
    pub fn set_may_drain(&self, may: bool) {
        self.shared.world().may_drain = may;
    }

    /// How long tokens live that are handed out from now on.
    pub fn set_token_lives_s(&self, seconds: i64) {
        self.shared.world().token_lives_s = seconds;
    }

    /// Tokens that were handed out are no good any more.
    pub fn revoke_tokens(&self) {
        self.shared.world().tokens.clear();
    }

    /// How many tokens were handed out.
    #[must_use]
    pub fn minted(&self) -> u64 {
        self.shared.world().minted
    }

    /// All tokens that were ever handed out, to look for where they must not be.
    #[must_use]
    pub fn tokens_ever(&self) -> Vec<String> {
        self.shared.world().tokens_ever.clone()
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.world().calls.clone()
    }

    /// Calls of one root field.
    #[must_use]
    pub fn calls_of(&self, field: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.fields.iter().any(|f| f == field)).collect()
    }

    /// `(worker, drain)` of every drain that was asked for, oldest first.
    #[must_use]
    pub fn drains(&self) -> Vec<(String, bool)> {
        let told = |call: Call| {
            let id = call.variables["id"].as_str().unwrap_or_default().to_owned();
            (id, call.variables["drain"] == true)
        };
        self.calls_of("workerDrainSet").into_iter().map(told).collect()
    }

    /// Documents that Spacelift would have refused. Taking the list forgives.
    #[must_use]
    pub fn take_mistakes(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.world().mistakes)
    }
}

impl Drop for SpaceliftServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let mistakes = self.take_mistakes();
        if !std::thread::panicking() {
            assert!(mistakes.is_empty(), "Spacelift would have refused this: {mistakes:#?}");
        }
    }
}

fn null_or<T>(found: Option<T>, value: impl FnOnce(T) -> Value) -> Value {
    found.map_or(Value::Null, value)
}
