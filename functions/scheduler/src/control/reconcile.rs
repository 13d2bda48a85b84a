//! A plan is the diff of definitions; an apply makes them so.
use super::is_ended;
use super::world::{self, Stored};
use crate::{Deps, deliver, pushes};
use futures_util::future::ready;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeSet;
use std::time::Duration;
use windlass_core::changes::Action;
use windlass_core::definition::{OnDelete, StackDef};
use windlass_core::drift::PoolSettings;
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{Digest, EventId, PoolId, StackId, derive};
use windlass_core::index::{self, Catalog, Reconciled};
use windlass_core::job::{Delta, JobSpec, PlanRef, Step};
use windlass_core::keys;
use windlass_definitions::{
    Definitions, DefinitionsDiff, PoolDef, SourceFile, World, diff, includes, needs_person,
    overtaken, parse, refused, render,
};
use windlass_ports::Fault;
use windlass_ports::cas::{self, Loaded};

/// GitHub allows a hundred requests of ours at a time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
const READS_AT_ONCE: usize = 16;
/// An invocation has two minutes; who is still reading by then says so instead of being killed.
const READ_MAX: Duration = Duration::from_secs(90);

/// How an administrative job ended.
pub(super) enum Done {
    Planned {
        plan: PlanRef,
        changes_key: String,
        delta: Delta,
        changes: bool,
        warnings: Vec<String>,
    },
    Applied,
    Faulty {
        reason: String,
    },
}

/// What an apply makes so.
#[derive(serde::Serialize, serde::Deserialize)]
struct Planned {
    definitions: Definitions,
    /// Stacks whose removal a person was asked about.
    asked: BTreeSet<StackId>,
}

/// Reads the commit's definition files, compares them with what is applied, and stores what an
/// apply will do under its digest. None: another delivery of the job has ended it meanwhile.
pub(super) async fn plan(deps: &Deps, spec: &JobSpec) -> Result<Option<Done>, Fault> {
    let repo = &spec.repository;
    let catalog = world::catalog(deps).await?;
    let catalog = catalog.as_ref().map(|found| &found.value);
    let world = world::around(deps, repo, catalog).await?;
    let definitions = match read(deps, spec, &world).await? {
        Ok(definitions) => definitions,
        Err(reason) => {
            log(deps, spec, Step::Planning, &reason).await?;
            return Ok(Some(Done::Faulty { reason }));
        }
    };
    let known = world::stored(deps, repo).await?;
    let diff = diff(&known.definitions, &definitions);
    let refusals = refused(&diff, &world);
    if !refusals.is_empty() {
        let reason = refusals.join("\n");
        log(deps, spec, Step::Planning, &reason).await?;
        return Ok(Some(Done::Faulty { reason }));
    }
    let removed = diff.removed.iter().map(|stack| &stack.slug);
    let with_state = world::with_state(deps, removed).await?;
    let warnings = needs_person(&diff, &with_state);
    let lines = diff.lines().into_iter().chain(warnings.iter().map(|w| format!("! {w}")));
    log(deps, spec, Step::Planning, &lines.collect::<Vec<_>>().join("\n")).await?;

    let body = json(&Planned { definitions, asked: with_state })?;
    // What a person looks at by now is not written over.
    if is_ended(deps, &spec.id).await? {
        return Ok(None);
    }
    let plan = PlanRef { key: keys::plan_archive(&spec.id), digest: Digest::of(&body) };
    deps.blobs.put(&plan.key, body).await?;
    let changes = diff.changes();
    let changes_key = keys::plan_changes(&spec.id);
    deps.blobs.put(&changes_key, json(&changes)?).await?;
    let first = known.revision == 0;
    let changed = first || !diff.is_empty();
    let delta = delta(&diff);
    Ok(Some(Done::Planned { plan, changes_key, delta, changes: changed, warnings }))
}

