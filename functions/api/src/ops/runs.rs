//! Runs as they are now. While one is open its stack's head holds it, and its document tells only how
//! it began; when it has ended, its document tells the end.
use super::list::{AT_ONCE, load_many, newest, ulid_time};
use super::named::named;
use super::sight::Sight;
use super::stacks::{head_of, space_of};
use super::{App, Error, is_run_id, view};
use crate::auth::{Seen, Who};
use crate::v1::{RunDetail, RunList};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::access::{ROOT_SPACE, Role};
use windlass_core::id::{RunId, StackId};
use windlass_core::keys;
use windlass_core::run::{Run, RunType};
use windlass_core::stack::StackHead;
use windlass_ports::{Fault, cas};

const LIMIT: usize = 30;
const LIMIT_MAX: usize = 200;
/// A filter that hardly anything passes gives up after so many, with a cursor to go on.
const LOOKED_AT_MAX: usize = 1_000;

/// Which runs, newest first.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunQuery {
    pub(crate) stack: Option<String>,
    pub(crate) state: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<RunType>,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

/// The whole id of a run that exists, of a stack that the caller may know of.
pub(super) async fn locate(
    app: &App,
    who: &Who,
    id: &str,
) -> Result<Seen<(StackId, RunId)>, Error> {
    let (run, _) = stored(app, who, id).await?;
    Ok(run.with((run.stack.clone(), run.id().clone())))
}

async fn stored(app: &App, who: &Who, id: &str) -> Result<(Seen<Run>, Option<StackHead>), Error> {
    let id = named(app, who, id).await?;
    let unknown = || Error::NotFound(format!("there is no run {id}"));
    let docs = &*app.deps.docs;
    let found = cas::load::<Run>(docs, &keys::run(&id)).await?;
    let run = found.ok_or_else(unknown)?.value;
    let head = cas::load::<StackHead>(docs, &keys::head(&run.stack)).await?;
    let head = head.map(|found| found.value);
    let space = match &head {
        Some(head) => space_of(app, head).await?,
        None => ROOT_SPACE.into(),
    };
    Ok((who.see(&space, run).ok_or_else(unknown)?, head))
}

/// The run as its actor knows it at this moment, and that actor's head.
pub(crate) async fn fresh(
    app: &App,
    who: &Who,
    id: &str,
) -> Result<(Seen<Run>, Option<StackHead>), Error> {
    let (run, head) = stored(app, who, id).await?;
    let Some(head) = head else { return Ok((run, None)) };
    let sight = Sight::of(app, who).await?;
    if run.state.terminal() && run.superseded_by.is_some() {
        return Ok((run.with(sight.blur((*run).clone())), None));
    }
    let now = as_known(app, (*run).clone(), Some(&head)).await?;
    Ok((run.with(sight.blur(now)), Some(head)))
}

/// The run as the head tells of it. If the head tells nothing of a run that was open when its document
/// was read, it has ended since, and the document is read again: it is written before a run leaves
/// the head's list.
async fn as_known(app: &App, run: Run, head: Option<&StackHead>) -> Result<Run, Fault> {
    if let Some(known) = head.and_then(|head| told_by(head, &run)) {
        return Ok(known);
    }
    if run.state.terminal() {
        return Ok(run);
    }
    let again = cas::load::<Run>(&*app.deps.docs, &keys::run(run.id())).await?;
    Ok(again.map_or(run, |found| found.value))
}

/// What a head knows of a run, if that is not older than its document.
fn told_by(head: &StackHead, run: &Run) -> Option<Run> {
    head.known(run.id()).filter(|known| known.head_revision >= run.head_revision).cloned()
}

/// Each as it is now: of those that were open when their documents were read, the heads are asked.
pub(super) async fn all_as_known(app: &App, runs: Vec<Run>) -> Result<Vec<Run>, Fault> {
    let open = runs.iter().filter(|run| !run.state.terminal()).map(|run| &run.stack);
    let stacks: BTreeSet<&StackId> = open.collect();
    let keys: Vec<String> = stacks.into_iter().map(keys::head).collect();
    let found = load_many::<StackHead>(&*app.deps.docs, &keys).await?;
    let found = found.into_iter().flatten().map(|found| found.value);
    let heads: BTreeMap<StackId, StackHead> =
        found.map(|head| (head.stack.clone(), head)).collect();
    let mut known = Vec::with_capacity(runs.len());
    for run in runs {
        let head = heads.get(&run.stack).filter(|_| !run.state.terminal());
        known.push(as_known(app, run, head).await?);
    }
    Ok(known)
}

