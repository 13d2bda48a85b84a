//! `windlass stack`: list, show, lock, unlock.
use super::{Context, url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use api::v1::{Asked, LockRequest, StackDetail, StackList, UnlockRequest};
use clap::{Args, Subcommand};

const PAGE: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List stacks; those that need a person come first
    #[command(after_help = "Examples:\n  windlass stack list\n  windlass stack list --state \
                            UNCONFIRMED\n  windlass stack list --search network --json")]
    List(List),
    /// Show a stack: what it is, what has it, what waits for it
    #[command(after_help = "Examples:\n  windlass stack show network\n  windlass stack show \
                            network --json")]
    Show(Name),
    /// Lock a stack: nobody else's runs start, and plans wait
    #[command(after_help = "Examples:\n  windlass stack lock network --note 'moving state'\n  \
                            windlass stack lock network --for 2h")]
    Lock(Lock),
    /// Unlock a stack
    #[command(after_help = "Examples:\n  windlass stack unlock network\n  windlass stack unlock \
                            network --force")]
    Unlock(Unlock),
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The stack's slug
    stack: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Words of a name, slug, label or folder
    #[arg(long, short, value_name = "TEXT")]
    search: Option<String>,
    /// FINISHED, UNCONFIRMED, FAILED, …; NONE before the first run
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[arg(long)]
    space: Option<String>,
    #[arg(long)]
    label: Option<String>,
    #[arg(long)]
    repository: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// The stack's slug
    stack: String,
    /// What others should know about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// It ends by itself after this long, such as 30m or 2h [default: never]
    #[arg(long = "for", value_name = "SPAN", value_parser = output::parse_ms)]
    for_ms: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// The stack's slug
    stack: String,
    /// Somebody else's lock too
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List(args) => list(context, &args),
        Command::Show(Name { stack }) => {
            let path = format!("/stacks/{}", url::part(&stack));
            let detail: StackDetail = context.client.get(&path)?;
            context.show(&detail, |look| output::stack_detail(&detail, look))
        }
        Command::Lock(Lock { stack, note, for_ms }) => {
            let path = format!("/stacks/{}/lock", url::part(&stack));
            let asked: Asked = context.client.post(&path, &LockRequest { note, for_ms })?;
            asked_of(context, &asked, &format!("{stack} is locked"))
        }
        Command::Unlock(Unlock { stack, force }) => {
            let path = format!("/stacks/{}/unlock", url::part(&stack));
            let asked: Asked = context.client.post(&path, &UnlockRequest { force })?;
            asked_of(context, &asked, &format!("{stack} is unlocked"))
        }
    }
}

/// What became of a request; nothing left to do is a success that says so.
pub(crate) fn asked_of(context: &Context, asked: &Asked, done: &str) -> Outcome {
    context.out.show(asked, |_| match (&asked.note, asked.changed) {
        (Some(note), false) => format!("Nothing to do: {}.", output::plain(note)),
        _ => format!("{done}."),
    })?;
    Ok(Exit::Done)
}

fn list(context: &Context, args: &List) -> Outcome {
    let filters = [&args.search, &args.state, &args.space, &args.label, &args.repository];
    let filtered = filters.iter().any(|filter| filter.is_some());
    let list = all(context, args)?;
    context.show(&list, |look| output::stack_list(&list, filtered, look))
}

/// All pages as one document.
fn all(context: &Context, args: &List) -> Result<StackList, Failure> {
    let most = args.limit.unwrap_or(usize::MAX);
    let mut list: Option<StackList> = None;
    loop {
        let so_far = list.as_ref().map_or(0, |list| list.stacks.len());
        let after = list.as_ref().and_then(|list| list.next.clone());
        let query = [
            ("q", args.search.clone()),
            ("state", args.state.as_ref().map(|state| state.to_ascii_uppercase())),
            ("space", args.space.clone()),
            ("label", args.label.clone()),
            ("repository", args.repository.clone()),
            ("limit", Some(PAGE.min(most.saturating_sub(so_far)).to_string())),
            ("after", after),
        ];
        let page: StackList = context.client.get(&url::with("/stacks", &query))?;
        let whole = match list.take() {
            None => page,
            Some(mut whole) => {
                whole.stacks.extend(page.stacks);
                StackList { next: page.next, ..whole }
            }
        };
        if whole.next.is_none() || whole.stacks.len() >= most {
            return Ok(whole);
        }
        list = Some(whole);
    }
}

/// Every stack's slug.
pub(crate) fn slugs(context: &Context) -> Result<Vec<String>, Failure> {
    let every =
        List { search: None, state: None, space: None, label: None, repository: None, limit: None };
    Ok(all(context, &every)?.stacks.into_iter().map(|stack| stack.slug).collect())
}
