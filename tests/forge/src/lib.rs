//! A small GitHub on this machine: real HTTP, real git repositories, GitHub's limits and refusals.
//!
//! It speaks the part of the REST API that Windlass uses and nothing else: a request that it does
//! not know is answered with 404, recorded, and fails the test when the server is dropped. It
//! sends webhooks as GitHub does, signed, with payloads made from the repository.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]
mod answers;
mod auth;
mod git;
mod hooks;
mod serve;
mod state;

pub use auth::{APP_ID, APP_KEY, APP_KEY_PKCS8, INSTALLATION, TOKEN};
pub use hooks::{Delivered, signature};
pub use state::{Call, Failure, Limits, Status};

use state::{Rule, Shared};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A running server. It ends when this is dropped.
pub struct ForgeServer {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl ForgeServer {
    /// Starts on a free port of 127.0.0.1, on threads of its own.
    #[must_use]
    pub fn start() -> Self {
        Self::started(false)
    }

    /// As a GitHub Enterprise Server without subdomain isolation: API and archives are folders of
    /// one host.
    #[must_use]
    pub fn start_enterprise() -> Self {
        Self::started(true)
    }

    fn started(enterprise: bool) -> Self {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            (listener, url)
        };
        let ((api, url), (codeload, codeload_url)) = (listen(), listen());
        let shared = Arc::new(match enterprise {
            true => Shared::new(format!("{url}/api/v3"), format!("{url}/codeload")),
            false => Shared::new(url, codeload_url),
        });
        let door = if enterprise { serve::enterprise } else { serve::api };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        serve::spawn(&runtime, api, shared.clone(), door);
        serve::spawn(&runtime, codeload, shared.clone(), serve::codeload);
        Self { shared, runtime: Some(runtime) }
    }

    /// The API's address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Serves a repository (bare or with a work tree) as `owner/name`.
    pub fn add(&self, owner_repo: &str, git_dir: impl AsRef<Path>) {
        assert_eq!(owner_repo.split('/').count(), 2, "{owner_repo}: an owner and a name");
        let dir = git_dir.as_ref().to_owned();
        self.shared.known().repos.insert(owner_repo.to_owned(), dir);
    }

    /// The repository was deleted, or is hidden from our credentials: 404 from now on.
    pub fn remove(&self, owner_repo: &str) {
        self.shared.known().repos.remove(owner_repo);
    }

    /// All statuses that were ever posted to a repository, oldest first.
    #[must_use]
    pub fn statuses(&self, owner_repo: &str) -> Vec<Status> {
        self.shared.known().statuses.get(owner_repo).cloned().unwrap_or_default()
    }

    /// The next `times` requests whose `METHOD /path?query` contains `part` go wrong like this.
    pub fn fail(&self, part: &str, times: u32, failure: Failure) {
        self.shared.known().rules.push(Rule { part: part.to_owned(), left: times, failure });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.known().rules.clear();
    }

    pub fn set_limits(&self, limits: Limits) {
        self.shared.known().limits = limits;
    }

    /// The personal tokens that are taken from now on; at first [`TOKEN`] alone.
    pub fn set_tokens(&self, tokens: &[&str]) {
        self.shared.known().tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
    }

    /// A personal token that is taken, and may see no repository.
    pub fn blind(&self, token: &str) {
        self.shared.known().blind.insert(token.to_owned());
    }

    /// Installation tokens that were handed out are no good any more.
    pub fn revoke_installation_tokens(&self) {
        self.shared.known().installation_tokens.clear();
    }

    /// How many installation tokens were handed out.
    #[must_use]
    pub fn minted(&self) -> u64 {
        self.shared.known().minted
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.known().calls.clone()
    }

    /// What a client did that GitHub would not understand: unknown routes, credentials sent on to
    /// another host. Taking the list forgives.
    #[must_use]
    pub fn take_mistakes(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.known().mistakes)
    }
}

impl Drop for ForgeServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let mistakes = self.take_mistakes();
        if !std::thread::panicking() {
            assert!(mistakes.is_empty(), "GitHub would not have understood: {mistakes:#?}");
        }
    }
}
