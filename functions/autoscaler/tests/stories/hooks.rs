//! The drainer's scenarios: hooks that hold machines.
use super::world::{HOOK_MS, NOON, World, min};
use crate::pool::CAN;
use drainer::{Fate, Report};
use serde_json::json;
use windlass_core::drain::DrainRecord;
use windlass_core::id::InstanceId;
use windlass_core::time::SECOND_MS;
use windlass_ports::fake::{FakeHook, GoneBy, Strike};

const THIRD_MS: u64 = HOOK_MS / 3;

/// A world whose first machine the group wants to end; its message.
pub(crate) fn leaving(world: &World) -> (InstanceId, String) {
    let machine = world.machine(1);
    world.fleet.refresh(&machine);
    let message = world.message(&machine).expect("it waits");
    (machine, message)
}

/// Rule: idle, it is drained and let go in the invocation that hears of it.
#[tokio::test]
async fn s29_idle() {
    let world = World::idle(1);
    let (machine, message) = leaving(&world);
    assert_eq!(world.deliver(&message).await, Fate::Done);
    assert_eq!(world.gone(), std::slice::from_ref(&machine));
    assert!(world.drain_record(&machine).await.expect("on record").completed);
}

/// Rule: a busy machine's hook is put off at each third of its timeout until the run has ended; it
/// takes no other meanwhile.
#[tokio::test]
async fn s30_ten_minutes_into_an_apply() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    assert_eq!(world.deliver(&message).await, Fate::Done);
    for _ in 0..30 {
        world.pass(min(1));
        world.settle();
        world.drains().await.expect("drained");
        assert!(!world.crew.claim(&machine), "no second run");
        assert_eq!(world.gone(), []);
    }
    assert_eq!(world.calls("hooks.heartbeat"), 16, "and at each second minute: a third is 100 s");
    world.crew.finish(&machine);
    world.pass(min(1));
    assert_eq!(world.drains().await.expect("drained").completed, 1);
    assert_eq!(world.gone(), [machine]);
    world.nobody_busy_ended();
}

/// Rule: a wait that nobody heard of for most of its time is put off at once.
#[tokio::test]
async fn s30_heard_of_late() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, _) = leaving(&world);
    for _ in 0..8 {
        world.pass(HOOK_MS - 10 * SECOND_MS);
        world.settle();
        world.drains().await.expect("drained");
        world.nobody_busy_ended();
    }
    assert_eq!(world.gone(), []);
    world.crew.finish(&machine);
    assert_eq!(world.drains().await.expect("drained").completed, 1);
}

/// Rule: near AWS's bound the run is asked to stop, once; at the bound its time is over.
#[tokio::test]
async fn s30_a_run_that_does_not_end() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.deliver(&message).await;
    let bound = 100 * HOOK_MS;
    // Where nobody can be asked, it is tried all the same.
    let asked = |world: &World| match CAN.ask_to_stop {
        true => world.crew.asked_to_stop(&machine),
        false => world.calls("pool.ask_to_stop") > 0,
    };
    while world.now() < NOON.plus_ms(bound - min(5)) {
        assert!(!asked(&world));
        world.pass(THIRD_MS);
        world.fleet.settle();
        world.drains().await.expect("drained");
    }
    assert!(asked(&world));
    while world.gone().is_empty() {
        world.pass(min(1));
        world.drains().await.expect("drained");
    }
    assert_eq!((world.calls("pool.ask_to_stop"), world.now()), (1, NOON.plus_ms(bound)));
}

