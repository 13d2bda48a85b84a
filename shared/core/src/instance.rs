//! One record per worker process or EC2 instance: all its slots, its one lease, its drain mark.
//!
//! Register, claim, renew, drain and void are swaps of this one document, so a claim and a drain
//! exclude each other and no later busy-check exists (rules B1, B2, C1, C3 of the protocol).
use crate::id::{InstanceId, PoolId};
use crate::job::JobId;
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

/// `pools/<pool>/instances/<id>.json`. Its lease is the age of the stored document by the store's
/// own clock: no time inside it is ever compared with another machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub pool: PoolId,
    /// Rises with each void: a worker that was declared lost registers under a new one.
    pub epoch: u64,
    pub slots: Vec<Slot>,
    pub drain: Option<Drain>,
    pub registered_at: UnixMs,
    pub version: String,
    /// The agent's process on this machine, if it is one.
    #[serde(default)]
    pub pid: Option<u32>,
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
    pub by: String,
    pub at: UnixMs,
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
}

impl Instance {
    /// The record after a (re)start of its worker: a new epoch, all slots idle. An operator's
    /// drain mark stays.
    #[must_use]
    pub fn register(
        before: Option<&Instance>,
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
            epoch: before.map_or(1, |b| b.epoch + 1),
            slots: vec![Slot::Idle; slots],
            drain: before.and_then(|b| b.drain.clone()),
            registered_at: now,
            version: version.to_owned(),
            pid,
        }
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

    /// The slot that holds this job becomes idle again: after its result **and** its report.
    pub fn release(&self, epoch: u64, job: &JobId) -> Result<Instance, Refused> {
        if self.epoch != epoch {
            return Err(Refused::OtherEpoch);
        }
        self.swap(|slot| matches!(slot, Slot::Busy { job: held } if held == job), Slot::Idle)
            .ok_or(Refused::NotHeld)
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

    #[must_use]
    pub fn drain(&self, by: &str, now: UnixMs) -> Instance {
        let drain = self.drain.clone().or_else(|| Some(Drain { by: by.to_owned(), at: now }));
        Instance { drain, ..self.clone() }
    }

    #[must_use]
    pub fn undrain(&self) -> Instance {
        Instance { drain: None, ..self.clone() }
    }

    /// True while this very attempt may run: same epoch, and a slot busy with it.
    #[must_use]
    pub fn holds(&self, epoch: u64, job: &JobId) -> bool {
        self.epoch == epoch
            && self.slots.iter().any(|s| matches!(s, Slot::Busy { job: held } if held == job))
    }

    #[must_use]
    pub fn busy(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Busy { .. }))
    }

    fn swap(&self, which: impl Fn(&Slot) -> bool, to: Slot) -> Option<Instance> {
        let place = self.slots.iter().position(which)?;
        let mut next = self.clone();
        next.slots[place] = to;
        Some(next)
    }
}
