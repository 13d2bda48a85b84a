//! A pool's workers and queue in memory: one record per machine, swapped whole.
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, Draining, Lease, OpId, SeenWorker, Victim, Whereabouts};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Fault, Pool, Staff};

/// Who drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Op { op: OpId, doomed: bool },
    Person,
    Hook,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) on: Whereabouts,
    pub(crate) slots: u32,
    pub(crate) busy: u32,
    pub(crate) mark: Option<Mark>,
    pub(crate) lease: Lease,
    pub(crate) registered_at: UnixMs,
    pub(crate) idle_since: UnixMs,
    pub(crate) asked_to_stop: bool,
}

#[derive(Clone, Debug, Default)]
struct State {
    records: BTreeMap<InstanceId, Record>,
    tombstones: BTreeMap<InstanceId, Option<OpId>>,
    queued: u32,
    /// A look answers with nobody.
    blind: bool,
}

/// [`Pool`] in memory, and the workers of it.
#[derive(Default)]
pub(crate) struct Crew {
    state: Mutex<State>,
    /// Spacelift's has none.
    unfenced: bool,
}

impl Crew {
    pub(crate) fn unfenced() -> Self {
        Self { unfenced: true, ..Self::default() }
    }
    pub(crate) fn fork(&self) -> Self {
        let state = self.state.lock().expect("a lock").clone();
        Self { state: Mutex::new(state), unfenced: self.unfenced }
    }
    fn with<R>(&self, then: impl FnOnce(&mut State) -> R) -> R {
        then(&mut self.state.lock().expect("a lock"))
    }

    pub(crate) fn queue(&self, runs: u32) {
        self.with(|state| state.queued = runs);
    }
    pub(crate) fn queued(&self) -> u32 {
        self.with(|state| state.queued)
    }
    pub(crate) fn set_blind(&self, blind: bool) {
        self.with(|state| state.blind = blind);
    }
    /// False: a tombstone keeps it from it.
    pub(crate) fn register(&self, instance: &InstanceId, slots: u32, now: UnixMs) -> bool {
        self.with(|state| {
            if state.tombstones.contains_key(instance) {
                return false;
            }
            let record = Record {
                on: Whereabouts::On(instance.clone()),
                slots,
                busy: 0,
                mark: None,
                lease: Lease::Live,
                registered_at: now,
                idle_since: now,
                asked_to_stop: false,
            };
            state.records.entry(instance.clone()).or_insert(record);
            true
        })
    }
    pub(crate) fn change(&self, instance: &InstanceId, change: impl FnOnce(&mut Record)) {
        self.with(|state| change(state.records.get_mut(instance).expect("a record")));
    }
    pub(crate) fn record(&self, instance: &InstanceId) -> Option<Record> {
        self.with(|state| state.records.get(instance).cloned())
    }
    pub(crate) fn busy(&self, instance: &InstanceId) -> u32 {
        self.record(instance).map_or(0, |record| record.busy)
    }
    pub(crate) fn tombstoned(&self, instance: &InstanceId) -> bool {
        self.with(|state| state.tombstones.contains_key(instance))
    }
    /// A worker takes a run: not while it drains, not beyond its slots, not after it was lost.
    pub(crate) fn claim(&self, instance: &InstanceId) -> bool {
        self.with(|state| {
            let Some(record) = state.records.get_mut(instance) else { return false };
            let free = record.busy < record.slots && record.lease == Lease::Live;
            if !free || record.mark.is_some() {
                return false;
            }
            record.busy += 1;
            state.queued = state.queued.saturating_sub(1);
            true
        })
    }
    pub(crate) fn finish(&self, instance: &InstanceId, now: UnixMs) {
        self.change(instance, |record| {
            record.busy = record.busy.saturating_sub(1);
            record.idle_since = now;
        });
    }
    /// The machine is gone, and its worker with it.
    pub(crate) fn vanish(&self, instance: &InstanceId) {
        self.with(|state| state.records.remove(instance));
    }
}

fn ours(record: &Record, op: &OpId) -> bool {
    matches!(&record.mark, Some(Mark::Op { op: by, .. }) if by == op)
}

