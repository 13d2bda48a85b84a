//! `windlass fleet`: how a worker pool grows and shrinks.
mod history;
mod replay;
mod why;

use crate::exit::Outcome;
use crate::output::Out;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play a history of runs through the autoscaler's settings, beside Spacelift's
    Replay(replay::Args),
    /// What the autoscaler decided last about a pool, and why
    Why(why::Args),
}

pub(crate) fn run(out: &Out, command: &Command) -> Outcome {
    match command {
        Command::Replay(args) => replay::run(out, args),
        Command::Why(args) => why::run(out, args),
    }
}
