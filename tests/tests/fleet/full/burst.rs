//! A burst: machines come, do what there is to do, and go.
use super::*;
use e2e::proofs::Times;
use emulator::{Hook, Why};

#[test]
fn a_burst_starts_machines_in_one_tick_and_idle_ones_go_through_their_hook() {
    let stacks = ["a", "b", "c"];
    let yard = Yard::open(&stacks, 10, 3_000);
    let sha = yard.push(&stacks, "first");
    until("three runs to wait for a machine", LONG, || {
        for stack in stacks {
            let run = yard.up.find(stack, &sha, "TRACKED")?;
            if run["state"] != "READY" {
                return Err(brief(&run));
            }
        }
        Ok(())
    });
    yard.pool.cloud.invoke("Autoscaler", r#"{"tick":true}"#).expect("a tick");
    let standing = yard.pool.group.standing();
    assert_eq!((standing.desired, standing.instances.len()), (3, 3), "one tick: {standing:?}");

    yard.pool.cloud.start();
    yard.finished(&stacks, &sha);
    yard.empties();
    let ends = yard.pool.group.ends();
    assert_eq!(ends.len(), 3, "{ends:#?}");
    for end in &ends {
        assert_eq!((end.why, end.hook), (Why::User, Hook::Completed), "{end:?}");
    }
    yard.pool.prove();
    yard.world.prove(&yard.up, Times::Peaceful);
}
