//! What the program understands: its commands, and the options that all of them share.
use crate::exit::Outcome;
use crate::{commands, demo, lab, up, worker};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
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

/// Commands that find no server: they are one, or need none. Which server is meant, and which folder
/// is its, means nothing to them, so their help does not offer it.
const WITHOUT_A_SERVER: [(&str, &[&str]); 6] = [
    ("up", &["url", "server", "token_file"]),
    ("demo", &["data", "url", "server", "token_file"]),
    ("lab", &["data", "url", "server", "token_file"]),
    ("validate", &["data", "url", "server", "token_file"]),
    ("schema", &["data", "url", "server", "token_file"]),
    ("bench", &["data", "url", "server", "token_file"]),
];

/// The commands as [`Cli`] derives them. An option that is hidden is understood all the same: it may
/// come from the environment.
pub(crate) fn command() -> clap::Command {
    let all: Vec<clap::Arg> = Cli::command().get_arguments().cloned().collect();
    WITHOUT_A_SERVER.iter().fold(Cli::command(), |cli, (verb, unused)| {
        let unused = all.iter().filter(|arg| unused.contains(&arg.get_id().as_str()));
        let hidden: Vec<clap::Arg> = unused.map(|arg| arg.clone().hide(true)).collect();
        cli.mut_subcommand(verb, |verb| verb.args(hidden))
    })
}

/// What was typed; without a command that makes sense, the program ends here and says so.
pub(crate) fn parse() -> Cli {
    let typed = command().get_matches();
    Cli::from_arg_matches(&typed).unwrap_or_else(|error| error.exit())
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

    #[test]
    fn the_frame_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_offers_only_what_means_something() {
        let help = |line: &[&str]| {
            let words = [&["windlass"], line, &["--help"]].concat();
            command().try_get_matches_from(words).unwrap_err().to_string()
        };
        #[rustfmt::skip]
        let table: [(&[&str], &[&str], &[&str]); 6] = [
            (&["up"],                &["--data", "--json"], &["--url", "--server", "--token-file"]),
            (&["demo"],              &["--json", "--keep"], &["--url", "--server", "--token-file", "--data"]),
            (&["lab"],               &[],                   &["--url", "--server", "--token-file", "--data"]),
            (&["bench", "overhead"], &["--json"],           &["--url", "--server", "--token-file", "--data"]),
            (&["validate"],          &["--json"],           &["--url", "--server", "--token-file", "--data"]),
            (&["run", "list"],       &["--url", "--server", "--token-file", "--data"], &[]),
        ];
        for (line, offers, hides) in table {
            let help = help(line);
            for option in offers {
                assert!(help.contains(option), "{line:?} offers {option}: {help}");
            }
            for option in hides {
                assert!(!help.contains(option), "{line:?} does not offer {option}: {help}");
            }
        }
    }

    #[test]
    fn a_hidden_option_is_understood() {
        let line = ["windlass", "up", "--repo", ".", "--url", "https://example.org", "--data", "d"];
        let typed = command().try_get_matches_from(line).unwrap();
        let cli = Cli::from_arg_matches(&typed).unwrap();
        assert_eq!(cli.global.remote.url.as_deref(), Some("https://example.org"));
        assert_eq!(cli.global.data.as_deref(), Some(std::path::Path::new("d")));
    }

    #[test]
    fn up_is_headless_unless_it_is_told_to_open() {
        let parse = |more: &[&str]| {
            let line = [&["windlass", "up", "--repo", "."], more].concat();
            command().try_get_matches_from(line).is_ok()
        };
        assert!(parse(&[]) && parse(&["--headless"]) && parse(&["--open"]));
        assert!(!parse(&["--headless", "--open"]));
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
