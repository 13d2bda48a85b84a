//! `windlass worker`: who takes jobs, and having one take no more.
use super::stack::asked_of;
use super::{Context, url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use api::v1::{Asked, WorkerList};
use clap::{Args, Subcommand};

#[derive(Debug, clap::Args)]
#[cfg_attr(
    not(feature = "aws"),
    command(subcommand_required = true, arg_required_else_help = true)
)]
#[cfg_attr(
    feature = "aws",
    command(
        after_help = "Without a command it is a worker: it takes jobs of its pool, on AWS, until \
                          SIGTERM or Ctrl-C. The first of these means: finish what runs and go; a \
                          second one: interrupt plans, too. AWS credentials and region come from \
                          where AWS's own tools look for them.\n\nExamples:\n  windlass worker\n  \
                          windlass worker --pool production --slots 2 --data /var/lib/windlass\n  \
                          windlass worker list"
    )
)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub(crate) agent: crate::agent::Args,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List workers and what they do
    #[command(after_help = "Examples:\n  windlass worker list\n  windlass worker list --json")]
    List,
    /// Have a worker finish what it does and take nothing more
    #[command(after_help = "Examples:\n  windlass worker drain local-1\n  windlass worker drain \
                            local-1 --undo")]
    Drain(Drain),
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The worker's id, or its first or last characters
    worker: String,
    /// Let it take jobs again
    #[arg(long)]
    undo: bool,
}

pub(crate) fn run(context: &Context, command: Option<&Command>) -> Outcome {
    let Some(command) = command else {
        return Err(Failure::usage("say what about workers: list or drain"));
    };
    let list: WorkerList = context.client.get("/workers")?;
    match command {
        Command::List => context.show(&list, |look| output::worker_list(&list, look)),
        Command::Drain(Drain { worker, undo }) => {
            let id = named(&list, worker)?;
            let (verb, done) = match undo {
                false => ("drain", "takes no more jobs"),
                true => ("undrain", "takes jobs again"),
            };
            let path = format!("/workers/{}/{verb}", url::part(&id));
            let asked: Asked = context.client.post(&path, &serde_json::json!({}))?;
            asked_of(context, &asked, &format!("The worker {id} {done}"))
        }
    }
}

fn named(list: &WorkerList, name: &str) -> Result<String, Failure> {
    let ids = || list.workers.iter().map(|worker| worker.id.as_str());
    if ids().any(|id| id == name) {
        return Ok(name.to_owned());
    }
    let short = |id: &&str| !name.is_empty() && (id.starts_with(name) || id.ends_with(name));
    let hits: Vec<&str> = ids().filter(short).collect();
    match hits.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => {
            let why = format!("there is no worker `{name}`; `windlass worker list` shows them");
            Err(Failure::new(Exit::NotFound, why))
        }
        several => {
            let why = format!("`{name}` is short for several: {}", several.join(", "));
            Err(Failure::usage(why))
        }
    }
}
