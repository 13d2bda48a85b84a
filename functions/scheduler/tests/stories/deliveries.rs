//! Deliveries: each comes to exactly one outcome, in whatever order, however often, whoever dies.
use crate::crash::{end, has_effect};
use crate::world::{NOBODY, REPO, Sent, World};
use serde_json::json;
use windlass_core::keys;
use windlass_core::stack::RECENT_MAX;
use windlass_ports::fake::Strike;
use windlass_ports::{Docs, Expect};

const NET: &str = "stacks/net/main.tf";
const APP: &str = "stacks/app/main.tf";

async fn pair() -> World {
    crate::scenarios::pair().await
}

async fn known_head(world: &World, branch: &str) -> Option<String> {
    world.repo().await.branches.get(branch).map(|branch| branch.head.0.clone())
}

#[tokio::test]
async fn a_push_that_follows_is_taken_at_its_word() {
    let mut world = World::one().await;
    let sent = world.commit("main", &[NET]).await;
    let before = world.faults.calls();
    world.hook(&sent).await.expect("taken");
    world.settle().await;
    let trace = world.faults.trace().into_iter().filter(|call| call.number > before);
    let asked: Vec<String> = trace.map(|c| c.name).filter(|n| n.starts_with("source.")).collect();
    assert!(asked.iter().all(|call| call.contains("source.read")), "{asked:?}");
    assert_eq!(world.became(&sent).await, "routed");
    assert!(world.bodies().is_empty());
    assert_eq!(world.applies("net"), 2);
    let run = world.newest("net").await;
    assert_eq!(
        (run.new.commit.author.as_str(), run.new.commit.subject.as_str()),
        ("Ada Example", "A change")
    );
}

/// a8: the body is kept, then the webhook dies. GitHub will not send it again.
#[tokio::test]
async fn a8_a_body_without_a_pointer_is_found() {
    for strike in [Strike::CrashBefore, Strike::CrashAfter] {
        let mut world = World::one().await;
        let sent = world.commit("main", &[NET]).await;
        let put = world.faults.calls() + 1;
        let number = if strike == Strike::CrashAfter { put } else { put + 1 };
        world.faults.replan(move |n, _| (n == number).then_some(strike));
        world.hook(&sent).await.expect_err("it died");
        world.restart().await;
        world.settle().await;
        assert_eq!(world.became(&sent).await, "nothing", "{strike:?}");
        world.pass_minutes(1).await;
        assert_eq!(world.became(&sent).await, "nothing", "its first pointer may be on its way");
        world.pass_minutes(1).await;
        world.settle().await;
        assert_eq!(world.became(&sent).await, "routed", "{strike:?}");
        assert_eq!((world.applies("net"), world.bodies().len()), (2, 0));
    }
}

/// The webhook and the server die at every call in turn, on both sides of it. Only if nothing was
/// kept, a person sends it again: they saw that it failed.
async fn everywhere(before: World, sent: &[Sent]) {
    let mut world = before.fork();
    let first = world.faults.calls();
    deliver(&mut world, sent).await;
    let effects = world.faults.trace().into_iter().filter(|call| call.number > first);
    let effects: Vec<u64> = effects.filter(|c| has_effect(&c.name)).map(|c| c.number).collect();
    world.quiet_down().await;
    let expected = (end(&world).await, outcomes(&world, sent).await);
    assert!(effects.len() > 10, "something happens");
    for number in effects {
        for strike in [Strike::CrashBefore, Strike::CrashAfter] {
            let mut world = before.fork();
            world.faults.replan(move |n, _| (n == number).then_some(strike));
            deliver(&mut world, sent).await;
            if world.faults.crashed() {
                world.restart().await;
            }
            world.advance(31_000);
            world.settle_messages().await;
            world.quiet_down().await;
            let got = (end(&world).await, outcomes(&world, sent).await);
            let story = || world.faults.story();
            assert!(
                got == expected,
                "{strike:?} at {number}:\n{}{got:#?}\nnot\n{expected:#?}",
                story()
            );
            assert!(world.bodies().is_empty(), "{strike:?} at {number}:\n{}", story());
        }
    }
}

