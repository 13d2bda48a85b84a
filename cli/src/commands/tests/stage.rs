//! A server in memory and a command line in front of it.
#[path = "../../../../functions/api/tests/common/mod.rs"]
mod common;
#[path = "../../../../functions/api/tests/mount/direct.rs"]
mod mount;

pub(super) use common::{HOST, Tool, World};

use crate::client::Client;
use crate::commands::{Context, dispatch, told};
use crate::frame::{Cli, Verb};
use crate::output::Out;
use crate::up::server_file::ServerFile;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use clap::Parser as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use windlass_core::time::UnixMs;

/// The server, until it is dropped.
pub(super) struct Stage {
    pub(super) client: Client,
    /// What time it is there.
    now: UnixMs,
    stop: Arc<AtomicBool>,
    /// How many more questions about a run get this status instead of an answer.
    refused: Arc<(AtomicUsize, AtomicU16)>,
    thread: Option<JoinHandle<()>>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit: u8,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Stage {
    /// `moving`: actors and a worker go on by themselves while commands are given.
    pub(super) fn of<F: Future<Output = World>>(
        moving: bool,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let told = stop.clone();
        let refused = Arc::new((AtomicUsize::new(0), AtomicU16::new(0)));
        let refuses = refused.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let mut world = make().await;
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send((listener.local_addr().unwrap(), world.now())).unwrap();
                // The world's router knows one host; this port is another with each test.
                let rename = axum::middleware::map_request(|mut request: Request| async move {
                    request.headers_mut().insert(header::HOST, HeaderValue::from_static(HOST));
                    request
                });
                let refuse = axum::middleware::from_fn(move |request: Request, next: Next| {
                    let refused = refusal(&refuses, request.uri().path());
                    async move {
                        match refused {
                            Some(status) => status.into_response(),
                            None => next.run(request).await,
                        }
                    }
                });
                let router = world.router.clone().layer(rename).layer(refuse);
                let serving = tokio::spawn(async move { axum::serve(listener, router).await });
                while !told.load(Ordering::SeqCst) {
                    if !(moving && world.step().await) {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                serving.abort();
            });
        });
        let (address, now) = receiver.recv().unwrap();
        let token = mount::TOKEN.unwrap_or_default().to_owned();
        let client = Client::to(ServerFile { address: address.to_string(), token, pid: 0 });
        Self { client: client.acting_as("ada"), now, stop, refused, thread: Some(thread) }
    }

    /// So many questions about a run get this status.
    pub(super) fn answer_of_runs(&self, times: usize, status: u16) {
        self.refused.1.store(status, Ordering::SeqCst);
        self.refused.0.store(times, Ordering::SeqCst);
    }

    /// Types a command line; nobody sits at a terminal.
    pub(super) fn types(&self, line: &[&str]) -> Ended {
        let words = std::iter::once("windlass").chain(line.iter().copied());
        let cli = match Cli::try_parse_from(words) {
            Ok(cli) => cli,
            Err(error) => {
                let exit = u8::try_from(error.exit_code()).unwrap();
                return Ended { exit, stdout: String::new(), stderr: error.to_string() };
            }
        };
        let Verb::Operate(command) = cli.verb else { panic!("{line:?} is no operator's command") };
        let (out, kept) = Out::kept(cli.global.json, self.now);
        let context = Context { client: self.client.clone(), out: out.clone() };
        let outcome = told(&out, dispatch(&out, command, || Ok(context)));
        let exit = match outcome {
            Ok(exit) => exit,
            Err(failure) => {
                out.complain(&failure.render(false));
                failure.exit
            }
        };
        let kept = kept.lock().unwrap().clone();
        Ended { exit: exit.code(), stdout: kept.stdout, stderr: kept.stderr }
    }
}

fn refusal(refused: &(AtomicUsize, AtomicU16), path: &str) -> Option<Response> {
    let (times, status) = refused;
    let one_run = path.strip_prefix("/api/v1/runs/").is_some_and(|rest| !rest.contains('/'));
    let less = |times: usize| times.checked_sub(1);
    if !one_run || times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
        return None;
    }
    let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
    let code = if status == StatusCode::NOT_FOUND { "not_found" } else { "unavailable" };
    let problem = serde_json::json!({ "code": code, "message": "it can't be told just now" });
    Some((status, problem.to_string()).into_response())
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
