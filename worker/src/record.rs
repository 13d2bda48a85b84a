//! This worker's own record in its pool, and the one lease that lies in its age.
//!
//! All swaps of it go through here, so that each one that lands counts as a renewal, dated from
//! *before* it was sent, by a clock that runs on while the machine sleeps (rule E2).
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::{Instance, Refused};
use windlass_core::job::JobId;
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::cas::{self, At, CAS_ATTEMPTS_MAX};
use windlass_ports::{Change, Docs, Fault};

/// Makes write ids that no other write has: by process, by count.
#[derive(Debug)]
pub(crate) struct WriteIds {
    prefix: String,
    count: AtomicU64,
}

impl WriteIds {
    #[must_use]
    pub(crate) fn new(worker: &InstanceId, now: UnixMs) -> Self {
        let prefix =
            format!("{worker}-{}-{:x}-{:x}", std::process::id(), now.0, moment().as_nanos());
        Self { prefix, count: AtomicU64::new(0) }
    }
    #[must_use]
    pub(crate) fn next(&self) -> String {
        format!("{}-{}", self.prefix, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Time since boot, sleep included.
#[must_use]
pub(crate) fn moment() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
    // Elsewhere (macOS, BSD) this one counts sleep.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}

/// Why the record was not swapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwapError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The record of this worker.
#[derive(Debug)]
pub(crate) struct Record {
    pub id: InstanceId,
    pub pool: PoolId,
    epoch: AtomicU64,
    renewed: Mutex<Duration>,
    /// One swap at a time. What the last one left, and where, which saves the next its read: who else
    /// writes the record (a drain, a void) moves it, and then it is read.
    known: tokio::sync::Mutex<Option<(At, Instance)>>,
    /// Jobs of an earlier process that are not told of yet.
    leftovers: Mutex<BTreeSet<JobId>>,
}

impl Record {
    #[must_use]
    pub(crate) fn new(id: InstanceId, pool: PoolId) -> Self {
        Self {
            id,
            pool,
            epoch: AtomicU64::new(0),
            renewed: Mutex::new(moment()),
            known: tokio::sync::Mutex::default(),
            leftovers: Mutex::default(),
        }
    }

    /// With what an earlier process of this machine left.
    #[must_use]
    pub(crate) fn with_leftovers(self, jobs: impl Iterator<Item = JobId>) -> Self {
        Self { leftovers: Mutex::new(jobs.collect()), ..self }
    }

    #[must_use]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Time since the last swap that landed was sent.
    #[must_use]
    pub(crate) fn since_renewed(&self) -> Duration {
        moment().saturating_sub(*self.renewed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn landed(&self, sent: Duration) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    fn key(&self) -> String {
        keys::instance(&self.pool, &self.id)
    }

    /// A new epoch, all slots idle. What an earlier epoch had claimed is void with that. Refused
    /// where no worker may start any more.
    pub(crate) async fn register(
        &self,
        docs: &dyn Docs,
        write_id: &str,
        (slots, version, now): (usize, &str, UnixMs),
    ) -> Result<Instance, SwapError> {
        let mut known = self.known.lock().await;
        *known = None;
        let sent = moment();
        let pid = Some(std::process::id());
        let instance = cas::update(docs, &self.key(), write_id, |before: Option<&Instance>| {
            let next = Instance::register(before, &self.id, &self.pool, slots, version, pid, now);
            Ok(match next {
                Ok(next) => {
                    let next = Instance { leftovers: self.leftovers(), ..next };
                    Change::Write(next.clone(), Ok(next))
                }
                Err(refused) => Change::Keep(Err(refused)),
            })
        })
        .await??;
        self.epoch.store(instance.epoch, Ordering::SeqCst);
        self.landed(sent);
        Ok(instance)
    }

    fn leftovers(&self) -> Vec<JobId> {
        let left = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        left.iter().cloned().collect()
    }

    /// Nothing is left of this job, and that is told: the machine may be ended, as far as it goes.
    /// In a record that is not ours (any more) nobody looks for it; the next registration leaves
    /// it out.
    pub(crate) async fn told(
        &self,
        docs: &dyn Docs,
        write_id: &str,
        job: &JobId,
        now: UnixMs,
    ) -> Result<(), Fault> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        match self.swap(docs, write_id, |record, epoch| record.told(epoch, job, now)).await {
            Ok(_) | Err(SwapError::Refused(_)) => Ok(()),
            Err(SwapError::Fault(fault)) => Err(fault),
        }
    }

    /// The record in the store, if it is exactly what this process wrote no longer than `within` ago,
    /// by the clock of the lease: nobody voided or marked it since, and hardly any of the lease is
    /// gone. None: only a swap can tell.
    pub(crate) async fn unmoved(
        &self,
        docs: &dyn Docs,
        within: Duration,
    ) -> Result<Option<Instance>, Fault> {
        let known = self.known.lock().await;
        let Some((at, written)) = known.as_ref().filter(|_| self.since_renewed() <= within) else {
            return Ok(None);
        };
        let found = docs.get(&self.key()).await?;
        let unmoved = found.is_some_and(|found| found.version == at.version);
        // Asked again: the answer may have been long on its way.
        Ok((unmoved && self.since_renewed() <= within).then(|| written.clone()))
    }

    /// Swaps the record as `decide` says, for the epoch that we registered under.
    pub(crate) async fn swap(
        &self,
        docs: &dyn Docs,
        write_id: &str,
        decide: impl Fn(&Instance, u64) -> Result<Instance, Refused> + Send + Sync,
    ) -> Result<Instance, SwapError> {
        let mut known = self.known.lock().await;
        let (epoch, sent) = (self.epoch(), moment());
        for _ in 0..=CAS_ATTEMPTS_MAX {
            // Taken: a swap whose outcome is unknown leaves nothing known.
            let (before, read) = match known.take() {
                Some(known) => (Some(known), false),
                None => {
                    let found = cas::load::<Instance>(docs, &self.key()).await?;
                    (found.map(|found| (found.at(), found.value)), true)
                }
            };
            // A record that was removed is another's decision, like a void.
            let Some((at, before)) = before else { return Err(Refused::OtherEpoch.into()) };
            let next = match decide(&before, epoch) {
                Ok(next) => next,
                Err(refused) if read => {
                    *known = Some((at, before));
                    return Err(refused.into());
                }
                // Perhaps of what is not so any more.
                Err(_) => continue,
            };
            if let Some(at) = cas::swap(docs, &self.key(), Some(&at), &next, write_id).await? {
                *known = Some((at, next.clone()));
                self.landed(sent);
                return Ok(next);
            }
        }
        let key = self.key();
        Err(Fault::retryable(format!("{key} changed under every attempt to write it")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::fleet::OpId;
    use windlass_core::instance::{DrainedBy, Slot};
    use windlass_core::job::{Attempt, JobId, Phase};
    use windlass_ports::fake::{FakeClock, Faults, Faulty, MemDocs};

    fn operator() -> DrainedBy {
        DrainedBy::Operator("ann".to_owned())
    }

    #[tokio::test]
    async fn a_swap_reads_only_what_somebody_else_wrote() {
        let faults = Faults::none();
        let store = std::sync::Arc::new(MemDocs::new(FakeClock::at(UnixMs(1)).shared()));
        let docs = Faulty::new(store.clone(), &faults);
        let record = Record::new("w1".into(), "default".into());
        let ids = WriteIds::new(&"w1".into(), UnixMs(1));
        record.register(&docs, &ids.next(), (1, "0.1", UnixMs(1))).await.unwrap();
        for (marked, calls) in [
            (None, 2),
            (None, 1),
            // The put, its read-back, and then the load and the put that tell.
            (Some(true), 4),
            (None, 1),
            (Some(false), 4),
        ] {
            if let Some(on) = marked {
                let (key, id) = (record.key(), ids.next());
                let marked = cas::update(&*store, &key, &id, |known: Option<&Instance>| {
                    let known = known.expect("registered");
                    let next = match on {
                        true => known.drain(operator(), UnixMs(1)),
                        false => known.undrain(&operator()),
                    };
                    Ok(Change::Write(next.unwrap(), ()))
                });
                marked.await.unwrap();
            }
            let before = faults.calls();
            record.swap(&docs, &ids.next(), |i, epoch| i.renew(epoch)).await.unwrap();
            assert_eq!(faults.calls() - before, calls, "{marked:?}");
            let found = cas::load::<Instance>(&*store, &record.key()).await.unwrap().unwrap();
            let kept = marked.is_none_or(|on| found.value.drain.is_some() == on);
            assert!(kept, "{marked:?}");
        }
        // What it remembers would refuse this job; it is asked again.
        let job = JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
        let before = cas::load::<Instance>(&*store, &record.key()).await.unwrap().unwrap();
        let drained = before.value.drain(operator(), UnixMs(1)).unwrap();
        let at = Some((&before.version, before.revision));
        assert!(cas::commit(&*store, &record.key(), at, &drained, "a").await.unwrap());
        let take = |i: &Instance, epoch: u64| i.take(epoch, &job);
        let refused = record.swap(&docs, &ids.next(), take).await;
        assert!(matches!(refused, Err(SwapError::Refused(Refused::Draining))));
        let before = cas::load::<Instance>(&*store, &record.key()).await.unwrap().unwrap();
        let at = Some((&before.version, before.revision));
        let free = before.value.undrain(&operator()).unwrap();
        assert!(cas::commit(&*store, &record.key(), at, &free, "b").await.unwrap());
        record.swap(&docs, &ids.next(), take).await.unwrap();
    }

    /// It stands for a renewal only where it says as much as one (rule B3).
    #[tokio::test]
    async fn a_record_is_unmoved_while_it_is_what_we_wrote_a_moment_ago() {
        let docs = MemDocs::new(FakeClock::at(UnixMs(1)).shared());
        let record = Record::new("w1".into(), "default".into());
        let ids = WriteIds::new(&"w1".into(), UnixMs(1));
        let soon = Duration::from_secs(60);
        let unmoved = async |within| record.unmoved(&docs, within).await.unwrap();
        assert_eq!(unmoved(soon).await, None, "nothing was written yet");
        record.register(&docs, &ids.next(), (1, "0.1", UnixMs(1))).await.unwrap();
        let job = JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
        let taken = record.swap(&docs, &ids.next(), |i, epoch| i.take(epoch, &job)).await.unwrap();
        assert_eq!(unmoved(soon).await, Some(taken));
        assert_eq!(unmoved(Duration::ZERO).await, None, "it was written longer ago");
        let found = cas::load::<Instance>(&docs, &record.key()).await.unwrap().unwrap();
        let voided = found.value.void(record.epoch()).unwrap();
        let at = Some((&found.version, found.revision));
        assert!(cas::commit(&docs, &record.key(), at, &voided, "v").await.unwrap());
        assert_eq!(unmoved(soon).await, None, "somebody else wrote it");
        let refused = record.swap(&docs, &ids.next(), |i, epoch| i.renew(epoch)).await;
        assert!(matches!(refused, Err(SwapError::Refused(Refused::OtherEpoch))));
    }

    #[tokio::test]
    async fn swaps_renew_and_a_void_refuses_them() {
        let docs = MemDocs::new(FakeClock::at(UnixMs(1)).shared());
        let record = Record::new("w1".into(), "default".into());
        let ids = WriteIds::new(&"w1".into(), UnixMs(1));
        let first = record.register(&docs, &ids.next(), (1, "0.1", UnixMs(1))).await.unwrap();
        assert_eq!((first.epoch, record.epoch()), (1, 1));

        let job = JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
        let taken = record.swap(&docs, &ids.next(), |i, epoch| i.take(epoch, &job)).await.unwrap();
        assert_eq!(taken.slots, [Slot::Busy { job: job.clone() }]);
        assert!(record.since_renewed() < Duration::from_secs(5));

        let other = Record::new("w1".into(), "default".into());
        let again = other.register(&docs, &ids.next(), (1, "0.1", UnixMs(2))).await.unwrap();
        assert_eq!(again.epoch, 2);
        let refused = record.swap(&docs, &ids.next(), |i, epoch| i.renew(epoch)).await;
        assert!(matches!(refused, Err(SwapError::Refused(Refused::OtherEpoch))));
    }

    /// What an earlier process left is in the record from the registration on, until it is told.
    #[tokio::test]
    async fn leftovers_keep_the_machine_until_they_are_told() {
        let docs = MemDocs::new(FakeClock::at(UnixMs(1)).shared());
        let job = |run: &str| JobId {
            run: run.into(),
            phase: Phase::Apply,
            round: 0,
            attempt: Attempt::FIRST,
        };
        let left = [job("a"), job("b")];
        let record = Record::new("w1".into(), "default".into());
        let record = record.with_leftovers(left.iter().cloned());
        let ids = WriteIds::new(&"w1".into(), UnixMs(1));
        // Told before there was a registration: it is not in it.
        record.told(&docs, &ids.next(), &left[0], UnixMs(2)).await.unwrap();
        let first = record.register(&docs, &ids.next(), (1, "0.1", UnixMs(3))).await.unwrap();
        assert_eq!((first.leftovers.as_slice(), first.busy()), (&left[1..], true));
        let again = record.register(&docs, &ids.next(), (1, "0.1", UnixMs(4))).await.unwrap();
        assert_eq!(again.leftovers, left[1..], "nor does another registration lose it");
        record.told(&docs, &ids.next(), &left[1], UnixMs(5)).await.unwrap();
        let found = cas::load::<Instance>(&docs, &record.key()).await.unwrap().unwrap().value;
        assert_eq!((found.busy(), found.idle_since), (false, Some(UnixMs(5))));
    }

    /// Rules C2 and C4: no worker starts on a machine that is about to be ended.
    #[tokio::test]
    async fn a_doomed_machine_takes_no_worker() {
        let (id, pool, op) = (InstanceId::from("w1"), PoolId::from("default"), OpId("op".into()));
        let tick = DrainedBy::Tick { op: op.clone() };
        let drained = Instance::new(&id, &pool, 1, "0.1", None, UnixMs(1));
        let drained = drained.drain(tick.clone(), UnixMs(2)).unwrap();
        for (before, refusal) in [
            (drained.clone(), None),
            (drained.doom(&op).unwrap(), Some(Refused::Doomed)),
            (Instance::tombstone(&id, &pool, tick, UnixMs(2)), Some(Refused::Tombstone)),
        ] {
            let docs = MemDocs::new(FakeClock::at(UnixMs(1)).shared());
            let record = Record::new(id.clone(), pool.clone());
            cas::create(&docs, &record.key(), "before", &before).await.unwrap();
            let registered = record.register(&docs, "w", (1, "0.1", UnixMs(3))).await;
            match (registered, refusal) {
                (Ok(next), None) => assert_eq!(next.drain, before.drain),
                (Err(SwapError::Refused(refused)), Some(expected)) => {
                    assert_eq!(refused, expected);
                    assert_eq!(docs.writes(), 1);
                }
                (other, _) => panic!("{before:?}: {other:?}"),
            }
        }
    }
}
