//! `windlass resource`: what stacks have made.
use super::{Context, stack, url};
use crate::exit::{Failure, Outcome};
use crate::output;
use api::v1::ResourceList;
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the resources of one stack, or of all
    #[command(after_help = "Examples:\n  windlass resource list network\n  windlass resource \
                            list --json")]
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this stack's
    stack: Option<String>,
}

/// `--json`: the same shape for one stack and for all.
#[derive(Serialize)]
struct Resources<'a> {
    stacks: &'a [ResourceList],
}

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    let Command::List(List { stack }) = command;
    let slugs = match stack {
        Some(slug) => vec![slug.clone()],
        None => stack::slugs(context)?,
    };
    let lists = slugs.iter().map(|slug| of(context, slug)).collect::<Result<Vec<_>, _>>()?;
    context.show(&Resources { stacks: &lists }, |look| output::resource_list(&lists, look))
}

/// All of a stack's resources.
pub(crate) fn of(context: &Context, slug: &str) -> Result<ResourceList, Failure> {
    let path = format!("/stacks/{}/resources", url::part(slug));
    let mut whole: ResourceList = context.client.get(&path)?;
    while let Some(after) = whole.next.take() {
        let page: ResourceList =
            context.client.get(&url::with(&path, &[("after", Some(after))]))?;
        whole.resources.extend(page.resources);
        whole.next = page.next;
    }
    Ok(whole)
}