/// Catalog, indexes, then every stack's actor, then the record of what was applied: written last,
/// so that an apply that was cut off is made again whole.
///
/// Two deliveries of one job may be here at once. The catalog's version is the token: who read it
/// before the job had ended, and swaps it from there, can undo nothing that came later, because no
/// later apply begins before this one has its result. Whatever else is written carries the
/// revision that this swap gave, and is only raised. None: the other one has ended the job.
pub(super) async fn apply(deps: &Deps, spec: &JobSpec) -> Result<Option<Done>, Fault> {
    let Some(plan) = &spec.plan else { return Ok(faulty("there is no plan to apply")) };
    let Some(body) = deps.blobs.get(&plan.key).await? else {
        return Ok(faulty("the plan is gone; trigger a new run"));
    };
    if Digest::of(&body) != plan.digest {
        return Ok(faulty("the plan is not the one that was shown"));
    }
    let Planned { definitions, asked } = serde_json::from_slice(&body)
        .map_err(|error| Fault::poison_from("the stored plan does not parse", error))?;
    let repo = &spec.repository;
    let catalog = world::catalog(deps).await?;
    if is_ended(deps, &spec.id).await? {
        return Ok(None);
    }
    let known = world::stored(deps, repo).await?;
    // A plan may have waited for a person while other repositories' definitions went on.
    let world = world::around(deps, repo, catalog.as_ref().map(|found| &found.value)).await?;
    let diff = diff(&known.definitions, &definitions);
    let mut refusals = refused(&diff, &world);
    let removed = diff.removed.iter().map(|stack| &stack.slug);
    for stack in world::with_state(deps, removed).await?.difference(&asked) {
        refusals.push(format!(
            "stack `{stack}` would go, and began to apply after this was planned; trigger a new run"
        ));
    }
    refusals.extend(overtaken(&definitions, repo, &world));
    if !refusals.is_empty() {
        let reason = refusals.join("\n");
        log(deps, spec, Step::Applying, &reason).await?;
        return Ok(Some(Done::Faulty { reason }));
    }
    let done = reconcile(deps, catalog, spec, &definitions.stacks).await?;
    let revision = done.catalog.revision;
    for (name, index) in &done.indexes {
        let key = keys::repo_index(name);
        let revision_of = |index: &index::RepoIndex| index.revision;
        cas::raise(&*deps.docs, &key, &deps.write_ids.next(), revision_of, index).await?;
    }
    settle_pools(deps, &known.definitions, &definitions, revision).await?;
    let before: std::collections::BTreeMap<_, _> =
        known.definitions.stacks.iter().map(|stack| (&stack.slug, stack)).collect();
    for stack in &definitions.stacks {
        if before.get(&stack.slug) != Some(&stack) {
            define(deps, spec, stack, revision).await?;
        }
    }
    let now: BTreeSet<_> = definitions.stacks.iter().map(|s| &s.slug).collect();
    for stack in known.definitions.stacks.iter().filter(|stack| !now.contains(&stack.slug)) {
        undefine(deps, stack, revision).await?;
    }
    let stored = Stored { commit: spec.commit.clone(), revision, definitions };
    let (key, write_id) = (keys::definitions(repo), deps.write_ids.next());
    cas::raise(&*deps.docs, &key, &write_id, |stored: &Stored| stored.revision, &stored).await?;
    let text = format!("stacks defined by {}: {}", spec.commit.short(), now_count(&stored));
    log(deps, spec, Step::Applying, &text).await?;
    Ok(Some(Done::Applied))
}

/// What a pool's definition says to whoever hands out its drift budget. One that is gone says
/// nothing any more.
async fn settle_pools(
    deps: &Deps,
    before: &Definitions,
    after: &Definitions,
    revision: u64,
) -> Result<(), Fault> {
    let budget = |definitions: &Definitions, pool: &PoolId| {
        let declared = definitions.worker_pools.iter().find(|declared| declared.slug == *pool);
        declared.and_then(|declared| declared.drift_budget)
    };
    for PoolDef { slug, .. } in before.worker_pools.iter().chain(&after.worker_pools) {
        let drift_budget = budget(after, slug);
        if budget(before, slug) == drift_budget {
            continue;
        }
        let settings = PoolSettings { revision, drift_budget };
        let revision_of = |settings: &PoolSettings| settings.revision;
        let (key, write_id) = (keys::pool_settings(slug), deps.write_ids.next());
        cas::raise(&*deps.docs, &key, &write_id, revision_of, &settings).await?;
    }
    Ok(())
}

fn now_count(stored: &Stored) -> usize {
    stored.definitions.stacks.len()
}