/// Rule: where nobody registered, a tombstone comes first; a worker that is faster is drained by
/// the same swap (C4).
#[tokio::test]
async fn s31_nobody_registered() {
    if !CAN.fence {
        return;
    }
    for faster in [false, true] {
        let world = World::new();
        world.fleet.change(|group| group.desired = 1);
        world.fleet.settle();
        let (machine, message) = leaving(&world);
        let (crew, there) = (world.crew.clone(), machine.clone());
        world.faults.replan(move |_, name| {
            if faster && name.starts_with("pool.close") {
                assert!(crew.register(&there, 1) && crew.claim(&there));
            }
            None
        });
        assert_eq!(world.deliver(&message).await, Fate::Done);
        assert_eq!(world.gone().is_empty(), faster);
        assert!(faster || !world.crew.register(&machine, 1), "its tombstone holds");
        world.nobody_busy_ended();
    }
}

/// Rule: a pool without tombstones lets a machine go only after nobody came for a minute.
#[tokio::test]
async fn s31_a_pool_without_tombstones() {
    for comes in [false, true] {
        let world = World::guest();
        world.fleet.change(|group| group.desired = 1);
        world.fleet.settle();
        let (machine, message) = leaving(&world);
        world.deliver(&message).await;
        assert_eq!(world.gone(), []);
        world.pass(30 * SECOND_MS);
        if comes {
            assert!(world.crew.register(&machine, 1) && world.crew.claim(&machine));
        }
        world.pass(30 * SECOND_MS);
        world.drains().await.expect("drained");
        assert_eq!(world.gone().is_empty(), comes);
        world.nobody_busy_ended();
    }
}

/// Rule: a lost worker holds nothing up.
#[tokio::test]
async fn s32_the_worker_is_lost() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.crew.void(&machine);
    world.deliver(&message).await;
    assert_eq!(world.gone(), [machine]);
}

/// Rule: a message that comes twice, or late, or after everything, changes nothing.
#[tokio::test]
async fn s33_a_message_comes_again() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    for _ in 0..3 {
        assert_eq!(world.deliver(&message).await, Fate::Done);
    }
    world.pass(THIRD_MS);
    for _ in 0..3 {
        world.deliver(&message).await;
    }
    assert_eq!(world.calls("hooks.heartbeat"), 2, "the first at once");
    world.crew.finish(&machine);
    for _ in 0..3 {
        world.deliver(&message).await;
        world.pass(min(10));
    }
    assert_eq!((world.calls("hooks.complete"), world.gone().len()), (1, 1));
}

