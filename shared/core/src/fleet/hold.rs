//! What the fleet asks of one machine's record: each question is one swap of it, so that it and a
//! claim exclude each other (rules C1 to C4).
//!
//! Every function says how the record is from now on (None: as it is) and what came of it.
use super::{Draining, Lease, OpId, SeenWorker, Whereabouts, census::count};
use crate::drain::Holder;
use crate::id::{InstanceId, PoolId};
use crate::instance::{DrainedBy, Instance, Refused};
use crate::job::{LEASE_IDLE_MS, LEASE_MS};
use crate::time::UnixMs;

/// What to do about a machine that has a run after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfBusy {
    /// Leave no trace: it goes on as before.
    LetBe,
    /// It finishes that run and takes no other.
    DrainAlso,
}

/// What came of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// It has no run and takes none: it can be doomed.
    Idle,
    /// So many slots have runs. With [`IfBusy::LetBe`] nothing was changed.
    Busy { slots: u32 },
    /// Somebody else drains it, or dooms it: it is not ours.
    Theirs,
    /// No worker is registered there (any more), and none was kept from it.
    Nobody,
}

fn busy(record: &Instance) -> u32 {
    count(record.jobs().count() + record.leftovers.len())
}

fn changed(before: &Instance, after: Instance) -> Option<Instance> {
    (after != *before).then_some(after)
}

/// Drains under this op. An operator's drain, or a notice's, does as well and stays theirs until it
/// is doomed: so nobody's tick can take back what a person did (rule C3).
#[must_use]
pub fn drain(
    record: Option<&Instance>,
    op: &OpId,
    if_busy: IfBusy,
    now: UnixMs,
) -> (Option<Instance>, Drained) {
    let Some(record) = record else { return (None, Drained::Nobody) };
    let slots = busy(record);
    let answer = if slots > 0 { Drained::Busy { slots } } else { Drained::Idle };
    match record.drain(DrainedBy::Tick { op: op.clone() }, now) {
        Ok(_) if slots > 0 && if_busy == IfBusy::LetBe => (None, answer),
        Ok(next) => (changed(record, next), answer),
        Err(_) if left_to_ticks(record) => (None, answer),
        Err(_) => (None, Drained::Theirs),
    }
}

fn left_to_ticks(record: &Instance) -> bool {
    let drain = record.drain.as_ref();
    drain.is_some_and(|drain| !drain.doomed && drain.by.leaves_the_end_to_a_tick())
}

/// Dooms what [`drain`] called idle, if it still is.
#[must_use]
pub fn doom(record: Option<&Instance>, op: &OpId) -> (Option<Instance>, Drained) {
    let Some(record) = record else { return (None, Drained::Nobody) };
    match record.doom(op) {
        Ok(next) => (changed(record, next), Drained::Idle),
        Err(Refused::Busy) => (None, Drained::Busy { slots: busy(record) }),
        Err(_) => (None, Drained::Theirs),
    }
}

/// False: there is no drain of this op that could be taken back.
#[must_use]
pub fn undrain(record: Option<&Instance>, op: &OpId) -> (Option<Instance>, bool) {
    let by = DrainedBy::Tick { op: op.clone() };
    let next = record.and_then(|record| record.undrain(&by).ok());
    let done = next.is_some();
    (next, done)
}

/// True: no worker is there, and from now on none will be.
#[must_use]
pub fn tombstone(
    record: Option<&Instance>,
    id: &InstanceId,
    pool: &PoolId,
    op: &OpId,
    now: UnixMs,
) -> (Option<Instance>, bool) {
    let by = DrainedBy::Tick { op: op.clone() };
    match record {
        None => (Some(Instance::tombstone(id, pool, by, now)), true),
        Some(record) => (None, record.is_tombstone()),
    }
}

/// For a hook: drains what is there, or fences what is not (rule C4).
#[must_use]
pub fn close(
    record: Option<&Instance>,
    id: &InstanceId,
    pool: &PoolId,
    now: UnixMs,
) -> (Option<Instance>, Holder) {
    let by = DrainedBy::Hook {};
    let next = match record {
        None => Some(Instance::tombstone(id, pool, by, now)),
        Some(record) => record.drain(by, now).ok().and_then(|next| changed(record, next)),
    };
    let holder = holder(next.as_ref().or(record));
    (next, holder)
}

/// Who holds the machine. One that could still be given runs is `Open`, though somebody may drain
/// it: whoever lets it go must first see to it that nobody can take that drain back.
#[must_use]
pub fn holder(record: Option<&Instance>) -> Holder {
    match record {
        None => Holder::Nobody,
        Some(record) if record.is_tombstone() => Holder::Tombstone,
        Some(record) if !record.closed() => Holder::Open,
        Some(record) if record.lost() => Holder::Lost,
        Some(record) => Holder::Draining { busy: busy(record) },
    }
}

/// How long a worker may be silent: it renews often only while a slot has a job.
#[must_use]
pub fn lease_ms(record: &Instance) -> u64 {
    if record.jobs().next().is_some() { LEASE_MS } else { LEASE_IDLE_MS }
}

/// The worker of a record that was written `age_ms` ago by the store's clock; a tombstone is none.
#[must_use]
pub fn seen(record: &Instance, age_ms: u64) -> Option<SeenWorker> {
    if record.is_tombstone() {
        return None;
    }
    let lease = match age_ms.checked_sub(lease_ms(record)) {
        _ if record.lost() => Lease::Void,
        Some(for_ms) => Lease::Lapsed { for_ms },
        None => Lease::Live,
    };
    let draining = record.drain.as_ref().map(|drain| match &drain.by {
        DrainedBy::Tick { op } => Draining::Ours { op: op.clone(), doomed: drain.doomed },
        DrainedBy::Hook {} | DrainedBy::Notice {} | DrainedBy::Operator(_) => Draining::Theirs,
    });
    let slots = count(record.slots.len());
    Some(SeenWorker {
        id: record.id.0.clone(),
        on: Whereabouts::On(record.id.clone()),
        slots,
        // What is left of an earlier process is in no slot of this one's.
        busy: busy(record).min(slots),
        draining,
        lease,
        registered_at: record.registered_at,
        idle_since: (!record.busy()).then(|| record.idle_since.unwrap_or(record.registered_at)),
    })
}