/// Swapped from exactly what was read: who comes late decides nothing anew.
async fn reconcile(
    deps: &Deps,
    catalog: Option<Loaded<Catalog>>,
    spec: &JobSpec,
    stacks: &[StackDef],
) -> Result<Reconciled, Fault> {
    let at = catalog.as_ref().map(Loaded::at);
    let before = catalog.map(|found| found.value).unwrap_or_default();
    let done = index::reconcile(&before, &spec.repository, &spec.commit, stacks);
    let (docs, write_id) = (&*deps.docs, deps.write_ids.next());
    let swapped = cas::swap(docs, keys::CATALOG, at.as_ref(), &done.catalog, &write_id).await?;
    match swapped {
        Some(_) => Ok(done),
        None => Err(Fault::retryable("the catalog changed meanwhile; looking again")),
    }
}

async fn define(deps: &Deps, spec: &JobSpec, stack: &StackDef, revision: u64) -> Result<(), Fault> {
    let def = Box::new(stack.clone());
    let event = StackEvent::Define { def, commit: spec.commit.clone(), revision };
    tell(deps, &stack.slug, "define", revision, event).await
}

async fn undefine(deps: &Deps, stack: &StackDef, revision: u64) -> Result<(), Fault> {
    let destroy = stack.on_delete == OnDelete::Destroy;
    let event = StackEvent::Undefine { revision, destroy };
    tell(deps, &stack.slug, "undefine", revision, event).await
}

async fn tell(
    deps: &Deps,
    stack: &StackId,
    what: &str,
    revision: u64,
    event: StackEvent,
) -> Result<(), Fault> {
    let id = EventId(derive(&[what, &stack.0, &revision.to_string()]));
    let (stack, at) = (stack.clone(), deps.clock.now());
    deliver::send(deps, Intent::Stack(StackEnvelope { id, stack, at, hops: 0, event })).await
}

/// The definitions of a commit, or everything that is wrong with them, in one text.
async fn read(
    deps: &Deps,
    spec: &JobSpec,
    world: &World,
) -> Result<Result<Definitions, String>, Fault> {
    let (repo, sha) = (&spec.repository, &spec.commit);
    let Some(root) = pushes::root_file(deps, repo, sha).await? else {
        return Ok(Err(format!("commit {} has no windlass.yaml", sha.short())));
    };
    let mut files = vec![root];
    if let Ok(includes) = includes(&files[0]) {
        let mut paths = deps.source.files(repo, sha).await?;
        paths.retain(|path| includes.matches(path));
        let count = paths.len();
        let included = tokio::time::timeout(READ_MAX, included(deps, spec, paths)).await;
        let late = |_| Fault::retryable(format!("{count} definition files take too long to read"));
        files.extend(included.map_err(late)??);
    }
    Ok(parse(repo, &spec.branch, &files, world).map_err(|problems| render(&problems)))
}

/// Those that are files, in the order of their paths. Many are asked for at a time: one after the
/// other, some hundreds would outlast the invocation, each time.
async fn included(
    deps: &Deps,
    spec: &JobSpec,
    paths: Vec<String>,
) -> Result<Vec<SourceFile>, Fault> {
    let read = |path: String| async move {
        let bytes = deps.source.read(&spec.repository, &spec.commit, &path).await?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(text.map(|text| SourceFile { path, text }))
    };
    let all = stream::iter(paths).map(read).buffered(READS_AT_ONCE);
    all.try_filter_map(|file| ready(Ok(file))).try_collect().await
}

fn delta(diff: &DefinitionsDiff) -> Delta {
    let mut delta = Delta::default();
    for change in diff.changes().resources {
        match change.action {
            Action::Create => delta.add += 1,
            Action::Update => delta.change += 1,
            Action::Delete | Action::Forget => delta.delete += 1,
            Action::Replace | Action::ReplaceCreateFirst => {
                delta.add += 1;
                delta.delete += 1;
            }
            Action::Read | Action::NoOp => {}
        }
    }
    delta
}

async fn log(deps: &Deps, spec: &JobSpec, step: Step, text: &str) -> Result<(), Fault> {
    let text = if text.is_empty() { "no changes" } else { text };
    let body = format!("{}\n", text.trim_end()).into_bytes();
    deps.blobs.put(&keys::log_part(&spec.id, step, 0), body).await
}

fn faulty(reason: &str) -> Option<Done> {
    Some(Done::Faulty { reason: reason.to_owned() })
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value)
        .map_err(|error| Fault::poison_from("a plan does not serialise", error))
}
