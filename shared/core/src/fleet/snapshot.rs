//! One look at a pool: what its group of machines, its workers and its queue say, as they say it.
use super::OpId;
use crate::id::{InstanceId, RunId};
use crate::instance::Instance;
use crate::summary::OpenJob;
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Everything that a decision looks at. It may contradict itself: its parts were read one after
/// the other, from services that do not know of each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub now: UnixMs,
    /// When the tick that asked for it was due; an old one is dropped.
    pub due: UnixMs,
    /// Work or a notice asked for it, at any moment and as often as there is some. It may only make
    /// the pool grow: what has to be seen twice, or goes a few at a time, goes by the minute's ticks.
    #[serde(default)]
    pub woken: bool,
    pub group: Group,
    /// Machines of the group, and machines outside of it that carry the pool's tag.
    pub instances: Vec<SeenInstance>,
    pub workers: Vec<SeenWorker>,
    pub demand: Demand,
}

/// The Auto Scaling group's own numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub desired: u32,
    pub min: u32,
    pub max: u32,
    /// Launches that failed in a row since the last one that succeeded, for want of capacity.
    pub launches_failed: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenInstance {
    pub id: InstanceId,
    pub place: Place,
    pub launched_at: UnixMs,
    /// Orders launch templates: the lower goes first.
    pub template: u32,
    /// Whether the group itself must not choose it.
    pub protected: bool,
    /// What the provider said of its near future.
    #[serde(default)]
    pub notice: Option<Notice>,
}

/// A provider's word to leave a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// It is taken within two minutes, whatever we do.
    Spot,
    /// It is likely to be taken.
    Rebalance,
}

/// Where a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Launched by the group, not in service yet.
    Pending,
    InService,
    /// On its way out: waiting for a hook, or past it.
    Leaving,
    /// Set aside by a person.
    Standby,
    /// It runs, has the pool's tag, and belongs to no group.
    Outside,
    Terminated,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenWorker {
    pub id: String,
    pub on: Whereabouts,
    pub slots: u32,
    /// Slots with a run, or about to have one.
    pub busy: u32,
    pub draining: Option<Draining>,
    pub lease: Lease,
    pub registered_at: UnixMs,
    /// Since when no slot has a run, if the pool tells: the last run's end, else its registration.
    pub idle_since: Option<UnixMs>,
}

/// Which machine a worker says that it is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    On(InstanceId),
    /// It names another group: somebody set it up wrongly. Where it says on which machine it is, that
    /// machine is its own all the same.
    OtherGroup {
        group: String,
        instance: Option<InstanceId>,
    },
    /// It names none, or what it says can't be read.
    Unknown,
}

/// A drain, and who asked for it: only that one may undo it (rule C3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draining {
    /// By an earlier tick of ours; `doomed` once the call that ends the machine may have been made.
    Ours { op: OpId, doomed: bool },
    /// By a person, or a lifecycle hook.
    Theirs,
}

/// Whether a worker is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    Live,
    /// Silent for so long past its lease.
    Lapsed {
        for_ms: u64,
    },
    /// Declared lost: its run is being dealt with, and counts no more.
    Void,
}

/// What waits for workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Runs that a free slot would start now: none that wait for a lock, a person or a parent.
    pub schedulable: u32,
    /// Of those, drift detection.
    pub drift: u32,
    /// Slots that drift detection has now.
    pub drift_running: u32,
    pub oldest_ms: u64,
}

impl Demand {
    /// Of the open runs those that no worker has, in a slot or left by an earlier process. Where a
    /// run was declared lost, nobody has it any more.
    #[must_use]
    pub fn of<'a>(
        open: &[OpenJob],
        records: impl Iterator<Item = &'a Instance>,
        now: UnixMs,
    ) -> Self {
        let jobs = records.flat_map(|record| record.jobs().chain(&record.leftovers));
        let held: BTreeSet<&RunId> = jobs.map(|job| &job.run).collect();
        let mut demand = Demand::default();
        for job in open {
            if held.contains(&job.run) {
                demand.drift_running += u32::from(job.drift);
                continue;
            }
            demand.schedulable += 1;
            demand.drift += u32::from(job.drift);
            demand.oldest_ms = demand.oldest_ms.max(now.since_ms(job.since));
        }
        demand
    }
}
