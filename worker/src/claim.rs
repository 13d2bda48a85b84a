//! From a pointer to a job that only we may start (rule B3).
//!
//! Record busy, claim created, record seen to be as we left it (or renewed) and no result seen: after
//! that, and not before, the leader may go. Both writes are conditional, so of two workers one stops
//! at one of them. An answer that stays unknown is asked again until it is known (rule B8).
use crate::Deps;
use crate::backoff::until_known;
use crate::record::{Record, SwapError, WriteIds};
use std::time::Duration;
use windlass_core::instance::Refused;
use windlass_core::job::{Claim, JobId, JobResult, JobSpec, LEASE_MS, Pointer, ProcessGroup};
use windlass_core::keys;
use windlass_ports::{Fault, cas};

/// A record that was written so recently has nearly the whole lease before it: five seconds.
const JUST_WRITTEN: Duration = Duration::from_millis(LEASE_MS / 24);

/// Why a pointer did not become a job of ours.
#[derive(Debug)]
pub(crate) enum Not {
    /// It has a result: report again, drop the pointer.
    Over,
    /// A cancel was first: drop the pointer.
    Cancelled,
    /// Another worker has it: leave the pointer to it.
    Theirs,
    /// There is no such job: drop the pointer.
    Unknown,
    /// We take no jobs: hand the pointer back.
    Draining,
    /// Our record is of another epoch, or not as we know it: register first, leave the pointer.
    Void,
    /// The store did not answer: leave the pointer.
    Fault(Fault),
}

impl From<Fault> for Not {
    fn from(fault: Fault) -> Self {
        Not::Fault(fault)
    }
}

/// A claim in the making.
pub(crate) struct Claiming<'a> {
    pub deps: &'a Deps,
    pub record: &'a Record,
    pub ids: &'a WriteIds,
}

impl Claiming<'_> {
    /// What the pointer is about, if it is still to be done.
    pub(crate) async fn spec(&self, pointer: &Pointer) -> Result<JobSpec, Not> {
        let (docs, job) = (&*self.deps.docs, &pointer.job);
        let names = (keys::job_spec(job), keys::job_result(job), keys::job_claim(job));
        let (spec, result, claim) = tokio::join!(
            cas::load::<JobSpec>(docs, &names.0),
            cas::load::<JobResult>(docs, &names.1),
            cas::load::<Claim>(docs, &names.2),
        );
        if result?.is_some() {
            return Err(Not::Over);
        }
        // Only a saving: the claim's creation decides.
        match claim?.map(|found| found.value) {
            None => Ok(spec?.ok_or(Not::Unknown)?.value),
            Some(Claim::Tombstone { .. }) => Err(Not::Cancelled),
            Some(Claim::Held { .. }) => Err(Not::Theirs),
        }
    }

    /// A slot of ours becomes busy with it.
    pub(crate) async fn take(&self, job: &JobId) -> Result<(), Not> {
        let id = self.ids.next();
        let taken =
            self.record.swap(&*self.deps.docs, &id, |record, epoch| record.take(epoch, job));
        match taken.await {
            Ok(_) => Ok(()),
            Err(SwapError::Refused(Refused::Draining)) => Err(Not::Draining),
            Err(SwapError::Refused(_)) => Err(Not::Void),
            Err(SwapError::Fault(fault)) => Err(Not::Fault(fault)),
        }
    }

    /// The claim, and the last look before the start.
    pub(crate) async fn hold(&self, job: &JobId, group: &ProcessGroup) -> Result<(), Not> {
        let claim = Claim::Held {
            pool: self.record.pool.clone(),
            worker: self.record.id.clone(),
            epoch: self.record.epoch(),
            group: Some(group.clone()),
            at: self.deps.clock.now(),
        };
        let (key, id) = (keys::job_claim(job), self.ids.next());
        let other = until_known(|| cas::create(&*self.deps.docs, &key, &id, &claim)).await?;
        match other {
            None => {}
            Some(Claim::Tombstone { .. }) => return Err(Not::Cancelled),
            Some(Claim::Held { .. }) => return Err(Not::Theirs),
        }
        self.recheck(job).await
    }

    /// Still ours under our epoch, busy with it, and no result (rule B3). From here on the claim is
    /// ours, so an unknown answer is waited for: leaving would make the job lost.
    ///
    /// That the record is what we wrote a moment ago says as much as a renewal: it was not voided
    /// before we looked, and nobody may void it before that write is a lease old. After a longer
    /// while, or if somebody else wrote it, it is renewed.
    async fn recheck(&self, job: &JobId) -> Result<(), Not> {
        let docs = &*self.deps.docs;
        let renewed = until_known(|| async {
            if let Ok(Some(record)) = self.record.unmoved(docs, JUST_WRITTEN).await {
                return Ok(record.holds(self.record.epoch(), job));
            }
            let id = self.ids.next();
            let renewal = self.record.swap(docs, &id, |record, epoch| {
                if record.holds(epoch, job) { record.renew(epoch) } else { Err(Refused::NotHeld) }
            });
            match renewal.await {
                Ok(_) => Ok(true),
                Err(SwapError::Refused(_)) => Ok(false),
                Err(SwapError::Fault(fault)) => Err(fault),
            }
        });
        let key = keys::job_result(job);
        let result = until_known(|| cas::load::<JobResult>(docs, &key));
        let (renewed, result) = tokio::join!(renewed, result);
        match (renewed?, result?) {
            (_, Some(_)) => Err(Not::Over),
            (false, None) => Err(Not::Void),
            (true, None) => Ok(()),
        }
    }

    /// The slot is free again: after result and report, or because nothing was started. A slot
    /// that does not hold the job is free of it already.
    pub(crate) async fn release(&self, job: &JobId) -> Result<(), Not> {
        let released = until_known(|| async {
            let id = self.ids.next();
            let now = self.deps.clock.now();
            let release = self
                .record
                .swap(&*self.deps.docs, &id, |record, epoch| record.release(epoch, job, now));
            match release.await {
                Ok(_) | Err(SwapError::Refused(Refused::NotHeld)) => Ok(true),
                Err(SwapError::Refused(_)) => Ok(false),
                Err(SwapError::Fault(fault)) => Err(fault),
            }
        });
        if released.await? { Ok(()) } else { Err(Not::Void) }
    }
}
