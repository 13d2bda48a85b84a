//! Draining and lifecycle hooks: scenarios 29 to 35.

use super::*;
use crate::fleet::hold;
use crate::instance::{Instance, Refused};
use crate::job::{Attempt, JobId, Phase};
use crate::time::{MINUTE_MS, SECOND_MS, UnixMs};

const NOON: UnixMs = UnixMs(1_795_435_200_000);
const TIMEOUT_MS: u64 = 300 * SECOND_MS;

fn notice() -> Notice {
    Notice {
        group: "workers".into(),
        hook: "drain".into(),
        instance: "i-1".into(),
        token: "token-1".into(),
    }
}

fn record() -> DrainRecord {
    DrainRecord::new(notice(), TIMEOUT_MS, NOON)
}

fn after(ms: u64) -> UnixMs {
    NOON.plus_ms(ms)
}

#[track_caller]
fn expect(look: &Look, steps: &[Step], next: Option<UnixMs>) {
    assert_eq!((look.steps.as_slice(), look.next), (steps, next));
}

fn complete(because: Completion) -> Step {
    Step::Complete { because }
}

/// Rule: drained and idle, the hook is completed in the invocation that drained it.
#[test]
fn s29_idle() {
    let first = decide(&record(), Holder::Open, NOON);
    expect(&first, &[Step::DrainOrTombstone], Some(NOON));
    let second = decide(&first.record, Holder::Draining { busy: 0 }, NOON);
    expect(&second, &[complete(Completion::Drained)], None);
}

/// Rule: a heartbeat at once, for nobody knows how long it waits already, and at each third of the
/// timeout while a run goes on; near AWS's bound the run is
/// asked to stop, at the bound the hook is completed.
#[test]
fn s30_busy_for_forty_minutes_and_for_ever() {
    let busy = Holder::Draining { busy: 1 };
    let mut record = record();
    let (mut now, mut beats) = (NOON, 0);
    while now < after(40 * MINUTE_MS) {
        let look = decide(&record, busy, now);
        assert!(look.steps.iter().all(|step| *step == Step::Heartbeat), "{:?}", look.steps);
        beats += look.steps.len();
        record = look.record;
        now = look.next.unwrap();
    }
    assert_eq!(beats, 24, "at once, and each 100 s of 40 minutes");
    expect(
        &decide(&record, Holder::Draining { busy: 0 }, now),
        &[complete(Completion::Drained)],
        None,
    );

    let bound = 100 * TIMEOUT_MS;
    let (mut asked, mut ended) = (None, None);
    while ended.is_none() && now <= after(bound) {
        let look = decide(&record, busy, now);
        if look.steps.contains(&Step::AskToStop) {
            assert_eq!(asked.replace(now), None, "asked once");
        }
        if look.steps.contains(&complete(Completion::Deadline)) {
            ended = Some(now);
        }
        record = look.record;
        now = look.next.unwrap_or(now).max(now.plus_ms(1));
    }
    assert_eq!((asked, ended), (Some(after(bound - 5 * MINUTE_MS)), Some(after(bound))));

    // A hundred timeouts of two hours are more than AWS waits at all: 48 hours.
    let record = DrainRecord::new(notice(), 7_200 * SECOND_MS, NOON);
    let bound = 48 * 60 * MINUTE_MS;
    let look = decide(&record, busy, after(bound - 5 * MINUTE_MS - 1));
    assert!(!look.steps.contains(&Step::AskToStop), "{look:?}");
    let look = decide(&record, busy, after(bound - 5 * MINUTE_MS));
    expect(&look, &[Step::Heartbeat, Step::AskToStop], Some(after(bound)));
    let end = decide(&look.record, busy, after(bound));
    expect(&end, &[complete(Completion::Deadline)], None);
}

