//! One record per worker process or EC2 instance: all its slots, its one lease, its drain mark.
//!
//! Register, claim, renew, drain, doom, tombstone and void are swaps of this one document, so a
//! claim and a drain exclude each other and no later busy-check exists (rules B1, B2, C1 to C4 of
//! the protocol). A machine goes open → draining(by) → doomed → gone; only the first step can be
//! taken back, and only by whom took it.
use crate::fleet::OpId;
use crate::id::{InstanceId, PoolId};
use crate::job::JobId;
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `pools/<pool>/instances/<id>.json`. Its lease is the age of the stored document by the store's
/// own clock: no time inside it is ever compared with another machine's to tell life from death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub pool: PoolId,
    /// Rises with each void: a worker that was declared lost registers under a new one. 0: nobody
    /// ever registered, and this is a tombstone.
    pub epoch: u64,
    pub slots: Vec<Slot>,
    pub drain: Option<Drain>,
    pub registered_at: UnixMs,
    pub version: String,
    /// The agent's process on this machine, if it is one.
    #[serde(default)]
    pub pid: Option<u32>,
    /// When the last run ended that left no other on this machine, by the worker's clock: precise
    /// enough for a delay of minutes. None: none ran under this registration.
    #[serde(default)]
    pub idle_since: Option<UnixMs>,
    /// Jobs of an earlier process of this machine. They are in no slot any more, but their tools may
    /// outlive that process, and only the worker that found them can tell their ends: until it has,
    /// the machine is busy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "slot", rename_all = "snake_case")]
pub enum Slot {
    Idle,
    Busy {
        job: JobId,
    },
    /// Its attempt was declared lost. Counts as not busy; ends with a new epoch.
    Void {
        job: JobId,
    },
}

/// A mark beside busy, not a state of its own: a busy slot finishes and takes no second job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub by: DrainedBy,
    pub at: UnixMs,
    /// Written before the call that ends the machine: from here there is no way back (rule C2).
    #[serde(default)]
    pub doomed: bool,
}

/// Who drains a machine: only that one may take it back (rule C3). An operator is written as a bare
/// text, as before there were others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainedBy {
    /// A tick of the autoscaler, for this removal.
    Tick { op: OpId },
    /// A lifecycle hook: the group ends this machine, and nobody can stop it.
    Hook {},
    /// Its own worker: the machine's provider told it that the machine is to go.
    Notice {},
    #[serde(untagged)]
    Operator(String),
}

impl DrainedBy {
    /// Of operators, any may take back what another did.
    #[must_use]
    pub fn is_same(&self, other: &DrainedBy) -> bool {
        match (self, other) {
            (DrainedBy::Operator(_), DrainedBy::Operator(_)) => true,
            _ => self == other,
        }
    }

    /// Whoever it is asked for the machine's end, and leaves that to a tick: no tick takes such a
    /// drain back, and any may doom the machine once it has no run.
    #[must_use]
    pub fn leaves_the_end_to_a_tick(&self) -> bool {
        matches!(self, DrainedBy::Operator(_) | DrainedBy::Notice {})
    }
}

impl fmt::Display for DrainedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrainedBy::Operator(who) => f.pad(who),
            DrainedBy::Tick { .. } => f.pad("the autoscaler"),
            DrainedBy::Hook {} => f.pad("the group's lifecycle hook"),
            DrainedBy::Notice {} => f.pad("a notice that EC2 wants the machine back"),
        }
    }
}

/// Why a swap of the record was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the worker drains")]
    Draining,
    #[error("no slot is free")]
    NoFreeSlot,
    #[error("the record is of another epoch")]
    OtherEpoch,
    #[error("no slot holds this job")]
    NotHeld,
    #[error("the worker does not drain")]
    NotDraining,
    #[error("somebody else drains the worker")]
    Theirs,
    #[error("the worker has runs")]
    Busy,
    #[error("this machine is about to be ended, so no worker may start on it")]
    Doomed,
    #[error("this machine was given up before a worker registered on it, so none may")]
    Tombstone,
}

