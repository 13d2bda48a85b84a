//! A pool's workers and queue: whichever pool it is, and what goes wrong with workers beside it.
use crate::pool::CAN;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, Draining, Op, OpId, Victim, Whereabouts};
use windlass_core::id::InstanceId;
use windlass_core::instance::{Instance, Refused};
use windlass_core::time::UnixMs;
use windlass_ports::contract::pool::Can;
use windlass_ports::fake::{FakeClock, FakePool, Faults};
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Fault, Pool, Staff};

/// A pool, and what its workers, its people and time do to it.
pub(crate) trait Staffed: Pool {
    fn fork_at(&self, clock: &FakeClock) -> Arc<dyn Staffed>;
    /// The same pool, where the calls that it makes itself may fail; None: it makes none.
    fn behind(&self, faults: &Faults) -> Option<Arc<dyn Pool>>;
    fn set_queue(&self, runs: u32);
    fn record(&self, machine: &InstanceId) -> Option<Instance>;
    fn asked_to_stop(&self, machine: &InstanceId) -> bool;
    fn register(&self, machine: &InstanceId, slots: usize) -> Result<(), Refused>;
    fn take(&self, machine: &InstanceId) -> Result<(), Refused>;
    fn finish(&self, machine: &InstanceId) -> Result<(), Refused>;
    fn renew(&self, machine: &InstanceId) -> Result<(), Refused>;
    fn void(&self, machine: &InstanceId) -> Result<(), Refused>;
    fn operate(&self, machine: &InstanceId, drains: bool) -> Result<(), Refused>;
    /// As if nobody ever registered there.
    fn remove(&self, machine: &InstanceId);
    /// Its machine is gone.
    fn bury(&self, machine: &InstanceId);
}

impl Staffed for FakePool {
    fn fork_at(&self, clock: &FakeClock) -> Arc<dyn Staffed> {
        Arc::new(FakePool::fork_at(self, clock.shared()))
    }
    fn behind(&self, _: &Faults) -> Option<Arc<dyn Pool>> {
        None
    }
    fn set_queue(&self, runs: u32) {
        self.set_demand(Demand { schedulable: runs, ..Demand::default() });
    }
    fn record(&self, machine: &InstanceId) -> Option<Instance> {
        FakePool::record(self, machine)
    }
    fn asked_to_stop(&self, machine: &InstanceId) -> bool {
        FakePool::asked_to_stop(self).contains(machine)
    }
    fn register(&self, machine: &InstanceId, slots: usize) -> Result<(), Refused> {
        FakePool::register(self, machine, slots)
    }
    fn take(&self, machine: &InstanceId) -> Result<(), Refused> {
        FakePool::take(self, machine)
    }
    fn finish(&self, machine: &InstanceId) -> Result<(), Refused> {
        FakePool::finish(self, machine)
    }
    fn renew(&self, machine: &InstanceId) -> Result<(), Refused> {
        FakePool::renew(self, machine)
    }
    fn void(&self, machine: &InstanceId) -> Result<(), Refused> {
        FakePool::void(self, machine)
    }
    fn operate(&self, machine: &InstanceId, drains: bool) -> Result<(), Refused> {
        FakePool::operate(self, machine, drains)
    }
    fn remove(&self, machine: &InstanceId) {
        FakePool::remove(self, machine);
    }
    fn bury(&self, machine: &InstanceId) {
        FakePool::remove(self, machine);
    }
}

pub(crate) struct Crew {
    pool: Arc<dyn Staffed>,
    wrong: Mutex<Wrong>,
}

#[derive(Clone, Default)]
struct Wrong {
    queued: u32,
    /// A look answers with nobody.
    blind: bool,
    /// Heard of no more.
    silent: BTreeSet<InstanceId>,
    /// Their machines are gone.
    buried: BTreeSet<InstanceId>,
    /// Workers that name another group.
    strangers: BTreeMap<InstanceId, String>,
    /// Removals that earlier ticks began, for a pool that has no mark of doom: their ends may have
    /// been asked for.
    begun: BTreeSet<OpId>,
    /// A machine of which the pool says that it has a run, though it drains.
    broken: Option<InstanceId>,
}