/// Rule: each message has a fate of its own.
#[tokio::test]
async fn s34_a_batch_of_all_sorts() {
    let world = World::idle(3);
    let machines = [world.machine(1), world.machine(2)];
    machines.iter().for_each(|machine| world.fleet.refresh(machine));
    let [first, second] = machines.map(|machine| world.message(&machine).expect("it waits"));
    let recorded: serde_json::Value =
        serde_json::from_slice(include_bytes!("../../../../events/asg/test-notification-sqs.json"))
            .expect("json");
    let test = recorded["Records"][0]["body"].as_str().expect("a body").to_owned();
    let stranger = first.replace("workers", "others");
    let launching = first.replace("TERMINATING", "LAUNCHING");
    let event = format!(r#"{{"version":"0","detail":{second}}}"#);
    for (body, fate) in [
        (first.as_str(), Fate::Done),
        ("not json", Fate::Quarantined),
        (&test, Fate::Done),
        (&stranger, Fate::Done),
        (&launching, Fate::Done),
        (r#"{"AutoScalingGroupName":"workers"}"#, Fate::Quarantined),
        (&event, Fate::Done),
    ] {
        assert_eq!(world.deliver(body).await, fate, "{body}");
    }
    assert_eq!(world.gone().len(), 2);
    let aside = world.docs.dump().into_keys().filter(|key| key.starts_with("quarantine/")).count();
    assert_eq!(aside, 2);
}

/// Rule: what really comes is answered as the poller wants it; what nobody meant is refused.
#[tokio::test]
async fn recorded_events() {
    let world = World::idle(1);
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("json");
    let test = read(include_bytes!("../../../../events/asg/test-notification-sqs.json"));
    let stranger = read(include_bytes!("../../../../events/asg/lifecycle-sqs.json"));
    for event in [test, stranger.clone()] {
        let answer = world.invoke(event).await.expect("an answer");
        assert_eq!(answer, json!({ "batchItemFailures": [] }));
    }
    let (machine, message) = leaving(&world);
    let record = |id: &str, body: &str| {
        let mut record = stranger["Records"][0].clone();
        record["messageId"] = id.into();
        record["body"] = body.into();
        record
    };
    let batch = json!({ "Records": [record("m1", "no json"), record("m2", &message)] });
    world.faults.replan(|_, name| name.starts_with("docs.").then_some(Strike::Before));
    let both = json!([{ "itemIdentifier": "m1" }, { "itemIdentifier": "m2" }]);
    assert_eq!(world.invoke(batch.clone()).await.expect("an answer")["batchItemFailures"], both);
    world.faults.revive();
    let answer = world.invoke(batch).await.expect("an answer");
    assert_eq!((answer["batchItemFailures"].clone(), world.gone()), (json!([]), vec![machine]));
    let ticked = json!({ "waiting": 0, "completed": 0 });
    assert_eq!(world.invoke(json!({ "tick": true })).await.expect("an answer"), ticked);
    for event in [json!({ "tick": false }), json!({}), json!([])] {
        assert!(!world.invoke(event).await.expect_err("nobody meant it").is_retryable());
    }
}

/// Rule: a wrong token is no reason to hold a machine; what can't be completed at all is told.
#[tokio::test]
async fn s35_the_completion_is_refused() {
    let world = World::idle(2);
    let (machine, message) = leaving(&world);
    let wrong = message.replace("token-", "wrong-");
    assert_eq!(world.deliver(&wrong).await, Fate::Done);
    assert_eq!((world.gone(), world.calls("hooks.complete")), (vec![machine], 2));

    let other = world.machine(2);
    world.fleet.refresh(&other);
    let fleet = world.fleet.clone();
    world.faults.replan(move |_, name| {
        // Its name is not what we think, for the time of the call.
        let hook = if name.starts_with("hooks.complete") { "renamed" } else { "drain" };
        fleet.set_hook(Some(FakeHook { name: hook.into(), timeout_ms: HOOK_MS }));
        None
    });
    assert_eq!(world.drains().await.expect("drained").stuck, 1);
    // What we let go already, another hook holds: nobody need look.
    let mut record = world.drain_record(&other).await.expect("on record");
    record.completed = true;
    let key = windlass_core::keys::drain(&super::world::pool_id(), &other);
    let write = |_: Option<&DrainRecord>| Ok(windlass_ports::Change::Write(record.clone(), ()));
    windlass_ports::cas::update(&*world.docs, &key, "w", write).await.expect("stored");
    assert_eq!(world.drains().await.expect("drained").stuck, 0);
    world.faults.revive();
    world.fleet.set_hook(Some(FakeHook { name: "drain".into(), timeout_ms: HOOK_MS }));
    assert_eq!(world.drains().await.expect("drained").completed, 1, "and tried again");
}

/// Rule: a message is acknowledged only once its wait is on record.
#[tokio::test]
async fn a_store_that_is_away() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.faults.replan(|_, name| name.starts_with("docs.").then_some(Strike::Before));
    assert_eq!(world.deliver(&message).await, Fate::Again);
    assert!(world.drain_record(&machine).await.is_none());
    world.faults.revive();
    assert_eq!(world.deliver(&message).await, Fate::Done);
    assert!(world.drain_record(&machine).await.is_some());
}

/// Rule: a wait counts from its first word, whoever is away then.
#[tokio::test]
async fn a_pool_that_is_away() {
    let world = World::idle(1);
    let (machine, message) = leaving(&world);
    world.faults.replan(|_, name| name.starts_with("pool.").then_some(Strike::Before));
    assert_eq!(world.deliver(&message).await, Fate::Again);
    world.pass(min(2));
    world.faults.revive();
    assert_eq!(world.deliver(&message).await, Fate::Done);
    assert_eq!(world.drain_record(&machine).await.expect("on record").since, NOON);
}

/// Rule C5: what is seen to wait is handled, whatever our record says.
#[tokio::test]
async fn a_machine_that_waits_though_we_let_it_go() {
    let world = World::idle(1);
    let (machine, message) = leaving(&world);
    let notice = world.fleet.notice(&machine).expect("it waits");
    let mut record = DrainRecord::new(notice, HOOK_MS, NOON);
    record.completed = true;
    let key = windlass_core::keys::drain(&super::world::pool_id(), &machine);
    windlass_ports::cas::create(&*world.docs, &key, "w", &record).await.expect("stored");
    world.deliver(&message).await;
    assert_eq!(world.gone(), [], "a late message is not word enough");
    assert_eq!(world.drains().await.expect("drained").completed, 1);
    assert_eq!(world.gone(), [machine]);
}

/// Rule: one machine that can't be looked at keeps no other waiting.
#[tokio::test]
async fn a_bad_record_spoils_nothing() {
    let world = World::idle(3);
    for n in 1..=3 {
        world.fleet.refresh(&world.machine(n));
    }
    let key = windlass_core::keys::drain(&super::world::pool_id(), &world.machine(2));
    let put =
        windlass_ports::Docs::put(&*world.docs, &key, windlass_ports::Expect::Absent, b"{".into());
    put.await.expect("put");
    let expect = Report { waiting: 3, completed: 2, stuck: 0, failed: 1 };
    assert_eq!(world.drains().await.expect("drained"), expect);
    let message = world.message(&world.machine(2)).expect("it waits");
    assert_eq!(world.deliver(&message).await, Fate::Quarantined);
}

/// Rule: a hook that ended without us is over; nobody is asked about it for ever.
#[tokio::test]
async fn a_hook_that_lapsed() {
    let world = World::idle(1);
    world.busy(&[1]);
    let (machine, message) = leaving(&world);
    world.deliver(&message).await;
    world.pass(HOOK_MS);
    world.fleet.settle();
    assert_eq!(world.fleet.deaths()[0].by, GoneBy::Lapse);
    world.deliver(&message).await;
    assert!(world.drain_record(&machine).await.expect("on record").completed);
    let beats = world.calls("hooks.heartbeat");
    world.pass(THIRD_MS);
    world.deliver(&message).await;
    assert_eq!(world.calls("hooks.heartbeat"), beats);
}

/// Rule: records outlive their machines by a day, and no longer.
#[tokio::test]
async fn old_records_go() {
    let world = World::idle(1);
    let (machine, message) = leaving(&world);
    world.deliver(&message).await;
    for (hours, kept) in [(1, true), (22, true), (2, false)] {
        world.pass(min(60 * hours));
        world.drains().await.expect("drained");
        assert_eq!(world.drain_record(&machine).await.is_some(), kept, "{hours}");
    }
}

/// A message and a tick at once, in every interleaving of whole looks: one completion counts.
#[tokio::test]
async fn a_message_and_a_tick_at_once() {
    for busy in [false, true] {
        for call in 1..=12 {
            let world = World::idle(1);
            if busy {
                world.busy(&[1]);
            }
            let (machine, message) = leaving(&world);
            let other = world.clone();
            world.faults.replan(move |n, _| {
                if n == call {
                    other.drains_meanwhile();
                }
                None
            });
            assert_eq!(world.deliver(&message).await, Fate::Done, "{call}");
            world.nobody_busy_ended();
            assert_eq!(world.gone().is_empty(), busy, "{call}");
            let record = world.drain_record(&machine).await.expect("on record");
            assert_eq!(record.completed, !busy, "{call}");
            assert!(!record.notice.token.is_empty(), "{call}");
        }
    }
}
