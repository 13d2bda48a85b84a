//! Runs as they are now: the stored document, or what the stack's head already knows better.
use super::list::{AT_ONCE, load_many, newest, ulid_time};
use super::sight::Sight;
use super::stacks::{head_of, space_of};
use super::{App, Error, is_run_id, view};
use crate::auth::{Seen, Who};
use crate::v1::{RunDetail, RunList};
use serde::Deserialize;
use windlass_core::access::{ROOT_SPACE, Role};
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

/// The id of a run that exists, of a stack that the caller may know of.
pub(super) async fn locate(
    app: &App,
    who: &Who,
    id: &str,
) -> Result<Seen<(StackId, RunId)>, Error> {
    let (run, _) = stored(app, who, id).await?;
    Ok(run.with((run.stack.clone(), run.id().clone())))
}

async fn stored(app: &App, who: &Who, id: &str) -> Result<(Seen<Run>, Option<StackHead>), Error> {
    let unknown = || Error::NotFound(format!("there is no run {id}"));
    if !is_run_id(id) {
        return Err(unknown());
    }
    let docs = &*app.deps.docs;
    let found = cas::load::<Run>(docs, &keys::run(&id.into())).await?;
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
    let now = newer((*run).clone(), &head);
    Ok((run.with(sight.blur(now)), Some(head)))
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
        for found in load_many::<Run>(&*app.deps.docs, &keys).await? {
            if runs.len() == limit {
                next = runs.last().map(|run: &crate::v1::RunView| run.id.clone());
                break 'pages;
            }
            let Some(run) = found.map(|found| found.value) else { continue };
            let wanted = sight.sees(&run.stack)
                && query.state.as_deref().is_none_or(|s| run.state.name().as_str() == s)
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
    Ok(run.map(|run| sight.blur(run)))
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
