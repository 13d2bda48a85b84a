//! Crash everywhere: the server dies at every port call in turn, once before the call's effect
//! and once after it; started anew, redelivery and the tick bring everything to the same end.
use crate::invariants::Watch;
use crate::scenarios::{self, Scenario};
use crate::world::World;
use windlass_core::id::{Digest, StackId};
use windlass_ports::fake::Strike;

/// What a scenario comes to, whatever died on the way.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    runs: Vec<(StackId, String, String)>,
    applied: Vec<(StackId, Digest)>,
    locked: Vec<StackId>,
    owed: usize,
}

pub(crate) async fn end(world: &World) -> End {
    let mut watch = Watch::default();
    let broken = watch.at_rest(world).await;
    assert!(broken.is_empty(), "{broken:#?}\n{}", world.faults.story());
    let mut runs: Vec<_> = watch
        .runs
        .values()
        .map(|run| (run.stack.clone(), run.id().0.clone(), run.state.name().to_string()))
        .collect();
    runs.sort();
    let mut applied = world.applied.clone();
    applied.sort();
    let heads = watch.heads.values();
    End {
        runs,
        applied,
        locked: heads.clone().filter(|h| h.lock.is_some()).map(|h| h.stack.clone()).collect(),
        owed: heads.map(|head| head.outbox.len()).sum(),
    }
}

/// Runs the scenario once for every call and both sides of it.
async fn everywhere(Scenario { setup, act }: Scenario) {
    let before = setup().await;
    let mut world = before.fork();
    act(&mut world).await;
    world.settle_messages().await;
    world.back_to_work(&before);
    world.quiet_down().await;
    let (expected, calls) = (end(&world).await, world.faults.calls());
    assert!(calls > 10, "the scenario does something");
    // A process that dies at a read leaves the world as if it had died at the effect before.
    let effects = world.faults.trace().into_iter().filter(|call| has_effect(&call.name));
    for number in effects.map(|call| call.number) {
        for strike in [Strike::CrashBefore, Strike::CrashAfter] {
            let mut world = before.fork();
            world.faults.replan(move |n, _| (n == number).then_some(strike));
            act(&mut world).await;
            let mut watch = Watch::default();
            while world.step().await {
                watch.expect(&world, &format!("before the crash at {number}")).await;
            }
            world.restart().await;
            world.observe().await.expect("observed");
            // What the dead process held comes back; then those go on whom the scenario held.
            world.advance(31_000);
            world.settle_messages().await;
            world.back_to_work(&before);
            while world.step().await {
                watch.expect(&world, &format!("after {strike:?} at {number}")).await;
            }
            world.quiet_down().await;
            let got = end(&world).await;
            if got != expected {
                let story = world.faults.story();
                panic!("{strike:?} at call {number}:\n{story}{got:#?}\nnot\n{expected:#?}");
            }
        }
    }
}

pub(crate) fn has_effect(call: &str) -> bool {
    let port = |kind: &str| call.starts_with(kind);
    port("docs.put") || port("docs.delete") || port("queues") || port("blobs.put")
}

macro_rules! each { ($($name:ident)+) => {$(
    #[tokio::test]
    async fn $name() {
        everywhere(scenarios::$name()).await;
    }
)+}; }

each! {
    a_first_commit an_automatic_apply a_confirmation a_cancel_of_a_ready_run a_stop_of_a_plan
    a_retry a_trigger_with_dependents a_destroy a_lost_plan a_lost_apply changed_definitions
    a_stack_that_leaves
}
