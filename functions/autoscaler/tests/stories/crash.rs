//! Death at every call, before its effect and after it; and everything twice. Whatever died, the
//! next minutes bring everything to the same end.
use super::world::{World, min};
use drainer::Fate;
use std::collections::BTreeSet;
use windlass_core::fleet::Notice;
use windlass_core::id::InstanceId;
use windlass_ports::fake::Strike;

/// A pool with something to do for both functions, and what happens after the first minute.
struct Scenario {
    name: &'static str,
    setup: fn() -> World,
    then: fn(&World),
}

/// What it comes to.
#[derive(Debug, PartialEq)]
struct End {
    desired: u32,
    serving: usize,
    gone: BTreeSet<InstanceId>,
    waiting: usize,
    held: Option<String>,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "surplus", setup: surplus, then: |_| {} },
    Scenario { name: "growth", setup: growth, then: |_| {} },
    Scenario { name: "broken", setup: broken, then: |_| {} },
    Scenario { name: "hooks", setup: hooks, then: |world| finish(world, &[1]) },
    Scenario { name: "by hand", setup: by_hand, then: |world| finish(world, &[1, 2]) },
];

fn finish(world: &World, machines: &[usize]) {
    for n in machines {
        if world.crew.busy(&world.machine(*n)) > 0 {
            world.crew.finish(&world.machine(*n));
        }
    }
}

/// Five machines of which two have runs, one drained by a person.
fn surplus() -> World {
    let world = World::idle(5);
    world.busy(&[2, 4]);
    world.crew.operate(&world.machine(4), true);
    world
}

fn growth() -> World {
    let world = World::idle(1);
    world.busy(&[1]);
    world.crew.queue(3);
    world
}

/// One lost, one that never came up, one that leaked; all suspected before.
fn broken() -> World {
    let mut world = World::idle(3);
    world.policy.abnormal_percent = 100;
    world.busy(&[1]);
    world.crew.silence(&world.machine(2));
    world.crew.unregister(&world.machine(3));
    world.dud = Some(world.machine(3));
    world.fleet.change(|group| group.min = 3);
    world.fleet.stray(true);
    world.pass(min(18));
    world.tick_meanwhile();
    world.pass(min(1));
    world
}

/// One busy and one idle wait; one is warned of.
fn hooks() -> World {
    let world = World::idle(3);
    world.busy(&[1]);
    world.fleet.change(|group| group.min = 3);
    world.fleet.refresh(&world.machine(1));
    world.fleet.refresh(&world.machine(2));
    world.fleet.warn(&world.machine(3), Notice::Rebalance);
    world
}

fn by_hand() -> World {
    let world = World::idle(3);
    world.busy(&[1, 2]);
    world.fleet.change(|group| group.desired = 0);
    world
}

/// Everything that a minute brings: both ticks, and each message that AWS still has.
async fn minute(world: &World, times: u32) {
    for _ in 0..times {
        let _ = world.try_tick().await;
        for seen in world.fleet.machines() {
            if let Some(message) = world.message(&seen.id) {
                let _: Fate = world.deliver(&message).await;
            }
        }
        let _ = world.drains().await;
        world.nobody_busy_ended();
    }
}

async fn end(world: &World, then: fn(&World), times: u32) -> End {
    for n in 0..12 {
        world.pass(min(1));
        if n == 2 {
            then(world);
        }
        world.settle();
        world.faults.revive();
        minute(world, times).await;
    }
    let waiting = world.fleet.machines().iter().filter(|m| world.message(&m.id).is_some()).count();
    End {
        desired: world.desired(),
        serving: world.fleet.in_service().len(),
        gone: world.gone().into_iter().collect(),
        waiting,
        held: world.ledger().await.holder,
    }
}

#[tokio::test]
async fn everywhere() {
    let all = SCENARIOS.iter().flat_map(|scenario| [(scenario, false), (scenario, true)]);
    for (Scenario { name, setup, then }, deep) in all {
        let mut before = setup();
        before.deep = deep;
        if deep && before.crew.behind(&before.faults).is_none() {
            continue;
        }
        let world = before.fork();
        minute(&world, 1).await;
        let calls = world.faults.trace();
        let expected = end(&world, *then, 1).await;
        assert_eq!((expected.waiting, &expected.held), (0, &None), "{name}");
        assert!(calls.len() > 8, "{name} does something");
        for call in calls {
            let strikes = [Strike::CrashBefore, Strike::After, Strike::CrashAfter, Strike::Before];
            // What an answer's loss or a death does within a question, the other two do as well.
            for &strike in if deep { &strikes[..2] } else { &strikes[..] } {
                let world = before.fork();
                world.faults.replan(move |n, _| (n == call.number).then_some(strike));
                minute(&world, 1).await;
                let got = end(&world, *then, 1).await;
                let story =
                    || format!("{name}: {strike:?} at {}\n{}", call.number, world.faults.story());
                assert_eq!(got, expected, "{}", story());
            }
        }
    }
}

#[tokio::test]
async fn everything_twice() {
    for Scenario { name, setup, then } in SCENARIOS {
        let before = setup();
        let (once, twice) = (before.fork(), before.fork());
        minute(&once, 1).await;
        minute(&twice, 2).await;
        assert_eq!(end(&once, then, 1).await, end(&twice, then, 2).await, "{name}");
    }
}
