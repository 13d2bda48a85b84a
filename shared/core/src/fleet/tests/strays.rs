//! Invalid states, strays, leaks: 20 to 27; Spot: 37 to 39; a blind control plane: 40.
use super::pool::{Pool, does, grows, holds, min};
use crate::fleet::{
    Action, Alarm, Because, Cause, Draining, Lease, Notice, OpId, Place, Whereabouts, Why,
};
use crate::time::{SECOND_MS, UnixMs};

/// Rule: drained and busy is occupied, however long; it goes when its run has ended.
#[test]
fn s20_an_operator_drained_a_busy_worker() {
    let mut pool = Pool::desired(1).machine(|m| {
        m.workers[0].busy = 1;
        m.drains(Draining::Theirs);
    });
    pool.expect(holds(Why::RightSized { booting: 0 }));
    pool.snapshot.workers[0].busy = 0;
    let victim = pool.victim(1, true, Because::Drained);
    let retire = |victim| Action::Retire { count: 1, candidates: vec![victim] };
    let right = || Why::RightSized { booting: 0 };
    pool.expect(does(vec![retire(victim)], right()));
    // Whatever waits, it holds a place in the group and takes no run: it goes.
    let theirs = |m: &mut super::pool::Machine| m.drains(Draining::Theirs);
    let pressed = Pool::desired(2).busy(1).machine(theirs).queued(2);
    let more = Action::SetDesired { from: 2, to: 4 };
    let goes = retire(pressed.victim(2, true, Because::Drained));
    pressed.expect(does(vec![more, goes.clone()], Why::Grown));
    let full = does(vec![goes], Why::AtMax).unmet(2, Cause::Max).alarm(Alarm::QueueAtMax);
    pressed.group(|g| g.max = 2).expect(full);
    // The minimum stays, and a number that somebody lowered is not lowered once more.
    let least = Pool::desired(1).group(|g| g.min = 1).machine(theirs);
    let replaced = retire(least.victim(1, false, Because::Drained));
    least.expect(does(vec![replaced], right()));
    for kept in [0, 1] {
        let lowered = Pool::desired(kept).machine(theirs).busy(kept);
        let lowered = lowered.remembers(|m| m.desired = Some(kept + 1));
        let goes = retire(lowered.victim(1, false, Because::Drained));
        lowered.expect(does(vec![goes], Why::ShrinkingByHand { excess: 1 }));
    }
    // Not more of them in one tick than may go at all.
    let many = Pool::desired(7).machines(7, theirs);
    let victims = (1..=5).map(|n| many.victim(n, true, Because::Drained)).collect();
    many.expect(does(vec![Action::Retire { count: 5, candidates: victims }], right()));
}

/// Rule: silent with a run is at work for all we know; void, or silent without one beyond the
/// grace, it is ended at the second look.
#[test]
fn s21_a_worker_falls_silent() {
    let silent = |busy, lease| {
        Pool::desired(1).machine(|m| {
            m.workers[0].busy = busy;
            m.workers[0].lease = lease;
        })
    };
    let lapsed = Lease::Lapsed { for_ms: min(60) };
    let alarm = Alarm::SilentAndBusy { instance: "i-1".into() };
    let wait = || holds(Why::RightSized { booting: 0 });
    for lapsed in [Lease::Lapsed { for_ms: 90 * SECOND_MS }, lapsed] {
        silent(1, lapsed).later(min(1)).expect(wait().alarm(alarm.clone()));
    }
    silent(0, Lease::Lapsed { for_ms: 90 * SECOND_MS }).later(min(1)).expect(wait());
    for (busy, lease) in [(0, lapsed), (1, Lease::Void)] {
        let pool = silent(busy, lease);
        pool.expect(wait());
        let pool = pool.later(min(1));
        let end = Action::End { victim: pool.victim(1, false, Because::Lost) };
        pool.expect(does(vec![end], Why::RightSized { booting: 0 }));
    }
}

/// Rule: a worker whose machine is gone is nobody.
#[test]
fn s22_a_phantom() {
    for lease in [Lease::Lapsed { for_ms: min(2) }, Lease::Live] {
        let pool = Pool::desired(2).busy(2).queued(5).machine(|m| {
            m.seen.place = Place::Terminated;
            m.workers[0].lease = lease;
        });
        pool.expect(grows(2, 7));
    }
}

