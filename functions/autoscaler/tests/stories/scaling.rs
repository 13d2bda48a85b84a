//! The autoscaler's scenarios, as the handler carries them out. What is decided is tested in core;
//! here is what becomes of it.
use super::world::{World, min};
use crate::pool::CAN;
use std::collections::BTreeMap;
use windlass_core::fleet::{Alarm, Because, Cause, Unmet, Why};
use windlass_core::id::InstanceId;
use windlass_core::instance::DrainedBy;
use windlass_ports::fake::Strike;

/// Rule: a burst is met in steps, at once; what is short is on record with its cause.
#[tokio::test]
async fn s01_a_burst() {
    let world = World::new();
    world.crew.queue(60);
    for (desired, slots, cause) in [(10, 50, Cause::Step), (20, 40, Cause::Max)] {
        assert_eq!(world.why().await, Why::Grown);
        assert_eq!(world.desired(), desired);
        let explained = world.ledger().await.explained.expect("explained");
        assert_eq!(explained.unmet, Some(Unmet { slots, cause }));
        assert_eq!(explained.seen.schedulable, 60);
        world.pass(min(1));
    }
}

/// Rule: a claim that comes before the drain wins; the next candidate goes.
#[tokio::test]
async fn s13_a_claim_comes_first() {
    let mut world = World::idle(3);
    world.policy.step_down_max = 1;
    let (first, second) = (world.machine(1), world.machine(2));
    let (crew, claimed) = (world.crew.clone(), first.clone());
    world.faults.replan(move |_, name| {
        if name == format!("pool.drain {claimed}") {
            crew.claim(&claimed);
        }
        None
    });
    let report = world.tick().await;
    assert_eq!((report.spared, report.removed), (1, BTreeMap::from([(Because::Surplus, 1)])));
    assert_eq!(world.calls(&format!("fleet.end {first}")), 0);
    assert_eq!(world.crew.record(&first).expect("there").drain, None, "nothing to undo");
    world.drains().await.expect("drained");
    assert_eq!((world.gone(), world.desired()), (vec![second], 2));
    world.nobody_busy_ended();
}

/// Rule: a death between drain and end is finished under the same op, and counts once.
#[tokio::test]
async fn s14_a_tick_dies_between_drain_and_end() {
    for at in ["pool.drain", "pool.doom", "fleet.protect", "fleet.end"] {
        for strike in [Strike::CrashBefore, Strike::CrashAfter] {
            let world = World::idle(1);
            world.faults.replan(move |_, name| name.starts_with(at).then_some(strike));
            let _ = world.try_tick().await;
            assert!(world.faults.crashed(), "{at}");
            let op = world.ledger().await.memory.ops.values().next().expect("on record").clone();
            world.faults.revive();
            world.pass(min(1));
            world.tick().await;
            let begun = (at, strike) != ("pool.drain", Strike::CrashBefore);
            if let Some(record) = world.crew.record(&world.machine(1)).filter(|_| begun) {
                let drain = record.drain.expect("it drains");
                assert_eq!(drain.by, DrainedBy::Tick { op: op.id }, "{at}");
                assert_eq!(drain.doomed, CAN.doom, "{at}");
            }
            world.drains().await.expect("drained");
            assert_eq!((world.desired(), world.gone().len()), (0, 1), "{at} {strike:?}");
        }
    }
}

/// Rule: only drained, it comes back for a run; doomed, it goes and another comes (C2). Where a
/// pool has no mark for that, what was begun may have been doomed.
#[tokio::test]
async fn s15_it_is_wanted_again() {
    for (at, comes_back) in [("pool.doom", CAN.doom), ("fleet.end", false)] {
        let world = World::idle(1);
        world.faults.replan(move |_, name| {
            let strike = if at == "fleet.end" { Strike::Before } else { Strike::CrashBefore };
            name.starts_with(at).then_some(strike)
        });
        let _ = world.try_tick().await;
        world.faults.revive();
        world.crew.queue(1);
        world.pass(min(1));
        world.tick().await;
        let machine = world.machine(1);
        assert_eq!(world.crew.claim(&machine), comes_back, "{at}");
        world.drains().await.expect("drained");
        assert_eq!(world.gone().is_empty(), comes_back, "{at}");
        assert_eq!(world.desired(), 1, "{at}");
        world.nobody_busy_ended();
    }
}

