//! The control plane's own jobs: plans and applies of administrative stacks.
//!
//! They come over the reserved pool `control` and obey the same protocol as a worker's: claimed
//! once, one result, then word of it. They read only the definition files of the commit and run no
//! hook, no tool and no user code. Where a worker's apply is never repeated, this one is: a
//! reconcile is idempotent, so a control plane that starts again resumes what it held.
mod reconcile;
mod world;

use crate::Deps;
use reconcile::Done;
use tokio::sync::watch;
use windlass_core::id::{InstanceId, PoolId, derive};
use windlass_core::instance::{Instance, Refused, Slot};
use windlass_core::job::{
    Claim, JobId, JobResult, JobSpec, News, Phase, Pointer, Report, Step, Verdict,
};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Change, Delivery, Fault, Outgoing, cas};

/// The one record under `pools/control/instances/`.
pub const CONTROL_INSTANCE: &str = "control";
/// More than the longest job takes, so that nobody else gets its pointer meanwhile. Who gets it all
/// the same changes nothing ([`reconcile::apply`]).
const VISIBILITY_MS: u64 = 150_000;
const WAIT_MS: u64 = 20_000;
/// How long a commit that its source does not show is waited for.
const UNSEEN_MS_MAX: u64 = 10 * 60 * 1_000;

fn pool() -> PoolId {
    keys::CONTROL_POOL.into()
}
fn instance_key() -> String {
    keys::instance(&pool(), &CONTROL_INSTANCE.into())
}

/// Finishes what an earlier process held, then registers. Called once at the start, by the one
/// process that serves this pool.
///
/// # Errors
/// `Retryable` when a store is away.
pub async fn resume(deps: &Deps) -> Result<(), Fault> {
    let found = cas::load::<Instance>(&*deps.docs, &instance_key()).await?;
    let Some(record) = found.map(|found| found.value) else {
        let record = unregistered(deps.clock.now());
        cas::create(&*deps.docs, &instance_key(), &deps.write_ids.next(), &record).await?;
        return Ok(());
    };
    for slot in &record.slots {
        if let Slot::Busy { job } | Slot::Void { job } = slot {
            tracing::info!(job = %job, "resuming an administrative job");
            carry_out(deps, job).await?;
        }
    }
    Ok(())
}

/// One slot: administrative jobs run one at a time, whoever of the control plane's processes has
/// one.
fn unregistered(now: UnixMs) -> Instance {
    let id = InstanceId::from(CONTROL_INSTANCE);
    Instance::new(&id, &pool(), 1, env!("CARGO_PKG_VERSION"), None, now)
}

/// Handles a message of the pool's queue. Whoever brings the first one registers the pool's record;
/// a process that dies leaves its job to the next delivery of its pointer.
pub(crate) async fn handle(deps: &Deps, delivery: &Delivery) -> Result<(), Fault> {
    let pointer = serde_json::from_slice::<Pointer>(&delivery.body)
        .map_err(|error| Fault::poison_from("this pointer to a job does not parse", error))?;
    carry_out(deps, &pointer.job).await
}

