//! `windlass run trigger`: a run that somebody asks for.
use super::ask::Person;
use super::run::follow;
use super::wait::Wait;
use super::{Context, url};
use crate::exit::{Failure, Outcome};
use api::v1::{Asked, ResourceList, StackDetail, TriggerRequest};
use clap::ValueEnum;
use windlass_core::run::RunType;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack's slug
    stack: String,
    /// What kind of run
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "tracked")]
    kind: Kind,
    /// A commit, branch or tag; an older commit is a rollback [default: the newest that it tracks]
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// Apply even a plan that changes nothing
    #[arg(long)]
    force_apply: bool,
    /// Look for drift: plan what was last applied, and report what differs
    #[arg(long, conflicts_with_all = ["kind", "commit", "force_apply"])]
    drift: bool,
    /// Do not ask before a destroy
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Plan and apply, and run the stacks that depend on it
    Tracked,
    /// Plan only
    Proposed,
    /// Delete all of its resources
    Destroy,
}

impl From<Kind> for RunType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Tracked => RunType::Tracked,
            Kind::Proposed => RunType::Proposed,
            Kind::Destroy => RunType::Destroy,
        }
    }
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let stack = url::part(&args.stack);
    if args.kind == Kind::Destroy && !args.yes {
        let path = format!("/stacks/{stack}/resources");
        let resources: ResourceList = context.client.get(&path)?;
        let detail: StackDetail = context.client.get(&format!("/stacks/{stack}"))?;
        let dependents: Vec<&str> = detail.dependents.iter().map(|d| d.stack.as_str()).collect();
        may_destroy(&args.stack, resources.total, &dependents)?;
    }
    let request = TriggerRequest {
        kind: Some(if args.drift { RunType::Proposed } else { args.kind.into() }),
        commit: args.commit,
        force_apply: args.force_apply,
        drift: args.drift,
    };
    let asked: Asked = context.client.post(&format!("/stacks/{stack}/trigger"), &request)?;
    follow(context, &asked, &args.wait)
}

fn may_destroy(stack: &str, resources: u64, dependents: &[&str]) -> Result<(), Failure> {
    let what = match resources {
        1 => "the one resource".to_owned(),
        n => format!("all {n} resources"),
    };
    let mut question = format!("Destroy {what} of {stack}?");
    question.push_str(&left_behind(dependents));
    Person::at_terminal().types(&question, stack, "--yes")
}

/// A destroy is followed by no run: what was built on it stays, without what it was built on.
fn left_behind(dependents: &[&str]) -> String {
    const NAMED_MAX: usize = 5;
    let named = dependents.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match dependents.len() {
        0 => String::new(),
        1 => format!(" {named} depends on it, keeps its resources and is not run."),
        n if n <= NAMED_MAX => {
            format!(" {named} depend on it, keep their resources and are not run.")
        }
        n => format!(
            " {named} and {} more depend on it, keep their resources and are not run.",
            n - NAMED_MAX
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_destroy_hears_of_what_depends_on_it() {
        #[rustfmt::skip]
        let table: [(&[&str], &str); 4] = [
            (&[],                                   ""),
            (&["a"],                                " a depends on it, keeps its resources and is not run."),
            (&["a", "b"],                           " a, b depend on it, keep their resources and are not run."),
            (&["a", "b", "c", "d", "e", "f", "g"],  " a, b, c, d, e and 2 more depend on it, keep their resources and are not run."),
        ];
        for (dependents, expect) in table {
            assert_eq!(left_behind(dependents), expect);
        }
    }
}
