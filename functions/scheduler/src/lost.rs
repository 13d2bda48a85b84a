//! Declaring an attempt lost: void, then proof, then the lock that it left, then its verdict.
//!
//! A renewed worker can't be lost and a lost one can't renew, for both are swaps of one record
//! (rules B2 and B4). What can't be repeated is over only when its tool is seen to be gone, or when
//! nobody can see it and all of its time has passed (rule E1).
use crate::Deps;
use windlass_core::id::{InstanceId, StackId, derive};
use windlass_core::instance::Instance;
use windlass_core::job::{
    Claim, JobId, JobResult, JobSpec, LEASE_MS, News, Report, SeenLocks, Verdict,
};
use windlass_core::keys;
use windlass_core::stack::StackHead;
use windlass_core::state_lock::StateLock;
use windlass_ports::cas::{self, CAS_ATTEMPTS_MAX};
use windlass_ports::{Evidence, Fault, Outgoing, PutError};

pub(crate) async fn declare(
    deps: &Deps,
    head: &StackHead,
    job: &JobId,
    claim: &Claim,
    cause: &str,
) -> Result<(), Fault> {
    let mut cause = cause.to_owned();
    if let Claim::Held { pool, worker, epoch, .. } = claim {
        if !void(deps, &keys::instance(pool, worker), claim, (*epoch, job)).await? {
            return Ok(());
        }
        if job.phase.repeatable() {
            deps.presence.end_tool(job, claim).await?;
        } else {
            let Some(unseen) = ended(deps, job, claim).await? else { return Ok(()) };
            cause.push_str(unseen);
            if let Some(lock) = release_lock(deps, job).await? {
                cause.push_str(&format!("; {lock}"));
            }
        }
    }
    let (verdict, now) = (Verdict::Lost { cause }, deps.clock.now());
    let result = JobResult::blank(job, &head.stack, verdict, now);
    cas::create(&*deps.docs, &keys::job_result(job), &deps.write_ids.next(), &result).await?;
    let worker = match claim {
        Claim::Held { worker, .. } => worker.clone(),
        Claim::Tombstone { .. } => InstanceId::default(),
    };
    report(deps, &head.stack, job, worker).await
}

/// How the tool's end is known, as the end of a sentence; None while it may still run.
async fn ended(deps: &Deps, job: &JobId, claim: &Claim) -> Result<Option<&'static str>, Fault> {
    match deps.presence.tool(job, claim).await? {
        Evidence::Gone { .. } => return Ok(Some("")),
        // The sweep comes here only for what is proven, or has had all of its time.
        Evidence::Unknown => {
            return Ok(Some(
                "; nobody can see what became of its tool, and all of its time has passed",
            ));
        }
        Evidence::Present => {}
    }
    // All of its time has passed: it is ended, and seen to have ended, before anybody is told that
    // the stack is free. The sweep looks again.
    deps.presence.end_tool(job, claim).await?;
    let present = deps.presence.tool(job, claim).await? == Evidence::Present;
    Ok((!present).then_some(""))
}

/// Removes the lock on a managed state that this job's tool was seen to hold, and no other. Says
/// what became of the lock, if there is one.
async fn release_lock(deps: &Deps, job: &JobId) -> Result<Option<String>, Fault> {
    let spec = cas::load::<JobSpec>(&*deps.docs, &keys::job_spec(job)).await?;
    let Some(spec) = spec.map(|spec| spec.value).filter(|spec| spec.manage_state) else {
        return Ok(None);
    };
    let key = keys::state_lock(&keys::workspace_state(&spec.stack, &spec.workspace));
    let Some(found) = deps.docs.get(&key).await? else { return Ok(None) };
    let Some(lock) = StateLock::parse(&found.body) else { return Ok(None) };
    let seen = cas::load::<SeenLocks>(&*deps.docs, &keys::job_lock(job)).await?;
    if !lock.is_of(&seen.map(|seen| seen.value).unwrap_or_default(), None) {
        return Ok(Some(lock.left(&spec.stack)));
    }
    match deps.docs.delete(&key, &found.version).await {
        Ok(()) => Ok(Some(format!("the state's lock {}, which it left, was removed", lock.id))),
        // Another one by now.
        Err(PutError::Conflict) => Ok(None),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}

/// False if the worker renewed since it was looked at: then it is not lost, and the sweep looks
/// again (rule B2: the void and the renewal are swaps of one record).
async fn void(
    deps: &Deps,
    key: &str,
    claim: &Claim,
    (epoch, job): (u64, &JobId),
) -> Result<bool, Fault> {
    for _ in 0..CAS_ATTEMPTS_MAX {
        let Some(found) = cas::load::<Instance>(&*deps.docs, key).await? else { return Ok(true) };
        let at = Some((&found.version, found.revision));
        // Its machine came back since, and did not tell its end: all of its time has passed.
        if let Ok(told) = found.value.told(found.value.epoch, job, deps.clock.now()) {
            if cas::commit(&*deps.docs, key, at, &told, &deps.write_ids.next()).await? {
                return Ok(true);
            }
            continue;
        }
        if !found.value.holds(epoch, job) {
            return Ok(true);
        }
        let gone = matches!(deps.presence.worker(job, claim).await?, Evidence::Gone { .. });
        if !gone && found.age_ms < LEASE_MS {
            return Ok(false);
        }
        let Ok(void) = found.value.void(epoch) else { return Ok(true) };
        if cas::commit(&*deps.docs, key, at, &void, &deps.write_ids.next()).await? {
            return Ok(true);
        }
    }
    Err(Fault::retryable(format!("{key} changed under every attempt to void it")))
}

/// Word of a result that no worker brings.
pub(crate) async fn report(
    deps: &Deps,
    stack: &StackId,
    job: &JobId,
    worker: InstanceId,
) -> Result<(), Fault> {
    let (job, stack, at) = (job.clone(), stack.clone(), deps.clock.now());
    let (group, dedup) = (keys::stack_group(&stack), derive(&["lost", &job.to_string()]));
    let report = Report { job, stack, worker, at, news: News::Ended };
    let body = serde_json::to_vec(&report)
        .map_err(|error| Fault::poison_from("a report does not serialise", error))?;
    let message = Outgoing { body, group: Some(group), dedup: Some(dedup), delay_ms: 0 };
    deps.queues.send(keys::REPORTS, message).await
}
