//! Scale-up: 1 to 10.
use super::pool::{NOON, Pool, does, grows, holds, min};
use crate::definition::fixture;
use crate::event::{StackEnvelope, StackEvent};
use crate::fleet::{Action, Alarm, Because, Cause, Demand, Warm, WarmWindow, Why};
use crate::id::PoolId;
use crate::instance::Instance;
use crate::run::{Commit, NewRun};
use crate::stack::{Facts, StackHead, decide};
use crate::summary::OpenJob;
use crate::time::UnixMs;

/// Rule: a step is of `step_up_max` machines, and what is not met is told with its cause.
#[test]
fn s01_a_burst_is_met_in_steps_at_once() {
    let pool = Pool::desired(0).queued(60);
    pool.expect(grows(0, 10).unmet(50, Cause::Step));
    let pool = pool.group(|g| g.desired = 10).later(min(1));
    pool.expect(grows(10, 20).unmet(40, Cause::Max));
}

/// Rule: booting machines are supply; nothing waits for them to register.
#[test]
fn s02_more_is_asked_for_while_machines_boot() {
    Pool::desired(10).busy(4).unregistered(6, 2).queued(8).expect(grows(10, 12));
}

/// Rule: what can't be launched is no supply, and buys no more of the same; once nothing waits,
/// the number comes down to what is there.
#[test]
fn s03_no_capacity() {
    let pool = Pool::desired(10).busy(4).group(|g| g.launches_failed = 3);
    let blocked = holds(Why::CapacityBlocked).alarm(Alarm::CapacityBlocked);
    pool.clone().queued(30).expect(blocked.unmet(30, Cause::Capacity));
    pool.expect(does(vec![Action::SetDesired { from: 10, to: 4 }], Why::Shrunk));
}

/// A stack for which so many runs were asked.
fn stack(slug: &str, runs: u64) -> StackHead {
    let define =
        StackEvent::Define { def: Box::new(fixture(slug)), commit: "c".into(), revision: 1 };
    let queue = |seq| {
        let sha = format!("{slug}-{seq}");
        let commit = Commit { sha: sha.as_str().into(), seq, ..Commit::default() };
        let (branch, repository) = ("main".to_owned(), "infra".into());
        let run =
            NewRun { id: sha.into(), branch, repository, direct: true, ..NewRun::blank(commit) };
        StackEvent::Queue { run: Box::new(run) }
    };
    let mut head = StackHead::new(&slug.into());
    for (n, event) in std::iter::once(define).chain((1..=runs).map(queue)).enumerate() {
        let id = format!("{slug}-event-{n}").into();
        let envelope = StackEnvelope { id, stack: slug.into(), at: NOON, hops: 0, event };
        head = decide(head, &envelope, &Facts::default(), NOON).head;
    }
    head
}

/// Rule: demand is what a free slot would start now: a run whose stack another has waits, and has no
/// job; one that a slot has waits no more.
#[test]
fn s04_runs_that_wait_for_a_lock_buy_nothing() {
    let head = stack("s", 5);
    let jobs: Vec<OpenJob> = OpenJob::all(&head);
    assert_eq!((head.open().count(), jobs.len()), (5, 1));
    let pool = |records: &[Instance]| {
        let mut pool = Pool::desired(2).busy(2);
        pool.snapshot.demand = Demand::of(&jobs, records.iter(), NOON);
        pool
    };
    pool(&[]).expect(grows(2, 3));
    let pool_id = PoolId::from("default");
    let worker = Instance::new(&"i-1".into(), &pool_id, 1, "", None, NOON);
    let job = head.open().find_map(|run| run.job()).expect("a job");
    let claimed = worker.take(worker.epoch, &job).expect("claimed");
    pool(&[claimed]).expect(holds(Why::RightSized { booting: 0 }));
    // Nor does one that goes on after its worker's process: nobody else may begin it.
    let left = Instance { leftovers: vec![job], ..worker };
    pool(&[left]).expect(holds(Why::RightSized { booting: 0 }));
}

/// Rule: the group's maximum.
#[test]
fn s05_at_its_maximum() {
    let full = holds(Why::AtMax).unmet(3, Cause::Max).alarm(Alarm::QueueAtMax);
    let mut pool = Pool::desired(20).busy(20).queued(3);
    pool.snapshot.demand.oldest_ms = min(9);
    pool.expect(full);
}

