//! One group of machines, one queue of runs, and what AWS does with them.
use crate::outcome::Outcome;
use crate::trace::{Run, Trace};
use crate::{Ms, trace::Shortage};
use std::collections::{BTreeMap, VecDeque};

/// The group tries again to launch what is missing after this.
const RELAUNCH_MS: Ms = 30_000;
/// From a Spot notice to the end.
const NOTICE_MS: Ms = 120_000;

pub type MachineId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Registers then; `Ms::MAX`: never.
    Booting {
        up_at: Ms,
    },
    Idle {
        since: Ms,
    },
    Busy {
        until: Ms,
        began: Ms,
    },
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub id: MachineId,
    pub launched_at: Ms,
    pub registered_at: Option<Ms>,
    pub state: State,
    pub draining: bool,
    /// By whom, if the controller keeps word.
    pub op: Option<String>,
    /// Taken then.
    pub taken_at: Option<Ms>,
}

/// The pool as it is. Controllers read it freely and change it by its methods only.
pub struct World {
    pub now: Ms,
    pub trace: Trace,
    pub desired: u32,
    pub machines: BTreeMap<MachineId, Machine>,
    pub queue: VecDeque<Run>,
    /// Launches that failed in a row.
    pub launches_failed: u32,
    pub(crate) relaunch_at: Option<Ms>,
    pub(crate) outcome: Outcome,
    next: MachineId,
    dice: fastrand::Rng,
}

/// A call that AWS refused for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled;

impl World {
    #[must_use]
    pub fn new(trace: &Trace) -> Self {
        Self {
            now: 0,
            desired: trace.group.min,
            machines: BTreeMap::new(),
            queue: VecDeque::new(),
            launches_failed: 0,
            relaunch_at: Some(0),
            outcome: Outcome::default(),
            next: 1,
            dice: fastrand::Rng::with_seed(trace.seed ^ 0x9e37_79b9),
            trace: trace.clone(),
        }
    }

    // --- what a controller may do

    /// # Errors
    /// While AWS throttles.
    pub fn set_desired(&mut self, to: u32) -> Result<(), Throttled> {
        self.may_call()?;
        self.desired = to.clamp(self.trace.group.min, self.trace.group.max);
        self.relaunch_at = Some(self.now);
        // The group chooses for itself what goes: idle or not, oldest first.
        while self.count() > self.desired {
            let Some(oldest) = self.machines.keys().next().copied() else { break };
            self.end(oldest);
        }
        Ok(())
    }

    /// True if it has no run now.
    pub fn drain(&mut self, id: MachineId, on: bool) -> bool {
        let Some(machine) = self.machines.get_mut(&id) else { return false };
        machine.draining = on;
        !matches!(machine.state, State::Busy { .. })
    }

    /// Ends a machine by name.
    ///
    /// # Errors
    /// While AWS throttles.
    pub fn terminate(&mut self, id: MachineId, decrement: bool) -> Result<(), Throttled> {
        self.may_call()?;
        if self.machines.contains_key(&id) {
            self.end(id);
            if decrement {
                self.desired = self.desired.saturating_sub(1).max(self.trace.group.min);
            }
            self.relaunch_at = Some(self.now);
        }
        Ok(())
    }

    fn may_call(&self) -> Result<(), Throttled> {
        match self.trace.throttles.iter().any(|span| span.covers(self.now)) {
            true => Err(Throttled),
            false => Ok(()),
        }
    }

