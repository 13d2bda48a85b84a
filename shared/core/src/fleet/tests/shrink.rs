//! Scale-down: 11 to 19; the group's size changed by others: 26, 28, 36.
use super::pool::{Expected, Machine, Pool, does, grows, holds, min, ours};
use crate::fleet::{
    Action, Alarm, Because, Cause, Draining, Op, OpId, Place, Policy, Whereabouts, Why,
};

/// Rule: older launch template first, then the older machine.
#[test]
fn s11_idle_machines_go_in_order() {
    let pool = Pool::desired(5).group(|g| g.min = 1).busy(1).idle(2, 12);
    let pool = pool.machine(|m| {
        m.idle_for(12);
        m.seen.template = 0;
    });
    let pool = pool.idle(1, 12);
    pool.expect(does(vec![pool.retire(4, &[4, 2, 3, 5])], Why::Shrunk));
}

/// Rule: idle counts from the last run's end.
#[test]
fn s12_idle_since_the_last_run() {
    let pool = Pool::desired(5).group(|g| g.min = 1).busy(1).idle(2, 12).idle(2, 3);
    pool.expect(does(vec![pool.retire(2, &[2, 3])], Why::Shrunk));
}

/// Rule: a step of 0 means never, as Spacelift's autoscaler takes it.
#[test]
fn a_step_of_none_is_never() {
    let never = |p: &mut Policy| (p.step_up_max, p.step_down_max) = (0, 0);
    let pool = Pool::desired(2).idle(2, 30).policy(never);
    pool.expect(holds(Why::NeverShrinks));
    let pool = Pool::desired(2).busy(2).queued(3).policy(never);
    pool.expect(holds(Why::NeverGrows).unmet(3, Cause::Step));
    let theirs = |m: &mut Machine| m.drains(Draining::Theirs);
    let pool = Pool::desired(1).machine(theirs).policy(never);
    pool.expect(holds(Why::RightSized { booting: 0 }));
}

/// Rule: a plan names who takes the place of one whose drain a claim prevented.
#[test]
fn s13_a_claim_comes_before_the_drain() {
    let pool = Pool::desired(3).policy(|p| p.step_down_max = 1).idle(3, 30);
    pool.expect(does(vec![pool.retire(1, &[1, 2, 3])], Why::Shrunk));
}

/// Rule: what is drained by us is finished under the op that began it.
#[test]
fn s14_a_tick_died_between_drain_and_end() {
    for doomed in [false, true] {
        let pool = Pool::desired(1).machine(|m| m.drains(ours("op-1", doomed)));
        let mut victim = pool.victim(1, true, Because::Surplus);
        victim.op = OpId("op-1".into());
        let finish = Action::Finish { victim };
        pool.expect(does(vec![finish], Why::RightSized { booting: 0 }));
    }
}

/// Rule: drained only, it comes back for runs that wait, and nothing is launched for its slots;
/// doomed, it never does (C2).
#[test]
fn s15_it_is_wanted_again() {
    let pool = |doomed| Pool::desired(1).machine(|m| m.drains(ours("op-1", doomed))).queued(3);
    let undrain = || Action::Undrain {
        instance: "i-1".into(),
        workers: vec!["w-1".into()],
        op: OpId("op-1".into()),
    };
    let more = Action::SetDesired { from: 1, to: 3 };
    pool(false).expect(does(vec![more, undrain()], Why::Grown));
    let enough = does(vec![undrain()], Why::RightSized { booting: 0 });
    pool(false).queued(1).expect(enough);
    let doomed = pool(true);
    let mut victim = doomed.victim(1, true, Because::Surplus);
    victim.op = OpId("op-1".into());
    let actions = vec![Action::SetDesired { from: 1, to: 4 }, Action::Finish { victim }];
    doomed.expect(does(actions, Why::Grown));
    // All of its slots come back with it.
    let mut two = pool(false).queued(2);
    two.snapshot.workers[0].slots = 2;
    two.expect(does(vec![undrain()], Why::RightSized { booting: 0 }));
}