async fn deliver(world: &mut World, sent: &[Sent]) {
    for sent in sent {
        if world.hook(sent).await.is_err() && world.faults.crashed() {
            world.restart().await;
            if !world.is_kept(sent) {
                world.hook(sent).await.expect("sent again");
            }
        }
    }
    world.settle().await;
}

async fn outcomes(world: &World, sent: &[Sent]) -> Vec<String> {
    let mut labels = Vec::new();
    for sent in sent {
        labels.push(format!("{:?}", world.outcome(sent).await));
    }
    labels
}

#[tokio::test]
async fn whoever_dies_at_a_push_nothing_is_lost_or_doubled() {
    let mut world = World::one().await;
    let sent = world.commit("main", &[NET]).await;
    everywhere(world, &[sent]).await;
}

#[tokio::test]
async fn whoever_dies_at_a_push_that_is_looked_up_nothing_is_lost_or_doubled() {
    let mut world = World::one().await;
    world.commit("main", &["README.md"]).await;
    let sent = world.commit("main", &[NET]).await;
    everywhere(world, &[sent]).await;
}

#[tokio::test]
async fn whoever_dies_at_a_deletion_nothing_is_lost_or_doubled() {
    let mut world = World::one().await;
    let made = world.commit("topic", &[NET]).await;
    world.hook(&made).await.expect("taken");
    world.settle().await;
    let head = world.branch("topic").await;
    world.source.delete_branch(REPO, "topic");
    let gone = world.push_event("topic", head.as_ref(), None, json!({}));
    let other = world.delivery("pull_request", json!({ "action": "closed" }));
    everywhere(world, &[gone, other]).await;
}

#[tokio::test]
async fn every_message_twice_comes_to_the_same() {
    let mut ends = Vec::new();
    for twice in [false, true] {
        let mut world = pair().await;
        world.twice = twice;
        let first = world.commit("main", &[NET]).await;
        let second = world.commit("topic", &[APP]).await;
        for sent in [&first, &second] {
            world.hook(sent).await.expect("taken");
        }
        world.settle().await;
        world.quiet_down().await;
        ends.push((end(&world).await, outcomes(&world, &[first, second]).await));
    }
    assert_eq!(ends[0], ends[1]);
}

/// Whatever order they come in, the head is the newest, every stack that any of them touched ran,
/// and each delivery has its outcome.
#[tokio::test]
async fn pushes_out_of_order_come_to_the_newest() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2]] {
        let mut world = pair().await;
        let mut sent = Vec::new();
        for file in [NET, APP, "README.md"] {
            sent.push(world.commit("main", &[file]).await);
        }
        let newest = world.branch("main").await.expect("a branch");
        for n in order {
            world.hook(&sent[n]).await.expect("taken");
            world.settle().await;
        }
        world.quiet_down().await;
        assert_eq!(known_head(&world, "main").await, Some(newest.0), "{order:?}");
        for sent in &sent {
            assert!(["routed", "known"].contains(&world.became(sent).await), "{order:?}");
        }
        for stack in ["net", "app"] {
            assert!(world.runs(stack).await.len() > 1, "{stack} {order:?}");
            assert_eq!(world.state(stack).await, "FINISHED", "{stack} {order:?}");
        }
    }
}

/// Days later nobody remembers the delivery but its outcome.
#[tokio::test]
async fn a_delivery_that_is_sent_again_after_days_changes_nothing() {
    let mut world = World::one().await;
    let sent = world.commit("main", &[NET]).await;
    world.hook(&sent).await.expect("taken");
    world.settle().await;
    for _ in 0..=RECENT_MAX {
        let other = world.commit("topic", &["README.md"]).await;
        world.hook(&other).await.expect("taken");
        world.settle().await;
    }
    // The branch went on, and back: as if it had never been heard of.
    let before = sent.payload["before"].as_str().expect("a commit").into();
    let head = world.branch("main").await;
    world.source.set_branch(REPO, "main", &before);
    let back = world.push_event("main", head.as_ref(), Some(&before), json!({ "forced": true }));
    world.hook(&back).await.expect("taken");
    world.settle().await;
    world.quiet_down().await;
    let was = (end(&world).await, world.outcome(&sent).await);
    world.advance(3 * 86_400_000);
    let taken = world.hook(&sent).await.expect("taken");
    assert_eq!(taken, windlass_ports::deliveries::Taken::Repeated);
    world.settle().await;
    world.quiet_down().await;
    assert_eq!((end(&world).await, world.outcome(&sent).await), was);
    assert!(world.bodies().is_empty());
}