    // --- what happens

    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.machines.len()).unwrap_or(u32::MAX)
    }

    /// A machine's end; whatever runs there is lost, and queued again.
    fn end(&mut self, id: MachineId) {
        let Some(machine) = self.machines.remove(&id) else { return };
        self.outcome.machine_ms += self.now - machine.launched_at;
        if let State::Busy { until, began } = machine.state {
            let notice = machine.taken_at.is_some_and(|at| at <= self.now);
            match notice {
                true => self.outcome.interrupted += 1,
                false => self.outcome.busy_kills += 1,
            }
            self.queue.push_front(Run { at_ms: self.now, takes_ms: until - began });
        }
    }

    /// Launches what is missing, as far as there is capacity.
    pub(crate) fn launch(&mut self) {
        self.relaunch_at = None;
        while self.count() < self.desired {
            if self.count() >= self.capacity() {
                self.launches_failed += 1;
                self.relaunch_at = Some(self.now + RELAUNCH_MS);
                return;
            }
            self.launches_failed = 0;
            let (least, most) = self.trace.boot_ms;
            let fails = self.dice.u32(0..100) < self.trace.boot_fails_percent;
            let takes = self.dice.u64(least..=most);
            let up_at = if fails { Ms::MAX } else { self.now + takes };
            let machine = Machine {
                id: self.next,
                launched_at: self.now,
                registered_at: None,
                state: State::Booting { up_at },
                draining: false,
                op: None,
                taken_at: None,
            };
            self.machines.insert(self.next, machine);
            self.next += 1;
        }
    }

    fn capacity(&self) -> u32 {
        let short = |s: &&Shortage| (s.from_ms..s.to_ms).contains(&self.now);
        self.trace.shortages.iter().filter(short).map(|s| s.machines_max).min().unwrap_or(u32::MAX)
    }

    /// Boots end, runs end, runs start, machines are taken.
    pub(crate) fn settle(&mut self) {
        let taken: Vec<MachineId> = self
            .machines
            .values()
            .filter(|m| m.taken_at.is_some_and(|at| at <= self.now))
            .map(|m| m.id)
            .collect();
        for id in taken {
            self.end(id);
            self.relaunch_at = Some(self.now);
        }
        for machine in self.machines.values_mut() {
            match machine.state {
                State::Booting { up_at } if up_at <= self.now => {
                    machine.registered_at = Some(self.now);
                    machine.state = State::Idle { since: self.now };
                }
                State::Busy { until, .. } if until <= self.now => {
                    machine.state = State::Idle { since: self.now };
                    self.outcome.finished += 1;
                }
                _ => {}
            }
        }
        // Newest first, so that the oldest can go.
        let free: Vec<MachineId> = self
            .machines
            .values()
            .rev()
            .filter(|m| {
                !m.draining && m.taken_at.is_none() && matches!(m.state, State::Idle { .. })
            })
            .map(|m| m.id)
            .collect();
        for id in free {
            let Some(run) = self.queue.pop_front() else { break };
            self.outcome.waits_ms.push(self.now - run.at_ms);
            let busy = State::Busy { until: self.now + run.takes_ms, began: self.now };
            if let Some(machine) = self.machines.get_mut(&id) {
                machine.state = busy;
            }
        }
    }

    /// One machine, chosen by the seed, gets two minutes' notice.
    pub(crate) fn interrupt(&mut self) {
        let all: Vec<MachineId> = self.machines.keys().copied().collect();
        let Some(id) = all.get(self.dice.usize(0..all.len().max(1))) else { return };
        if let Some(machine) = self.machines.get_mut(id) {
            machine.taken_at.get_or_insert(self.now + NOTICE_MS);
        }
    }

    /// When something happens by itself next.
    pub(crate) fn next_change(&self) -> Option<Ms> {
        let changes = self.machines.values().flat_map(|m| {
            let by_state = match m.state {
                State::Booting { up_at } => (up_at < Ms::MAX).then_some(up_at),
                State::Busy { until, .. } => Some(until),
                State::Idle { .. } => None,
            };
            by_state.into_iter().chain(m.taken_at)
        });
        changes.chain(self.relaunch_at).min()
    }

    pub(crate) fn close(&mut self) {
        let left: Vec<MachineId> = self.machines.keys().copied().collect();
        for id in left {
            if let Some(machine) = self.machines.remove(&id) {
                self.outcome.machine_ms += self.now - machine.launched_at;
            }
        }
        self.outcome.unstarted = self.queue.len();
        let waiting: Vec<Ms> = self.queue.iter().map(|run| self.now - run.at_ms).collect();
        self.outcome.waits_ms.extend(waiting);
    }
}
