//! What happens between two ticks. Here no tick comes by itself.
use super::*;
use e2e::proofs::Times;

#[test]
fn a_queued_run_starts_a_machine_and_no_tick_is_needed() {
    let stacks = ["a"];
    let yard = Yard::open(&stacks, 10, 3_000);
    yard.pool.cloud.start_without_ticks();
    let sha = yard.push(&stacks, "first");
    yard.finished(&stacks, &sha);
    let standing = yard.pool.group.standing();
    assert_eq!((standing.desired, standing.instances.len()), (1, 1), "{standing:?}");
    // Nobody goes before a tick comes.
    yard.pool.cloud.stop(false);
    yard.pool.cloud.start();
    yard.empties();
    yard.pool.prove();
    yard.world.prove(&yard.up, Times::Peaceful);
}
