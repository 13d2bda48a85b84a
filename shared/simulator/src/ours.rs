//! Our decisions, carried out in the simulated world as the real shell carries them out.
use crate::world::{MachineId, State, World};
use crate::{Controller, Ms};
use windlass_core::fleet::{
    Action, Demand, Draining, Group, Lease, Memory, Notice, OpId, Place, Policy, SeenInstance,
    SeenWorker, Snapshot, Victim, Whereabouts, decide,
};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;

pub struct Ours {
    pub policy: Policy,
    memory: Memory,
}

impl Ours {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, memory: Memory::fresh() }
    }
}

impl Controller for Ours {
    fn woken_by_work(&self) -> bool {
        true
    }

    fn tick(&mut self, world: &mut World) {
        let plan = decide(&self.policy, &look(world), &self.memory);
        self.memory = plan.memory;
        for action in &plan.actions {
            act(world, action);
        }
    }
}

fn at(ms: Ms) -> UnixMs {
    UnixMs(1_795_435_200_000 + ms)
}

/// The world as Auto Scaling and the workers' records tell of it.
fn look(world: &World) -> Snapshot {
    let instances = world.machines.values().map(|m| SeenInstance {
        id: name(m.id),
        place: Place::InService,
        launched_at: at(m.launched_at),
        template: 1,
        protected: true,
        notice: m.taken_at.map(|_| Notice::Spot),
    });
    let workers = world.machines.values().filter_map(|m| {
        let registered_at = at(m.registered_at?);
        let (busy, idle_since) = match m.state {
            State::Busy { .. } => (1, None),
            State::Idle { since } => (0, Some(at(since))),
            State::Booting { .. } => (0, None),
        };
        let draining = m.draining.then(|| match &m.op {
            Some(op) => Draining::Ours { op: OpId(op.clone()), doomed: false },
            None => Draining::Theirs,
        });
        Some(SeenWorker {
            id: m.id.to_string(),
            on: Whereabouts::On(name(m.id)),
            slots: 1,
            busy,
            draining,
            lease: Lease::Live,
            registered_at,
            idle_since,
        })
    });
    let oldest = world.queue.iter().map(|run| world.now - run.at_ms).max().unwrap_or(0);
    let (now, bounds) = (at(world.now), world.trace.group);
    Snapshot {
        now,
        due: now,
        woken: false,
        group: Group {
            name: "simulated".to_owned(),
            desired: world.desired,
            min: bounds.min,
            max: bounds.max,
            launches_failed: world.launches_failed,
        },
        instances: instances.collect(),
        workers: workers.collect(),
        demand: Demand {
            schedulable: u32::try_from(world.queue.len()).unwrap_or(u32::MAX),
            oldest_ms: oldest,
            ..Demand::default()
        },
    }
}

fn act(world: &mut World, action: &Action) {
    match action {
        Action::SetDesired { to, .. } => {
            let _ = world.set_desired(*to);
        }
        Action::Retire { count, candidates } => {
            let mut left = *count;
            for victim in candidates {
                if left == 0 {
                    break;
                }
                left -= u32::from(retire(world, victim));
            }
        }
        Action::Drain { victim } => {
            mark(world, victim);
        }
        Action::Finish { victim } | Action::End { victim } => {
            let _ = world.terminate(id(&victim.instance), victim.decrement);
        }
        Action::Undrain { instance, .. } => {
            world.drain(id(instance), false);
        }
    }
}

fn mark(world: &mut World, victim: &Victim) -> bool {
    let machine = id(&victim.instance);
    let idle = world.drain(machine, true);
    if let Some(machine) = world.machines.get_mut(&machine) {
        machine.op = Some(victim.op.0.clone());
    }
    idle
}

/// Drained if it is idle, and ended; false if a run came first.
fn retire(world: &mut World, victim: &Victim) -> bool {
    let machine = id(&victim.instance);
    if !mark(world, victim) {
        world.drain(machine, false);
        return false;
    }
    let _ = world.terminate(machine, victim.decrement);
    true
}

fn name(id: MachineId) -> InstanceId {
    InstanceId(format!("{id:08}"))
}

fn id(name: &InstanceId) -> MachineId {
    name.0.parse().unwrap_or(0)
}
