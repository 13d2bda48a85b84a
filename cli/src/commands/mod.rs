//! Every operator's command: what it understands, and what it asks of the server.
//!
//! A command is a screenful of its own: find the server, ask, show one document. What it shows is
//! made by [`crate::output`]; what it may not do without a person is asked by [`ask`].
mod ask;
mod audit;
mod find;
mod fleet;
mod key;
mod login;
mod logs;
mod plan;
mod quarantine;
mod replay;
mod resource;
mod run;
mod schema;
mod secret;
mod stack;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod trigger;
mod url;
mod validate;
mod wait;
mod why;
mod workers;

use crate::bench;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::frame::Global;
use crate::output::{self, Out};
use crate::remote::Key;
use crate::up::server_file::ServerFile;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

/// Commands of the people who operate the stacks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List stacks, show one, lock and unlock
    #[command(subcommand)]
    Stack(stack::Command),
    /// List runs, follow them, trigger, confirm and stop them
    #[command(subcommand)]
    Run(run::Command),
    /// Run one shell command in a stack's environment
    Task(task::Args),
    /// List the resources of stacks
    #[command(subcommand)]
    Resource(resource::Command),
    /// Read the state that Windlass keeps of a stack
    #[command(subcommand)]
    State(state::Command),
    /// List workers, and have one finish what it does; with AWS built in: be one
    Worker(workers::WorkerArgs),
    /// See how a worker pool would grow and shrink
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// Store, list and remove secrets
    #[command(subcommand)]
    Secret(secret::Command),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Look at messages that could not be handled, and try or drop them
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Tell why a commit, a stack or a run is as it is
    Why(why::Args),
    /// Show who asked what of this server, and what became of it
    Audit(audit::Args),
    /// Print a link that opens the console, once
    Login(login::Args),
    /// Hand a recorded GitHub delivery to the server, as if GitHub had sent it
    Replay(replay::Args),
    /// Check the definitions of a work tree, without a server
    Validate(validate::Args),
    /// Print the JSON Schema of windlass.yaml, for editors
    Schema(schema::Args),
    /// Measure this program against what it promises
    #[command(subcommand)]
    Bench(bench::Command),
}

/// A server that is not found by the data folder.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Remote {
    /// A server elsewhere: https://HOST. Its API key comes from WINDLASS_API_KEY_ID and
    /// WINDLASS_API_KEY_SECRET
    #[arg(long, global = true, value_name = "URL", env = "WINDLASS_URL")]
    pub(crate) url: Option<String>,
    /// A server elsewhere, instead of the data folder's: http://127.0.0.1:PORT, as a tunnel gives it
    #[arg(
        long,
        global = true,
        value_name = "URL",
        requires = "token_file",
        env = "WINDLASS_SERVER"
    )]
    pub(crate) server: Option<String>,
    /// The file that holds the token for --server, and nothing else
    #[arg(long, global = true, value_name = "FILE", env = "WINDLASS_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What every command that asks a server has at hand.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) out: Out,
}

impl Context {
    /// The new document, shown.
    fn show<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&output::Look) -> String,
    ) -> Outcome {
        self.out.show(document, text)?;
        Ok(Exit::Done)
    }
}

/// A failure as the one document that `--json` promises.
#[derive(Serialize)]
struct FailureDocument<'a> {
    error: FailureBody<'a>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    exit_code: u8,
    message: &'a str,
}

pub(crate) fn run(global: &Global, command: Command) -> Outcome {
    // It asks no server, and hears signals in its own way.
    #[cfg(feature = "aws")]
    let command = match command {
        Command::Worker(workers::WorkerArgs { command: None, agent }) => {
            return crate::agent::run(global, agent);
        }
        other => other,
    };
    let out = Out::of_process(global.json);
    let (inner, global) = (out.clone(), global.clone());
    let outcome = interruptible(move || {
        dispatch(&inner, command, || Ok(Context { client: client(&global)?, out: inner.clone() }))
    });
    told(&out, outcome)
}

/// With `--json` a failure is a document too: the caller reads one in any case.
fn told(out: &Out, outcome: Outcome) -> Outcome {
    if let (Err(failure), true) = (&outcome, out.json) {
        let error =
            FailureBody { exit_code: failure.exit.code(), message: failure.sentence.as_str() };
        out.show(&FailureDocument { error }, |_| String::new())?;
    }
    outcome
}

