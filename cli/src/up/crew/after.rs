//! After a worker's death: the stacks whose jobs it held look at themselves at once, instead of
//! when their next minute comes; then its record goes.
use super::{Roster, WorkerFate};
use scheduler::Deps;
use std::collections::BTreeSet;
use std::time::Duration;
use windlass_core::id::{InstanceId, PoolId, StackId};
use windlass_core::instance::{Instance, Slot};
use windlass_core::job::{Claim, JobId, JobResult, JobSpec, ProcessGroup};
use windlass_core::keys;
use windlass_ports::Fault;
use windlass_ports::cas::{self, Loaded};
use windlass_worker::proc;

/// How often an orphaned tool is looked at, only while there is one.
const ORPHAN_LOOK: Duration = Duration::from_millis(200);
/// How often a dead worker's record is looked at until nothing needs it.
const RECORD_LOOK: Duration = Duration::from_secs(1);
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done about the dead, and about their names.
#[derive(Clone)]
pub(crate) struct Aftermath {
    deps: Deps,
}

/// A job in a dead worker's record.
struct Orphan {
    job: JobId,
    stack: StackId,
    group: Option<ProcessGroup>,
}

impl Aftermath {
    #[must_use]
    pub(crate) fn new(deps: Deps) -> Self {
        Self { deps }
    }

    /// The lowest free name: no process has it, and no record under it holds a job, because a
    /// claim by that name may still be open.
    pub(crate) async fn free_name(&self, roster: &Roster, pool: &PoolId) -> InstanceId {
        let mut taken = BTreeSet::new();
        loop {
            let name = roster.reserve(&taken);
            match self.record(pool, &name).await {
                Ok(Some(record)) if record.value.busy() => {
                    roster.release(&name);
                    taken.insert(name);
                }
                Ok(_) => return name,
                Err(fault) => {
                    roster.release(&name);
                    tracing::warn!(fault = %fault.chain(), "a worker's record can't be read");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Tells the stacks, again once the tool is gone, and removes the record when no claim by this
    /// worker is open any more.
    pub(crate) async fn after_death(&self, roster: &Roster, pool: &PoolId, name: &InstanceId) {
        loop {
            match self.bury(roster, pool, name).await {
                Ok(()) => return,
                Err(fault) => {
                    tracing::warn!(fault = %fault.chain(), worker = %name, "its jobs can't be read");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn bury(&self, roster: &Roster, pool: &PoolId, name: &InstanceId) -> Result<(), Fault> {
        for orphan in self.orphans(pool, name).await? {
            scheduler::nudge(&self.deps, &orphan.stack).await?;
            let Some(group) = orphan.group else { continue };
            while !proc::group_gone(&group) {
                tokio::time::sleep(ORPHAN_LOOK).await;
            }
            tracing::info!(job = %orphan.job, "the tool of a dead worker has ended");
            scheduler::nudge(&self.deps, &orphan.stack).await?;
        }
        loop {
            let again = matches!(roster.fate(name), Some(WorkerFate::Alive(_)));
            let Some(record) = self.record(pool, name).await?.filter(|_| !again) else {
                return Ok(());
            };
            if !self.anything_open(name, &record.value).await? {
                // A conflict means that somebody uses the record again.
                let _ = self.deps.docs.delete(&keys::instance(pool, name), &record.version).await;
                let forgotten = roster.forget(name);
                return forgotten.map_err(|e| Fault::retryable_from("the list of workers", e));
            }
            tokio::time::sleep(RECORD_LOOK).await;
        }
    }

    async fn orphans(&self, pool: &PoolId, name: &InstanceId) -> Result<Vec<Orphan>, Fault> {
        let mut orphans = Vec::new();
        let record = self.record(pool, name).await?;
        for job in record.iter().flat_map(|record| jobs(&record.value)) {
            let spec = cas::load::<JobSpec>(&*self.deps.docs, &keys::job_spec(job)).await?;
            let Some(spec) = spec else { continue };
            let claim = cas::load::<Claim>(&*self.deps.docs, &keys::job_claim(job)).await?;
            let group = match claim.map(|claim| claim.value) {
                Some(Claim::Held { worker, group, .. }) if worker == *name => group,
                _ => None,
            };
            orphans.push(Orphan { job: job.clone(), stack: spec.value.stack, group });
        }
        Ok(orphans)
    }

    /// True while a job of this record has a claim by this worker and no result.
    async fn anything_open(&self, name: &InstanceId, record: &Instance) -> Result<bool, Fault> {
        for job in jobs(record) {
            let claim = cas::load::<Claim>(&*self.deps.docs, &keys::job_claim(job)).await?;
            let held = claim
                .is_some_and(|c| matches!(c.value, Claim::Held { worker, .. } if worker == *name));
            let result = cas::load::<JobResult>(&*self.deps.docs, &keys::job_result(job)).await?;
            if held && result.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn record(
        &self,
        pool: &PoolId,
        name: &InstanceId,
    ) -> Result<Option<Loaded<Instance>>, Fault> {
        cas::load(&*self.deps.docs, &keys::instance(pool, name)).await
    }
}

fn jobs(record: &Instance) -> impl Iterator<Item = &JobId> {
    record.slots.iter().filter_map(|slot| match slot {
        Slot::Busy { job } | Slot::Void { job } => Some(job),
        Slot::Idle => None,
    })
}
