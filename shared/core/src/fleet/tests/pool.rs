//! A pool as a scenario tells it, and the plan that is expected of it.
use crate::fleet::{
    Action, Alarm, Because, Demand, Draining, Group, Lease, Memory, OpId, Place, Plan, Policy,
    SeenInstance, SeenWorker, Snapshot, Unmet, Victim, Whereabouts, Why, decide,
};
use crate::id::InstanceId;
use crate::time::{MINUTE_MS, SECOND_MS, UnixMs};
use std::collections::BTreeSet;

/// Monday, 2026-11-23, 12:00 UTC.
pub(super) const NOON: UnixMs = UnixMs(1_795_435_200_000);

pub(super) fn min(n: u64) -> u64 {
    n * MINUTE_MS
}

/// Machines are called `i-1`, `i-2`, … in the order in which they are told; their workers `w-1` and
/// so on.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) policy: Policy,
    pub(super) snapshot: Snapshot,
    pub(super) memory: Memory,
}

/// One machine with one worker, to be changed by the teller.
pub(super) struct Machine {
    pub(super) seen: SeenInstance,
    pub(super) workers: Vec<SeenWorker>,
}

impl Pool {
    /// Of this size, with the defaults of the scenarios: 0 to 20 machines.
    pub(super) fn desired(desired: u32) -> Self {
        let group = Group { name: "workers".into(), desired, min: 0, max: 20, launches_failed: 0 };
        let snapshot = Snapshot {
            now: NOON,
            due: NOON,
            woken: false,
            group,
            instances: vec![],
            workers: vec![],
            demand: Demand::default(),
        };
        let memory = Memory { desired: Some(desired), ..Memory::fresh() };
        Self { policy: Policy::default(), snapshot, memory }
    }
    pub(super) fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }
    pub(super) fn group(mut self, change: impl FnOnce(&mut Group)) -> Self {
        change(&mut self.snapshot.group);
        self
    }
    pub(super) fn remembers(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }
    pub(super) fn queued(mut self, schedulable: u32) -> Self {
        self.snapshot.demand.schedulable = schedulable;
        self
    }
    pub(super) fn machine(mut self, change: impl FnOnce(&mut Machine)) -> Self {
        let n = self.snapshot.instances.len() + 1;
        let id = InstanceId(format!("i-{n}"));
        let launched_at = UnixMs(NOON.0 - min(120) + n as u64);
        let worker = SeenWorker {
            id: format!("w-{n}"),
            on: Whereabouts::On(id.clone()),
            slots: self.policy.slots_per_instance,
            busy: 0,
            draining: None,
            lease: Lease::Live,
            registered_at: UnixMs(launched_at.0 + SECOND_MS),
            idle_since: None,
        };
        let seen = SeenInstance {
            id,
            place: Place::InService,
            launched_at,
            template: 1,
            protected: true,
            notice: None,
        };
        let mut machine = Machine { seen, workers: vec![worker] };
        change(&mut machine);
        self.snapshot.instances.push(machine.seen);
        self.snapshot.workers.extend(machine.workers);
        self
    }
    pub(super) fn machines(mut self, n: u32, change: impl Fn(&mut Machine)) -> Self {
        for _ in 0..n {
            self = self.machine(&change);
        }
        self
    }
    pub(super) fn busy(self, n: u32) -> Self {
        self.machines(n, |m| m.workers[0].busy = m.workers[0].slots)
    }
    /// Idle for so many minutes.
    pub(super) fn idle(self, n: u32, minutes: u64) -> Self {
        self.machines(n, |m| m.idle_for(minutes))
    }
    /// Launched so many minutes ago, not registered.
    pub(super) fn unregistered(self, n: u32, minutes: u64) -> Self {
        self.machines(n, |m| {
            m.workers.clear();
            // The order of telling stays.
            m.seen.launched_at = UnixMs(m.seen.launched_at.0 + min(120) - min(minutes));
        })
    }
    pub(super) fn plan(&self) -> Plan {
        decide(&self.policy, &self.snapshot, &self.memory)
    }
    /// The plan as a tick later, with what it remembers, and nothing changed but the time.
    pub(super) fn later(mut self, ms: u64) -> Self {
        self.memory = self.plan().memory;
        self.snapshot.now = self.snapshot.now.plus_ms(ms);
        self.snapshot.due = self.snapshot.now;
        self
    }
    #[track_caller]
    pub(super) fn expect(&self, expected: Expected) {
        let plan = self.plan();
        let seen = Expected {
            actions: plan.actions,
            why: plan.why,
            unmet: plan.unmet,
            alarms: plan.alarms,
        };
        assert_eq!(seen, expected);
    }
    /// A removal of this machine that begins now.
    pub(super) fn victim(&self, n: usize, decrement: bool, because: Because) -> Victim {
        let instance = self.snapshot.instances[n - 1].id.clone();
        let on = Whereabouts::On(instance.clone());
        let workers = self.snapshot.workers.iter().filter(|w| w.on == on);
        Victim {
            workers: workers.map(|w| w.id.clone()).collect(),
            op: OpId::of(&instance, self.snapshot.now),
            instance,
            decrement,
            because,
        }
    }
    /// The first `count` of these, surplus, the group getting smaller.
    pub(super) fn retire(&self, count: u32, of: &[usize]) -> Action {
        let victim = |n: &usize| self.victim(*n, true, Because::Surplus);
        Action::Retire { count, candidates: of.iter().map(victim).collect() }
    }
}

impl Machine {
    pub(super) fn idle_for(&mut self, minutes: u64) {
        for worker in &mut self.workers {
            worker.idle_since = Some(UnixMs(NOON.0 - min(minutes)));
        }
    }
    pub(super) fn launched(&mut self, minutes: u64) {
        self.seen.launched_at = UnixMs(NOON.0 - min(minutes));
    }
    pub(super) fn drains(&mut self, draining: Draining) {
        self.workers[0].draining = Some(draining);
    }
}

pub(super) fn ours(op: &str, doomed: bool) -> Draining {
    Draining::Ours { op: OpId(op.into()), doomed }
}

/// A whole plan, but for its memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    actions: Vec<Action>,
    why: Why,
    unmet: Option<Unmet>,
    alarms: BTreeSet<Alarm>,
}

pub(super) fn does(actions: Vec<Action>, why: Why) -> Expected {
    Expected { actions, why, unmet: None, alarms: BTreeSet::new() }
}
pub(super) fn holds(why: Why) -> Expected {
    does(vec![], why)
}
pub(super) fn grows(from: u32, to: u32) -> Expected {
    does(vec![Action::SetDesired { from, to }], Why::Grown)
}

impl Expected {
    pub(super) fn unmet(mut self, slots: u32, cause: crate::fleet::Cause) -> Self {
        self.unmet = Some(Unmet { slots, cause });
        self
    }
    pub(super) fn alarm(mut self, alarm: Alarm) -> Self {
        self.alarms.insert(alarm);
        self
    }
}