/// Rule: throttled for minutes, it is tried again under the same op until it is through.
#[tokio::test]
async fn s15_throttled_for_five_minutes() {
    let world = World::idle(2);
    world.faults.replan(|_, name| name.starts_with("fleet.end").then_some(Strike::Before));
    for _ in 0..5 {
        let report = world.tick().await;
        assert_eq!((report.failed, report.removed.len()), (2, 0));
        world.pass(min(1));
    }
    world.faults.revive();
    assert_eq!(world.tick().await.removed, BTreeMap::from([(Because::Surplus, 2)]));
    assert_eq!(world.desired(), 0);
}

/// Rule: a call that took effect though its answer was lost is not made good twice.
#[tokio::test]
async fn s16_the_answer_was_lost() {
    let world = World::idle(2);
    world.faults.replan(|_, name| name.starts_with("fleet.end").then_some(Strike::After));
    assert_eq!(world.tick().await.failed, 2);
    world.faults.revive();
    assert_eq!(world.desired(), 0);
    world.pass(min(1));
    assert_eq!(world.tick().await.removed, BTreeMap::new());
    assert_eq!((world.desired(), world.ledger().await.memory.ops.len()), (0, 0));
}

/// Rule: one busy slot keeps a machine.
#[tokio::test]
async fn s17_one_slot_of_two() {
    let mut world = World::new();
    (world.slots, world.policy.slots_per_instance) = (2, 2);
    let world = world.with(2);
    world.busy(&[1]);
    world.tick().await;
    world.drains().await.expect("drained");
    assert_eq!(world.gone(), [world.machine(2)]);
    assert!(world.crew.claim(&world.machine(1)), "its other slot still takes runs");
}

/// Rule: drained by a person and busy is left alone; it goes when its run has ended.
#[tokio::test]
async fn s20_an_operator_drains_a_busy_worker() {
    let world = World::idle(1);
    world.busy(&[1]);
    let machine = world.machine(1);
    world.crew.operate(&machine, true);
    for _ in 0..40 {
        world.tick().await;
        world.pass(min(1));
    }
    assert_eq!((world.calls("fleet.end"), world.calls("pool.drain")), (0, 0));
    world.crew.finish(&machine);
    assert_eq!(world.tick().await.removed, BTreeMap::from([(Because::Drained, 1)]));
    assert_eq!(world.desired(), 0);
}

/// Rule: an operator who takes the drain back in time keeps the machine.
#[tokio::test]
async fn s20_an_operator_takes_it_back() {
    let world = World::idle(1);
    let machine = world.machine(1);
    world.crew.operate(&machine, true);
    let crew = world.crew.clone();
    world.faults.replan(move |_, name| {
        if name.starts_with("pool.doom") {
            crew.operate(&machine, false);
            crew.queue(1);
            crew.claim(&machine);
        }
        None
    });
    assert_eq!((world.tick().await.spared, world.calls("fleet.end")), (1, 0));
}

/// Rule: the worker of a machine that is gone is no supply, now.
#[tokio::test]
async fn s22_a_phantom() {
    let world = World::idle(3);
    world.busy(&[1, 2]);
    world.fleet.change(|group| group.desired = 2);
    world.fleet.lose(&world.machine(3));
    world.crew.queue(5);
    assert_eq!((world.why().await, world.desired()), (Why::Grown, 7));
}

/// Rule: a worker that names another group is left out, and stops nothing.
#[tokio::test]
async fn s23_a_worker_of_another_group() {
    let world = World::idle(1);
    let stranger = InstanceId::from("i-0ff");
    world.crew.register(&stranger, 1);
    world.crew.estrange(&stranger, "others");
    world.crew.queue(2);
    assert_eq!((world.why().await, world.desired()), (Why::Grown, 2));
    let alarm = Alarm::OtherGroup { worker: "i-0ff".into() };
    assert!(world.ledger().await.explained.expect("explained").alarms.contains(&alarm));
}

