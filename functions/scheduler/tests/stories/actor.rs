//! protocol.md §2 (a): stacks, their outboxes and their messages. Each test names the rule that
//! it passes by.
use crate::invariants::Watch;
use crate::scenarios::{PAIR, pair, ready};
use crate::world::{Stage, World};
use windlass_core::event::{Command, Intent, StackEnvelope, StackEvent};
use windlass_core::keys;
use windlass_core::stack::RECENT_MAX;
use windlass_ports::fake::Strike;
use windlass_ports::{Delivery, Queues};

fn lock() -> Command {
    Command::Lock { note: None, until: None }
}

/// Rule A6: dead letters go back to their group by themselves.
#[tokio::test]
async fn a1_a_message_that_died_of_crashes_is_decided_all_the_same() {
    let mut world = World::one().await;
    world.queues.set_receives_max(2);
    world.touch("net").await;
    for _ in 0..2 {
        assert!(world.receive(keys::INTENTS).await.is_some(), "received, and then a crash");
        world.advance(60_000);
    }
    assert!(world.receive(keys::INTENTS).await.is_none());
    assert_eq!(world.queues.busy(), ["intents-dead.fifo"]);
    world.quiet_down().await;
    assert_eq!(world.applies("net"), 2);
}

/// Rule A7: pushes are ordered by their place in the repository's history, not by arrival.
#[tokio::test]
async fn a2_an_older_commit_that_arrives_late_is_never_applied_after_a_newer() {
    let mut world = World::one().await;
    let older = queued(&mut world, "net").await;
    world.touch("net").await;
    world.settle().await;
    let newer = world.newest("net").await.new.commit;
    assert_eq!(world.head("net").await.tracked, Some(newer.clone()));
    world.send_late(Intent::Stack(older)).await;
    world.settle().await;
    assert_eq!(world.head("net").await.tracked, Some(newer.clone()));
    let commits: Vec<_> = world.runs("net").await.into_iter().map(|r| r.new.commit.seq).collect();
    assert_eq!(commits.iter().filter(|seq| **seq == newer.seq).count(), 2, "{commits:?}");
}

/// Rule A3: a projection carries its head's revision and only rises.
#[tokio::test]
async fn a3_a_handler_that_wakes_late_does_not_lower_a_projection() {
    let mut world = ready().await;
    world.work_until("w1", |stage| matches!(stage, Stage::Ended(_))).await;
    let run = world.job("net").await.run;
    let began = world.receive(keys::REPORTS).await.expect("a report");
    let slow = world.stop_before(keys::REPORTS, &began, (&keys::run(&run), 1)).await;
    world.advance(31_000);
    world.quiet_down().await;
    let known = world.run(&run).await;
    assert_eq!(known.state.name().as_str(), "FINISHED");
    slow.wake().await;
    assert_eq!(world.run(&run).await, known);
}

/// Rule A2: a handler strikes only what it delivered itself.
#[tokio::test]
async fn a4_a_slow_handler_does_not_strike_what_another_owes() {
    let mut world = World::one().await;
    let event = StackEvent::Command { actor: "ann".to_owned(), command: lock() };
    world.tell("net", event).await;
    let locked = world.receive(keys::INTENTS).await.expect("the command");
    let slow = world.stop_before(keys::INTENTS, &locked, (keys::AUDIT, 1)).await;
    world.advance(31_000);
    world.touch("net").await;
    world.faults.replan(|_, name| {
        (name.contains("docs.put jobs/") && name.ends_with("/spec")).then_some(Strike::CrashBefore)
    });
    world.settle_messages().await;
    assert!(world.faults.crashed());
    slow.wake().await;
    let owed = world.head("net").await.outbox;
    assert!(owed.iter().any(|entry| entry.effect.label() == "send_job"), "{owed:?}");
    world.restart().await;
    world.quiet_down().await;
    assert_eq!(world.applies("net"), 1, "locked: it waits for a person");
    assert_eq!(world.state("net").await, "UNCONFIRMED");
}

/// Rule A4: an effect that fails fails nothing else.
#[tokio::test]
async fn a5_an_effect_that_fails_for_ever_holds_up_nothing() {
    let mut world = World::one().await;
    world.faults.replan(|_, name| name.starts_with("docs.put audit/").then_some(Strike::Before));
    let event = world.command("net", lock()).await;
    world.command("net", Command::Unlock { force: false }).await;
    world.touch("net").await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2);
    let owed = world.head("net").await.outbox;
    assert_eq!(owed.iter().map(|e| e.effect.label()).collect::<Vec<_>>(), ["audit", "audit"]);
    assert_eq!(world.queues.busy(), Vec::<String>::new(), "nothing was handed back");
    world.faults.revive();
    world.quiet_down().await;
    assert_eq!(world.head("net").await.outbox, []);
    let audited = world.docs.dump().into_keys().any(|key| key.ends_with(event.as_str()));
    assert!(audited, "the tick came back for it");
}

/// Rule A1: an event is known by what it made, not only by the ring.
#[tokio::test]
async fn a6_an_event_that_comes_again_after_the_ring_rolled_is_known() {
    let mut world = World::one().await;
    let queued = queued(&mut world, "net").await;
    world.send_late(Intent::Stack(queued.clone())).await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2);
    let before = world.run(&run_of(&queued)).await;
    roll_the_ring(&mut world).await;
    world.send_late(Intent::Stack(queued)).await;
    world.settle().await;
    assert_eq!(world.run(before.id()).await, before, "it is not born again");
    assert_eq!((world.applies("net"), world.runs("net").await.len()), (2, 2));
}

