//! What each machine is: exactly one standing, from everything that was seen of it.
use super::{Alarm, Memory};
use super::{
    Draining, Lease, Notice, OpId, Place, Policy, SeenInstance, SeenWorker, Snapshot, Whereabouts,
};
use crate::id::InstanceId;
use crate::time::UnixMs;
use std::collections::BTreeSet;

/// A machine and all workers on it.
#[derive(Clone, Debug)]
pub struct Unit<'a> {
    pub id: &'a InstanceId,
    pub place: Place,
    pub standing: Standing,
    pub workers: Vec<&'a SeenWorker>,
    pub launched_at: UnixMs,
    pub template: u32,
    pub registered_at: Option<UnixMs>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Takes runs. `idle_since` only if none is there.
    Open {
        slots: u32,
        busy: u32,
        idle_since: Option<UnixMs>,
    },
    /// Has runs and takes no more.
    Occupied {
        ours: Option<OpId>,
    },
    /// Takes none and has none. `ours`: by which op of ours.
    Drained {
        ours: Option<OpId>,
        doomed: bool,
    },
    /// Takes runs, and the provider says to leave it: no supply.
    Warned {
        busy: u32,
        notice: Notice,
    },
    /// Not registered yet, and young enough.
    Booting,
    /// Not registered, and too old for that.
    Overdue,
    /// Silent with a run: it may well be at work.
    SilentAndBusy,
    /// Silent without a run for longer than the grace, or declared lost.
    Lost,
    /// Silent without a run, and within the grace.
    Silent,
    /// In no group, and nobody's run is on it.
    Leaked,
    /// In no group, and still of use, or too young to tell.
    Stranded,
    /// It ends by itself.
    Leaving,
    Standby,
}

/// All machines, and what was odd about what was seen.
#[derive(Clone, Debug)]
pub struct Census<'a> {
    pub units: Vec<Unit<'a>>,
    pub alarms: BTreeSet<Alarm>,
    /// Workers that are heard of, on machines that the group counts: what a machine leaves behind
    /// when it goes is heard of for a while, and is nobody.
    pub live: u32,
    /// A worker that may have a run does not say where it is: it may be on any machine on which
    /// nobody is seen.
    pub nameless: bool,
}

impl<'a> Census<'a> {
    #[must_use]
    pub fn take(policy: &Policy, s: &'a Snapshot) -> Self {
        let (mut alarms, mut nameless) = (BTreeSet::new(), false);
        let mut on: Vec<(&InstanceId, &SeenWorker)> = Vec::with_capacity(s.workers.len());
        for worker in &s.workers {
            match &worker.on {
                Whereabouts::On(instance) => on.push((instance, worker)),
                Whereabouts::OtherGroup { instance, .. } => {
                    alarms.insert(Alarm::OtherGroup { worker: worker.id.clone() });
                    on.extend(instance.as_ref().map(|instance| (instance, worker)));
                }
                Whereabouts::Unknown => {
                    let idle = worker.busy == 0 && worker.draining.is_some();
                    nameless |= !idle && worker.lease != Lease::Void;
                    alarms.insert(Alarm::Unidentified { worker: worker.id.clone() });
                }
            }
        }
        on.sort_by_key(|(instance, _)| *instance);
        // Workers of machines that are gone, or that nobody knows, are phantoms: not looked up.
        let alive = s.instances.iter().filter(|i| i.place != Place::Terminated);
        let units: Vec<Unit> = alive
            .map(|instance| {
                let first = on.partition_point(|(on, _)| **on < instance.id);
                let there = on[first..].iter().take_while(|(on, _)| **on == instance.id);
                unit(policy, s.now, instance, there.map(|(_, worker)| *worker).collect())
            })
            .collect();
        for silent in units.iter().filter(|u| u.standing == Standing::SilentAndBusy) {
            alarms.insert(Alarm::SilentAndBusy { instance: silent.id.clone() });
        }
        let workers = units.iter().filter(|u| counted(u)).flat_map(|unit| &unit.workers);
        let live = count(workers.filter(|w| w.lease == Lease::Live).count());
        Self { units, alarms, live, nameless }
    }

    /// Machines that the group counts.
    #[must_use]
    pub fn in_group(&self) -> u32 {
        count(self.units.iter().filter(|unit| counted(unit)).count())
    }

    /// More machines than the group is to have.
    #[must_use]
    pub fn above(&self, desired: u32) -> u32 {
        self.in_group().saturating_sub(desired)
    }

    /// Slots that take runs, with and without one.
    #[must_use]
    pub fn open_slots(&self) -> u32 {
        total(self.open().map(|(slots, _)| slots))
    }

    /// Slots with a run, on machines that take runs.
    #[must_use]
    pub fn open_busy(&self) -> u32 {
        total(self.open().map(|(_, busy)| busy))
    }

    /// Slots with a run that are taken from us within minutes: what is interrupted there goes on
    /// elsewhere, and need not wait until it is seen in the queue.
    #[must_use]
    pub fn displaced(&self) -> u32 {
        let taken = self.units.iter().map(|unit| match unit.standing {
            Standing::Warned { busy, notice: Notice::Spot } => busy,
            _ => 0,
        });
        total(taken)
    }

