//! What the program understands: its commands, and the options that all of them share.
use crate::exit::Outcome;
use crate::{commands, demo, lab, up, worker};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Plans and applies Terraform and OpenTofu stacks as their repositories change.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Where the server keeps its data [default: windlass in the user's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "WINDLASS_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON document instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tell also what caused an error
    #[arg(long, global = true)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) remote: commands::Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serve repositories on this machine
    Up(up::Args),
    /// Show the main job on a sample repository, from a push to an applied change
    Demo(demo::Args),
    /// Start the control plane as it runs on AWS, whole on this machine, to look around
    #[command(after_help = "Examples:\n  windlass lab")]
    Lab,
    /// What `up` starts as its children
    #[command(hide = true)]
    Work(worker::Args),
    #[command(flatten)]
    Operate(commands::Command),
}

pub(crate) fn run(cli: Cli) -> Outcome {
    let Cli { global, verb } = cli;
    match verb {
        Verb::Up(args) => up::run(&global, args),
        Verb::Demo(args) => demo::run(&global, args),
        Verb::Lab => lab::run(),
        Verb::Work(args) => worker::run(&global, args),
        Verb::Operate(command) => commands::run(&global, command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_frame_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_go_before_or_after_the_command() {
        for line in [
            ["windlass", "--json", "demo", "--headless"],
            ["windlass", "demo", "--headless", "--json"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.global.json);
        }
    }
}
