//! A model of Spacelift's EC2 autoscaler, as its source decides (`ec2-workerpool-autoscaler`,
//! `internal/state.go` and `internal/auto_scaler.go`).
//!
//! One look a minute. Drained workers are not seen. Machines in service for ten minutes without a
//! worker are strays: ended without making the group smaller. Then, only if as many workers are
//! registered as the group should have machines, one step towards
//! `ceil((busy + pending) * 100 / utilisation)`.
use crate::world::{MachineId, State};
use crate::{Controller, Ms, World};

const STRAY_MS: Ms = 10 * 60_000;

/// `AUTOSCALING_…` of its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_create: u32,
    pub max_kill: u32,
    pub scale_down_delay_ms: Ms,
    /// Idle time instead of age since registration.
    pub use_idle_time: bool,
    pub target_utilisation_percent: u32,
    pub capacity_sanity_check: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_create: 1,
            max_kill: 1,
            scale_down_delay_ms: 0,
            use_idle_time: false,
            target_utilisation_percent: 100,
            capacity_sanity_check: 10,
        }
    }
}

pub struct Spacelift {
    pub settings: Settings,
}

impl Controller for Spacelift {
    fn woken_by_work(&self) -> bool {
        false
    }

    fn tick(&mut self, world: &mut World) {
        let workers: Vec<Seen> = seen(world);
        self.reset_absurd(world, &workers);
        strays(world);
        let registered = count(workers.len());
        if registered != world.desired {
            return;
        }
        let busy = count(workers.iter().filter(|w| w.busy).count());
        let target = self.target(busy + count(world.queue.len()));
        if target > world.desired {
            let room = world.trace.group.max - world.desired.min(world.trace.group.max);
            let step = (target - world.desired).min(self.settings.max_create).min(room);
            let _ = world.set_desired(world.desired + step);
        } else if target < world.desired {
            self.scale_down(world, &workers, world.desired - target);
        }
    }
}

struct Seen {
    id: MachineId,
    busy: bool,
    registered_at: Ms,
    idle_since: Option<Ms>,
}

/// Registered and not drained, oldest first.
fn seen(world: &World) -> Vec<Seen> {
    let mut seen: Vec<Seen> = world
        .machines
        .values()
        .filter(|m| !m.draining)
        .filter_map(|m| {
            let idle_since = match m.state {
                State::Idle { since } => Some(since),
                _ => None,
            };
            let busy = matches!(m.state, State::Busy { .. });
            Some(Seen { id: m.id, busy, registered_at: m.registered_at?, idle_since })
        })
        .collect();
    seen.sort_by_key(|w| w.registered_at);
    seen
}

fn strays(world: &mut World) {
    let now = world.now;
    let strays: Vec<MachineId> = world
        .machines
        .values()
        .filter(|m| m.registered_at.is_none() || m.draining)
        .filter(|m| now - m.launched_at > STRAY_MS)
        .map(|m| m.id)
        .collect();
    for id in strays {
        let _ = world.terminate(id, false);
    }
}

impl Spacelift {
    fn target(&self, demand: u32) -> u32 {
        (demand * 100).div_ceil(self.settings.target_utilisation_percent.clamp(1, 100))
    }

    fn reset_absurd(&self, world: &mut World, workers: &[Seen]) {
        let demand = count(workers.len()) + count(world.queue.len());
        let expected = self.target(demand) + self.settings.max_create;
        let bounds = world.trace.group;
        let absurd = world.desired.saturating_sub(expected) >= self.settings.capacity_sanity_check;
        if absurd && world.desired > bounds.min {
            let _ = world.set_desired(self.target(demand).clamp(bounds.min, bounds.max));
        }
    }

    fn scale_down(&self, world: &mut World, workers: &[Seen], excess: u32) {
        let Settings { max_kill, scale_down_delay_ms, use_idle_time, .. } = self.settings;
        let old = |w: &&Seen| {
            let from = if use_idle_time { w.idle_since } else { Some(w.registered_at) };
            !w.busy && from.is_some_and(|from| world.now - from >= scale_down_delay_ms)
        };
        let idle: Vec<MachineId> = workers.iter().filter(old).map(|w| w.id).collect();
        let room = world.desired - world.trace.group.min.min(world.desired);
        let limit = excess.min(max_kill).min(room).min(count(idle.len()));
        for id in idle.into_iter().take(usize::try_from(limit).unwrap_or(0)) {
            match world.drain(id, true) {
                true if world.terminate(id, true).is_ok() => {}
                true => {}
                false => {
                    world.drain(id, false);
                }
            }
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
