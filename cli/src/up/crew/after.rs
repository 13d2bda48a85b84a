//! What the death of a worker leaves to do, in the store.
use scheduler::Deps;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::id::{InstanceId, PoolId, StackId};
use windlass_core::instance::{DrainedBy, Instance, Slot};
use windlass_core::job::{Claim, JobId, JobResult, JobSpec, ProcessGroup};
use windlass_core::keys;
use windlass_core::run::Run;
use windlass_core::stack::StackHead;
use windlass_core::summary::Summary;
use windlass_ports::cas::{self, Change, Loaded};
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Docs, Fault, PutError};

/// Who put the mark on a dead worker's record: nobody takes it for an operator's.
const MARKED_BY: &str = "windlass";

/// A job that a dead worker had.
pub(super) struct Orphan {
    pub(super) job: JobId,
    pub(super) stack: StackId,
    /// None if it was never started.
    pub(super) group: Option<ProcessGroup>,
}

#[derive(Clone)]
pub(crate) struct Aftermath {
    deps: Deps,
}

impl Aftermath {
    #[must_use]
    pub(crate) fn new(deps: Deps) -> Self {
        Self { deps }
    }

    /// Names whose record holds a job: a claim by such a name may still be open, so no other
    /// process gets it.
    pub(super) async fn busy_names(&self, pool: &PoolId) -> Result<BTreeSet<InstanceId>, Fault> {
        let mut busy = BTreeSet::new();
        for listed in self.deps.docs.list(&keys::instances(pool), None, 1_000).await? {
            let record = cas::load::<Instance>(&*self.deps.docs, &listed.key).await?;
            busy.extend(record.map(|r| r.value).filter(Instance::busy).map(|record| record.id));
        }
        Ok(busy)
    }

    /// The jobs in the worker's record that it has claimed, and those that it was about to.
    pub(super) async fn orphans(
        &self,
        pool: &PoolId,
        name: &InstanceId,
    ) -> Result<Vec<Orphan>, Fault> {
        let docs = &*self.deps.docs;
        let mut orphans = Vec::new();
        let record = self.record(pool, name).await?;
        for job in record.iter().flat_map(|record| jobs(&record.value)) {
            let Some(spec) = cas::load::<JobSpec>(docs, &keys::job_spec(job)).await? else {
                continue;
            };
            let claim = cas::load::<Claim>(docs, &keys::job_claim(job)).await?;
            let group = match claim.map(|claim| claim.value) {
                Some(Claim::Held { worker, group, .. }) if worker == *name => group,
                _ => None,
            };
            orphans.push(Orphan { job: job.clone(), stack: spec.value.stack, group });
        }
        Ok(orphans)
    }

    /// Jobs of the pool that somebody claimed and that have no result, by worker: whatever its record
    /// says by now. A process that took a dead one's name has registered anew, and its record forgot.
    pub(super) async fn claimed(
        &self,
        pool: &PoolId,
    ) -> Result<BTreeMap<InstanceId, Vec<Orphan>>, Fault> {
        let docs = &*self.deps.docs;
        let mut claimed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = docs.list(keys::SUMMARIES, after.as_deref(), LIST_MAX).await?;
            for listed in &page {
                let Some(stack) = busy(docs, &listed.key).await? else { continue };
                let head = cas::load::<StackHead>(docs, &keys::head(&stack)).await?;
                let head = head.map(|head| head.value);
                for job in head.iter().flat_map(StackHead::open).filter_map(Run::job) {
                    let Some((worker, group)) = holder(docs, pool, &job).await? else { continue };
                    let orphan = Orphan { job, stack: stack.clone(), group };
                    claimed.entry(worker).or_default().push(orphan);
                }
            }
            match page.last() {
                Some(last) if page.len() == LIST_MAX => after = Some(last.key.clone()),
                _ => return Ok(claimed),
            }
        }
    }

    /// The stack looks at itself now, instead of when its next minute comes.
    pub(super) async fn wake(&self, orphan: &Orphan) -> Result<(), Fault> {
        scheduler::nudge(&self.deps, &orphan.stack).await
    }

    /// True while the job has a claim by this worker and no result.
    pub(super) async fn is_open(&self, name: &InstanceId, job: &JobId) -> Result<bool, Fault> {
        let docs = &*self.deps.docs;
        let claim = cas::load::<Claim>(docs, &keys::job_claim(job)).await?.map(|c| c.value);
        let ours = matches!(claim, Some(Claim::Held { worker, .. }) if worker == *name);
        let result = cas::load::<JobResult>(docs, &keys::job_result(job)).await?;
        Ok(ours && result.is_none())
    }

    /// Whoever registers under this name takes no job.
    pub(super) async fn mark(&self, pool: &PoolId, name: &InstanceId) -> Result<(), Fault> {
        let (docs, key) = (&*self.deps.docs, keys::instance(pool, name));
        let (write_id, now) = (self.deps.write_ids.next(), self.deps.clock.now());
        cas::update(docs, &key, &write_id, |record: Option<&Instance>| {
            let by = DrainedBy::Operator(MARKED_BY.to_owned());
            Ok(match record.and_then(|record| record.drain(by, now).ok()) {
                Some(record) => Change::Write(record, ()),
                // Nobody is there, or somebody else keeps jobs from it already.
                None => Change::Keep(()),
            })
        })
        .await
    }

    /// The record of a worker that nothing refers to any more.
    pub(super) async fn remove(&self, pool: &PoolId, name: &InstanceId) -> Result<(), Fault> {
        let Some(record) = self.record(pool, name).await? else { return Ok(()) };
        match self.deps.docs.delete(&keys::instance(pool, name), &record.version).await {
            // Somebody else's record by now.
            Ok(()) | Err(PutError::Conflict) => Ok(()),
            Err(PutError::Fault(fault)) => Err(fault),
        }
    }

    async fn record(
        &self,
        pool: &PoolId,
        name: &InstanceId,
    ) -> Result<Option<Loaded<Instance>>, Fault> {
        cas::load(&*self.deps.docs, &keys::instance(pool, name)).await
    }
}

/// The stack, if it has a run that a worker may be at.
async fn busy(docs: &dyn Docs, summary: &str) -> Result<Option<StackId>, Fault> {
    let summary = cas::load::<Summary>(docs, summary).await?.map(|found| found.value);
    Ok(summary
        .filter(|s| s.proposed > 0 || s.last.as_ref().is_some_and(|last| !last.state.terminal()))
        .map(|summary| summary.stack))
}

/// Who of the pool claimed the job, as long as it has no result.
async fn holder(
    docs: &dyn Docs,
    pool: &PoolId,
    job: &JobId,
) -> Result<Option<(InstanceId, Option<ProcessGroup>)>, Fault> {
    let claim = cas::load::<Claim>(docs, &keys::job_claim(job)).await?.map(|claim| claim.value);
    let Some(Claim::Held { pool: of, worker, group, .. }) = claim else { return Ok(None) };
    if of != *pool {
        return Ok(None);
    }
    let result = cas::load::<JobResult>(docs, &keys::job_result(job)).await?;
    Ok(result.is_none().then_some((worker, group)))
}

fn jobs(record: &Instance) -> impl Iterator<Item = &JobId> {
    record.slots.iter().filter_map(|slot| match slot {
        Slot::Busy { job } | Slot::Void { job } => Some(job),
        Slot::Idle => None,
    })
}