pub(crate) async fn run_detail(app: &App, who: &Who, id: &str) -> Result<RunDetail, Error> {
    let (run, head) = fresh(app, who, id).await?;
    let mut detail = view::run_detail(&run);
    if !who.may(Role::Writer, run.space()) {
        detail.can.clear();
    }
    if detail.run.note.is_none()
        && let Some(head) = &head
    {
        detail.run.note = super::why::waiting(&run, head);
    }
    Ok(detail)
}

pub(crate) async fn runs(app: &App, who: &Who, query: &RunQuery) -> Result<RunList, Error> {
    let sight = Sight::of(app, who).await?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let before = query.after.as_deref().filter(|id| is_run_id(id));
    let sieved = !sight.is_everything() && query.stack.is_none();
    let filtered = query.state.is_some() || query.kind.is_some() || sieved;
    let look_at = if filtered { LOOKED_AT_MAX } else { limit + 1 };
    let ids = ids(app, who, query.stack.as_deref(), before, look_at).await?;
    let (mut runs, mut next) = (Vec::new(), None);
    let looked_at_all = ids.len() < look_at;
    let last = ids.last().cloned();
    'pages: for ids in ids.chunks(limit.min(AT_ONCE)) {
        let keys: Vec<String> = ids.iter().map(keys::run).collect();
        let found = load_many::<Run>(&*app.deps.docs, &keys).await?;
        let found = found.into_iter().flatten().map(|found| found.value);
        let found = found.filter(|run| sight.sees(&run.stack)).collect();
        for run in all_as_known(app, found).await? {
            if runs.len() == limit {
                next = runs.last().map(|run: &crate::v1::RunView| run.id.clone());
                break 'pages;
            }
            let wanted = query.state.as_deref().is_none_or(|s| run.state.name().as_str() == s)
                && query.kind.is_none_or(|kind| run.new.kind == kind);
            if wanted {
                runs.push(view::run(&sight.blur(run)));
            }
        }
    }
    if next.is_none() && filtered && !looked_at_all {
        next = last.map(|id| id.0);
    }
    Ok(RunList { runs, next })
}

/// Newest first, below `before`.
pub(super) async fn ids(
    app: &App,
    who: &Who,
    stack: Option<&str>,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<RunId>, Error> {
    let prefix = match stack {
        None => keys::RUNS.to_owned(),
        Some(slug) => keys::stack_runs(&head_of(app, who, slug).await?.stack),
    };
    let before = before.map(|id| format!("{prefix}{id}"));
    let key_at = |at| format!("{prefix}{}", ulid_time(at));
    let docs = &*app.deps.docs;
    let found = newest(docs, &prefix, before.as_deref(), limit, app.now(), key_at).await?;
    let name = |key: &String| key.strip_prefix(&prefix).map(|n| n.trim_end_matches(".json").into());
    Ok(found.iter().filter_map(name).collect())
}

/// As `sight` lets it be seen.
pub(super) async fn load(app: &App, sight: &Sight, id: &RunId) -> Result<Option<Run>, Fault> {
    let found = cas::load::<Run>(&*app.deps.docs, &keys::run(id)).await?;
    let run = found.map(|found| found.value).filter(|run| sight.sees(&run.stack));
    let known = all_as_known(app, run.into_iter().collect()).await?;
    Ok(known.into_iter().next().map(|run| sight.blur(run)))
}

/// The newest try of this line of runs.
pub(super) async fn newest_try(
    app: &App,
    sight: &Sight,
    origin: &RunId,
) -> Result<Option<Run>, Fault> {
    let mut run = load(app, sight, origin).await?;
    // A line of tries is short; the bound keeps a damaged one from turning round in circles.
    for _ in 0..100 {
        let Some(next) = run.as_ref().and_then(|run| run.superseded_by.clone()) else { break };
        match load(app, sight, &next).await? {
            Some(newer) => run = Some(newer),
            None => break,
        }
    }
    Ok(run)
}
