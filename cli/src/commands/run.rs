//! `windlass run`: list, show, and what may be asked of one.
use super::stack::asked_of;
use super::wait::{self, Wait};
use super::{Context, find, logs, plan, trigger, url};
use crate::exit::Outcome;
use crate::output::{self, short_run};
use api::v1::{ApproveRequest, Asked, NoteRequest, RunList, Verb};
use clap::{Args, Subcommand};

const PAGE: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List runs, newest first
    #[command(after_help = "Examples:\n  windlass run list\n  windlass run list network \
                            --limit 5\n  windlass run list --state FAILED --json")]
    List(List),
    /// Show a run: its state, its history, what can be done with it
    #[command(after_help = "Examples:\n  windlass run show 7Q2ZK4XD\n  windlass run show \
                            7Q2ZK4XD --json")]
    Show(Name),
    /// Show a run's log; follow it until the run ends
    #[command(after_help = "Examples:\n  windlass run logs 7Q2ZK4XD\n  windlass run logs -f \
                            7Q2ZK4XD\n\nWith --follow the exit code is the run's: 0 if it \
                            FINISHED, else 1.")]
    Logs(logs::Args),
    /// Run a stack now; an older commit is a rollback
    #[command(after_help = "Examples:\n  windlass run trigger network --wait --timeout 10m\n  \
                            windlass run trigger network --commit 4f2c91ab\n  windlass run \
                            trigger network --type proposed\n  windlass run trigger network \
                            --type destroy --yes")]
    Trigger(trigger::Args),
    /// Look at the plan of a run that waits, and have it applied
    #[command(after_help = "Examples:\n  windlass run confirm 7Q2ZK4XD\n  windlass run confirm \
                            7Q2ZK4XD --yes --wait\n  windlass run confirm 7Q2ZK4XD --digest \
                            3b1f… --revision 7\n\nWhat is confirmed is what was shown: if the \
                            plan or the run moved meanwhile, it is refused (exit 5).")]
    Confirm(plan::Args),
    /// Throw away the plan of a run that waits
    #[command(after_help = "Examples:\n  windlass run discard 7Q2ZK4XD --note 'wrong region'")]
    Discard(Discard),
    /// Cancel a run that no worker has yet
    #[command(after_help = "Examples:\n  windlass run cancel 7Q2ZK4XD")]
    Cancel(Note),
    /// Stop a run that is preparing or planning; an apply goes to its end
    #[command(after_help = "Examples:\n  windlass run stop 7Q2ZK4XD --note 'wrong branch'")]
    Stop(Note),
    /// Run again what did not end well; what was skipped because of it follows
    #[command(after_help = "Examples:\n  windlass run retry 7Q2ZK4XD\n  windlass run retry \
                            7Q2ZK4XD --wait --timeout 10m")]
    Retry(Retry),
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The run's id, or its first or last characters
    run: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this stack's
    stack: Option<String>,
    /// FINISHED, UNCONFIRMED, FAILED, …
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// tracked, proposed, destroy or task
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Note {
    /// The run's id, or its first or last characters
    run: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    note: Note,
    /// As for `confirm`; nothing is asked here, for a discarded plan can be made again
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The run's id, or its first or last characters
    run: String,
    #[command(flatten)]
    wait: Wait,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List(args) => list(context, args),
        Command::Show(Name { run }) => {
            let id = find::run(&context.client, &run)?;
            let detail = wait::detail(context, &id)?;
            context.show(&detail, |look| output::run_detail(&detail, look))
        }
        Command::Logs(args) => logs::run(context, &args),
        Command::Trigger(args) => trigger::run(context, args),
        Command::Confirm(args) => plan::run(context, &args),
        Command::Discard(Discard { note: args, .. }) => {
            note(context, Verb::Discard, args, "discarded")
        }
        Command::Cancel(args) => note(context, Verb::Cancel, args, "being cancelled"),
        Command::Stop(args) => note(context, Verb::Stop, args, "asked to stop"),
        Command::Retry(args) => retry(context, &args),
    }
}

/// The path at which a verb is asked of a run.
pub(crate) fn verb_path(id: &str, verb: Verb) -> String {
    format!("/runs/{}/{}", url::part(id), verb.as_str())
}

fn list(context: &Context, args: List) -> Outcome {
    let mut list: Option<RunList> = None;
    let path = match &args.stack {
        Some(stack) => format!("/stacks/{}/runs", url::part(stack)),
        None => "/runs".to_owned(),
    };
    let list = loop {
        let so_far = list.as_ref().map_or(0, |list| list.runs.len());
        let query = [
            ("state", args.state.as_ref().map(|state| state.to_ascii_uppercase())),
            ("type", args.kind.as_ref().map(|kind| kind.to_ascii_uppercase())),
            ("limit", Some(PAGE.min(args.limit.max(1) - so_far).to_string())),
            ("after", list.as_ref().and_then(|list| list.next.clone())),
        ];
        let page: RunList = context.client.get(&url::with(&path, &query))?;
        let mut whole = list.take().unwrap_or(RunList { runs: Vec::new(), next: None });
        whole.runs.extend(page.runs);
        whole.next = page.next;
        if whole.next.is_none() || whole.runs.len() >= args.limit.max(1) {
            break whole;
        }
        list = Some(whole);
    };
    context.show(&list, |look| output::run_list(&list, look))
}

fn note(context: &Context, verb: Verb, args: Note, done: &str) -> Outcome {
    let id = find::run(&context.client, &args.run)?;
    let asked: Asked =
        context.client.post(&verb_path(&id, verb), &NoteRequest { note: args.note })?;
    asked_of(context, &asked, &format!("The run {} is {done}", short_run(&id)))
}

fn retry(context: &Context, args: &Retry) -> Outcome {
    let id = find::run(&context.client, &args.run)?;
    let asked: Asked = context.client.post(&verb_path(&id, Verb::Retry), &ApproveRequest {})?;
    follow(context, &asked, &args.wait)
}

/// Shows the run that was made, or waits for it.
pub(crate) fn follow(context: &Context, asked: &Asked, wait: &Wait) -> Outcome {
    match &asked.run {
        Some(id) if wait.wait => wait::and_show(context, id, wait, None),
        Some(id) => {
            let short = short_run(id);
            let done = format!("The run {short} is made: windlass run logs -f {short}");
            context.out.show(asked, |_| done)?;
            Ok(crate::exit::Exit::Done)
        }
        None => asked_of(context, asked, "Done"),
    }
}
