//! Autoscaler and drainer in our own module: lifecycle hooks, a store, workers of ours. Both come from
//! `infra/worker-pool.yaml`, beside a control plane from `infra/template.yaml`; on each machine there
//! is a real worker with real Terraform.
mod burst;

use e2e::fleet::Pool;
use e2e::up::brief;
use e2e::{LONG, Up, World, until};
use serde_json::json;

/// A control plane with a pool. Each story has an API server of its own: time passes there for
/// everybody.
struct Yard {
    // Dropped in this order: who looks at what others did goes first.
    pool: Pool,
    up: Up,
    world: World,
}

impl Yard {
    /// Deployed, and started but for the pool's ticks. At most so many machines, of which none goes
    /// that was idle for less than `idle_delay_ms`.
    #[track_caller]
    fn open(stacks: &[&str], max: u32, idle_delay_ms: u64) -> Self {
        let (world, place) = World::cloud_alone("terraform");
        let keys = "autodeploy: true";
        let defined: Vec<(&str, &str)> = stacks.iter().map(|stack| (*stack, keys)).collect();
        world.define(&defined);
        for stack in stacks {
            world.code(stack, "nothing yet");
        }
        let up = world.up(0);
        let control = place.deployed();
        let policy = json!({ "idle_delay_ms": idle_delay_ms });
        let pool = Pool::deploy(&world, &control, max, &policy);
        Self { pool, up, world }
    }

    /// Another commit in which each of these stacks has this value.
    fn push(&self, stacks: &[&str], value: &str) -> String {
        for stack in stacks {
            self.world.code(stack, value);
        }
        self.world.repo.commit(value)
    }

    #[track_caller]
    fn finished(&self, stacks: &[&str], sha: &str) {
        for stack in stacks {
            self.up.reaches(stack, sha, "FINISHED");
        }
    }

    /// Waits until no machine is left.
    #[track_caller]
    fn empties(&self) {
        until("the pool to be empty", LONG, || {
            let standing = self.pool.group.standing();
            match standing.instances.is_empty() && standing.desired == 0 {
                true => Ok(()),
                false => Err(format!("{standing:?}")),
            }
        });
    }
}