/// `server` finds the server; what needs none does not call it.
fn dispatch(
    out: &Out,
    command: Command,
    server: impl FnOnce() -> Result<Context, Failure>,
) -> Outcome {
    match command {
        Command::Stack(command) => stack::run(&server()?, command),
        Command::Run(command) => run::run(&server()?, command),
        Command::Task(args) => task::run(&server()?, &args),
        Command::Resource(command) => resource::run(&server()?, &command),
        Command::State(command) => state::run(&server()?, &command),
        Command::Worker(args) => workers::run(&server()?, args.command.as_ref()),
        Command::Secret(command) => secret::run(&server()?, &command),
        Command::Key(command) => key::run(out, server, &command),
        Command::Quarantine(command) => quarantine::run(&server()?, &command),
        Command::Why(args) => why::run(&server()?, &args),
        Command::Audit(args) => audit::run(&server()?, &args),
        Command::Login(args) => login::run(&server()?, &args),
        Command::Replay(args) => replay::run(&server()?, &args),
        Command::Fleet(command) => fleet::run(out, &command),
        Command::Validate(args) => validate::run(out, &args),
        Command::Schema(_) => schema::run(out),
        Command::Bench(command) => bench::run(out, command),
    }
}

fn client(global: &Global) -> Result<Client, Failure> {
    let remote = &global.remote;
    if let Some(url) = remote.url.as_ref().filter(|url| !url.is_empty()) {
        let base = crate::remote::base(url)?;
        let key = Key::from_env(&base, |name| std::env::var(name).ok())?;
        return Ok(Client::remote(base, key));
    }
    let client = match (&remote.server, &remote.token_file) {
        (Some(url), Some(file)) => {
            let token = std::fs::read_to_string(file).map_err(|e| {
                Failure::usage(format!("the token file {} can't be read", file.display()))
                    .because(e)
            })?;
            let token = token.trim().to_owned();
            Client::to(ServerFile { address: tunnel(url)?, token, pid: 0 })
        }
        _ => Client::find(&crate::up::folder::locate(global.data.as_deref())?)?,
    };
    Ok(match login() {
        Some(login) => client.acting_as(&login),
        None => client,
    })
}

/// Host and port of a server on this machine, or of a tunnel's end. A token travels over nothing
/// that others can read.
fn tunnel(url: &str) -> Result<String, Failure> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    if !here || port.parse::<u16>().is_err() {
        return Err(Failure::usage(format!(
            "--server takes http://127.0.0.1:PORT, not `{url}`: a server elsewhere is reached \
             through a tunnel, such as `ssh -L 8420:127.0.0.1:8420 HOST`"
        )));
    }
    Ok(address.to_owned())
}

/// Who asks, as the system knows them; none if the server would not take the name.
fn login() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    let usual = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    Some(user.name).filter(|name| !name.is_empty() && name.len() <= 64 && name.chars().all(usual))
}

/// Runs a command on a thread of its own; an interrupt ends the program in order: exit 130, and a
/// terminal that shows what is typed.
fn interruptible(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return work() };
    let (sender, done) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("command".to_owned());
    let worker = thread.spawn(move || {
        // Nobody waits any more after an interrupt.
        let _ = sender.send(work());
    });
    if worker.is_err() {
        return Err(Failure::failed("the system gives no thread"));
    }
    runtime.block_on(async {
        tokio::select! {
            outcome = done => {
                outcome.unwrap_or_else(|_| Err(Failure::failed("the command broke down")))
            }
            _ = tokio::signal::ctrl_c() => {
                ask::restore_terminal();
                Ok(Exit::Interrupted)
            }
        }
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_token_goes_only_where_nobody_listens() {
        #[rustfmt::skip]
        let table = [
            ("http://127.0.0.1:8420",   Some("127.0.0.1:8420")),
            ("http://localhost:9000/",  Some("localhost:9000")),
            ("127.0.0.1:8420",          Some("127.0.0.1:8420")),
            ("http://[::1]:8420",       Some("[::1]:8420")),
            ("http://example.com:8420", None),
            ("https://127.0.0.1:8420",  None),
            ("http://127.0.0.1",        None),
            ("http://127.0.0.1:8420/x", None),
            ("http://u@127.0.0.1:8420", None),
        ];
        for (url, expect) in table {
            let got = tunnel(url);
            assert_eq!(got.as_deref().ok(), expect, "{url}");
            if let Err(failure) = got {
                assert_eq!(failure.exit, Exit::Usage, "{url}");
            }
        }
    }

    #[test]
    fn a_failure_is_a_document_too() {
        let error = FailureBody { exit_code: 4, message: "there is no stack x" };
        let json = serde_json::to_string(&FailureDocument { error }).unwrap();
        assert_eq!(json, r#"{"error":{"exit_code":4,"message":"there is no stack x"}}"#);
    }
}
