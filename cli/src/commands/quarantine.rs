//! `windlass quarantine`: messages that could not be handled, one at a time or page by page.
use super::ask::Person;
use super::stack::asked_of;
use super::{Context, url};
use crate::exit::Outcome;
use crate::output;
use api::v1::{Asked, QuarantineDetail, QuarantineList};
use clap::{Args, Subcommand};

const PAGE: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List messages that were set aside, and why
    #[command(after_help = "Examples:\n  windlass quarantine list\n  windlass quarantine list \
                            --limit 1000 --json")]
    List(List),
    /// Show one of them, with what it says
    #[command(after_help = "Examples:\n  windlass quarantine show 0f1e2d3c")]
    Show(Id),
    /// Put a message back on its queue
    #[command(after_help = "Examples:\n  windlass quarantine retry 0f1e2d3c")]
    Retry(Id),
    /// Drop a message for good
    #[command(
        after_help = "Examples:\n  windlass quarantine drop 0f1e2d3c\n  windlass quarantine \
                            drop 0f1e2d3c --yes"
    )]
    Drop(Drop),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The message's id
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// The message's id
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    let path = |id: &str, rest: &str| format!("/quarantine/{}{rest}", url::part(id));
    match command {
        Command::List(args) => {
            let list = list(context, args)?;
            context.show(&list, |look| output::quarantine_list(&list, look))
        }
        Command::Show(Id { id }) => {
            let found: QuarantineDetail = context.client.get(&path(id, ""))?;
            context.show(&found, |look| output::quarantined(&found, look))
        }
        Command::Retry(Id { id }) => {
            let nothing = serde_json::json!({});
            let asked: Asked = context.client.post(&path(id, "/retry"), &nothing)?;
            asked_of(context, &asked, &format!("The message {id} is back on its queue"))
        }
        Command::Drop(Drop { id, yes }) => {
            if !yes {
                let question = format!("Drop the message {id}? It will never be handled.");
                Person::at_terminal().agrees(&question, "--yes")?;
            }
            let asked: Asked = context.client.delete(&path(id, ""))?;
            asked_of(context, &asked, &format!("The message {id} is dropped"))
        }
    }
}

/// As many pages as it takes.
fn list(context: &Context, args: &List) -> Result<QuarantineList, crate::exit::Failure> {
    let most = args.limit.max(1);
    let mut list = QuarantineList { messages: Vec::new(), next: None };
    loop {
        let query = [
            ("limit", Some(PAGE.min(most - list.messages.len()).to_string())),
            ("after", list.next.take()),
        ];
        let page: QuarantineList = context.client.get(&url::with("/quarantine", &query))?;
        list.messages.extend(page.messages);
        list.next = page.next;
        if list.next.is_none() || list.messages.len() >= most {
            return Ok(list);
        }
    }
}
