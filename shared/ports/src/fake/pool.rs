//! A pool's workers in memory, by the same transitions as the stored ones.
use super::lock;
use crate::clock::Clock;
use crate::contract::pool::Can;
use crate::fault::Fault;
use crate::pool::{Drained, IfBusy, Pool, Staff};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, OpId, Victim, hold};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::{DrainedBy, Instance, Refused};
use windlass_core::job::{Attempt, JobId, Phase};
use windlass_core::time::UnixMs;

/// [`Pool`] in memory, and the workers' side of it for whoever tests with it. With less than
/// [`Can::ALL`] it stands for a pool that somebody else keeps.
pub struct FakePool {
    clock: Arc<dyn Clock>,
    can: Can,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    /// Records, and when they were written.
    records: BTreeMap<InstanceId, (Instance, UnixMs)>,
    demand: Demand,
    asked: BTreeSet<InstanceId>,
    /// Names runs.
    runs: u64,
}

impl FakePool {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::that(Can::ALL, clock)
    }
    /// A pool that can do no more than this.
    #[must_use]
    pub fn that(can: Can, clock: Arc<dyn Clock>) -> Self {
        Self { clock, can, state: Mutex::default() }
    }
    /// An independent copy that goes by a clock of its own.
    #[must_use]
    pub fn fork_at(&self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, can: self.can, state: Mutex::new(lock(&self.state).clone()) }
    }
    #[must_use]
    pub fn can(&self) -> Can {
        self.can
    }
    pub fn set_demand(&self, demand: Demand) {
        lock(&self.state).demand = demand;
    }
    #[must_use]
    pub fn record(&self, machine: &InstanceId) -> Option<Instance> {
        lock(&self.state).records.get(machine).map(|(record, _)| record.clone())
    }
    /// Machines that were asked to stop their runs.
    #[must_use]
    pub fn asked_to_stop(&self) -> Vec<InstanceId> {
        lock(&self.state).asked.iter().cloned().collect()
    }
    /// A worker (re)starts there.
    pub fn register(&self, machine: &InstanceId, slots: usize) -> Result<(), Refused> {
        let now = self.clock.now();
        self.own(machine, |before| {
            Instance::register(before, machine, &pool(), slots, "fake", None, now)
        })
    }
    /// A run is claimed there.
    pub fn take(&self, machine: &InstanceId) -> Result<(), Refused> {
        let run = {
            let mut state = lock(&self.state);
            state.runs += 1;
            format!("run-{}", state.runs)
        };
        let job = JobId { run: run.into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
        self.own(machine, |record| {
            record.map_or(Err(Refused::OtherEpoch), |record| record.take(record.epoch, &job))
        })
    }
    /// A run of it ends.
    pub fn finish(&self, machine: &InstanceId) -> Result<(), Refused> {
        let now = self.clock.now();
        self.own(machine, |record| {
            let record = record.ok_or(Refused::OtherEpoch)?;
            let job = record.jobs().next().ok_or(Refused::NotHeld)?.clone();
            record.release(record.epoch, &job, now)
        })
    }
    /// Its worker is heard of.
    pub fn renew(&self, machine: &InstanceId) -> Result<(), Refused> {
        self.own(machine, |record| {
            record.map_or(Err(Refused::OtherEpoch), |record| record.renew(record.epoch))
        })
    }
    /// Its runs are declared lost.
    pub fn void(&self, machine: &InstanceId) -> Result<(), Refused> {
        self.own(machine, |record| {
            record.map_or(Err(Refused::OtherEpoch), |record| record.void(record.epoch))
        })
    }
    /// An operator drains it, or takes that back.
    pub fn operate(&self, machine: &InstanceId, drains: bool) -> Result<(), Refused> {
        let (by, now) = (DrainedBy::Operator("ann".into()), self.clock.now());
        self.own(machine, |record| {
            let record = record.ok_or(Refused::OtherEpoch)?;
            if drains { record.drain(by, now) } else { record.undrain(&by) }
        })
    }
    /// The record is gone, as after a removal.
    pub fn remove(&self, machine: &InstanceId) {
        lock(&self.state).records.remove(machine);
    }

    fn own(
        &self,
        machine: &InstanceId,
        change: impl FnOnce(Option<&Instance>) -> Result<Instance, Refused>,
    ) -> Result<(), Refused> {
        self.swap(machine, |before| match change(before) {
            Ok(next) => (Some(next), Ok(())),
            Err(refused) => (None, Err(refused)),
        })
    }

    fn swap<R>(
        &self,
        machine: &InstanceId,
        decide: impl FnOnce(Option<&Instance>) -> (Option<Instance>, R),
    ) -> R {
        let mut state = lock(&self.state);
        let (next, answer) = decide(state.records.get(machine).map(|(record, _)| record));
        if let Some(next) = next {
            state.records.insert(machine.clone(), (next, self.clock.now()));
        }
        answer
    }
}

fn pool() -> PoolId {
    "fake".into()
}

#[async_trait]
impl Pool for FakePool {
    async fn look(&self, _: UnixMs) -> Result<Staff, Fault> {
        let (state, now) = (lock(&self.state), self.clock.now());
        let records = state.records.values();
        let workers =
            records.filter_map(|(record, written)| hold::seen(record, now.since_ms(*written)));
        Ok(Staff { workers: workers.collect(), demand: state.demand })
    }

    async fn drain(&self, victim: &Victim, if_busy: IfBusy, now: UnixMs) -> Result<Drained, Fault> {
        Ok(self.swap(&victim.instance, |record| hold::drain(record, &victim.op, if_busy, now)))
    }

    async fn doom(&self, victim: &Victim, _: UnixMs) -> Result<Drained, Fault> {
        let marks = self.can.doom;
        Ok(self.swap(&victim.instance, |record| {
            let (next, answer) = hold::doom(record, &victim.op);
            (next.filter(|_| marks), answer)
        }))
    }

    async fn undrain(&self, instance: &InstanceId, _: &[String], op: &OpId) -> Result<bool, Fault> {
        Ok(self.swap(instance, |record| hold::undrain(record, op)))
    }

    async fn tombstone(
        &self,
        instance: &InstanceId,
        op: &OpId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        if !self.can.fence {
            return Ok(false);
        }
        Ok(self.swap(instance, |record| hold::tombstone(record, instance, &pool(), op, now)))
    }

    async fn holder(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        let state = lock(&self.state);
        Ok(hold::holder(state.records.get(instance).map(|(record, _)| record)))
    }

    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        let fence = self.can.fence;
        Ok(self.swap(instance, |record| match record {
            None if !fence => (None, Holder::Nobody),
            record => hold::close(record, instance, &pool(), now),
        }))
    }

    async fn ask_to_stop(&self, instance: &InstanceId, _: UnixMs) -> Result<bool, Fault> {
        if self.can.ask_to_stop {
            lock(&self.state).asked.insert(instance.clone());
        }
        Ok(self.can.ask_to_stop)
    }
}
