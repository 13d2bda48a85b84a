//! Machines whose clocks do not agree: nobody compares two of them (rule E2).
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{LONG, World, until};
use std::sync::atomic::Ordering;

const FIVE_MINUTES_MS: i64 = 5 * 60 * 1_000;

/// The observer is ten minutes ahead of the workers: whoever compared times would take the living for
/// dead at once. Behind them, it would never see the dead.
#[test]
fn clocks_ten_minutes_apart_hide_no_dead_worker_and_bury_no_living_one() {
    for scheduler_ms in [FIVE_MINUTES_MS, -FIVE_MINUTES_MS] {
        let (world, cloud) = World::cloud_alone("terraform");
        let gates = ["lives", "dies"].map(|stack| world.tool.gate(&format!("{stack}.shell")));
        world.define(&[("lives", ""), ("dies", "autodeploy: true")]);
        world.slow_code("lives", "first", &gates[0]).slow_code("dies", "first", &gates[1]);
        let sha = world.repo.commit("Two stacks");
        drop(world.up(0));
        let deployed = cloud.deployed();
        deployed.cloud.lambda.set_clock("Scheduler", scheduler_ms);
        for other in ["Webhook", "Api", "Drift"] {
            deployed.cloud.lambda.set_clock(other, -scheduler_ms);
        }
        deployed.workers_ahead_ms.store(-scheduler_ms, Ordering::Relaxed);
        let up = world.up(2);
        let lives = up.reaches("lives", &sha, "UNCONFIRMED");
        up.confirm(&lives);
        for gate in &gates {
            gate.wait_reached(LONG);
        }
        let dies = up.reaches("dies", &sha, "APPLYING");
        up.kill_worker_of(id(&dies));
        until("the silence to be told", 2 * LONG, || {
            let run = up.run(id(&dies));
            run["silent_since"].is_string().then_some(()).ok_or_else(|| run.to_string())
        });
        // It has been held for longer than a lease, too.
        let living = up.run(id(&lives));
        assert_eq!(living["state"], "APPLYING", "{living}");
        assert!(living["silent_since"].is_null(), "its worker is heard of: {living}");
        for gate in &gates {
            gate.open();
        }
        up.becomes(id(&lives), "FINISHED");
        up.becomes(id(&dies), "FAILED");
        up.becomes(&up.retry(id(&dies)), "FINISHED");
        world.prove(&up, Times::Killed);
    }
}