/// Rule: booting machines within their deadline are supply.
#[test]
fn s06_booting_covers_the_need() {
    Pool::desired(2).unregistered(2, 3).queued(2).expect(holds(Why::RightSized { booting: 2 }));
}

/// Rule: overdue at two looks; at most the blast radius a tick; after three in a row none.
#[test]
fn s07_machines_that_do_not_come_up() {
    let pool = Pool::desired(2).unregistered(2, 11).queued(2);
    // The first look only suspects; what is overdue is no supply, so two more are asked for.
    pool.expect(grows(2, 4));
    let pool = pool.group(|g| g.desired = 4).machines(2, |m| {
        m.workers.clear();
        m.launched(0);
    });
    let pool = pool.later(min(1));
    let end = Action::End { victim: pool.victim(1, false, Because::BootFailed) };
    let radius = does(vec![end], Why::RightSized { booting: 2 }).alarm(Alarm::BlastRadius);
    pool.expect(radius);
    // One that is hard to end failed once, however often it is tried.
    let mut tried = pool.clone();
    for _ in 0..4 {
        tried = tried.later(min(1));
        assert_eq!(tried.memory.boot_failures, 1);
    }

    let pool = pool.remembers(|m| {
        m.boot_failures = 3;
        m.boot_failed_at = Some(UnixMs(NOON.0 - min(1)));
    });
    let stopped = holds(Why::RightSized { booting: 2 }).alarm(Alarm::BootsFail);
    pool.expect(stopped);
    let stuck = holds(Why::BootsFail { in_a_row: 3 }).unmet(4, Cause::BootsFail);
    pool.clone().queued(6).expect(stuck.alarm(Alarm::BootsFail));
    // One that comes up proves the image good.
    let healed = pool.machine(|m| m.workers[0].registered_at = NOON);
    let end = Action::End { victim: healed.victim(1, false, Because::BootFailed) };
    let healed = healed.group(|g| g.desired = 5);
    healed.expect(does(vec![end], Why::RunsWait { schedulable: 2 }).alarm(Alarm::BlastRadius));
}

/// Rule: live slots are counted, not machines times slots.
#[test]
fn s08_slots_and_not_machines() {
    // With five, machines times slots would be just enough.
    for queued in [6, 5] {
        let pool = Pool::desired(2).policy(|p| p.slots_per_instance = 4).queued(queued);
        let pool = pool.machine(|m| {
            m.workers[0].slots = 3;
            m.workers[0].busy = 3;
        });
        pool.machine(|_| {}).expect(grows(2, 3));
    }
}

/// Rule: the whole need is compared with the whole supply, asked-for machines included: whoever
/// comes second has nothing to add.
#[test]
fn s09_many_wakes_of_one_burst() {
    let pool = Pool::desired(0).group(|g| g.max = 40).policy(|p| p.step_up_max = 40).queued(25);
    pool.expect(grows(0, 25));
    pool.group(|g| g.desired = 25).expect(holds(Why::RightSized { booting: 0 }));
}

/// Rule: warm slots are free ones, in their hours.
#[test]
fn s10_a_reserve_by_the_clock() {
    let windows = vec![WarmWindow { days: vec![0], from_minute: 480, to_minute: 1_140, slots: 2 }];
    let pool = |desired: u32, hour: u64| {
        let mut pool = Pool::desired(desired).policy(|p| {
            p.warm = Warm::Weekly { timezone: "UTC".into(), windows: windows.clone() };
        });
        let hours = hour * min(60);
        pool.snapshot.now = UnixMs(NOON.0 - min(720) + hours + 30_000);
        pool.snapshot.due = pool.snapshot.now;
        pool
    };
    pool(0, 7).expect(holds(Why::RightSized { booting: 0 }));
    pool(0, 8).expect(grows(0, 2));
    pool(2, 9).busy(2).expect(grows(2, 4));
    let evening = pool(2, 19).idle(2, 30);
    evening.expect(does(vec![evening.retire(2, &[1, 2])], Why::Shrunk));
}