#[tokio::test]
async fn branches_come_move_and_go() {
    let mut world = World::one().await;
    let made = world.commit("topic", &[NET]).await;
    world.hook(&made).await.expect("taken");
    world.settle().await;
    assert_eq!(world.became(&made).await, "routed");
    let main = world.branch("main").await.expect("a branch");
    let old = world.branch("topic").await.expect("a branch");
    // Forced to another commit.
    world.source.set_branch(REPO, "topic", &main);
    let forced = world.push_event("topic", Some(&old), Some(&main), json!({ "forced": true }));
    world.hook(&forced).await.expect("taken");
    world.settle().await;
    assert_eq!(known_head(&world, "topic").await, Some(main.0.clone()));
    // Deleted and made anew before the first is heard of: it is there.
    let gone = world.push_event("topic", Some(&main), None, json!({}));
    world.advance(20_000);
    world.hook(&gone).await.expect("taken");
    world.advance(70_000);
    world.settle().await;
    assert_eq!(world.became(&gone).await, "known");
    assert!(known_head(&world, "topic").await.is_some());
    // Gone for good; who tells of it last tells nothing new.
    world.source.delete_branch(REPO, "topic");
    let late = world.push_event("topic", Some(&old), Some(&main), json!({ "files": [NET] }));
    for sent in [world.push_event("topic", Some(&main), None, json!({})), late] {
        world.hook(&sent).await.expect("taken");
        world.settle().await;
    }
    assert_eq!(known_head(&world, "topic").await, None);
    let tag = json!({
        "ref": "refs/tags/v1", "before": NOBODY, "after": main.0, "created": true, "commits": [],
    });
    for (event, payload) in
        [("push", tag), ("pull_request", json!({})), ("issue_comment", json!({}))]
    {
        let sent = world.delivery(event, payload);
        world.hook(&sent).await.expect("taken");
        world.settle().await;
        assert_eq!(world.became(&sent).await, "ignored", "{event}");
    }
    assert!(world.bodies().is_empty());
}

