//! protocol.md §2 (c): fleets. Each test names the rule that it passes by.
use super::hooks::leaving;
use super::world::{World, min};
use crate::pool::CAN;
use drainer::Report;
use windlass_ports::fake::Strike;

/// Rule C2: from doomed is no way back, however late the call that ends it takes effect.
#[tokio::test]
async fn c1_a_late_end_meets_no_run() {
    let world = World::idle(1);
    world.fleet.set_hook(None);
    world.faults.replan(|_, name| name.starts_with("fleet.end").then_some(Strike::Before));
    world.tick().await;
    world.crew.queue(1);
    world.faults.revive();
    let (crew, machine) = (world.crew.clone(), world.machine(1));
    world.faults.replan(move |_, _| {
        crew.claim(&machine);
        None
    });
    world.pass(min(1));
    world.tick().await;
    world.nobody_busy_ended();
    assert_eq!(world.gone().len(), 1);
}

/// Rule: whoever died while draining, the next tick goes on.
#[tokio::test]
async fn c2_a_drain_whose_tick_died() {
    let world = World::idle(1);
    world.faults.replan(|_, name| name.starts_with("pool.drain").then_some(Strike::CrashAfter));
    world.tick().await;
    world.faults.revive();
    world.pass(min(1));
    world.tick().await;
    world.drains().await.expect("drained");
    assert_eq!(world.gone().len(), 1);
}

/// Rules C1 and C4: a worker that registers and takes a run while a hook finds nobody is drained by
/// the very swap that would have fenced it off.
#[tokio::test]
async fn c3_a_worker_registers_while_a_hook_finds_nobody() {
    let world = World::new();
    world.fleet.change(|group| group.desired = 1);
    world.fleet.settle();
    let (machine, message) = leaving(&world);
    let (crew, there) = (world.crew.clone(), machine.clone());
    world.faults.replan(move |_, name| {
        if name.starts_with("pool.close") && crew.record(&there).is_none() {
            assert!(crew.register(&there, 1) && crew.claim(&there));
        }
        None
    });
    world.deliver(&message).await;
    world.nobody_busy_ended();
    world.crew.finish(&machine);
    assert!(!world.crew.claim(&machine), "no second run");
    world.drains().await.expect("drained");
    assert_eq!(world.gone(), [machine]);
}

/// Rule C5: a lost message loses nothing; the tick sees who waits, and puts busy machines off.
#[tokio::test]
async fn c4_the_message_is_lost() {
    let world = World::idle(2);
    world.busy(&[1]);
    let machines = [world.machine(1), world.machine(2)];
    machines.iter().for_each(|machine| world.fleet.refresh(machine));
    for minute in 0..20 {
        let report = world.drains().await.expect("drained");
        let first = Report { waiting: 2, completed: 1, stuck: 0, failed: 0 };
        let then = Report { waiting: 1, ..Report::default() };
        assert_eq!(report, if minute == 0 { first } else { then });
        world.pass(min(1));
        world.fleet.settle();
    }
    world.nobody_busy_ended();
    world.crew.finish(&machines[0]);
    assert_eq!(world.drains().await.expect("drained").completed, 1);
}

/// Rule C3: a drain is a mark beside busy, so the machine starves nobody's hook.
#[tokio::test]
async fn c5_a_run_follows_a_run() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.deliver(&message).await;
    world.crew.queue(5);
    world.crew.finish(&machine);
    assert!(!world.crew.claim(&machine));
    world.drains().await.expect("drained");
    assert_eq!(world.gone(), [machine]);
}

/// Rules C4 and B2: an agent that died with a run holds its hook until it is declared lost.
#[tokio::test]
async fn c6_the_agent_died_busy() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.crew.silence(&machine);
    world.pass(min(3));
    world.deliver(&message).await;
    assert_eq!(world.gone(), []);
    world.crew.void(&machine);
    world.drains().await.expect("drained");
    assert_eq!(world.gone(), [machine]);
}

/// Rule C3: nobody takes a person's drain back.
#[tokio::test]
async fn c7_an_operators_drain_stays() {
    let world = World::idle(2);
    let machine = world.machine(1);
    world.busy(&[1]);
    world.crew.operate(&machine, true);
    let mark = world.crew.record(&machine).expect("there").drain;
    world.crew.queue(5);
    for _ in 0..5 {
        world.tick().await;
        world.drains().await.expect("drained");
        assert_eq!(world.crew.record(&machine).expect("there").drain, mark);
        world.pass(min(1));
        world.settle();
    }
    // Idle, it goes; that runs wait brings another, and not this one back.
    world.crew.finish(&machine);
    world.crew.queue(19);
    world.tick().await;
    world.drains().await.expect("drained");
    assert!(world.gone().contains(&machine));
    assert_eq!(world.calls("pool.undrain"), 0);
}

/// Rule C1: two ticks, and a run in between, leave nothing half ended.
#[tokio::test]
async fn c8_two_ticks_and_a_run() {
    let mut world = World::new();
    (world.slots, world.policy.slots_per_instance) = (2, 2);
    let world = world.with(1);
    let other = world.clone();
    let mut told = false;
    world.faults.replan(move |_, name| {
        if name.starts_with("pool.doom") && !told {
            told = true;
            other.crew.queue(1);
            other.pass(min(1));
            other.tick_meanwhile();
            other.crew.claim(&other.machine(1));
        }
        None
    });
    world.tick().await;
    for _ in 0..3 {
        world.pass(min(1));
        world.tick().await;
        world.drains().await.expect("drained");
        world.nobody_busy_ended();
    }
    if !CAN.doom {
        // What was begun counts as doomed there: it went, idle.
        return assert_eq!(world.gone(), [world.machine(1)]);
    }
    let machine = world.crew.record(&world.machine(1));
    assert!(machine.is_some_and(|record| record.busy() && record.drain.is_none()));
}