/// Rule: what runs outside of every group goes, seen twice, unless it has a run.
#[tokio::test]
async fn s24_machines_that_leaked() {
    let world = World::new();
    let (lonely, drained, busy) =
        (world.fleet.stray(true), world.fleet.stray(true), world.fleet.stray(true));
    for instance in [&drained, &busy] {
        world.crew.register(instance, 1);
    }
    assert!(world.crew.claim(&busy));
    world.crew.operate(&drained, true);
    world.pass(min(20));
    for _ in 0..4 {
        world.tick().await;
        world.pass(min(1));
    }
    let mut gone = world.gone();
    gone.sort();
    assert_eq!(gone, [lonely.clone(), drained]);
    assert_eq!(world.crew.tombstoned(&lonely), CAN.fence);
    assert_eq!(world.desired(), 0, "no group got smaller by it");
    world.nobody_busy_ended();
}

/// Rule: one that vanished hinders no other.
#[tokio::test]
async fn s25_strays_of_which_one_is_gone() {
    let mut world = World::new();
    world.policy.abnormal_percent = 100;
    let strays: Vec<InstanceId> = (0..5).map(|_| world.fleet.stray(true)).collect();
    world.pass(min(20));
    world.tick().await;
    let (fleet, third) = (world.fleet.clone(), strays[2].clone());
    world.faults.replan(move |_, name| {
        if name == format!("fleet.end {third}") {
            fleet.lose(&third);
        }
        None
    });
    world.pass(min(1));
    assert_eq!(world.tick().await.failed, 0);
    assert_eq!(world.gone().len(), 5);
}

/// Rule: an answer that can't be is not acted upon, once; nor is the first look after a while.
#[tokio::test]
async fn s27_nobody_is_there() {
    let world = World::idle(15);
    world.crew.queue(30);
    world.busy(&[1, 2, 3]);
    world.tick().await;
    world.settle();
    let desired = world.desired();
    world.pass(min(1));
    world.crew.set_blind(true);
    assert!(matches!(world.why().await, Why::Implausible { live: 0, .. }));
    let alarms = world.ledger().await.explained.expect("explained").alarms;
    assert!(alarms.contains(&Alarm::Implausible));
    world.crew.set_blind(false);
    world.pass(min(10));
    assert!(matches!(world.why().await, Why::FirstLook { .. }));
    assert_eq!((world.desired(), world.calls("fleet.end")), (desired, 0));
}

/// Rule: the minimum rose while a machine was doomed: it goes all the same, and is replaced.
#[tokio::test]
async fn s28_the_minimum_rose_meanwhile() {
    let world = World::idle(2);
    let fleet = world.fleet.clone();
    world.faults.replan(move |_, name| {
        if name.starts_with("fleet.end") {
            fleet.change(|group| group.min = 2);
        }
        None
    });
    assert_eq!(world.tick().await.removed, BTreeMap::from([(Because::Surplus, 2)]));
    world.drains().await.expect("drained");
    world.settle();
    assert_eq!((world.desired(), world.fleet.in_service().len(), world.gone().len()), (2, 2, 2));
}

/// Rule: protected by us, busy machines outlive an operator's zero; each goes when its run ends,
/// and makes the group no smaller still.
#[tokio::test]
async fn s36_an_operator_says_none() {
    let world = World::new();
    world.fleet.change(|group| group.desired = 6);
    world.settle();
    world.busy(&[1, 2, 3, 4, 5, 6]);
    world.tick().await;
    assert!(world.fleet.machines().iter().all(|seen| seen.protected));
    world.fleet.change(|group| group.desired = 0);
    world.crew.queue(3);
    for n in 1..=6 {
        world.settle();
        world.pass(min(1));
        world.tick().await;
        assert_eq!((world.desired(), world.gone().len()), (0, n - 1));
        assert!((1..=6).all(|n| !world.crew.claim(&world.machine(n))), "no new claims");
        world.crew.finish(&world.machine(n));
        world.pass(min(1));
        world.tick().await;
        world.drains().await.expect("drained");
        world.nobody_busy_ended();
    }
    assert_eq!((world.desired(), world.gone().len()), (0, 6));
    world.settle();
    world.pass(min(1));
    assert_eq!(world.why().await, Why::Grown, "now that it has shrunk, runs count again");
}