/// Rule: an op ends with its machine's leaving; nothing is done about it a second time.
#[test]
fn s16_a_call_that_timed_out_took_effect() {
    let pool = Pool::desired(0).machine(|m| {
        m.drains(ours("op-1", true));
        m.seen.place = Place::Leaving;
    });
    let op = Op {
        id: OpId("op-1".into()),
        decrement: true,
        because: Because::Surplus,
        at: super::pool::NOON,
    };
    let pool = pool.remembers(|m| {
        m.ops.insert("i-1".into(), op);
    });
    pool.expect(holds(Why::RightSized { booting: 0 }));
    assert!(pool.plan().memory.ops.is_empty());
}

/// Rule: a machine goes only when none of its slots has a run.
#[test]
fn s17_one_slot_of_two_is_busy() {
    let pool = Pool::desired(1).policy(|p| p.slots_per_instance = 2).machine(|m| {
        m.workers[0].busy = 1;
        m.idle_for(30);
    });
    pool.expect(holds(Why::RightSized { booting: 0 }));
    let two = Pool::desired(2).policy(|p| p.slots_per_instance = 2).machines(2, |m| {
        m.workers[0].busy = 1;
        m.idle_for(30);
    });
    two.expect(holds(Why::NoneIdleLongEnough));
}

/// Rule: nothing goes while a run is about to be claimed.
#[test]
fn s18_a_run_waits() {
    let pool = Pool::desired(3).idle(3, 30);
    pool.clone().queued(1).expect(holds(Why::RunsWait { schedulable: 1 }));
    pool.expect(does(vec![pool.retire(3, &[1, 2, 3])], Why::Shrunk));
}

/// Rule: a worker that names no machine is neither supply nor victim.
#[test]
fn s19_a_worker_without_a_machine() {
    let lost = |m: &mut Machine| {
        m.idle_for(60);
        m.workers[0].on = Whereabouts::Unknown;
        m.launched(2);
    };
    let pool = Pool::desired(2).machine(lost).idle(1, 3);
    let alarm = Alarm::Unidentified { worker: "w-1".into() };
    let alarmed = |expected: Expected| expected.alarm(alarm.clone());
    pool.expect(alarmed(holds(Why::NoneIdleLongEnough)));
    // The machine boots for all we know, and that is one slot: its worker is no second.
    pool.queued(3).expect(alarmed(grows(2, 3)));
    // Which machine it is on nobody knows: it may be any on which nobody is seen.
    for (busy, drained, goes) in [(1, false, false), (0, false, false), (0, true, true)] {
        let pool = Pool::desired(1).machine(|m| {
            m.workers[0].on = Whereabouts::Unknown;
            m.workers[0].busy = busy;
            m.workers[0].draining = drained.then_some(Draining::Theirs);
        });
        let pool = pool.later(min(1));
        let end = Action::End { victim: pool.victim(1, false, Because::BootFailed) };
        let actions = if goes { vec![end] } else { vec![] };
        pool.expect(alarmed(does(actions, Why::RightSized { booting: 0 })));
    }
}

/// Rule: what somebody asked for beyond our own number goes by name, booting machines included,
/// a step at a time; the group never chooses.
#[test]
fn s26_the_number_was_raised_by_hand() {
    let pool = Pool::desired(30).group(|g| g.max = 40).remembers(|m| m.desired = Some(2));
    let pool = pool.busy(2).idle(3, 15).unregistered(25, 2);
    let candidates: Vec<usize> = (3..=17).collect();
    pool.expect(does(vec![pool.retire(5, &candidates)], Why::Shrunk));
    // One that does not say where it is may be on any of those that boot.
    let mut pool = pool;
    let mut nameless = pool.snapshot.workers[0].clone();
    (nameless.id, nameless.on) = ("w-x".into(), Whereabouts::Unknown);
    pool.snapshot.workers.push(nameless);
    let alarm = Alarm::Unidentified { worker: "w-x".into() };
    pool.expect(does(vec![pool.retire(3, &[3, 4, 5])], Why::Shrunk).alarm(alarm));
}

