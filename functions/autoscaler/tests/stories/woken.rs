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

/// Rule: EC2 tells the account, not the pool: another group's machine is nobody's business here.
#[tokio::test]
async fn a_notice_of_another_groups_machine_is_forgotten() {
    let world = World::idle(2);
    let report = world.woken(spot(&"i-of-somebody-else".into())).await;
    assert_eq!((report.outcome, world.desired()), (Outcome::Decided(Why::Woken), 2));
    assert!(world.ledger().await.notices.is_empty());
}
