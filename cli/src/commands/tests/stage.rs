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
use axum::http::{HeaderValue, header};
use clap::Parser as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
                let router = world.router.clone().layer(rename);
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
        Self { client: client.acting_as("ada"), now, stop, thread: Some(thread) }
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

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
