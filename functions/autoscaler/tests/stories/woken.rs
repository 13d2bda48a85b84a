//! Between ticks: a queued run, and a provider that takes a machine.
use super::world::{NOON, World, min};
use autoscaler::{Occasion, Outcome};
use windlass_core::fleet::{Notice, Why};
use windlass_core::id::InstanceId;
use windlass_core::instance::DrainedBy;
use windlass_core::time::{SECOND_MS, UnixMs};
use windlass_ports::fake::Strike;

fn spot(instance: &InstanceId) -> Occasion {
    Occasion::Notice { instance: instance.clone(), notice: Notice::Spot }
}

/// Rule: nobody waits for the minute.
#[tokio::test]
async fn a_queued_run_starts_a_machine_before_the_next_tick() {
    let world = World::new();
    world.tick().await;
    world.crew.queue(3);
    world.pass(2 * SECOND_MS);
    let report = world.woken(Occasion::Work).await;
    assert_eq!((report.outcome, world.desired()), (Outcome::Decided(Why::Grown), 3));
}

/// Rule: word of work that is older than a tick is no news.
#[tokio::test]
async fn late_word_of_work_is_dropped() {
    let world = World::new();
    world.crew.queue(3);
    let due = UnixMs(NOON.0 - min(2));
    let report = world.woken_due(Occasion::Work, due).await;
    assert_eq!((report.outcome, world.desired()), (Outcome::Stale { age_ms: min(2) }, 0));
}

/// Rule: a tick that comes while somebody looks for queued work is not lost: the next round is its.
#[tokio::test]
async fn a_tick_behind_a_wake_still_takes_idle_machines_away() {
    for call in 1..=7 {
        for (meanwhile, left) in [(Occasion::Tick, 0), (Occasion::Work, 3)] {
            let world = World::idle(3);
            let (other, occasion) = (world.clone(), meanwhile.clone());
            world.faults.replan(move |n, _| {
                if n == call {
                    other.woken_meanwhile(occasion.clone());
                }
                None
            });
            world.woken(Occasion::Work).await;
            if world.faults.calls() < call {
                continue;
            }
            assert_eq!(world.desired(), left, "{meanwhile:?} at call {call}");
            assert!(!world.ledger().await.ticked, "{meanwhile:?} at call {call}");
        }
    }
}

/// Rule: nor is one that comes in a wake's last round, however many wakes follow each other: who looks
/// next looks for it.
#[tokio::test]
async fn a_tick_is_not_lost_among_many_wakes() {
    let world = World::idle(3);
    let (other, mut round) = (world.clone(), 0);
    world.faults.replan(move |_, name| {
        if name == "fleet.look" {
            round += 1;
            let occasion = if round < 3 { Occasion::Work } else { Occasion::Tick };
            other.woken_meanwhile(occasion);
        }
        None
    });
    let report = world.woken(Occasion::Work).await;
    assert_eq!((report.rounds, world.desired(), world.ledger().await.ticked), (3, 3, true));
    world.faults.revive();
    world.pass(SECOND_MS);
    world.woken(Occasion::Work).await;
    assert_eq!((world.desired(), world.ledger().await.ticked), (0, false));
    world.pass(SECOND_MS);
    assert_eq!(world.woken(Occasion::Work).await.outcome, Outcome::Decided(Why::Woken), "once");
}

/// Rule: nor one that came to a holder that could not look.
#[tokio::test]
async fn a_tick_behind_a_wake_that_fails_is_looked_for_by_the_next() {
    for strike in [Strike::Before, Strike::CrashBefore] {
        let world = World::idle(3);
        let (other, mut came) = (world.clone(), false);
        world.faults.replan(move |_, name| {
            let look = name == "pool.look";
            if look && !std::mem::replace(&mut came, true) {
                other.woken_meanwhile(Occasion::Tick);
            }
            look.then_some(strike)
        });
        world.try_woken(Occasion::Work).await.expect_err("it could not look");
        world.faults.revive();
        world.pass(min(1));
        world.woken(Occasion::Work).await;
        assert_eq!(world.desired(), 0, "{strike:?}");
    }
}

/// Rule: what the provider says is kept by the first write, so it is answered whoever decides, and
/// also if this look dies; and it ends with its machine.
#[tokio::test]
async fn s37_a_spot_notice_is_answered_at_once_or_by_whoever_decides() {
    let meant = |world: &World| {
        let drained = world.crew.record(&world.machine(1)).and_then(|record| record.drain);
        (world.desired(), drained.map(|drain| matches!(drain.by, DrainedBy::Tick { .. })))
    };
    for dies in [false, true] {
        let world = World::idle(2);
        world.busy(&[1, 2]);
        let taken = world.machine(1);
        if dies {
            world.faults.replan(|_, name| (name == "pool.look").then_some(Strike::CrashBefore));
            world.try_woken(spot(&taken)).await.expect_err("it died");
            world.faults.revive();
            world.pass(min(1));
            world.tick().await;
        } else {
            world.woken(spot(&taken)).await;
        }
        assert_eq!(meant(&world), (3, Some(true)), "dies: {dies}");
        assert_eq!(world.ledger().await.notices.get(&taken), Some(&Notice::Spot));
    }
    for call in 1..=7 {
        let world = World::idle(2);
        world.busy(&[1, 2]);
        let (other, taken) = (world.clone(), world.machine(1));
        world.faults.replan(move |n, _| {
            if n == call {
                other.woken_meanwhile(spot(&taken));
            }
            None
        });
        world.tick().await;
        if world.faults.calls() >= call {
            assert_eq!(meant(&world), (3, Some(true)), "at call {call}");
        }
    }
}

/// Rule: a look that did not know of a notice does not judge it: its machine may have come since.
#[tokio::test]
async fn a_notice_of_a_machine_that_came_since_the_look_is_answered() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (other, mut looked, mut came) = (world.clone(), false, false);
    world.faults.replan(move |_, name| {
        looked |= name == "fleet.look";
        if looked && name.starts_with("docs.get") && !std::mem::replace(&mut came, true) {
            other.fleet.change(|group| group.desired = 2);
            other.settle();
            other.busy(&[2]);
            other.woken_meanwhile(spot(&other.machine(2)));
        }
        None
    });
    world.woken(Occasion::Work).await;
    let taken = world.machine(2);
    assert_eq!(world.ledger().await.notices.get(&taken), Some(&Notice::Spot));
    assert!(world.crew.record(&taken).is_some_and(|record| record.drain.is_some()));
}

/// Rule: EC2 tells the account, not the pool: another group's machine is nobody's business here.
#[tokio::test]
async fn a_notice_of_another_groups_machine_is_forgotten() {
    let world = World::idle(2);
    let report = world.woken(spot(&"i-of-somebody-else".into())).await;
    assert_eq!((report.outcome, world.desired()), (Outcome::Decided(Why::Woken), 2));
    assert!(world.ledger().await.notices.is_empty());
}
