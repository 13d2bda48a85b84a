//! Which drains are ours, for a pool that stores no owner.
use crate::wire::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::fleet::{Draining, Op, OpId};
use windlass_core::id::InstanceId;

#[derive(Default)]
pub(crate) struct Marks(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// What this process drained.
    made: BTreeMap<InstanceId, Mark>,
    /// What earlier ticks stored. Whether the end was asked for since is not known of these.
    told: BTreeMap<InstanceId, OpId>,
}

struct Mark {
    op: OpId,
    doomed: bool,
    workers: BTreeSet<String>,
}

/// Whose a drained machine is, seen from one op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This op's.
    Ours,
    /// Of another op of ours.
    OtherOp,
    /// A person's, a hook's, or that of a process that left no word.
    Unknown,
}

impl Marks {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(&self, ops: &BTreeMap<InstanceId, Op>) {
        self.known().told = ops.iter().map(|(id, op)| (id.clone(), op.id.clone())).collect();
    }

    pub(crate) fn owner(&self, instance: &InstanceId, op: &OpId) -> Owner {
        let known = self.known();
        let made = known.made.get(instance).map(|mark| &mark.op);
        match made.or_else(|| known.told.get(instance)) {
            Some(known) if known == op => Owner::Ours,
            Some(_) => Owner::OtherOp,
            None => Owner::Unknown,
        }
    }

    /// What a look says of a drained worker on this machine.
    pub(crate) fn draining(&self, instance: Option<&InstanceId>, worker: &str) -> Draining {
        let known = self.known();
        let Some(instance) = instance else { return Draining::Theirs };
        match (known.made.get(instance), known.told.get(instance)) {
            (Some(mark), _) if mark.workers.contains(worker) => {
                Draining::Ours { op: mark.op.clone(), doomed: mark.doomed }
            }
            (None, Some(op)) => Draining::Ours { op: op.clone(), doomed: true },
            _ => Draining::Theirs,
        }
    }

    /// This worker was drained by us, or may have been.
    pub(crate) fn made(&self, instance: &InstanceId, op: &OpId, worker: &str) {
        let mut known = self.known();
        let fresh = || Mark { op: op.clone(), doomed: false, workers: BTreeSet::new() };
        let mark = known.made.entry(instance.clone()).or_insert_with(fresh);
        if mark.op != *op {
            *mark = fresh();
        }
        mark.workers.insert(worker.to_owned());
    }

    /// It takes runs again.
    pub(crate) fn taken_back(&self, instance: &InstanceId, worker: &str) {
        let mut known = self.known();
        if let Some(mark) = known.made.get_mut(instance) {
            mark.workers.remove(worker);
            if mark.workers.is_empty() {
                known.made.remove(instance);
            }
        }
    }

    /// No way back from here.
    pub(crate) fn doom<'a>(
        &self,
        instance: &InstanceId,
        op: &OpId,
        workers: impl Iterator<Item = &'a Worker>,
    ) {
        let workers = workers.map(|worker| worker.id.clone()).collect();
        let mark = Mark { op: op.clone(), doomed: true, workers };
        self.known().made.insert(instance.clone(), mark);
    }

    /// Workers that this op drained in this process, if they may still be taken back.
    pub(crate) fn reopenable(&self, instance: &InstanceId, op: &OpId) -> BTreeSet<String> {
        let known = self.known();
        let mark = known.made.get(instance).filter(|mark| mark.op == *op && !mark.doomed);
        mark.map(|mark| mark.workers.clone()).unwrap_or_default()
    }

    pub(crate) fn may_reopen(&self, instance: &InstanceId) -> bool {
        self.known().made.get(instance).is_some_and(|mark| !mark.doomed)
    }

    /// A hook holds this machine now.
    pub(crate) fn forget(&self, instance: &InstanceId) {
        self.known().made.remove(instance);
    }

    /// What somebody reopened, or what is gone, is ours no longer.
    pub(crate) fn compare(&self, seen: &[Worker]) {
        let drained: BTreeSet<&str> =
            seen.iter().filter(|worker| worker.drained).map(|worker| worker.id.as_str()).collect();
        self.known().made.retain(|_, mark| {
            mark.workers.retain(|id| drained.contains(id.as_str()));
            !mark.workers.is_empty()
        });
    }
}
