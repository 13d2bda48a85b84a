//! Looks between ticks: a queued run or a notice asks for them, at any moment and many times.
use super::pool::{NOON, Pool, does, grows, holds, min};
use crate::fleet::{Action, Alarm, Because, Draining, Ledger, Notice, Place, Plan, Why};
use crate::time::UnixMs;

fn woken(mut pool: Pool) -> Pool {
    pool.snapshot.woken = true;
    pool
}

/// Rule: a wake makes the pool grow at once, and a begun removal is taken back for it.
#[test]
fn a_queued_run_buys_a_machine() {
    woken(Pool::desired(0).queued(1)).expect(grows(0, 1));
    let regained =
        woken(Pool::desired(1).queued(1)).machine(|m| m.drains(super::pool::ours("op", false)));
    let plan = regained.plan();
    assert!(matches!(plan.actions[..], [Action::Undrain { .. }]), "{plan:?}");
}

/// Rule: what goes, goes by ticks: so many each minute, and seen at two of them. However many wakes
/// come in between, they end nobody, and the next tick finds what the last one left.
#[test]
fn whatever_a_tick_would_end_stays() {
    let overdue = Pool::desired(2).unregistered(2, 11);
    let leaked = Pool::desired(0).machine(|m| {
        m.launched(20);
        m.seen.place = Place::Outside;
    });
    let surplus = Pool::desired(3).idle(3, 30);
    let by_hand = Pool::desired(3).idle(3, 30).group(|g| g.desired = 1);
    let set_aside = Pool::desired(2).busy(1).machine(|m| m.drains(Draining::Theirs));
    for pool in [overdue, leaked, surplus, by_hand, set_aside] {
        let ends =
            |plan: &Plan| plan.actions.iter().any(|a| !matches!(a, Action::SetDesired { .. }));
        // A tick would end somebody, at the first look or at the second.
        assert!(ends(&pool.plan()) || ends(&pool.clone().later(min(1)).plan()));
        let once = woken(pool.clone().later(min(1)));
        once.expect(holds(Why::Woken));
        let twice = once.clone().later(1_000);
        twice.expect(holds(Why::Woken));
        let (before, after) = (&once.memory, twice.plan().memory);
        assert_eq!(after.suspects, before.suspects);
        assert_eq!((after.desired, after.machines), (before.desired, before.machines));
        assert_eq!(after.workers_live, before.workers_live);
    }
}

/// Rule: suspicion of the first tick is not made a certainty by a wake a second later.
#[test]
fn a_wake_is_no_second_look() {
    let mut pool = woken(Pool::desired(15).idle(15, 30).remembers(|m| {
        (m.workers_live, m.machines) = (15, 15);
        m.looked_at = Some(UnixMs(NOON.0 - min(1)));
    }));
    pool.snapshot.workers.clear();
    let doubt = || holds(Why::Implausible { live: 0, before: 15 }).alarm(Alarm::Implausible);
    pool.expect(doubt());
    assert!(!pool.plan().memory.doubted, "the next tick's look is the first");
    pool.clone().remembers(|m| m.doubted = true).expect(doubt());
}

/// Rule: what a tick compares with the tick before it, no wake in between touches.
#[test]
fn a_wake_leaves_what_ticks_compare() {
    // Somebody lowers the number, or a machine goes; a doubt waits for the second tick.
    for (desired, doubted) in [(1, true), (3, true), (3, false)] {
        let pool = Pool::desired(3).busy(2).group(|g| g.desired = desired).remembers(|m| {
            (m.workers_live, m.machines, m.doubted) = (3, 3, doubted);
            m.lowered = desired == 3;
        });
        let (before, after) = (&pool.memory, woken(pool.clone()).plan().memory);
        assert_eq!((after.doubted, after.lowered), (before.doubted, before.lowered), "{desired}");
        assert_eq!((after.machines, after.desired), (before.machines, before.desired), "{desired}");
    }
    // But whom it ends is not missed by the next.
    let warned = Pool::desired(3).busy(2).machine(|m| m.seen.notice = Some(Notice::Spot));
    let warned = woken(warned.remembers(|m| (m.workers_live, m.machines) = (3, 3)));
    assert_eq!(warned.plan().memory.workers_live, 2);
}

/// Rule: whose ticks do not come any more still gets machines.
#[test]
fn wakes_follow_each_other_without_a_gap() {
    let mut pool = woken(Pool::desired(0)).remembers(|m| m.looked_at = Some(NOON));
    for _ in 0..4 {
        pool = pool.later(min(4));
    }
    pool.queued(1).expect(grows(0, 1));
}

/// Rule: after a gap the first look observes and the second acts, and both are ticks: workers that
/// come back with the store have a minute to say so.
#[test]
fn a_wake_is_no_first_look_either() {
    let mut pool = woken(Pool::desired(0).queued(3).remembers(|m| {
        m.looked_at = Some(UnixMs(NOON.0 - min(20)));
    }));
    let first = |gap_ms| holds(Why::FirstLook { gap_ms });
    pool.expect(first(min(20)));
    pool = pool.later(1_000);
    pool.expect(first(min(20) + 1_000));
    pool.snapshot.woken = false;
    pool.expect(first(min(20) + 1_000));
    woken(pool.later(1_000)).expect(grows(0, 3));
}

/// Rule: a notice is answered at once.
#[test]
fn a_warned_machine_goes_and_another_comes() {
    let pool = woken(Pool::desired(2).busy(1)).machine(|m| {
        m.seen.notice = Some(Notice::Spot);
        m.workers[0].busy = 1;
    });
    let drain = Action::Drain { victim: pool.victim(2, false, Because::Notice) };
    let more = Action::SetDesired { from: 2, to: 3 };
    pool.expect(does(vec![more, drain], Why::Grown));
}

/// Rule: advice to leave a machine does not take back that it is taken.
#[test]
fn the_worse_notice_stays() {
    use Notice::{Rebalance, Spot};
    for (first, then, stays) in
        [(Rebalance, Spot, Spot), (Spot, Rebalance, Spot), (Rebalance, Rebalance, Rebalance)]
    {
        let mut ledger = Ledger::default();
        ledger.warn(&"i-1".into(), first);
        ledger.warn(&"i-1".into(), then);
        assert_eq!(ledger.notices[&"i-1".into()], stays, "{first:?}, {then:?}");
    }
}