/// Rule A1, for what leaves no run behind: its audit entry tells.
#[tokio::test]
async fn a6_a_lock_that_comes_again_after_the_ring_rolled_is_known() {
    let mut world = World::one().await;
    let event = StackEvent::Command { actor: "ann".to_owned(), command: lock() };
    let locked = world.envelope("net", event);
    world.send(Intent::Stack(locked.clone())).await;
    world.command("net", Command::Unlock { force: false }).await;
    roll_the_ring(&mut world).await;
    world.send_late(Intent::Stack(locked)).await;
    world.settle().await;
    assert_eq!(world.head("net").await.lock, None);
}

/// Rule A1, third leg: a run whose document was never stored is known by the outbox.
#[tokio::test]
async fn a6_a_run_whose_document_is_still_owed_is_known() {
    let mut world = World::one().await;
    let queued = queued(&mut world, "net").await;
    let document = format!("docs.put {}", keys::run(&run_of(&queued)));
    world.faults.replan(move |_, name| (name == document).then_some(Strike::Before));
    world.send_late(Intent::Stack(queued.clone())).await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2);
    let born = world.now();
    world.advance(60_000);
    world.send_late(Intent::Stack(queued.clone())).await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2, "it was known");
    world.faults.revive();
    world.quiet_down().await;
    assert_eq!(world.run(&run_of(&queued)).await.created_at, born, "it is not born again");
}

/// Rule A5: nothing depends on the next event coming. (What is owed here is all that would wake
/// the stack: it has no run.)
#[tokio::test]
async fn a7_an_outbox_whose_handler_died_is_delivered_by_the_tick() {
    let mut world = World::one().await;
    world.quiet_down().await;
    let locked = world.command("net", lock()).await;
    let delivery = world.receive_of("net").await;
    world
        .faults
        .replan(|_, name| name.starts_with("docs.put stacks/net/").then_some(Strike::CrashAfter));
    world.decide(keys::INTENTS, &delivery).await;
    // Another handler knows the event already and acknowledges it; nothing else comes.
    world.restart().await;
    let _ = world.deps.queues.delete(keys::INTENTS, &delivery.receipt).await;
    assert!(!world.head("net").await.outbox.is_empty());
    for _ in 0..5 {
        world.advance(60_000);
        scheduler::tick(&world.deps).await.expect("ticked");
        world.settle().await;
    }
    assert_eq!(world.head("net").await.outbox, []);
    let audited = world.docs.dump().into_keys().any(|key| key.ends_with(locked.as_str()));
    assert!(audited, "and what it owed is there");
}

/// Rules A1 and W2: the plan of a rollout is stored before the first message goes out, and a push
/// that comes again is not planned again.
#[tokio::test]
async fn a9_a_push_is_routed_once_though_definitions_change_half_way() {
    let mut world = pair().await;
    let routed = world.rollouts().await;
    world.touch("net").await;
    let mut sent = 0;
    world.faults.replan(move |_, name| {
        sent += u32::from(name == "queues.send intents.fifo");
        (sent == 1).then_some(Strike::CrashAfter)
    });
    world.settle_messages().await;
    assert!(world.faults.crashed(), "one of the two runs was asked for");
    world.restart().await;
    world.edit_index(|index| index.dependents.clear()).await;
    world.advance(31_000);
    world.quiet_down().await;
    assert_eq!(world.rollouts().await, routed + 1);
    assert_eq!((world.applies("net"), world.applies("app")), (2, 2), "{PAIR}");
    let mut watch = Watch::default();
    assert_eq!(watch.at_rest(&world).await, Vec::<String>::new());
}

/// Rule A7's other half: who lost the race for a head decides again on what is there now.
#[tokio::test]
async fn a7_a_handler_that_lost_the_race_decides_on_the_new_head() {
    let mut world = ready().await;
    let job = world.job("net").await;
    let run = job.run.clone();
    world.command("net", Command::Cancel { run: run.clone(), note: None }).await;
    let cancel = world.receive(keys::INTENTS).await.expect("the command");
    let head = keys::head(&"net".into());
    let slow = world.stop_before(keys::INTENTS, &cancel, (&head, 1)).await;
    world.work_until("w1", |stage| *stage == Stage::Running).await;
    world.work_step("w1").await;
    world.settle_messages().await;
    slow.wake().await;
    world.quiet_down().await;
    // It is PLANNING by then, which can't be cancelled: the person is told.
    assert_eq!(world.run(&run).await.state.name().as_str(), "FINISHED");
}

/// A push whose run of `stack` is asked for, but not yet heard of: the message is in our hands.
async fn queued(world: &mut World, stack: &str) -> StackEnvelope {
    world.touch(stack).await;
    let delivery: Delivery = world.receive_of(stack).await;
    world.queues.delete(keys::INTENTS, &delivery.receipt).await.expect("ours");
    match serde_json::from_slice(&delivery.body).expect("an intent") {
        Intent::Stack(envelope) => envelope,
        other => panic!("a message of {} in a stack's group", other.group()),
    }
}

fn run_of(envelope: &StackEnvelope) -> windlass_core::id::RunId {
    match &envelope.event {
        StackEvent::Queue { run } => run.id.clone(),
        other => panic!("{other:?}"),
    }
}

/// As many other events as the ring remembers, and time for every deduplication to forget.
async fn roll_the_ring(world: &mut World) {
    for _ in 0..=RECENT_MAX {
        world.command("net", Command::Unlock { force: false }).await;
    }
    world.settle().await;
    world.advance(windlass_ports::queues::DEDUP_WINDOW_MS);
}
