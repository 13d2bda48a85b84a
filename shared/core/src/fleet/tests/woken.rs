//! Looks between ticks: a queued run or a notice asks for them, at any moment and many times.
use super::pool::{NOON, Pool, does, grows, holds, min};
use crate::fleet::{Action, Alarm, Because, Ledger, Notice, Place, Plan, Why};
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
    for pool in [overdue, leaked, surplus, by_hand] {
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
