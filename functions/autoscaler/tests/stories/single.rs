//! One tick at a time decides, and what it decided is on record before anything is done.
use super::world::{GROUP, NOON, World, min};
use autoscaler::Outcome;
use windlass_core::fleet::{Action, Kind, Place, Why};
use windlass_core::keys;
use windlass_core::time::{SECOND_MS, UnixMs};
use windlass_ports::fake::Strike;

/// Rule: one decides, the rest leave word. However they interleave, the size is the whole need.
#[tokio::test(flavor = "multi_thread")]
async fn s09_twenty_five_wake_ups() {
    let mut world = World::new();
    world.policy.step_up_max = 40;
    world.fleet.change(|group| group.max = 40);
    world.crew.queue(25);
    let mut waking = tokio::task::JoinSet::new();
    for _ in 0..25 {
        let world = world.clone();
        waking.spawn(async move { world.tick().await });
    }
    while let Some(report) = waking.join_next().await {
        report.expect("a tick");
    }
    assert_eq!((world.desired(), world.calls("fleet.set_desired")), (25, 1));
    assert_eq!(world.ledger().await.holder, None);
}

/// Rule: whoever comes while another holds the ledger decides nothing.
#[tokio::test]
async fn s09_twenty_five_at_once() {
    let world = World::new();
    world.crew.queue(5);
    let others = world.clone();
    let mut came = false;
    world.faults.replan(move |_, name| {
        if name == "fleet.look" && !std::mem::replace(&mut came, true) {
            for _ in 0..24 {
                assert_eq!(others.tick_meanwhile().outcome, Outcome::Second);
            }
        }
        None
    });
    assert_eq!(world.tick().await.outcome, Outcome::Decided(Why::RightSized { booting: 0 }));
    assert_eq!((world.desired(), world.calls("fleet.set_desired")), (5, 1));
}

/// Rule: who comes while another decides is seen by that one, before it lets go.
#[tokio::test]
async fn s09_a_run_that_is_queued_while_somebody_decides() {
    for (call, first) in (1..=9).flat_map(|call| [(call, 1), (call, 0)]) {
        let world = World::new();
        world.crew.queue(first);
        let second = world.clone();
        world.faults.replan(move |n, _| {
            if n == call {
                second.crew.queue(3);
                second.tick_meanwhile();
            }
            None
        });
        world.tick().await;
        if world.faults.calls() < call {
            continue;
        }
        let ledger = world.ledger().await;
        assert_eq!((ledger.holder, ledger.again), (None, false), "at call {call}");
        assert_eq!(world.desired(), 3, "at call {call}:\n{}", world.faults.story());
    }
}

/// Rule: a hold is as old as the store says; a dead holder's lapses, a living one's does not.
#[tokio::test]
async fn s09_a_holder_that_died() {
    let world = World::new();
    world.crew.queue(2);
    world.faults.replan(|_, name| (name == "pool.look").then_some(Strike::CrashBefore));
    world.try_tick().await.expect_err("it died");
    world.faults.revive();
    assert!(world.ledger().await.holder.is_some());
    for (pass, outcome) in [(30, Outcome::Second), (60, Outcome::Decided(Why::Grown))] {
        world.pass(pass * SECOND_MS);
        assert_eq!(world.tick().await.outcome, outcome, "{pass}");
    }
    assert_eq!(world.desired(), 2);
}

/// Rule: a tick that fails holds up no other.
#[tokio::test]
async fn s09_a_holder_that_could_not_look() {
    let world = World::new();
    world.crew.queue(2);
    for port in ["pool.look", "fleet.look"] {
        world.faults.replan(move |_, name| (name == port).then_some(Strike::Before));
        world.try_tick().await.expect_err("it could not look");
        assert_eq!(world.ledger().await.holder, None);
    }
    world.faults.revive();
    assert_eq!(world.why().await, Why::Grown);
}

/// Rule: a tick whose hold somebody else took does nothing.
#[tokio::test]
async fn s09_a_holder_that_slept_too_long() {
    let world = World::new();
    world.crew.queue(5);
    let other = world.clone();
    world.faults.replan(move |_, name| {
        if name == "fleet.look" {
            other.pass(min(1));
            other.crew.queue(2);
            other.tick_meanwhile();
        }
        None
    });
    assert_eq!(world.tick().await.outcome, Outcome::Lost);
    assert_eq!((world.desired(), world.calls("fleet.set_desired")), (2, 0));
}

/// Rule: an old tick is dropped before anything is asked.
#[tokio::test]
async fn s40_old_ticks() {
    let world = World::new();
    world.crew.queue(5);
    for minutes in 2..20 {
        let due = UnixMs(NOON.0 - min(minutes));
        let outcome = world.tick_due(due).await.outcome;
        assert_eq!(outcome, Outcome::Stale { age_ms: min(minutes) });
    }
    assert_eq!(world.faults.calls(), 0);
}