/// Rule: the group's minimum holds whatever the queue; above its maximum machines take no more and
/// go without making it smaller still.
#[test]
fn s28_the_bounds_moved() {
    let raised = Pool::desired(3).group(|g| g.min = 5).idle(3, 30);
    raised.expect(grows(3, 5));
    let lowered = Pool::desired(4).group(|g| g.max = 4).busy(6).remembers(|m| m.desired = Some(6));
    let drain = |n| Action::Drain { victim: lowered.victim(n, false, Because::AboveDesired) };
    lowered.expect(does(vec![drain(1), drain(2)], Why::ShrinkingByHand { excess: 2 }));

    let mut later = lowered.clone().later(min(1));
    for n in 0..2 {
        let op = OpId::of(&lowered.snapshot.instances[n].id, lowered.snapshot.now);
        later.snapshot.workers[n].draining =
            Some(crate::fleet::Draining::Ours { op, doomed: false });
    }
    later.expect(holds(Why::ShrinkingByHand { excess: 2 }));
    later.snapshot.workers[0].busy = 0;
    let mut victim = later.victim(1, false, Because::AboveDesired);
    victim.op = OpId::of(&victim.instance, lowered.snapshot.now);
    later.expect(does(vec![Action::Finish { victim }], Why::ShrinkingByHand { excess: 2 }));
}

/// Rule: a number that somebody lowered below what is there is not raised while it shrinks.
#[test]
fn s36_an_operator_says_none() {
    let pool = Pool::desired(0).busy(6).remembers(|m| m.desired = Some(6));
    let drains =
        (1..=6).map(|n| Action::Drain { victim: pool.victim(n, false, Because::AboveDesired) });
    let drains: Vec<Action> = drains.collect();
    pool.expect(does(drains.clone(), Why::ShrinkingByHand { excess: 6 }));
    // What is broken or boots goes before anybody who works; that boots fail replaces nothing here.
    let broken = Pool::desired(2).busy(2).unregistered(1, 11).unregistered(1, 2);
    let broken = broken.remembers(|m| {
        m.desired = Some(4);
        m.boot_failures = 3;
        m.suspects.insert("i-3".into(), super::pool::NOON);
    });
    let end = Action::End { victim: broken.victim(3, false, Because::BootFailed) };
    let expected = does(vec![end], Why::ShrinkingByHand { excess: 2 });
    broken.expect(expected.alarm(Alarm::BootsFail));
    let stays = does(drains, Why::ShrinkingByHand { excess: 6 });
    pool.queued(2).expect(stays.unmet(2, crate::fleet::Cause::ByHand));
}

/// Rule: AWS launches first and ends then when it replaces machines (a refresh, Spot, a zone): that
/// nobody wished for, and it keeps nothing from growing.
#[test]
fn a_replacement_that_comes_first() {
    let pool = Pool::desired(2).busy(2).idle(1, 1);
    pool.expect(holds(Why::NoneIdleLongEnough));
    pool.clone().queued(3).expect(grows(2, 4));
    // Lowered in the meantime, and still at the next looks: somebody wished for it.
    let lowered = pool.later(min(1)).group(|g| g.desired = 1);
    let retire = |pool: &Pool| {
        let victim = pool.victim(3, false, Because::AboveDesired);
        Action::Retire { count: 1, candidates: vec![victim] }
    };
    let drain =
        |pool: &Pool, n| Action::Drain { victim: pool.victim(n, false, Because::AboveDesired) };
    for pool in [lowered.clone(), lowered.later(min(1))] {
        let actions = vec![retire(&pool), drain(&pool, 1)];
        pool.expect(does(actions, Why::ShrinkingByHand { excess: 2 }));
    }
}
