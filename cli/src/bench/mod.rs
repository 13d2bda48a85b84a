//! `windlass bench`: this program measured against what it promises, on the machine at hand.
//!
//! Each measurement warms up, takes medians, and compares with something that anybody can check:
//! a shell script with the same tool calls, a bare SQL loop on the same disk. Its result is one
//! document with the machine and the command that made it; `docs/benchmarks.md` is rendered from
//! such documents ([`render`]).
mod console;
mod decide;
mod fleet;
mod idle;
mod life;
mod overhead;
mod program;
mod render;
mod routing;
mod sample;
mod script;
mod shown;
mod store;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use clap::{Args, Subcommand};
use shown::Shown as _;
use std::path::{Path, PathBuf};
use windlass_report::Report;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What Windlass adds to the tool, against a script that makes the same calls (minutes)
    #[command(after_help = "Examples:\n  windlass bench overhead\n  windlass bench overhead \
                            --rounds 5 --json")]
    Overhead(overhead::Rounds),
    /// From a push to its stacks, among thousands of them
    #[command(after_help = "Examples:\n  windlass bench routing --json")]
    Routing,
    /// Documents swapped per second, against a bare SQL loop on the same disk
    #[command(after_help = "Examples:\n  windlass bench store --json")]
    Store(store::Args),
    /// Events decided per second on one core
    #[command(after_help = "Examples:\n  windlass bench decide --json")]
    Decide,
    /// One look at a pool of ten thousand workers, decided
    #[command(after_help = "Examples:\n  windlass bench fleet --json")]
    Fleet,
    /// The list of a thousand stacks: time on the server, and size
    #[command(after_help = "Examples:\n  windlass bench console --json")]
    Console,
    /// Memory and processor of an idle `up`, and the size of this program
    #[command(hide = true)]
    Idle(idle::Idling),
    /// All of them into a folder, and the page that shows them
    #[command(hide = true)]
    All(All),
    /// The page from the documents in a folder
    #[command(hide = true)]
    Render(Render),
}

#[derive(Debug, Args)]
pub(crate) struct All {
    /// The folder of the documents; the page lies beside it
    #[arg(long, default_value = "docs/benchmarks", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    overhead: overhead::Rounds,
    #[command(flatten)]
    idle: idle::Idling,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[arg(long, default_value = "docs/benchmarks", value_name = "DIR")]
    out: PathBuf,
    /// Only tell whether the page is the documents' (exit 1 if not)
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(out: &Out, command: Command) -> Outcome {
    let report = match command {
        Command::Overhead(args) => overhead::measure(out, &args)?,
        Command::Routing => routing::measure()?,
        Command::Store(args) => store::measure(&args)?,
        Command::Decide => decide::measure()?,
        Command::Fleet => fleet::measure()?,
        Command::Console => console::measure()?,
        Command::Idle(args) => idle::measure(out, &args)?,
        Command::All(args) => return all(out, &args),
        Command::Render(args) => return page(&args),
    };
    warn_of_profile(out);
    out.show(&report, |look| report.table(look))?;
    Ok(Exit::Done)
}

fn warn_of_profile(out: &Out) {
    if cfg!(debug_assertions) {
        out.remark(
            "This is a debug build: cargo run --release -- bench … measures what is promised.",
        );
    }
}

type Measure<'a> = &'a dyn Fn() -> Result<Report, Failure>;

fn all(out: &Out, args: &All) -> Outcome {
    warn_of_profile(out);
    let store = store::Args::default();
    let measurements: [(&str, Measure<'_>); 7] = [
        ("decide", &decide::measure),
        ("fleet", &fleet::measure),
        ("routing", &routing::measure),
        ("store", &|| store::measure(&store)),
        ("console", &console::measure),
        ("idle", &|| idle::measure(out, &args.idle)),
        ("overhead", &|| overhead::measure(out, &args.overhead)),
    ];
    let unwritable = |e: std::io::Error| {
        Failure::usage(format!("{} can't be written", args.out.display())).because(e)
    };
    std::fs::create_dir_all(&args.out).map_err(unwritable)?;
    for (name, measure) in measurements {
        let report = measure()?;
        out.complain(&format!("{}\n", report.table(&out.look())));
        std::fs::write(args.out.join(format!("{name}.json")), report.document()?)
            .map_err(unwritable)?;
    }
    page(&Render { out: args.out.clone(), check: false })
}

fn page(args: &Render) -> Outcome {
    let page = render::page(&args.out)?;
    let path: &Path = &args.out.with_extension("md");
    if args.check {
        let known = std::fs::read_to_string(path).unwrap_or_default();
        return Ok(if known == page { Exit::Done } else { Exit::NotFinished });
    }
    std::fs::write(path, page)
        .map_err(|e| Failure::usage(format!("{} can't be written", path.display())).because(e))?;
    Ok(Exit::Done)
}