/// Serves the pool until told to stop.
pub async fn serve(deps: &Deps, mut stop: watch::Receiver<bool>) {
    let queue = keys::first_queue(&pool());
    while !*stop.borrow() {
        let received = tokio::select! {
            received = deps.queues.receive(&queue, 1, WAIT_MS, VISIBILITY_MS) => received,
            _ = stop.changed() => return,
        };
        let outcome = match received {
            Ok(batch) => serve_batch(deps, &queue, batch).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = outcome {
            tracing::warn!(queue, error = fault.chain(), "an administrative job must come again");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Takes what waits, without waiting: one turn of [`serve`], for a caller with a loop of its own.
///
/// # Errors
/// `Retryable` when a store is away; the pointer comes back.
pub async fn serve_once(deps: &Deps) -> Result<(), Fault> {
    let queue = keys::first_queue(&pool());
    let batch = deps.queues.receive(&queue, 1, 0, VISIBILITY_MS).await?;
    serve_batch(deps, &queue, batch).await
}

async fn serve_batch(deps: &Deps, queue: &str, batch: Vec<Delivery>) -> Result<(), Fault> {
    for delivery in batch {
        if let Ok(pointer) = serde_json::from_slice::<Pointer>(&delivery.body) {
            carry_out(deps, &pointer.job).await?;
        }
        deps.queues.delete(queue, &delivery.receipt).await?;
    }
    Ok(())
}

/// One job, in the order of rule B3; every step may be met a second time.
async fn carry_out(deps: &Deps, job: &JobId) -> Result<(), Fault> {
    let Some(spec) = cas::load::<JobSpec>(&*deps.docs, &keys::job_spec(job)).await? else {
        return Err(Fault::retryable(format!("the spec of {job} is not there yet")));
    };
    let (spec, age_ms) = (spec.value, spec.age_ms);
    if !is_ended(deps, job).await? {
        let epoch = take(deps, job).await?;
        if !claim(deps, job, epoch).await? {
            return release(deps, job).await;
        }
        let step = if job.phase == Phase::Plan { Step::Planning } else { Step::Applying };
        report(deps, &spec, News::Began(step)).await?;
        let started_at = deps.clock.now();
        let done = match job.phase {
            Phase::Plan => reconcile::plan(deps, &spec).await,
            _ => reconcile::apply(deps, &spec).await,
        };
        let done = match done {
            // What can never succeed ends the run: the next definitions must not wait for it.
            Err(fault) if !fault.is_retryable() || is_gone(deps, &spec, age_ms).await => {
                Some(Done::Faulty { reason: fault.given_up().chain() })
            }
            done => done?,
        };
        if let Some(done) = done {
            let (key, write_id) = (keys::job_result(job), deps.write_ids.next());
            let result = result(&spec, step, done, started_at, deps.clock.now());
            cas::create(&*deps.docs, &key, &write_id, &result).await?;
        }
    }
    report(deps, &spec, News::Ended).await?;
    release(deps, job).await
}

/// Somebody ended it: this delivery of its pointer, an earlier one, or a later one.
async fn is_ended(deps: &Deps, job: &JobId) -> Result<bool, Fault> {
    Ok(cas::load::<JobResult>(&*deps.docs, &keys::job_result(job)).await?.is_some())
}

/// A commit that was not shown yet would be by now.
async fn is_gone(deps: &Deps, spec: &JobSpec, age_ms: u64) -> bool {
    age_ms > UNSEEN_MS_MAX
        && matches!(deps.source.commit(&spec.repository, &spec.commit).await, Ok(None))
}

/// The slot, for this job. A job that has its result needs it no more: who held it last may have
/// died, with nobody left to bring its pointer again.
async fn take(deps: &Deps, job: &JobId) -> Result<u64, Fault> {
    if let Ok(epoch) = take_slot(deps, job).await? {
        return Ok(epoch);
    }
    let record = cas::load::<Instance>(&*deps.docs, &instance_key()).await?;
    for slot in record.into_iter().flat_map(|found| found.value.slots) {
        if let Slot::Busy { job: held } = slot
            && is_ended(deps, &held).await?
        {
            release(deps, &held).await?;
        }
    }
    take_slot(deps, job).await?.map_err(|refused| Fault::retryable(refused.to_string()))
}

async fn take_slot(deps: &Deps, job: &JobId) -> Result<Result<u64, Refused>, Fault> {
    let now = deps.clock.now();
    cas::update(
        &*deps.docs,
        &instance_key(),
        &deps.write_ids.next(),
        |record: Option<&Instance>| {
            let known = record.cloned().unwrap_or_else(|| unregistered(now));
            let epoch = known.epoch;
            Ok(match known.take(epoch, job) {
                Ok(next) if Some(&next) == record => Change::Keep(Ok(epoch)),
                Ok(next) => Change::Write(next, Ok(epoch)),
                Err(refused) => Change::Keep(Err(refused)),
            })
        },
    )
    .await
}

/// True if the claim is ours, now or from before.
async fn claim(deps: &Deps, job: &JobId, epoch: u64) -> Result<bool, Fault> {
    let claim = Claim::Held {
        pool: pool(),
        worker: CONTROL_INSTANCE.into(),
        epoch,
        group: None,
        at: deps.clock.now(),
    };
    let key = keys::job_claim(job);
    let known = cas::create(&*deps.docs, &key, &deps.write_ids.next(), &claim).await?;
    Ok(match known {
        None => true,
        Some(Claim::Held { worker, .. }) => worker.as_str() == CONTROL_INSTANCE,
        Some(Claim::Tombstone { .. }) => false,
    })
}

async fn release(deps: &Deps, job: &JobId) -> Result<(), Fault> {
    let now = deps.clock.now();
    cas::update(
        &*deps.docs,
        &instance_key(),
        &deps.write_ids.next(),
        |record: Option<&Instance>| {
            Ok(match record.and_then(|record| record.release(record.epoch, job, now).ok()) {
                Some(next) => Change::Write(next, ()),
                None => Change::Keep(()),
            })
        },
    )
    .await
}

async fn report(deps: &Deps, spec: &JobSpec, news: News) -> Result<(), Fault> {
    let what = news.as_str();
    let report = Report {
        job: spec.id.clone(),
        stack: spec.stack.clone(),
        worker: CONTROL_INSTANCE.into(),
        at: deps.clock.now(),
        news,
    };
    let body = serde_json::to_vec(&report)
        .map_err(|error| Fault::poison_from("a report does not serialise", error))?;
    let message = Outgoing {
        body,
        group: Some(keys::stack_group(&spec.stack)),
        dedup: Some(derive(&["report", &spec.id.to_string(), what])),
        delay_ms: 0,
    };
    deps.queues.send(keys::REPORTS, message).await
}

fn result(
    spec: &JobSpec,
    step: Step,
    done: Done,
    started_at: UnixMs,
    ended_at: UnixMs,
) -> JobResult {
    let blank = JobResult {
        worker: Some(CONTROL_INSTANCE.into()),
        started_at,
        tool_version: Some(format!("Windlass v{}", env!("CARGO_PKG_VERSION"))),
        ..JobResult::blank(&spec.id, &spec.stack, Verdict::Ok, ended_at)
    };
    match done {
        Done::Planned { plan, changes_key, delta, changes, warnings } => JobResult {
            delta: Some(delta),
            changes,
            plan: Some(plan),
            changes_key: Some(changes_key),
            warnings,
            ..blank
        },
        Done::Applied => blank,
        Done::Faulty { reason } => JobResult { verdict: Verdict::Failed { step, reason }, ..blank },
    }
}