/// Rule: what never came up is fenced, then ended; a worker that registers first is left alone.
#[tokio::test]
async fn s07_a_machine_that_does_not_come_up() {
    for late in [false, true] {
        let world = World::new();
        world.fleet.change(|group| group.desired = 1);
        world.fleet.settle();
        world.crew.queue(1);
        let machine = world.machine(1);
        world.pass(min(11));
        world.tick().await;
        world.pass(min(1));
        let (crew, there) = (world.crew.clone(), machine.clone());
        world.faults.replan(move |_, name| {
            if late && name.starts_with("pool.tombstone") {
                crew.register(&there, 1);
                crew.claim(&there);
            }
            None
        });
        let report = world.tick().await;
        assert_eq!((report.spared > 0, world.calls("fleet.end") == 0), (late, late));
        // Where there is no fence, time has to do for one.
        for _ in 0..if CAN.fence { 1 } else { 2 } {
            world.drains().await.expect("drained");
            world.pass(min(1));
        }
        world.nobody_busy_ended();
        assert_eq!(world.gone().contains(&machine), !late);
        let fenced = || !world.crew.register(&machine, 1);
        assert!(late || !CAN.fence || fenced(), "its tombstone holds");
    }
}

/// Rule: a worker that is lost goes with its machine, replaced; one that comes back with a run in
/// the last moment does not.
#[tokio::test]
async fn s21_a_lost_worker() {
    for back in [false, true] {
        let world = World::idle(1);
        let machine = world.machine(1);
        world.fleet.change(|group| group.min = 1);
        world.crew.silence(&machine);
        world.pass(min(18));
        world.tick().await;
        world.pass(min(1));
        let (crew, there) = (world.crew.clone(), machine.clone());
        world.faults.replan(move |_, name| {
            if back && name.starts_with("pool.drain") {
                crew.speak(&there);
                crew.claim(&there);
            }
            None
        });
        let report = world.tick().await;
        assert_eq!(report.removed.get(&Because::Lost).copied().unwrap_or(0), u32::from(!back));
        world.drains().await.expect("drained");
        world.nobody_busy_ended();
    }
}

/// Rule: an action that fails fails nothing else.
#[tokio::test]
async fn an_action_that_fails() {
    let mut world = World::idle(4);
    world.policy.abnormal_percent = 100;
    for n in 1..=2 {
        let machine = world.machine(n);
        world.crew.silence(&machine);
    }
    world.busy(&[3, 4]);
    world.pass(min(18));
    world.tick().await;
    world.crew.queue(3);
    world.pass(min(1));
    let broken = format!("pool.drain {}", world.machine(1));
    world.faults.replan(move |_, name| (*name == *broken).then_some(Strike::Before));
    let report = world.tick().await;
    assert_eq!(report.failed, 1);
    assert_eq!(report.removed, BTreeMap::from([(Because::Lost, 1)]));
    assert_eq!(report.desired, Some(7), "and the size was set");
}

/// Rule: a busy machine that we ended is counted and told; nothing but a broken pool brings it about.
#[tokio::test]
async fn a_busy_kill_is_counted() {
    let world = World::idle(1);
    let (crew, machine) = (world.crew.clone(), world.machine(1));
    world.faults.replan(move |_, name| {
        if name.starts_with("fleet.end") {
            crew.break_promise(&machine);
        }
        None
    });
    assert_eq!(world.tick().await.busy_kills, 1);
}

/// Rule: as a guest nothing is stored, nobody protected, and what is broken goes at the first look;
/// busy machines stay all the same.
#[tokio::test]
async fn a_guest() {
    let mut world = World::guest();
    (world.policy.step_up_max, world.policy.step_down_max) = (1, 1);
    let world = world.with(3);
    world.busy(&[1]);
    let report = world.tick().await;
    assert_eq!(report.removed, BTreeMap::from([(Because::Surplus, 1)]));
    world.drains().await.expect("drained");
    assert_eq!(world.gone(), [world.machine(2)]);
    world.fleet.change(|group| group.desired = 3);
    world.fleet.settle();
    world.pass(min(11));
    let report = world.tick().await;
    assert_eq!(report.removed, BTreeMap::from([(Because::Surplus, 1), (Because::BootFailed, 1)]));
    world.crew.queue(4);
    world.tick().await;
    assert_eq!((world.desired(), world.calls("fleet.protect")), (3, 0));
    assert!(world.docs.dump().keys().all(|key| !key.contains("ledger")));
    world.nobody_busy_ended();
}
