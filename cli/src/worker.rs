//! The hidden `windlass work`: a child of `up` that claims jobs and runs the tool.
//!
//! Its standard input brings its token, and stays open as long as the server lives: whatever kills
//! the server, its workers hear of it, finish what they do, keep what they can't deliver, and go.
use crate::exit::{Exit, Failure, Outcome};
use crate::frame::Global;
use crate::up::folder::{self, Layout};
use adapter_git::Mirrors;
use adapter_socket::{Client, Token};
use async_trait::async_trait;
use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing_subscriber::EnvFilter;
use windlass_core::id::{InstanceId, PoolId, RepoName, Sha};
use windlass_ports::Fault;
use windlass_ports::clock::SystemClock;
use windlass_worker::{Checkout, Config, Deps, Shutdown, StateHome};

/// A token is much shorter; whoever sends more is not our server.
const TOKEN_BYTES_MAX: u64 = 1_024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name in the pool
    #[arg(long)]
    name: String,
    #[arg(long)]
    pool: String,
}

pub(crate) fn run(global: &Global, args: Args) -> Outcome {
    let data = folder::locate(global.data.as_deref())?;
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Its stderr is a file of the server's.
    let lines = tracing_subscriber::fmt().json().with_env_filter(level);
    let _ = lines.with_writer(std::io::stderr).try_init();
    let token = token()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::missing("no runtime can be started").because(e))?;
    runtime.block_on(work(Layout::new(&data), args, token))
}

async fn work(layout: Layout, args: Args, token: Token) -> Outcome {
    let (worker, pool) = (InstanceId(args.name), PoolId(args.pool));
    let (shutdown, wanted) = watch::channel(Shutdown::Run);
    tokio::spawn(listen(shutdown, server_gone()));
    let client = Arc::new(Client::connect(&layout.socket(), worker.clone(), pool.clone(), token));
    let deps = Deps {
        docs: client.clone(),
        queues: client.clone(),
        blobs: client.clone(),
        secrets: client,
        clock: Arc::new(SystemClock),
        checkout: Arc::new(FromMirrors(Mirrors::new(layout.mirrors()))),
        notices: None,
    };
    let work_dir = layout.work().join(worker.as_str());
    let mut config =
        Config::new(worker.clone(), pool, work_dir, StateHome::Folder(layout.states()));
    config.plugin_cache = Some(layout.plugins());
    windlass_worker::run(config, deps, wanted).await.map_err(|error| {
        tracing::error!(%worker, %error, "the worker has ended");
        Failure::failed(format!("worker {worker}: {error}")).because(error)
    })?;
    Ok(Exit::Done)
}

fn token() -> Result<Token, Failure> {
    let missing = "a worker is started by `windlass up`, which gives it a token";
    let mut line = String::new();
    let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_line(&mut line);
    read.map_err(|e| Failure::usage(missing).because(e))?;
    match line.trim() {
        "" => Err(Failure::usage(missing)),
        token => Ok(Token::from(token.to_owned())),
    }
}

/// Fires at the end of standard input. A thread waits there, because such a read can't be called
/// off; it ends with the process.
fn server_gone() -> oneshot::Receiver<()> {
    let (gone, heard) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    });
    heard
}

/// The end of the input (the server is gone) and SIGTERM mean: finish and go. A second SIGTERM
/// means: now. An apply is finished all the same.
async fn listen(shutdown: watch::Sender<Shutdown>, mut gone: oneshot::Receiver<()>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    let mut server_lives = true;
    loop {
        let asked = tokio::select! {
            _ = terminate.recv() => match *shutdown.borrow() {
                Shutdown::Run => Shutdown::Drain,
                Shutdown::Drain | Shutdown::Now => Shutdown::Now,
            },
            _ = &mut gone, if server_lives => {
                server_lives = false;
                tracing::info!("the server is gone; finishing");
                (*shutdown.borrow()).max(Shutdown::Drain)
            }
        };
        shutdown.send_replace(asked);
    }
}

struct FromMirrors(Mirrors);

#[async_trait]
impl Checkout for FromMirrors {
    async fn checkout(&self, repo: &RepoName, sha: &Sha, dest: &Path) -> Result<(), Fault> {
        Ok(self.0.checkout(repo, sha, dest).await?)
    }
}