    fn open(&self) -> impl Iterator<Item = (u32, u32)> {
        self.units.iter().filter_map(|unit| match unit.standing {
            Standing::Open { slots, busy, .. } => Some((slots, busy)),
            _ => None,
        })
    }

    #[must_use]
    pub fn booting(&self) -> u32 {
        count(self.units.iter().filter(|u| u.standing == Standing::Booting).count())
    }

    pub fn of(&self, standing: &Standing) -> impl Iterator<Item = &Unit<'a>> {
        self.units.iter().filter(move |unit| unit.standing == *standing)
    }

    /// Boots that failed in a row, if none succeeded since.
    #[must_use]
    pub fn boot_failures(&self, memory: &Memory) -> u32 {
        let since = memory.boot_failed_at;
        let came_up = |u: &Unit| u.registered_at.zip(since).is_some_and(|(at, failed)| at > failed);
        if self.units.iter().any(came_up) { 0 } else { memory.boot_failures }
    }
}

fn counted(unit: &Unit<'_>) -> bool {
    matches!(unit.place, Place::Pending | Place::InService)
}

pub(super) fn total(of: impl Iterator<Item = u32>) -> u32 {
    of.fold(0, u32::saturating_add)
}

pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn unit<'a>(
    policy: &Policy,
    now: UnixMs,
    seen: &'a SeenInstance,
    workers: Vec<&'a SeenWorker>,
) -> Unit<'a> {
    Unit {
        id: &seen.id,
        place: seen.place,
        standing: standing(policy, now, seen, &workers),
        launched_at: seen.launched_at,
        template: seen.template,
        registered_at: workers.iter().map(|w| w.registered_at).min(),
        workers,
    }
}

fn standing(
    policy: &Policy,
    now: UnixMs,
    seen: &SeenInstance,
    workers: &[&SeenWorker],
) -> Standing {
    match seen.place {
        Place::Leaving | Place::Terminated => return Standing::Leaving,
        Place::Standby => return Standing::Standby,
        Place::Outside => return outside(policy, now, seen, workers),
        Place::Pending | Place::InService => {}
    }
    if workers.is_empty() {
        let young = now.since_ms(seen.launched_at) < policy.boot_deadline_ms;
        return if young { Standing::Booting } else { Standing::Overdue };
    }
    let live = || workers.iter().filter(|w| w.lease == Lease::Live).copied();
    if live().next().is_none() {
        return silent(policy, workers);
    }
    let busy = total(workers.iter().filter(|w| w.lease != Lease::Void).map(|w| w.busy));
    let draining = workers.iter().find_map(|w| w.draining.as_ref());
    match (draining, busy) {
        (Some(by), 1..) => Standing::Occupied { ours: ours(by).map(|(op, _)| op) },
        (Some(by), 0) => {
            let ours = ours(by);
            let doomed = ours.as_ref().is_some_and(|(_, doomed)| *doomed);
            Standing::Drained { ours: ours.map(|(op, _)| op), doomed }
        }
        (None, _) => match seen.notice {
            Some(notice) => Standing::Warned { busy, notice },
            None => Standing::Open {
                slots: total(live().map(|w| w.slots)),
                busy,
                idle_since: (busy == 0).then(|| idle_since(policy, live())).flatten(),
            },
        },
    }
}

fn ours(by: &Draining) -> Option<(OpId, bool)> {
    match by {
        Draining::Ours { op, doomed } => Some((op.clone(), *doomed)),
        Draining::Theirs => None,
    }
}

/// Since when all of it is idle.
fn idle_since<'a>(
    policy: &Policy,
    workers: impl Iterator<Item = &'a SeenWorker>,
) -> Option<UnixMs> {
    let from = |w: &SeenWorker| match policy.idle_from {
        super::IdleFrom::LastRunEnd => w.idle_since.unwrap_or(w.registered_at),
        super::IdleFrom::Registration => w.registered_at,
    };
    workers.map(from).max()
}

/// None of its workers is heard of.
fn silent(policy: &Policy, workers: &[&SeenWorker]) -> Standing {
    if workers.iter().any(|w| w.busy > 0 && w.lease != Lease::Void) {
        return Standing::SilentAndBusy;
    }
    let longest = workers.iter().map(|w| match w.lease {
        Lease::Live => 0,
        Lease::Lapsed { for_ms } => for_ms,
        Lease::Void => u64::MAX,
    });
    match longest.max().is_some_and(|ms| ms >= policy.lost_grace_ms) {
        true => Standing::Lost,
        false => Standing::Silent,
    }
}

fn outside(policy: &Policy, now: UnixMs, seen: &SeenInstance, workers: &[&SeenWorker]) -> Standing {
    let busy = workers.iter().any(|w| w.busy > 0 && w.lease != Lease::Void);
    let young = now.since_ms(seen.launched_at) < policy.boot_deadline_ms;
    if busy || young { Standing::Stranded } else { Standing::Leaked }
}
