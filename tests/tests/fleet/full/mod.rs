//! Autoscaler and drainer in our own module: lifecycle hooks, a store, workers of ours. Both come from
//! `infra/worker-pool.yaml`, beside a control plane from `infra/template.yaml`; on each machine there
//! is a real worker with real Terraform.
mod burst;
mod chaos;
mod deaths;
mod notices;
mod refresh;
mod spacelift;
mod spot;
mod woken;

use e2e::cloud::place::Inner;
use e2e::fleet::{Group, Pool};
use e2e::up::{brief, id};
use e2e::{Gate, LONG, Up, World, until};
use serde_json::json;
use std::sync::Arc;

/// A control plane with a pool. Each story has an API server of its own: time passes there for
/// everybody.
struct Yard {
    // Dropped in this order: who looks at what others did goes first.
    pool: Pool,
    up: Up,
    control: Arc<Inner>,
    world: World,
}

impl Yard {
    /// Deployed, and started but for the pool's ticks. At most so many machines, of which none goes
    /// that was idle for less than `idle_delay_ms`.
    #[track_caller]
    fn open(stacks: &[&str], max: u32, idle_delay_ms: u64) -> Self {
        Self::of(stacks, max, idle_delay_ms, 100)
    }

    /// The same, and all machines are Spot's.
    #[track_caller]
    fn on_spot(stacks: &[&str], max: u32, idle_delay_ms: u64) -> Self {
        Self::of(stacks, max, idle_delay_ms, 0)
    }

    #[track_caller]
    fn of(stacks: &[&str], max: u32, idle_delay_ms: u64, on_demand_percent: u32) -> Self {
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
        let pool = Pool::deploy(&world, &control, max, on_demand_percent, &policy);
        Self { pool, up, control, world }
    }

    /// Another commit in which each of these stacks has this value.
    fn push(&self, stacks: &[&str], value: &str) -> String {
        for stack in stacks {
            self.world.code(stack, value);
        }
        self.world.repo.commit(value)
    }

    /// The same, and each apply stops in its middle at the stack's gate.
    fn push_held(&self, stacks: &[&str], value: &str) -> (String, Vec<Gate>) {
        let hold = |stack: &&str| {
            let gate = self.world.tool.gate(&format!("{stack}.shell"));
            self.world.slow_code(stack, value, &gate);
            gate
        };
        let gates = stacks.iter().map(hold).collect();
        (self.world.repo.commit(value), gates)
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

    /// Waits until this machine has gone.
    #[track_caller]
    fn goes(&self, machine: &str) {
        until(&format!("{machine} to go"), LONG, || {
            let ends = self.pool.group.ends();
            let gone = ends.iter().any(|end| end.instance == machine);
            if gone { Ok(()) } else { Err(format!("{ends:?} went")) }
        });
    }

    /// Invocations of a function of the pool's that ended well.
    fn ticks(&self, function: &str) -> usize {
        let reports = self.pool.cloud.lambda.reports(function);
        reports.iter().filter(|report| report.failed.is_none()).count()
    }

    /// Waits until the drainer has looked several times.
    #[track_caller]
    fn looks(&self) {
        let before = self.ticks("Drainer");
        until("the drainer to look", LONG, || {
            let looked = self.ticks("Drainer") - before;
            if looked >= 3 { Ok(()) } else { Err(format!("{looked} times")) }
        });
    }

    /// Time passes for documents under this prefix, and for nothing else.
    fn older(&self, prefix: &str, ms: u64) {
        let (emulator, bucket) = (&self.pool.group.emulator, self.control.cloud.bucket());
        emulator.make_older(bucket, prefix, ms).expect("the API server answers");
    }
}

/// An operator ends a machine, and another is to take its place.
fn end_by_hand(group: &Group, machine: &str) {
    let form = [("InstanceId", machine), ("ShouldDecrementDesiredCapacity", "false")];
    group.did("TerminateInstanceInAutoScalingGroup", &form);
}