impl Instance {
    /// The record of a worker that was never here before: the first epoch, all slots idle.
    #[must_use]
    pub fn new(
        id: &InstanceId,
        pool: &PoolId,
        slots: usize,
        version: &str,
        pid: Option<u32>,
        now: UnixMs,
    ) -> Instance {
        Instance {
            id: id.clone(),
            pool: pool.clone(),
            epoch: 1,
            slots: vec![Slot::Idle; slots],
            drain: None,
            registered_at: now,
            version: version.to_owned(),
            pid,
            idle_since: None,
            leftovers: Vec::new(),
        }
    }

    /// What keeps a worker from ever registering on a machine where none did (rule C4): doomed from
    /// the start.
    #[must_use]
    pub fn tombstone(id: &InstanceId, pool: &PoolId, by: DrainedBy, now: UnixMs) -> Instance {
        let drain = Some(Drain { by, at: now, doomed: true });
        Instance { epoch: 0, drain, ..Instance::new(id, pool, 0, "", None, now) }
    }

    /// The record after a (re)start of its worker: a new epoch, all slots idle. A drain stays,
    /// whoever's it is. Refused where no worker may start any more.
    pub fn register(
        before: Option<&Instance>,
        id: &InstanceId,
        pool: &PoolId,
        slots: usize,
        version: &str,
        pid: Option<u32>,
        now: UnixMs,
    ) -> Result<Instance, Refused> {
        let new = Instance::new(id, pool, slots, version, pid, now);
        let Some(before) = before else { return Ok(new) };
        if before.is_tombstone() {
            return Err(Refused::Tombstone);
        }
        if before.doomed() {
            return Err(Refused::Doomed);
        }
        Ok(Instance { epoch: before.epoch + 1, drain: before.drain.clone(), ..new })
    }

    /// A free slot becomes busy with this job; a slot that is already busy with it stays.
    pub fn take(&self, epoch: u64, job: &JobId) -> Result<Instance, Refused> {
        if self.epoch != epoch {
            return Err(Refused::OtherEpoch);
        }
        if self.holds(epoch, job) {
            return Ok(self.clone());
        }
        if self.drain.is_some() {
            return Err(Refused::Draining);
        }
        self.swap(|slot| matches!(slot, Slot::Idle), Slot::Busy { job: job.clone() })
            .ok_or(Refused::NoFreeSlot)
    }

    /// The slot that holds this job becomes idle again: after its result **and** its report. `now`
    /// is when, by the worker's clock.
    pub fn release(&self, epoch: u64, job: &JobId, now: UnixMs) -> Result<Instance, Refused> {
        if self.epoch != epoch {
            return Err(Refused::OtherEpoch);
        }
        let mut next = self
            .swap(|slot| matches!(slot, Slot::Busy { job: held } if held == job), Slot::Idle)
            .ok_or(Refused::NotHeld)?;
        if !next.busy() {
            next.idle_since = Some(now);
        }
        Ok(next)
    }

    /// Of this leftover nothing is left, and that is told.
    pub fn told(&self, epoch: u64, job: &JobId, now: UnixMs) -> Result<Instance, Refused> {
        if self.epoch != epoch {
            return Err(Refused::OtherEpoch);
        }
        if !self.leftovers.contains(job) {
            return Err(Refused::NotHeld);
        }
        let mut next = self.clone();
        next.leftovers.retain(|left| left != job);
        if !next.busy() {
            next.idle_since = Some(now);
        }
        Ok(next)
    }

    /// The same facts, written again: a renewal. Refused once the attempt was voided.
    pub fn renew(&self, epoch: u64) -> Result<Instance, Refused> {
        if self.epoch == epoch { Ok(self.clone()) } else { Err(Refused::OtherEpoch) }
    }

