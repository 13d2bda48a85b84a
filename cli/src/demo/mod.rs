//! `windlass demo`: the main job on a sample repository, told as it happens.
//!
//! Nothing in it is staged: a real repository, the same server as `windlass up`, the real tool,
//! and everything is seen and asked over the same API that everybody uses.
mod report;
pub(crate) mod sample;
mod stage;
mod story;
mod teller;

use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::frame::Global;
use crate::term;
use crate::up::logging::Aloud;
use crate::up::server::{Config, Server, Start};
use crate::up::signals::Signals;
use crate::up::{self, parse_all};
use report::{Report, RunLine, StepLine, numbers};
use sample::Sample;
use stage::{Halt, Stage};
use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use teller::Teller;
use tokio::runtime::Runtime;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass demo\n  windlass demo --headless --json\n  windlass \
                        demo --keep"
)]
pub(crate) struct Args {
    /// Ask nothing, and end with the story instead of serving its console until Ctrl-C
    #[arg(long)]
    headless: bool,
    /// Leave the sample repository and its data where they are
    #[arg(long)]
    keep: bool,
    /// Where the console listens [default: the first free one of 8420 to 8429]
    #[arg(long)]
    port: Option<u16>,
}

const WORKERS: usize = 2;
const RUNTIME_END: Duration = Duration::from_secs(2);
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(100);
/// Who the demo is in the audit trail.
const ACTOR: &str = "demo";

pub(crate) fn run(global: &Global, args: Args) -> Outcome {
    let began = Instant::now();
    let mut teller = teller(global.json);
    let folder = tempfile::Builder::new().prefix("windlass-demo-").tempdir();
    let mut folder =
        folder.map_err(|e| Failure::missing("no temporary folder can be made").because(e))?;
    folder.disable_cleanup(args.keep);
    teller.say("Windlass, on a sample repository: four stacks of Terraform's builtin resources.");
    teller.quiet(&format!("everything is in {}", folder.path().display()));
    // Before the sample is made, which takes git itself.
    up::prerequisites::check()?;
    let runtime = up::runtime()?;
    let ended = tell(&runtime, global, &args, folder.path(), teller, began);
    runtime.shutdown_timeout(RUNTIME_END);
    if !args.keep {
        remove(folder.path());
    }
    ended
}

/// Git or the tool may still be closing its last file there.
fn remove(folder: &Path) {
    for _ in 0..REMOVE_TRIES {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
}

/// With `--json` stdout is for the document alone.
fn teller(json: bool) -> Teller {
    match json {
        true => Teller::new(Box::new(std::io::stderr()), None),
        false => {
            let columns = std::io::stdout().is_terminal().then(term::width).flatten();
            Teller::new(Box::new(std::io::stdout()), columns)
        }
    }
}

fn tell(
    runtime: &Runtime,
    global: &Global,
    args: &Args,
    folder: &Path,
    mut teller: Teller,
    began: Instant,
) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let sample = Sample::create(&folder.join("infra"))?;
    let first = story::first_commit_of(&sample)?;
    let server = runtime.block_on(start(&sample, folder, args.port))?;
    let (flag, stop) = (interrupted.clone(), tokio::sync::oneshot::channel());
    let listener = runtime.spawn(async move {
        signals.next().await;
        flag.store(true, Ordering::SeqCst);
        let _ = stop.0.send(());
        signals.next().await;
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    let ended = runtime.block_on(server.login_link()).and_then(|link| {
        for notice in &server.notices {
            teller.quiet(notice);
        }
        teller.quiet(&format!("the console, once: {link}"));
        let client = Client::to(server.access.clone()).acting_as(ACTOR);
        let by_hand = !args.headless && std::io::stdin().is_terminal();
        let mut stage = Stage { client, sample, teller, by_hand, interrupted };
        let ok = match story::play(&mut stage, first) {
            Ok(steps) => finish(&mut stage, global, steps, folder, began)?,
            Err(Halt::Interrupted) => return Ok(Exit::Interrupted),
            Err(Halt::Late(what)) => return Err(Failure::failed(what)),
            Err(Halt::Failed(failure)) => return Err(failure),
        };
        if !args.headless {
            // The first link has been used, or is too old.
            let link = runtime.block_on(server.login_link())?;
            stage.teller.say(&format!("The console stays until Ctrl-C:  {link}"));
            // Sent, or never to be: either is the end.
            let _ = runtime.block_on(stop.1);
        }
        Ok(if ok { Exit::Done } else { Exit::NotFinished })
    });
    // However it went: the folder can go only once nobody writes there.
    runtime.block_on(server.drain());
    listener.abort();
    ended
}

async fn start(sample: &Sample, folder: &Path, port: Option<u16>) -> Result<Server, Failure> {
    let config = Config {
        data: folder.join("data"),
        repos: parse_all(&[sample.folder.to_string_lossy().into_owned()])?,
        port,
        workers: WORKERS,
        write: false,
        aloud: Aloud::Nobody,
    };
    match Server::start(config).await? {
        Start::Serving(server) => Ok(*server),
        Start::Nothing { .. } => Err(Failure::failed("the sample has no definitions")),
    }
}

/// Numbers for a person, the document for a script; true if every step went as expected.
fn finish(
    stage: &mut Stage,
    global: &Global,
    steps: Vec<StepLine>,
    folder: &Path,
    began: Instant,
) -> Result<bool, Failure> {
    let ok = steps.iter().all(|step| step.ok);
    let runs = stage.runs()?;
    let mut details = Vec::with_capacity(runs.len());
    for run in &runs {
        details.push(stage.run(&run.id)?);
    }
    let seconds = began.elapsed().as_secs_f64();
    stage.teller.say("");
    stage.teller.say(&numbers(&details, seconds));
    stage.teller.say("Your own repository:  windlass up --repo .");
    if global.json {
        let report = Report {
            runs: runs.iter().map(RunLine::from).collect(),
            steps,
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            data: folder.join("data"),
        };
        let text = serde_json::to_string(&report)
            .map_err(|e| Failure::failed("the report can't be written").because(e))?;
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    Ok(ok)
}