fn busy(record: &Record) -> u32 {
    if record.lease == Lease::Void { 0 } else { record.busy }
}

fn holder(state: &State, instance: &InstanceId) -> Holder {
    match state.records.get(instance) {
        None if state.tombstones.contains_key(instance) => Holder::Tombstone,
        None => Holder::Nobody,
        Some(record) if record.lease == Lease::Void => Holder::Lost,
        Some(record) if record.mark.is_some() => Holder::Draining { busy: busy(record) },
        Some(_) => Holder::Open,
    }
}

#[async_trait]
impl Pool for Crew {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        let _ = now;
        Ok(self.with(|state| {
            if state.blind {
                return Staff::default();
            }
            let workers = state.records.iter().map(|(instance, record)| SeenWorker {
                id: format!("w-{instance}"),
                on: record.on.clone(),
                slots: record.slots,
                busy: record.busy,
                draining: record.mark.clone().map(|mark| match mark {
                    Mark::Op { op, doomed } => Draining::Ours { op, doomed },
                    Mark::Person | Mark::Hook => Draining::Theirs,
                }),
                lease: record.lease,
                registered_at: record.registered_at,
                idle_since: (record.busy == 0).then_some(record.idle_since),
            });
            let demand = Demand { schedulable: state.queued, ..Demand::default() };
            Staff { workers: workers.collect(), demand }
        }))
    }

    async fn drain(&self, victim: &Victim, if_busy: IfBusy, _: UnixMs) -> Result<Drained, Fault> {
        Ok(self.with(|state| {
            let Some(record) = state.records.get_mut(&victim.instance) else {
                return Drained::Nobody;
            };
            if record.mark.is_some() && !ours(record, &victim.op) {
                return Drained::Theirs;
            }
            let slots = busy(record);
            if slots > 0 && if_busy == IfBusy::LetBe {
                return Drained::Busy { slots };
            }
            let mark = Mark::Op { op: victim.op.clone(), doomed: false };
            record.mark.get_or_insert(mark);
            if slots > 0 { Drained::Busy { slots } } else { Drained::Idle }
        }))
    }

    async fn doom(&self, victim: &Victim, _: UnixMs) -> Result<Drained, Fault> {
        Ok(self.with(|state| {
            let Some(record) = state.records.get_mut(&victim.instance) else {
                return Drained::Nobody;
            };
            if !(ours(record, &victim.op) || record.mark == Some(Mark::Person)) {
                return Drained::Theirs;
            }
            match busy(record) {
                0 => {
                    record.mark = Some(Mark::Op { op: victim.op.clone(), doomed: true });
                    Drained::Idle
                }
                slots => Drained::Busy { slots },
            }
        }))
    }

    async fn undrain(&self, on: &InstanceId, _: &[String], op: &OpId) -> Result<bool, Fault> {
        Ok(self.with(|state| {
            let Some(record) = state.records.get_mut(on) else { return false };
            let back = record.mark == Some(Mark::Op { op: op.clone(), doomed: false });
            if back {
                record.mark = None;
            }
            back
        }))
    }

    async fn tombstone(&self, on: &InstanceId, op: &OpId, _: UnixMs) -> Result<bool, Fault> {
        Ok(self.with(|state| {
            if self.unfenced || state.records.contains_key(on) {
                return false;
            }
            let by = state.tombstones.entry(on.clone()).or_insert_with(|| Some(op.clone()));
            *by == Some(op.clone())
        }))
    }

    async fn holder(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        Ok(self.with(|state| holder(state, instance)))
    }

    async fn close(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        Ok(self.with(|state| {
            match state.records.get_mut(instance) {
                Some(record) => {
                    record.mark.get_or_insert(Mark::Hook);
                }
                None if self.unfenced => {}
                None => {
                    state.tombstones.entry(instance.clone()).or_insert(None);
                }
            }
            holder(state, instance)
        }))
    }

    async fn ask_to_stop(&self, instance: &InstanceId, _: UnixMs) -> Result<bool, Fault> {
        Ok(self.with(|state| {
            let Some(record) = state.records.get_mut(instance) else { return false };
            record.asked_to_stop = true;
            true
        }))
    }
}