/// Rule: a worker of another group is left out, and the rest goes on.
#[test]
fn s23_a_worker_of_another_group() {
    let pool = Pool::desired(1).busy(1).queued(2);
    let mut pool = pool;
    let mut stranger = pool.snapshot.workers[0].clone();
    (stranger.id, stranger.busy) = ("w-x".into(), 0);
    stranger.on =
        Whereabouts::OtherGroup { group: "elsewhere".into(), instance: Some("i-x".into()) };
    pool.snapshot.workers.push(stranger);
    pool.expect(grows(1, 3).alarm(Alarm::OtherGroup { worker: "w-x".into() }));
    // On a machine of ours it only has the name wrong: that machine did come up.
    let wrong = Pool::desired(1).busy(1);
    let mut wrong = wrong.later(min(1));
    let group = "elsewhere".to_owned();
    wrong.snapshot.workers[0].on = Whereabouts::OtherGroup { group, instance: Some("i-1".into()) };
    let alarm = Alarm::OtherGroup { worker: "w-1".into() };
    for _ in 0..3 {
        wrong.expect(holds(Why::RightSized { booting: 0 }).alarm(alarm.clone()));
        wrong = wrong.later(min(1));
    }
}

/// Rule: a tagged machine outside of any group is ended at the second look, unless it has a run.
#[test]
fn s24_a_leak() {
    for (workers, busy) in [(0, 0), (1, 0), (1, 1)] {
        let pool = Pool::desired(0).machine(|m| {
            m.launched(20);
            m.seen.place = Place::Outside;
            m.workers.truncate(workers);
            for worker in &mut m.workers {
                worker.busy = busy;
                worker.draining = Some(Draining::Theirs);
            }
        });
        pool.expect(holds(Why::RightSized { booting: 0 }));
        let pool = pool.later(min(1));
        let end = Action::End { victim: pool.victim(1, false, Because::Leaked) };
        let actions = if busy == 0 { vec![end] } else { vec![] };
        pool.expect(does(actions, Why::RightSized { booting: 0 }));
    }
}

/// Rule: what vanished is nobody's business; the others are dealt with.
#[test]
fn s25_one_of_five_strays_is_gone() {
    let pool = Pool::desired(5).policy(|p| p.abnormal_percent = 100).unregistered(5, 15);
    let mut pool = pool.later(min(1));
    pool.snapshot.instances[2].place = Place::Terminated;
    let end = |n| Action::End { victim: pool.victim(n, false, Because::BootFailed) };
    let ends = [1, 2, 4, 5].map(end).to_vec();
    pool.expect(does(ends, Why::NoneIdleLongEnough));
}

/// Rule: a fleet does not fall silent at once; believed only at the second look.
#[test]
fn s27_the_store_says_nobody_is_there() {
    let mut pool = Pool::desired(15).idle(15, 30).remembers(|m| {
        m.workers_live = 15;
        m.machines = 15;
        m.looked_at = Some(UnixMs(super::pool::NOON.0 - min(1)));
    });
    pool.snapshot.workers.clear();
    let doubt = Why::Implausible { live: 0, before: 15 };
    pool.expect(holds(doubt).alarm(Alarm::Implausible));
    // A second look agrees: from here on the machines are suspects, as any that have no worker.
    let mut pool = pool.later(min(1));
    pool.expect(holds(Why::RightSized { booting: 0 }));
    pool = pool.later(min(1));
    let end = |n| Action::End { victim: pool.victim(n, false, Because::BootFailed) };
    let ends = [1, 2, 3].map(end).to_vec();
    pool.expect(does(ends, Why::RightSized { booting: 0 }).alarm(Alarm::BlastRadius));
    // Machines that go take their workers with them: nothing is odd about that.
    let mut fewer = Pool::desired(3).idle(3, 2).remembers(|m| {
        m.workers_live = 15;
        m.machines = 15;
        m.looked_at = Some(UnixMs(super::pool::NOON.0 - min(1)));
    });
    fewer.snapshot.group.min = 3;
    fewer.expect(holds(Why::AtMin));
    // Their records stay behind and lapse some minutes after them: nobody fell silent then.
    let mut left = Pool::desired(5).idle(10, 2).group(|g| g.min = 5);
    for seen in &mut left.snapshot.instances[5..] {
        seen.place = Place::Leaving;
    }
    let mut left = left.later(min(1));
    left.snapshot.instances.truncate(5);
    left.expect(holds(Why::AtMin));
    let mut left = left.later(min(1));
    for worker in &mut left.snapshot.workers[5..] {
        worker.lease = Lease::Lapsed { for_ms: 1 };
    }
    left.expect(holds(Why::AtMin));
}

