//! One execution environment: a process of the real binary and the Runtime API that it asks.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. Each environment has a server of
//! its own, so whoever asks there is that process. It stands still (SIGSTOP) whenever it has asked
//! for the next invocation and there is none: nothing may be left for "after the answer".
use super::ahead;
use super::stack::Function;
use crate::process::send;
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>: of a request and of an
/// answer. What is above is refused, as there, with some room so that we hear of it.
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// An environment that is not ready by then is given up.
const INIT_MAX: Duration = Duration::from_secs(10);

/// One piece of work for a function.
#[derive(Debug)]
pub struct Invocation {
    pub id: String,
    pub event: Bytes,
    pub trace: String,
    /// What it is told.
    pub timeout: Duration,
    /// When it is killed: at that limit, or earlier.
    pub killed_after: Duration,
}

/// Why an invocation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    #[error("all its environments are at work")]
    Throttled,
    #[error("it was killed at its time limit")]
    TimedOut,
    #[error("its process ended: {0}")]
    Died(String),
    #[error("it did not start: {0}")]
    Init(String),
    #[error("it answered with an error: {0}")]
    Error(String),
    #[error("its answer is larger than 6 MB")]
    TooLarge,
    #[error("it fed itself {PASSES} times", PASSES = super::trace::PASSES_MAX)]
    Recursion,
    #[error("the control plane is down")]
    Down,
}

type Outcome = Result<Bytes, Failed>;

pub struct Environment {
    child: Child,
    pub pid: u32,
    invocations: mpsc::Sender<Invocation>,
    /// It has asked for the next invocation.
    ready: mpsc::Receiver<()>,
    exchange: Arc<Exchange>,
    server: JoinHandle<()>,
    pub idle_since: Instant,
    /// Which variables it was started with.
    pub deployment: u64,
    /// From its start until it first asked.
    pub init: Duration,
}

/// What the server and the environment's owner share.
struct Exchange {
    ready: mpsc::Sender<()>,
    next: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    init_error: Mutex<Option<String>>,
    arn: String,
    /// Deadlines are told by the clock that the function has.
    ahead_ms: i64,
}

impl Environment {
    /// A process of its own, up to the moment when it asks for work.
    pub async fn start(
        function: &Function,
        program: &std::path::Path,
        env: &BTreeMap<String, String>,
        log: File,
        born: impl FnOnce(u32),
    ) -> Result<Self, Failed> {
        let init = |error: anyhow::Error| Failed::Init(format!("{error:#}"));
        let mut environment = Self::spawn(function, program, env, log).await.map_err(init)?;
        born(environment.pid);
        let began = Instant::now();
        let outcome = tokio::select! {
            biased;
            ready = environment.ready.recv() => ready.ok_or_else(|| "its server is gone".to_owned()),
            status = environment.child.wait() => Err(ended(status)),
            () = tokio::time::sleep(INIT_MAX) => Err("it was not ready in 10 s".to_owned()),
        };
        environment.init = began.elapsed();
        if let Err(why) = outcome {
            let told = environment.exchange.init_error.lock();
            let told = told.unwrap_or_else(PoisonError::into_inner).take();
            return Err(Failed::Init(told.unwrap_or(why)));
        }
        Ok(environment)
    }

    async fn spawn(
        function: &Function,
        program: &std::path::Path,
        env: &BTreeMap<String, String>,
        log: File,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let address = listener.local_addr()?;
        let (ready_here, ready) = mpsc::channel(1);
        let (invocations, next) = mpsc::channel(1);
        let exchange = Arc::new(Exchange {
            ready: ready_here,
            next: tokio::sync::Mutex::new(next),
            current: Mutex::default(),
            init_error: Mutex::default(),
            arn: function.arn.clone(),
            ahead_ms: env.get(ahead::VARIABLE).and_then(|ms| ms.parse().ok()).unwrap_or(0),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(2 * PAYLOAD_BYTES_MAX))
            .with_state(exchange.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(env)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn();
        let child = child.with_context(|| format!("{} can't be started", program.display()))?;
        let pid = child.id().context("a process without a number")?;
        Ok(Self {
            child,
            pid,
            invocations,
            ready,
            exchange,
            server,
            idle_since: Instant::now(),
            deployment: 0,
            init: Duration::ZERO,
        })
    }

    /// Does one piece of work. After an error whose process is gone the environment must be
    /// dropped: [`Environment::alive`] tells.
    pub async fn invoke(&mut self, invocation: Invocation) -> Result<Bytes, Failed> {
        let (answer, answered) = oneshot::channel();
        let killed_after = invocation.killed_after;
        *self.exchange.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((invocation.id.clone(), answer));
        let _ = send(self.pid, Signal::SIGCONT);
        if self.invocations.send(invocation).await.is_err() {
            return Err(Failed::Died("its server is gone".to_owned()));
        }
        let end = tokio::time::sleep(killed_after);
        tokio::pin!(end);
        let outcome = tokio::select! {
            biased;
            Ok(outcome) = answered => outcome,
            status = self.child.wait() => return Err(Failed::Died(ended(status))),
            () = &mut end => {
                let _ = self.child.kill().await;
                return Err(Failed::TimedOut);
            }
        };
        // It is done only when it asks for the next.
        tokio::select! {
            biased;
            _ = self.ready.recv() => {
                let _ = send(self.pid, Signal::SIGSTOP);
                self.idle_since = Instant::now();
            }
            _ = self.child.wait() => {}
            () = &mut end => { let _ = self.child.kill().await; }
        }
        outcome
    }

    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // `kill_on_drop` ends the process; a stopped one dies of it too.
        self.server.abort();
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

async fn next_invocation(State(exchange): State<Arc<Exchange>>) -> Response {
    let mut next = exchange.next.lock().await;
    let _ = exchange.ready.send(()).await;
    let Some(invocation) = next.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = (now + invocation.timeout).as_millis();
    let deadline = deadline.saturating_add_signed(i128::from(exchange.ahead_ms));
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", exchange.arn.clone()),
        ("lambda-runtime-trace-id", invocation.trace),
        ("content-type", "application/json".to_owned()),
    ];
    (axum::response::AppendHeaders(headers), invocation.event).into_response()
}

async fn response(
    State(exchange): State<Arc<Exchange>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    if body.len() > PAYLOAD_BYTES_MAX {
        settle(&exchange, &id, Err(Failed::TooLarge));
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    settle(&exchange, &id, Ok(body))
}

async fn error(
    State(exchange): State<Arc<Exchange>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    let said = String::from_utf8_lossy(&body).into_owned();
    settle(&exchange, &id, Err(Failed::Error(said)))
}

fn settle(exchange: &Exchange, id: &str, outcome: Outcome) -> StatusCode {
    let mut current = exchange.current.lock().unwrap_or_else(PoisonError::into_inner);
    match current.take_if(|(expected, _)| expected == id) {
        Some((_, answer)) => {
            let _ = answer.send(outcome);
            StatusCode::ACCEPTED
        }
        None => StatusCode::BAD_REQUEST,
    }
}

async fn init_error(
    State(exchange): State<Arc<Exchange>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let kind = headers.get("lambda-runtime-function-error-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("unknown");
    let told = format!("{kind}: {}", String::from_utf8_lossy(&body));
    *exchange.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    StatusCode::ACCEPTED
}