/// GitHub's API may answer with the state from before the push that it has just told of.
#[tokio::test]
async fn a_forge_that_lags_behind_its_own_word_is_asked_again() {
    let mut world = World::one().await;
    let before = world.branch("main").await.expect("a branch");
    let forced = world.commit("main", &[NET]).await;
    let after = world.branch("main").await.expect("a branch");
    world.source.set_branch(REPO, "main", &before);
    let Sent { id, event, mut payload } = forced;
    payload["forced"] = json!(true);
    let sent = Sent { id, event, payload };
    world.hook(&sent).await.expect("taken");
    let delivery = world.receive(keys::INTENTS).await.expect("a pointer");
    assert_eq!(world.decide(keys::INTENTS, &delivery).await, scheduler::Fate::Again);
    world.source.set_branch(REPO, "main", &after);
    world.settle_delivery(keys::INTENTS, &delivery, scheduler::Fate::Again).await;
    world.settle().await;
    assert_eq!(world.became(&sent).await, "routed");
    assert_eq!(world.applies("net"), 2);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_and_may_be_tried_again() {
    for payload in [json!({}), json!({ "ref": "refs/heads/main", "before": "x", "after": "../y" })]
    {
        let mut world = World::one().await;
        let sent = world.delivery("push", payload);
        world.hook(&sent).await.expect("taken");
        world.settle().await;
        assert_eq!(world.became(&sent).await, "refused");
        let docs = world.docs.dump();
        assert!(docs.keys().any(|key| key.starts_with("quarantine/")));
        assert_eq!(world.bodies(), [keys::delivery_refused(&sent.id)]);
        world.quiet_down().await;
    }
    // Refused because of us: the same pointer succeeds once that is mended.
    let mut world = World::one().await;
    let served = std::mem::take(&mut world.deps.repositories);
    let sent = world.commit("main", &[NET]).await;
    world.hook(&sent).await.expect("taken");
    let body_key = world.bodies().pop().expect("a body");
    world.handle(keys::INTENTS).await;
    assert_eq!(world.became(&sent).await, "refused");
    world.deps.repositories = served;
    world.point(&sent, body_key).await;
    world.settle().await;
    assert_eq!(world.became(&sent).await, "routed");
    assert!(world.bodies().is_empty());
    assert_eq!(world.applies("net"), 2);
}

/// A body that is no document at all does not keep the tick busy for ever.
#[tokio::test]
async fn a_body_that_does_not_parse_is_refused_too() {
    let mut world = World::one().await;
    let sent = world.delivery("push", json!({}));
    let key = keys::delivery_body(world.now().minute(), &sent.id, &REPO.into());
    world.docs.put(&key, Expect::Absent, b"nonsense".to_vec()).await.expect("put");
    world.pass_minutes(1).await;
    assert_eq!(world.became(&sent).await, "refused");
    world.quiet_down().await;
}

/// More deliveries than one page of a list wait and can't be handled: whoever else is due is woken,
/// and each of them is still asked for.
#[tokio::test]
async fn deliveries_that_stay_are_in_nobodys_way() {
    let world = World::one().await;
    let minute = world.now().minute();
    for n in 0..2_100 {
        let key = keys::delivery_body(minute - 60, &format!("stuck-{n:04}"), &REPO.into());
        world.docs.put(&key, Expect::Absent, b"{}".to_vec()).await.expect("put");
    }
    let due = keys::due(minute - 1, &keys::stack_group(&"net".into()));
    world.docs.put(&due, Expect::Absent, b"{}".to_vec()).await.expect("put");
    // One message gets through: it has to be the stack's.
    let mut sends = 0;
    world.faults.replan(move |_, name| {
        let send = name.starts_with("queues.send");
        sends += u32::from(send);
        (send && sends > 1).then_some(Strike::Before)
    });
    assert!(scheduler::tick(&world.deps).await.is_err());
    assert!(!world.docs.dump().contains_key(&due), "the stack was woken");
    world.faults.revive();
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..8 {
        world.advance(60_000);
        scheduler::tick(&world.deps).await.expect("a healthy tick");
        for (_, body) in world.queues.peek(keys::INTENTS) {
            asked.insert(String::from_utf8(body).expect("text"));
        }
    }
    asked.retain(|body| body.contains("stuck-"));
    assert_eq!(asked.len(), 2_100, "each is asked for within eight minutes");
    assert_eq!(world.bodies().len(), 2_100, "and none is struck");
}

/// GitHub calls once. A push whose call found nobody is seen all the same, on the default branch and
/// on branches that were heard of; old branches that nobody spoke of are no news.
#[tokio::test]
async fn a_push_that_nobody_told_of_is_seen_within_minutes() {
    let mut world = World::one().await;
    world.source.set_branch(REPO, "old", &world.branch("main").await.expect("a branch"));
    world.commit("main", &[NET]).await;
    let mut told = Vec::new();
    for _ in 0..scheduler::WATCH_MINUTES {
        told.push(scheduler::watch(&world.deps).await.expect("looked at"));
        world.settle().await;
        world.advance(60_000);
    }
    told.sort_unstable();
    assert_eq!(told, [0, 0, 0, 0, 1], "once, at its minute");
    assert_eq!(world.applies("net"), 2);
    world.advance(5 * 60_000);
    assert_eq!(scheduler::watch(&world.deps).await.expect("looked at"), 0, "it is known now");
}

/// A list begins where an outage of hours would have left something, and once an hour at the start.
#[tokio::test]
async fn what_is_due_since_yesterday_is_found_within_the_hour() {
    let mut world = World::one().await;
    let due = keys::due(world.now().minute() - 24 * 60, &keys::stack_group(&"net".into()));
    world.docs.put(&due, Expect::Absent, b"{}".to_vec()).await.expect("put");
    let to_one_past = 61 - world.now().minute() % 60;
    world.advance(to_one_past * 60_000);
    let mut woken_after = None;
    for minute in 0..60 {
        scheduler::tick(&world.deps).await.expect("a healthy tick");
        world.settle().await;
        if !world.docs.dump().contains_key(&due) {
            woken_after = Some(minute);
            break;
        }
        world.advance(60_000);
    }
    assert!(woken_after.is_some_and(|minutes| minutes > 0), "{woken_after:?}");
}