/// Rule: blind, nobody scales or ends anything, and machines that wait are held: what runs there
/// goes on. The first look after it observes, the second acts.
#[tokio::test]
async fn s40_the_store_is_away_for_twenty_minutes() {
    let world = World::idle(4);
    world.busy(&[1, 2]);
    let machines = [world.machine(1), world.machine(2)];
    world.tick().await;
    world.drains().await.expect("drained");
    let gone = world.gone();
    machines.iter().for_each(|machine| world.fleet.refresh(machine));
    let desired = world.desired();
    world.faults.replan(|_, name| {
        let away = name.starts_with("docs.") || name.starts_with("pool.");
        away.then_some(Strike::Before)
    });
    for _ in 0..20 {
        world.crew.queue(3);
        world.try_tick().await.expect_err("it is blind");
        let report = world.drains().await.expect("the group can be seen");
        assert_eq!((report.waiting, report.failed), (2, 2));
        world.pass(min(1));
        world.settle();
        world.nobody_busy_ended();
    }
    assert_eq!((world.gone(), world.desired()), (gone, desired));
    world.faults.revive();
    assert!(matches!(world.why().await, Why::FirstLook { .. }));
    machines.iter().for_each(|machine| world.crew.finish(machine));
    assert_eq!(world.drains().await.expect("drained").completed, 2);
    world.pass(min(1));
    assert_eq!(world.why().await, Why::Grown);
}

/// Rule: what there is no time for is left to the next tick; nothing is begun past the end.
#[tokio::test]
async fn time_is_short() {
    let world = World::idle(3);
    let clock = world.clock.clone();
    world.faults.replan(move |_, name| {
        if name.starts_with("docs.put") {
            clock.advance(30 * SECOND_MS);
        }
        None
    });
    let report = world.tick().await;
    assert_eq!((report.put_off, world.calls("pool.drain"), world.calls("fleet.end")), (1, 0, 0));
}

/// Rule: what was decided is stored before anything is done; a store that is away means nothing is
/// done.
#[tokio::test]
async fn nothing_is_done_that_is_not_on_record() {
    let world = World::idle(3);
    let key = keys::fleet_ledger(&super::world::pool_id());
    for nth in [1, 2] {
        let put = format!("docs.put {key}");
        let mut seen = 0;
        world.faults.replan(move |_, name| {
            seen += u32::from(name == put);
            (name == put && seen == nth).then_some(Strike::Before)
        });
        world.try_tick().await.expect_err("no store, no action");
        assert_eq!((world.calls("pool.drain"), world.calls("fleet.end")), (0, 0), "{nth}");
    }
    world.faults.revive();
    world.pass(min(1));
    assert_eq!(world.tick().await.removed.len(), 1);
    let trace = world.faults.trace();
    let at = |name: &str| trace.iter().rposition(|call| call.name.starts_with(name));
    let committed = trace.iter().position(|call| call.name.starts_with("pool.drain"));
    assert!(committed.is_some() && at("pool.look") < committed);
    let before = &trace[at("pool.look").expect("looked")..committed.expect("drained")];
    assert!(before.iter().any(|call| call.name == format!("docs.put {key}")), "{before:?}");
}

/// Rule: a pool that has nothing to do costs two reads and two writes of its ledger.
#[tokio::test]
async fn an_idle_tick_is_cheap() {
    let world = World::idle(0);
    world.tick().await;
    let names: Vec<String> = world.faults.trace().into_iter().map(|call| call.name).collect();
    let kinds: Vec<&str> = names.iter().filter_map(|name| name.split(' ').next()).collect();
    let look = ["pool.look", "fleet.look"];
    let expect = [&["docs.get", "docs.put"][..], &look, &["docs.get", "docs.put"]].concat();
    assert_eq!(kinds, expect);
}

/// Two ticks that both run, in every interleaving of whole ticks: each machine goes once.
#[tokio::test]
async fn two_at_once() {
    let calls = {
        let world = World::idle(4);
        world.busy(&[2]);
        world.tick().await;
        world.faults.calls()
    };
    for call in 1..=calls {
        for late in [0, min(1)] {
            let world = World::idle(4);
            world.busy(&[2]);
            let other = world.clone();
            world.faults.replan(move |n, _| {
                if n == call {
                    other.pass(late);
                    other.tick_meanwhile();
                }
                None
            });
            world.tick().await;
            world.faults.revive();
            world.pass(min(1));
            world.tick().await;
            world.drains().await.expect("drained");
            world.nobody_busy_ended();
            assert_eq!((world.desired(), world.gone().len()), (1, 3), "{call} {late}");
        }
    }
}

/// Rule: `fleet why` has everything that a decision was made from.
#[tokio::test]
async fn the_ledger_explains() {
    let world = World::idle(3);
    world.busy(&[1]);
    world.fleet.see(&world.machine(2), |seen| seen.place = Place::Standby);
    world.crew.queue(4);
    world.tick().await;
    let explained = world.ledger().await.explained.expect("explained");
    let seen = &explained.seen;
    assert_eq!((seen.group.as_str(), seen.desired, seen.slots_busy), (GROUP, 3, 1));
    let kinds: Vec<Kind> = seen.machines.iter().map(|machine| machine.is).collect();
    assert_eq!(kinds, [Kind::Open, Kind::Standby, Kind::Open]);
    assert_eq!(explained.actions, [Action::SetDesired { from: 3, to: 5 }]);
    assert_eq!((explained.at, explained.due, explained.why), (NOON, NOON, Why::Grown));
}
