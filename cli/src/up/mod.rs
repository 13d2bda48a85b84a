//! `windlass up`: serve repositories on this machine until told to stop.
mod bind;
pub(crate) mod crew;
pub(crate) mod folder;
pub(crate) mod logging;
mod needs;
pub(crate) mod prerequisites;
mod repos;
pub(crate) mod server;
pub(crate) mod server_file;
pub(crate) mod signals;
pub(crate) mod states;
mod watching;

pub(crate) use repos::parse_all;

use crate::exit::{Exit, Failure, Outcome};
use crate::frame::Global;
use logging::Aloud;
use server::{Config, Server, Start};
use std::io::Write as _;

/// More than this on one machine is a slip of the finger.
const WORKERS_MAX: u16 = 256;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  windlass up --repo .\n  windlass up --repo . --write     # \
                        where nothing is defined yet\n  windlass up --repo ~/infra --repo \
                        apps=https://github.com/example/apps.git --workers 4")]
pub(crate) struct Args {
    /// A folder or URL of a Git repository, NAME=… to name it; the first owns the root space
    #[arg(long = "repo", required = true, value_name = "PATH|URL")]
    repos: Vec<String>,
    /// Where the console listens [default: the first free one of 8420 to 8429]
    #[arg(long)]
    port: Option<u16>,
    /// How many runs go on side by side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=i64::from(WORKERS_MAX)))]
    workers: u16,
    /// Write the proposed windlass.yaml into a repository that has none
    #[arg(long)]
    write: bool,
    /// Open the console in a browser
    #[arg(long, conflicts_with = "headless")]
    open: bool,
    /// Open nothing: as without --open, said aloud in a script
    #[arg(long)]
    headless: bool,
}

/// A runtime for one server: two threads are plenty beside one writer.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().map_err(|e| Failure::missing("no threads can be started").because(e))
}

pub(crate) fn run(global: &Global, args: Args) -> Outcome {
    let config = Config {
        data: folder::locate(global.data.as_deref())?,
        repos: parse_all(&args.repos)?,
        port: args.port,
        workers: usize::from(args.workers),
        write: args.write,
        aloud: Aloud::Stderr,
    };
    let runtime = runtime()?;
    let exit = runtime.block_on(serve(global, config, args.open));
    // A thread that still waits for a program of ours must not hold the end up.
    runtime.shutdown_background();
    exit
}

async fn serve(global: &Global, config: Config, open: bool) -> Outcome {
    let mut signals = signals::Signals::listen()?;
    let started = tokio::select! {
        started = Server::start(config) => started?,
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    let mut server = match started {
        Start::Serving(server) => server,
        Start::Nothing { repository, proposal } => {
            say(&proposal.text);
            return Err(Failure::usage(format!(
                "the repository {repository} has no windlass.yaml in its default branch's newest \
                 commit; above is a proposal ({}): --write writes it, and what you wrote yourself \
                 needs only a commit",
                match proposal.stacks {
                    1 => "1 stack".to_owned(),
                    many => format!("{many} stacks"),
                }
            )));
        }
    };
    let link = server.login_link().await?;
    say(&match global.json {
        true => greeting_json(&server, &link),
        false => greeting(&server, &link),
    });
    if open && !crate::browser::open(&link) {
        tell("windlass: no browser could be opened; follow the link\n");
    }
    if !global.json {
        server.tell_of_needs(tell);
    }
    signals.next().await;
    tell("windlass: finishing what runs; Ctrl-C again stops at once (running applies go on)\n");
    let forget = server.leave_no_address();
    tokio::select! {
        () = server.drain() => Ok(Exit::Done),
        () = signals.next() => {
            forget();
            Ok(Exit::Interrupted)
        }
    }
}

fn greeting(server: &Server, link: &str) -> String {
    let mut text = String::new();
    for notice in &server.notices {
        text.push_str(&format!("{notice}\n"));
    }
    let served = server.repositories.iter();
    let served: Vec<String> =
        served.map(|r| format!("{} (definitions on {})", r.name, r.default_branch)).collect();
    text.push_str(&format!(
        "Windlass serves {} at http://{}\n  log in once  {link}\n  data         {}\n\
         Ctrl-C finishes what runs, a second one stops at once; both lose nothing.\n",
        served.join(", "),
        server.access.address,
        server.data().display(),
    ));
    text
}

fn greeting_json(server: &Server, link: &str) -> String {
    let repositories: Vec<_> = server
        .repositories
        .iter()
        .map(|r| serde_json::json!({ "name": r.name, "default_branch": r.default_branch }))
        .collect();
    let document = serde_json::json!({
        "address": server.access.address,
        "login_link": link,
        "data": server.data(),
        "pid": server.access.pid,
        "repositories": repositories,
        "notices": server.notices,
    });
    format!("{document}\n")
}

/// For whoever asked; a closed stdout is no failure of the server.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