impl Crew {
    pub(crate) fn new(clock: &FakeClock) -> Self {
        Self { pool: crate::pool::new(clock), wrong: Mutex::default() }
    }
    /// As Spacelift's: without tombstones, and without a mark for what is doomed.
    pub(crate) fn plain(clock: &FakeClock) -> Self {
        let pool = Arc::new(FakePool::that(Can::NONE, clock.shared()));
        Self { pool, wrong: Mutex::default() }
    }
    pub(crate) fn fork_at(&self, clock: &FakeClock) -> Self {
        let wrong = Mutex::new(self.wrong().clone());
        Self { pool: self.pool.fork_at(clock), wrong }
    }
    pub(crate) fn behind(&self, faults: &Faults) -> Option<Arc<dyn Pool>> {
        self.pool.behind(faults)
    }
    fn wrong(&self) -> MutexGuard<'_, Wrong> {
        self.wrong.lock().expect("a lock")
    }

    pub(crate) fn queue(&self, runs: u32) {
        self.wrong().queued = runs;
        self.pool.set_queue(runs);
    }
    pub(crate) fn queued(&self) -> u32 {
        self.wrong().queued
    }
    pub(crate) fn set_blind(&self, blind: bool) {
        self.wrong().blind = blind;
    }
    pub(crate) fn silence(&self, instance: &InstanceId) {
        self.wrong().silent.insert(instance.clone());
    }
    /// It is heard of again.
    pub(crate) fn speak(&self, instance: &InstanceId) {
        self.wrong().silent.remove(instance);
        self.pool.renew(instance).expect("renewed");
    }
    pub(crate) fn estrange(&self, instance: &InstanceId, group: &str) {
        self.wrong().strangers.insert(instance.clone(), group.to_owned());
    }
    pub(crate) fn remember(&self, ops: &BTreeMap<InstanceId, Op>) {
        if !CAN.doom {
            self.wrong().begun = ops.values().map(|op| op.id.clone()).collect();
        }
    }
    pub(crate) fn break_promise(&self, instance: &InstanceId) {
        self.wrong().broken = Some(instance.clone());
    }
    /// Everybody who is not silent renews.
    pub(crate) fn beat(&self, all: impl IntoIterator<Item = InstanceId>) {
        let Wrong { silent, buried, .. } = self.wrong().clone();
        let heard = |i: &InstanceId| !silent.contains(i) && !buried.contains(i);
        for instance in all.into_iter().filter(heard) {
            let _ = self.pool.renew(&instance);
        }
    }

    /// Once; false: it was turned away.
    pub(crate) fn register(&self, instance: &InstanceId, slots: u32) -> bool {
        let slots = usize::try_from(slots).expect("few");
        match self.pool.record(instance) {
            Some(record) if !record.is_tombstone() => true,
            _ => self.pool.register(instance, slots).is_ok(),
        }
    }
    pub(crate) fn record(&self, instance: &InstanceId) -> Option<Instance> {
        self.pool.record(instance)
    }
    pub(crate) fn busy(&self, instance: &InstanceId) -> u32 {
        let jobs = self.record(instance).map_or(0, |record| record.jobs().count());
        u32::try_from(jobs).expect("few")
    }
    pub(crate) fn tombstoned(&self, instance: &InstanceId) -> bool {
        self.record(instance).is_some_and(|record| record.is_tombstone())
    }
    pub(crate) fn asked_to_stop(&self, instance: &InstanceId) -> bool {
        self.pool.asked_to_stop(instance)
    }
    /// An operator drains it, or takes that back.
    pub(crate) fn operate(&self, instance: &InstanceId, drains: bool) {
        self.pool.operate(instance, drains).expect("operated");
    }
    pub(crate) fn void(&self, instance: &InstanceId) {
        self.pool.void(instance).expect("voided");
    }
    /// A worker takes a run, if it may.
    pub(crate) fn claim(&self, instance: &InstanceId) -> bool {
        let mut wrong = self.wrong();
        let dead = wrong.silent.contains(instance) || wrong.buried.contains(instance);
        let taken = !dead && self.pool.take(instance).is_ok();
        let left = wrong.queued.saturating_sub(u32::from(taken));
        wrong.queued = left;
        self.pool.set_queue(left);
        taken
    }
    pub(crate) fn finish(&self, instance: &InstanceId) {
        self.pool.finish(instance).expect("it had a run");
    }
    /// Nobody ever registered there.
    pub(crate) fn unregister(&self, instance: &InstanceId) {
        self.pool.remove(instance);
    }
    pub(crate) fn is_buried(&self, instance: &InstanceId) -> bool {
        self.wrong().buried.contains(instance)
    }
    /// The machine is gone, and its worker with it: says how many runs it had, the first time.
    pub(crate) fn vanish(&self, instance: &InstanceId) -> u32 {
        if !self.wrong().buried.insert(instance.clone()) {
            return 0;
        }
        let runs = self.busy(instance);
        self.pool.bury(instance);
        runs
    }
}

#[async_trait]
impl Pool for Crew {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        if self.wrong().blind {
            return Ok(Staff::default());
        }
        let mut staff = self.pool.look(now).await?;
        let Wrong { strangers, begun, .. } = self.wrong().clone();
        for worker in &mut staff.workers {
            if let Some(Draining::Ours { op, doomed }) = &mut worker.draining {
                *doomed |= begun.contains(op);
            }
            let group = match &worker.on {
                Whereabouts::On(instance) => strangers.get(instance),
                _ => None,
            };
            if let Some(group) = group {
                let instance = Some(worker.id.as_str().into());
                worker.on = Whereabouts::OtherGroup { group: group.clone(), instance };
            }
        }
        Ok(staff)
    }
    async fn drain(&self, victim: &Victim, if_busy: IfBusy, now: UnixMs) -> Result<Drained, Fault> {
        if self.wrong().broken.as_ref() == Some(&victim.instance) {
            return Ok(Drained::Busy { slots: 1 });
        }
        self.pool.drain(victim, if_busy, now).await
    }
    async fn doom(&self, victim: &Victim, now: UnixMs) -> Result<Drained, Fault> {
        self.pool.doom(victim, now).await
    }
    async fn undrain(&self, on: &InstanceId, workers: &[String], op: &OpId) -> Result<bool, Fault> {
        self.pool.undrain(on, workers, op).await
    }
    async fn tombstone(&self, on: &InstanceId, op: &OpId, now: UnixMs) -> Result<bool, Fault> {
        self.pool.tombstone(on, op, now).await
    }
    async fn holder(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.pool.holder(instance, now).await
    }
    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        if self.wrong().broken.as_ref() == Some(instance) {
            return Ok(Holder::Draining { busy: 1 });
        }
        self.pool.close(instance, now).await
    }
    async fn ask_to_stop(&self, instance: &InstanceId, now: UnixMs) -> Result<bool, Fault> {
        self.pool.ask_to_stop(instance, now).await
    }
}
