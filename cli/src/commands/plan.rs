//! `windlass run confirm`: shows the plan, asks, and sends what was shown.
use super::ask::Person;
use super::run::verb_path;
use super::stack::asked_of;
use super::wait::{self, Wait};
use super::{Context, find, url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, short_run};
use api::v1::{Asked, ChangesView, ConfirmRequest, RunDetail, Verb};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's id, or its first or last characters
    run: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Confirm only this plan, as `run show --json` gives it in plan_digest
    #[arg(long, value_name = "DIGEST", requires = "revision")]
    digest: Option<String>,
    /// Confirm only this version of the run, as `run show --json` gives it in version
    #[arg(long, value_name = "N", requires = "digest")]
    revision: Option<u32>,
    #[command(flatten)]
    wait: Wait,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let id = find::run(&context.client, &args.run)?;
    let request = match (&args.digest, args.revision) {
        (Some(digest), Some(version)) => ConfirmRequest { plan_digest: digest.clone(), version },
        _ => looked_at(context, &id, args.yes)?,
    };
    let version = request.version;
    let asked: Asked = context.client.post(&verb_path(&id, Verb::Confirm), &request)?;
    if args.wait.wait {
        return wait::and_show(context, &id, &args.wait, Some(version));
    }
    let short = short_run(&id);
    asked_of(
        context,
        &asked,
        &format!("The run {short} is confirmed: windlass run logs -f {short}"),
    )
}

/// What a person has seen, and with `yes` what a script takes as seen.
fn looked_at(context: &Context, id: &str, yes: bool) -> Result<ConfirmRequest, Failure> {
    let detail = wait::detail(context, id)?;
    let request = confirmable(&detail)?;
    let changes: ChangesView = context.client.get(&format!("/runs/{}/changes", url::part(id)))?;
    if !(yes && context.out.json) {
        context.out.complain(&output::plan(&detail, &changes, &context.out.look()));
    }
    if !yes {
        let question = format!("Apply this plan to {}?", detail.run.stack);
        Person::at_terminal().agrees(&question, "--yes")?;
    }
    Ok(request)
}

pub(super) fn confirmable(detail: &RunDetail) -> Result<ConfirmRequest, Failure> {
    let run = &detail.run;
    let refused = |what: &str| {
        let (id, state) = (short_run(&run.id), run.state);
        Failure::new(Exit::Refused, format!("the run {id} is {state}: {what}"))
    };
    match (&detail.plan_digest, &detail.confirmed_by) {
        (Some(digest), _) if detail.can.contains(&Verb::Confirm) => {
            Ok(ConfirmRequest { plan_digest: digest.clone(), version: run.version })
        }
        (Some(_), _) => {
            let why = format!("to confirm a run of {} needs the role writer there", run.stack);
            Err(Failure::new(Exit::NotAllowed, why))
        }
        (None, Some(by)) => Err(refused(&format!("already confirmed, by {by}"))),
        (None, None) if run.terminal => Err(refused("it has ended")),
        (None, None) => Err(refused("there is no plan to confirm")),
    }
}