/// Rule: where no worker is, one swap creates what keeps it from registering (C4); never looked
/// first and created later.
#[test]
fn s31_nobody_registered() {
    let first = decide(&record(), Holder::Nobody, NOON);
    expect(&first, &[Step::DrainOrTombstone], Some(NOON));
    let second = decide(&first.record, Holder::Tombstone, NOON);
    expect(&second, &[complete(Completion::NeverRegistered)], None);
    let (id, pool) = ("i-1".into(), "default".into());
    let (fence, holder) = hold::close(None, &id, &pool, NOON);
    assert_eq!(holder, Holder::Tombstone);
    let late = Instance::register(fence.as_ref(), &id, &pool, 1, "", None, NOON);
    assert_eq!(late, Err(Refused::Tombstone));
    // A worker was faster than the tombstone: the same swap drains it, and it takes no run.
    let open = Instance::new(&id, &pool, 1, "", None, NOON);
    let (closed, holder) = hold::close(Some(&open), &id, &pool, NOON);
    assert_eq!(holder, Holder::Draining { busy: 0 });
    let job = JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
    assert_eq!(closed.expect("drained").take(1, &job), Err(Refused::Draining));
    let late = decide(&first.record, Holder::Draining { busy: 1 }, NOON);
    expect(&late, &[Step::Heartbeat], Some(after(TIMEOUT_MS / 3)));
}

/// Rule: a lost worker holds nothing up.
#[test]
fn s32_the_worker_is_lost() {
    expect(&decide(&record(), Holder::Lost, NOON), &[complete(Completion::WorkerLost)], None);
}

/// Rule: the record decides, not the message: what is completed stays completed.
#[test]
fn s33_a_message_comes_again() {
    let done = DrainRecord { completed: true, ..record() };
    let look = decide(&done, Holder::Open, after(10 * MINUTE_MS));
    expect(&look, &[], None);
    assert_eq!(look.record, done);
    // Twice in the same second: one heartbeat.
    let busy = Holder::Draining { busy: 1 };
    let at = after(TIMEOUT_MS / 3);
    let first = decide(&record(), busy, at);
    expect(&first, &[Step::Heartbeat], Some(after(2 * TIMEOUT_MS / 3)));
    expect(&decide(&first.record, busy, at), &[], Some(after(2 * TIMEOUT_MS / 3)));
}

/// Rule: each message is read by itself, in both of its forms.
#[test]
fn s34_a_batch_of_all_sorts() {
    let plain = r#"{"LifecycleHookName":"drain","AccountId":"1","RequestId":"r",
        "LifecycleTransition":"autoscaling:EC2_INSTANCE_TERMINATING","AutoScalingGroupName":"G",
        "Service":"AWS Auto Scaling","Time":"2026-11-23T12:00:00Z","EC2InstanceId":"i-1",
        "LifecycleActionToken":"token-1"}"#;
    let event = |group: &str| {
        let inner = plain.replace("\"G\"", &format!("{group:?}"));
        format!(
            r#"{{"version":"0","detail-type":"EC2 Instance-terminate Lifecycle Action","detail":{inner}}}"#
        )
    };
    let launching = event("workers").replace("TERMINATING", "LAUNCHING");
    let waits = || Ok(Message::Terminating(notice()));
    #[rustfmt::skip]
    let table = [
        (plain.replace("\"G\"", "\"workers\""),                     waits()),
        (event("workers"),                                           waits()),
        (event("others"),      Ok(Message::Other { what: "the group others".into() })),
        (launching,            Ok(Message::Other { what: "autoscaling:EC2_INSTANCE_LAUNCHING".into() })),
        (r#"{"Event":"autoscaling:TEST_NOTIFICATION","AutoScalingGroupName":"x"}"#.into(), Ok(Message::Test)),
        ("not json".into(),                                          Err(())),
        (event("workers").replace("EC2InstanceId", "Instance"),      Err(())),
        ("{}".into(),                                                Err(())),
    ];
    for (body, expect) in table {
        assert_eq!(read(body.as_bytes(), &["workers"]).map_err(|_| ()), expect, "{body}");
    }
}

/// Rule: "no active action" is success unless the machine still waits.
#[test]
fn s35_the_completion_is_refused() {
    #[rustfmt::skip]
    let table = [
        (false, true,  Then::Done),
        (false, false, Then::Done),
        (true,  true,  Then::AgainByInstance),
        (true,  false, Then::Alarm),
    ];
    for (still_waits, by_token, expect) in table {
        let refusal = Refusal::NoActiveAction { still_waits, by_token };
        assert_eq!(after_completion(refusal), expect);
    }
}
