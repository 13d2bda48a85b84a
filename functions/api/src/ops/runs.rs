//! Runs as they are now: the stored document, or what the stack's head already knows better.
use super::list::{newest, ulid_time};
use super::stacks::head_of;
use super::{App, Error, is_run_id, view};
use crate::v1::{RunDetail, RunList};
use serde::Deserialize;
use windlass_core::effect::Effect;
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

/// The stack and id of a run that exists.
pub(super) async fn locate(app: &App, id: &str) -> Result<(StackId, RunId), Error> {
    let run = stored(app, id).await?;
    Ok((run.stack.clone(), run.id().clone()))
}

async fn stored(app: &App, id: &str) -> Result<Run, Error> {
    let unknown = || Error::NotFound(format!("there is no run {id}"));
    if !is_run_id(id) {
        return Err(unknown());
    }
    let found = cas::load::<Run>(&*app.deps.docs, &keys::run(&id.into())).await?;
    Ok(found.ok_or_else(unknown)?.value)
}

/// The run as its actor knows it at this moment, and that actor's head.
pub(crate) async fn fresh(app: &App, id: &str) -> Result<(Run, Option<StackHead>), Error> {
    let run = stored(app, id).await?;
    if run.state.terminal() && run.superseded_by.is_some() {
        return Ok((run, None));
    }
    let head = cas::load::<StackHead>(&*app.deps.docs, &keys::head(&run.stack)).await?;
    let Some(head) = head.map(|found| found.value) else { return Ok((run, None)) };
    Ok((newer(run, &head), Some(head)))
}

/// A head tells of a run before its document does.
pub(super) fn newer(run: Run, head: &StackHead) -> Run {
    let id = run.id().clone();
    let owed = head.outbox.iter().filter_map(|entry| match &entry.effect {
        Effect::PutRun { run } if *run.id() == id => Some(&**run),
        _ => None,
    });
    let known = owed.chain(head.run(&id)).max_by_key(|known| (known.version, known.head_revision));
    match known {
        Some(known) if known.head_revision >= run.head_revision => known.clone(),
        _ => run,
    }
}

pub(crate) async fn run_detail(app: &App, id: &str) -> Result<RunDetail, Error> {
    let (run, head) = fresh(app, id).await?;
    let mut detail = view::run_detail(&run);
    if detail.run.note.is_none()
        && let Some(head) = &head
    {
        detail.run.note = super::why::waiting(&run, head);
    }
    Ok(detail)
}

pub(crate) async fn runs(app: &App, query: &RunQuery) -> Result<RunList, Error> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let before = query.after.as_deref().filter(|id| is_run_id(id));
    let filtered = query.state.is_some() || query.kind.is_some();
    let look_at = if filtered { LOOKED_AT_MAX } else { limit + 1 };
    let ids = ids(app, query.stack.as_deref(), before, look_at).await?;
    let (mut runs, mut next) = (Vec::new(), None);
    let looked_at_all = ids.len() < look_at;
    let last = ids.last().cloned();
    for id in ids {
        if runs.len() == limit {
            next = runs.last().map(|run: &crate::v1::RunView| run.id.clone());
            break;
        }
        let Some(run) = load(app, &id).await? else { continue };
        let wanted = query.state.as_deref().is_none_or(|s| run.state.name().as_str() == s)
            && query.kind.is_none_or(|kind| run.new.kind == kind);
        if wanted {
            runs.push(view::run(&run));
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
    stack: Option<&str>,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<RunId>, Error> {
    let prefix = match stack {
        None => keys::RUNS.to_owned(),
        Some(slug) => keys::stack_runs(&head_of(app, slug).await?.stack),
    };
    let before = before.map(|id| format!("{prefix}{id}"));
    let key_at = |at| format!("{prefix}{}", ulid_time(at));
    let docs = &*app.deps.docs;
    let found = newest(docs, &prefix, before.as_deref(), limit, app.now(), key_at).await?;
    let name = |key: &String| key.strip_prefix(&prefix).map(|n| n.trim_end_matches(".json").into());
    Ok(found.iter().filter_map(name).collect())
}

pub(super) async fn load(app: &App, id: &RunId) -> Result<Option<Run>, Fault> {
    Ok(cas::load::<Run>(&*app.deps.docs, &keys::run(id)).await?.map(|found| found.value))
}

/// The newest try of this line of runs.
pub(super) async fn newest_try(app: &App, origin: &RunId) -> Result<Option<Run>, Fault> {
    let mut run = load(app, origin).await?;
    // A line of tries is short; the bound keeps a damaged one from turning round in circles.
    for _ in 0..100 {
        let Some(next) = run.as_ref().and_then(|run| run.superseded_by.clone()) else { break };
        match load(app, &next).await? {
            Some(newer) => run = Some(newer),
            None => break,
        }
    }
    Ok(run)
}
