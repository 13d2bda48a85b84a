//! `windlass state`: the state files that Windlass keeps. A state holds secrets in plain text, so
//! reading one leaves an audit entry.
use super::{Context, resource, url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use api::v1::StatePart;
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// A file that changes all the time while it is read is given up after so many tries.
const TRIES_MAX: usize = 5;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what is in a stack's state, one address a line
    #[command(after_help = "Examples:\n  windlass state list network\n  windlass state list \
                            network --json")]
    List(List),
    /// Print a stack's state file; it may hold secrets in plain text
    #[command(after_help = "Examples:\n  windlass state pull network > network.tfstate\n  \
                            windlass state pull network --out network.tfstate")]
    Pull(Pull),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The stack's slug
    stack: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The stack's slug
    stack: String,
    /// Write it to this new file, readable by you alone
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    match command {
        Command::List(List { stack }) => {
            let list = resource::of(context, stack)?;
            context.show(&list, |look| match list.resources.as_slice() {
                [] => output::resource_list(std::slice::from_ref(&list), look),
                all => all.iter().map(|one| format!("{}\n", one.address)).collect(),
            })
        }
        Command::Pull(args) => pull(context, args),
    }
}

fn pull(context: &Context, args: &Pull) -> Outcome {
    let state = whole(context, &args.stack)?;
    match &args.out {
        None if context.out.json => context.show(&state, |_| String::new()),
        None => {
            context.out.print(&state.text)?;
            Ok(Exit::Done)
        }
        Some(path) => {
            let unwritable =
                |e| Failure::usage(format!("{} can't be written", path.display())).because(e);
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
            file.write_all(state.text.as_bytes()).map_err(unwritable)?;
            let said = format!("{} bytes in {}.", state.bytes, path.display());
            let without_text = StatePart { text: String::new(), ..state };
            context.show(&without_text, |_| said)
        }
    }
}

/// All pieces of one and the same state: if it changes in between, from the start.
fn whole(context: &Context, stack: &str) -> Result<StatePart, Failure> {
    let path = format!("/stacks/{}/state", url::part(stack));
    'anew: for _ in 0..TRIES_MAX {
        let mut whole: StatePart = context.client.get(&path)?;
        while let Some(after) = whole.next {
            let query = [("after", Some(after.to_string()))];
            let part: StatePart = context.client.get(&url::with(&path, &query))?;
            if part.digest != whole.digest {
                continue 'anew;
            }
            whole.text.push_str(&part.text);
            whole.next = part.next;
        }
        return Ok(whole);
    }
    let why =
        format!("the state of {stack} changes all the time; try again when its run has ended");
    Err(Failure::new(Exit::Refused, why))
}