    /// Declares every attempt of this epoch lost: one agent and one lease per instance make the
    /// instance the unit of loss (rule C6).
    pub fn void(&self, epoch: u64) -> Result<Instance, Refused> {
        if self.epoch != epoch {
            return Err(Refused::OtherEpoch);
        }
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Busy { job } => Slot::Void { job: job.clone() },
            other => other.clone(),
        });
        Ok(Instance { epoch: epoch + 1, slots: slots.collect(), ..self.clone() })
    }

    /// Takes no more runs from here on. The same owner's second drain changes nothing. A hook takes
    /// over any other's that could still be taken back, for it can't be; nobody else takes over.
    pub fn drain(&self, by: DrainedBy, now: UnixMs) -> Result<Instance, Refused> {
        let drain = match &self.drain {
            None => Drain { by, at: now, doomed: false },
            Some(before) if before.by.is_same(&by) => before.clone(),
            Some(before) if by == DrainedBy::Hook {} && !before.doomed => {
                Drain { by, ..before.clone() }
            }
            Some(_) => return Err(Refused::Theirs),
        };
        Ok(Instance { drain: Some(drain), ..self.clone() })
    }

    /// Takes runs again: only as whoever drained it, never a hook, and never once doomed.
    pub fn undrain(&self, by: &DrainedBy) -> Result<Instance, Refused> {
        match &self.drain {
            None => Err(Refused::NotDraining),
            Some(drain) if drain.doomed => Err(Refused::Doomed),
            Some(drain) if drain.by == (DrainedBy::Hook {}) || !drain.by.is_same(by) => {
                Err(Refused::Theirs)
            }
            Some(_) => Ok(Instance { drain: None, ..self.clone() }),
        }
    }

    /// No way back from here (rule C2), for this removal: what it drained itself, or what an
    /// operator or a notice drained, once no slot has a run. The same op's second time changes nothing.
    pub fn doom(&self, op: &OpId) -> Result<Instance, Refused> {
        let drain = self.drain.as_ref().ok_or(Refused::NotDraining)?;
        let by = DrainedBy::Tick { op: op.clone() };
        if drain.by != by && (drain.doomed || !drain.by.leaves_the_end_to_a_tick()) {
            return Err(Refused::Theirs);
        }
        if self.busy() {
            return Err(Refused::Busy);
        }
        let drain = Drain { by, at: drain.at, doomed: true };
        Ok(Instance { drain: Some(drain), ..self.clone() })
    }

    /// True while this very attempt may run: same epoch, and a slot busy with it.
    #[must_use]
    pub fn holds(&self, epoch: u64, job: &JobId) -> bool {
        self.epoch == epoch
            && self.slots.iter().any(|s| matches!(s, Slot::Busy { job: held } if held == job))
    }

    /// Something may run here: in a slot, or left by an earlier process.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.jobs().next().is_some() || !self.leftovers.is_empty()
    }

    /// The jobs of its busy slots.
    pub fn jobs(&self) -> impl Iterator<Item = &JobId> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Busy { job } => Some(job),
            Slot::Idle | Slot::Void { .. } => None,
        })
    }

    /// An attempt of it was declared lost, and no worker has registered since.
    #[must_use]
    pub fn lost(&self) -> bool {
        !self.busy() && self.slots.iter().any(|slot| matches!(slot, Slot::Void { .. }))
    }

    #[must_use]
    pub fn doomed(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.doomed)
    }

    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.epoch == 0
    }

    /// It drains, and nobody can take that back.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.doomed || drain.by == DrainedBy::Hook {})
    }

    fn swap(&self, which: impl Fn(&Slot) -> bool, to: Slot) -> Option<Instance> {
        let place = self.slots.iter().position(which)?;
        let mut next = self.clone();
        next.slots[place] = to;
        Some(next)
    }
}

#[cfg(test)]
#[path = "instance_table.rs"]
mod tests;
