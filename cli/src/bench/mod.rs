//! `windlass bench`.
use crate::exit::{Exit, Outcome};
use crate::output::Out;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Decisions per second
    Decide,
}

pub(crate) fn run(_: &Out, _: Command) -> Outcome {
    Ok(Exit::Done)
}