/// Rule: a machine that Spot takes has two minutes: it takes no more runs, and a slot for what it has
/// is asked for now, before the run is back in the queue; once.
#[test]
fn s37_a_spot_notice_while_planning_and_applying() {
    let pool = Pool::desired(3).busy(1).machines(2, |m| {
        m.seen.notice = Some(Notice::Spot);
        m.workers[0].busy = 1;
    });
    let drain = |n| Action::Drain { victim: pool.victim(n, false, Because::Notice) };
    let more = Action::SetDesired { from: 3, to: 5 };
    pool.expect(does(vec![more, drain(2), drain(3)], Why::Grown));

    let mut later = pool.clone().group(|g| g.desired = 5).later(min(1));
    for n in [1, 2] {
        let op = OpId::of(&pool.snapshot.instances[n].id, pool.snapshot.now);
        later.snapshot.workers[n].draining = Some(Draining::Ours { op, doomed: false });
    }
    later.expect(holds(Why::NoneIdleLongEnough));
    // The plan is back in the queue: its slot is on its way.
    later.snapshot.workers[1].busy = 0;
    let mut victim = later.victim(2, false, Because::Notice);
    victim.op = OpId::of(&victim.instance, pool.snapshot.now);
    let finish = Action::Finish { victim };
    later.queued(1).expect(does(vec![finish], Why::RunsWait { schedulable: 1 }));
}

/// Rule: what the provider advises to leave is no supply; idle it is replaced, busy it takes no more
/// runs and is not interrupted.
#[test]
fn s38_a_rebalance_recommendation() {
    let warned = |busy| {
        Pool::desired(1).machine(|m| {
            m.seen.notice = Some(Notice::Rebalance);
            m.workers[0].busy = busy;
        })
    };
    let idle = warned(0);
    let victim = idle.victim(1, false, Because::Notice);
    let retire = Action::Retire { count: 1, candidates: vec![victim] };
    idle.expect(does(vec![retire], Why::RightSized { booting: 0 }));
    let busy = warned(1).queued(1);
    let drain = Action::Drain { victim: busy.victim(1, false, Because::Notice) };
    let more = Action::SetDesired { from: 1, to: 2 };
    busy.expect(does(vec![more, drain], Why::Grown));
}

/// Rule: all notices of a look are answered by it, with one write of the group's size.
#[test]
fn s39_thirty_spot_notices() {
    let pool = Pool::desired(30).group(|g| g.max = 100).policy(|p| p.step_up_max = 50);
    let pool = pool.machines(30, |m| {
        m.seen.notice = Some(Notice::Spot);
        m.workers[0].busy = 1;
    });
    let drain = |n| Action::Drain { victim: pool.victim(n, false, Because::Notice) };
    let mut actions = vec![Action::SetDesired { from: 30, to: 60 }];
    actions.extend((1..=30).map(drain));
    pool.expect(does(actions, Why::Grown));
}

/// Rule: an old tick is dropped; after a gap the first look only observes.
#[test]
fn s40_twenty_minutes_blind() {
    let pool = Pool::desired(3).idle(3, 30).remembers(|m| {
        m.looked_at = Some(UnixMs(super::pool::NOON.0 - min(20)));
    });
    for (age_ms, stale) in [(min(12), true), (min(1) + 1, true), (min(1), false)] {
        let mut late = pool.clone();
        late.snapshot.due = UnixMs(super::pool::NOON.0 - age_ms);
        let first = Why::FirstLook { gap_ms: min(20) };
        late.expect(holds(if stale { Why::Stale { age_ms } } else { first }));
    }
    pool.expect(holds(Why::FirstLook { gap_ms: min(20) }));
    let pool = pool.later(min(1));
    pool.expect(does(vec![pool.retire(3, &[1, 2, 3])], Why::Shrunk));
}
