//! protocol.md §2 (d): rollouts. Each test names the rule that it passes by.
use crate::invariants::Watch;
use crate::scenarios::{PAIR, pair};
use crate::world::{Tool, World};
use std::collections::BTreeMap;
use windlass_core::event::{Command, Intent, StackEvent};
use windlass_core::id::{RunId, StackId};
use windlass_core::keys;
use windlass_core::rollout::{Child, Wait};
use windlass_core::run::{Commit, NewRun, State};
use windlass_ports::fake::Strike;
use windlass_ports::{Delivery, Queues};

/// p and q, and c that uses an output of each.
const DIAMOND: &str = r"
version: 1
stacks:
  - { name: p, project_root: stacks/p, autodeploy: true }
  - { name: q, project_root: stacks/q, autodeploy: true }
  - name: c
    project_root: stacks/c
    autodeploy: true
    depends_on:
      - { stack: p, references: [{ output: x, input: TF_VAR_p }] }
      - { stack: q, references: [{ output: x, input: TF_VAR_q }] }
";

fn output(value: &str) -> Tool {
    let outputs = BTreeMap::from([("x".to_owned(), value.to_owned())]);
    Tool { outputs, ..Tool::default() }
}

async fn diamond() -> World {
    let mut world = World::new();
    world.tools.insert("p".into(), output("1"));
    world.tools.insert("q".into(), output("1"));
    world.define(DIAMOND, &["p", "q", "c"]).await;
    world.settle().await;
    assert_eq!(world.states(&["p", "q", "c"]).await, ["FINISHED"; 3]);
    world
}

async fn touch_both(world: &mut World) {
    world.push("main", &[("stacks/p/main.tf", "# p"), ("stacks/q/main.tf", "# q")]).await;
}

/// Takes every message of a group out of the queue: it will come later than others.
async fn hold_back(world: &mut World, stack: &str) -> Vec<Intent> {
    let group = keys::stack_group(&stack.into());
    let mut held = Vec::new();
    for _ in 0..20 {
        let Some(delivery) = world.receive(keys::INTENTS).await else { break };
        let Delivery { body, receipt, .. } = &delivery;
        if delivery.group.as_deref() == Some(&*group) {
            held.push(serde_json::from_slice(body).expect("an intent"));
            world.queues.delete(keys::INTENTS, receipt).await.expect("ours");
        } else {
            let fate = world.decide(keys::INTENTS, &delivery).await;
            world.settle_delivery(keys::INTENTS, &delivery, fate).await;
        }
    }
    held
}

/// Rule D1: a child that is born late reads its parents' documents.
#[tokio::test]
async fn d1_a_child_that_is_born_after_its_parent_ended_runs_at_once() {
    let mut world = pair().await;
    world.touch("net").await;
    let born = hold_back(&mut world, "app").await;
    assert_eq!(born.len(), 1);
    world.settle().await;
    assert_eq!((world.applies("net"), world.applies("app")), (2, 1));
    for intent in born {
        world.send_late(intent).await;
    }
    world.settle().await;
    assert_eq!(world.applies("app"), 2);
}

/// Rule D2: all parents are judged together, whichever ends last.
#[tokio::test]
async fn d2_one_changed_parent_is_enough_though_the_last_changed_nothing() {
    let mut world = diamond().await;
    world.tools.insert("p".into(), output("2"));
    touch_both(&mut world).await;
    world.settle_messages().await;
    while world.applies("p") < 2 {
        world.step().await;
    }
    world.settle().await;
    assert_eq!(world.states(&["p", "q", "c"]).await, ["FINISHED"; 3]);
    assert_eq!(world.applies("c"), 2);
}

/// Rules D2 and D4: a retry upstream releases nobody before **all** parents have ended well.
#[tokio::test]
async fn d3_a_retried_parent_does_not_release_what_waits_for_another() {
    let mut world = diamond().await;
    let broken = Tool { plan_fails: Some("broken".to_owned()), ..Tool::default() };
    world.tools.insert("p".into(), broken.clone());
    world.tools.insert("q".into(), broken);
    touch_both(&mut world).await;
    world.settle().await;
    assert_eq!(world.states(&["p", "q", "c"]).await, ["FAILED", "FAILED", "SKIPPED"]);
    let mut watch = Watch::default();
    for (stack, c, applies, tries) in [("p", "SKIPPED", 1, 2), ("q", "FINISHED", 2, 3)] {
        world.tools.insert(stack.into(), output("2"));
        let run = world.newest(stack).await.id().clone();
        world.command(stack, Command::Retry { run }).await;
        while world.step().await {
            watch.expect(&world, "a retry").await;
        }
        assert_eq!((world.state("c").await.as_str(), world.applies("c")), (c, applies), "{stack}");
        assert_eq!(world.runs("c").await.len(), tries, "{stack}");
    }
}

/// Rule A1 at a retry: what is still owed of the old run tells that it was retried already.
#[tokio::test]
async fn d3_a_second_retry_is_refused_though_the_first_is_not_stored_yet() {
    let mut world = diamond().await;
    let broken = Tool { plan_fails: Some("broken".to_owned()), ..Tool::default() };
    world.tools.insert("p".into(), broken);
    world.touch("p").await;
    world.settle().await;
    let run = world.newest("p").await.id().clone();
    let document = format!("docs.put {}", keys::run(&run));
    world.faults.replan(move |_, name| (name == document).then_some(Strike::Before));
    for _ in 0..2 {
        world.command("p", Command::Retry { run: run.clone() }).await;
    }
    world.settle().await;
    world.faults.revive();
    world.quiet_down().await;
    assert_eq!(world.runs("p").await.len(), 3, "the first, the broken one, one retry");
}

/// Rule D3: a run that will not be made leaves a document and answers `never`.
#[tokio::test]
async fn d4_a_run_of_a_stack_that_is_gone_ends_those_that_wait_for_it() {
    let mut world = pair().await;
    world.touch("net").await;
    let born = hold_back(&mut world, "net").await;
    world.tell("net", StackEvent::Undefine { revision: 100, destroy: false }).await;
    world.settle_messages().await;
    for intent in born {
        world.send_late(intent).await;
    }
    world.quiet_down().await;
    assert_eq!(world.state("app").await, "SKIPPED");
    let why = world.newest("app").await.state.note();
    assert_eq!(why.as_deref(), Some("net will not run"));
    assert_eq!(world.state("net").await, "FAILED", "and a document says why");
}

/// Rule D3, while something is under way: what it is doing ends first, by its own definition.
#[tokio::test]
async fn d4_a_stack_that_leaves_ends_what_is_under_way() {
    let mut world = crate::scenarios::applying().await;
    world.kill("w1", true);
    world.tell("net", StackEvent::Undefine { revision: 100, destroy: false }).await;
    world.quiet_down().await;
    assert_eq!(world.state("net").await, "FAILED", "the lost apply was found");
    let gone = windlass_core::stack::Defined::Gone { revision: 100 };
    assert_eq!(world.head("net").await.defined, gone);
}

/// A run by hand: what it waits for, and who waits for it, by stack and number.
fn run(stack: &str, n: u64, waits: &[(&str, u64)], children: &[(&str, u64)]) -> NewRun {
    let id = |stack: &str, n: u64| RunId(format!("{n}-{stack}"));
    let wait = |(parent, n): &(&str, u64)| {
        (id(parent, *n), Wait { stack: (*parent).into(), references: vec![], heard: None })
    };
    let child = |(kid, n): &(&str, u64)| Child { stack: (*kid).into(), run: id(kid, *n) };
    let sha = format!("{n:040}");
    NewRun {
        id: id(stack, n),
        repository: "infra".into(),
        branch: "main".to_owned(),
        waits: waits.iter().map(wait).collect(),
        children: children.iter().map(child).collect(),
        ..NewRun::blank(Commit { sha: sha.into(), seq: n, ..Commit::default() })
    }
}

async fn ask(world: &mut World, stack: &str, run: NewRun) {
    world.tell(stack, StackEvent::Queue { run: Box::new(run) }).await;
}

/// Two stacks without edges, so that runs may be made by hand.
async fn loose() -> World {
    let mut world = World::with(&PAIR.replace("\n    depends_on: [{ stack: net }]", ""), &[]).await;
    world.settle().await;
    world
}

/// Rule D5: a waiting run never blocks those behind it. (The edge between two stacks was turned
/// between two pushes: net 11 → app 11, app 12 → net 12, and net's queue has 12 before 11.)
#[tokio::test]
async fn d5_turned_edges_do_not_lock_the_queues() {
    let mut world = loose().await;
    ask(&mut world, "net", run("net", 12, &[("app", 12)], &[])).await;
    ask(&mut world, "net", run("net", 11, &[], &[("app", 11)])).await;
    ask(&mut world, "app", run("app", 11, &[("net", 11)], &[])).await;
    ask(&mut world, "app", run("app", 12, &[], &[("net", 12)])).await;
    world.settle().await;
    for (n, stack) in [(11, "net"), (12, "net"), (11, "app"), (12, "app")] {
        assert_eq!(world.run(&RunId(format!("{n}-{stack}"))).await.state, State::Finished);
    }
}

/// Rule D5: a run's commit is bound when it leaves the queue, never older than the stack's.
#[tokio::test]
async fn d6_a_run_that_waited_applies_the_newer_commit() {
    let mut world = loose().await;
    ask(&mut world, "app", run("app", 11, &[("net", 11)], &[])).await;
    ask(&mut world, "app", run("app", 12, &[], &[])).await;
    world.settle().await;
    ask(&mut world, "net", run("net", 11, &[], &[("app", 11)])).await;
    world.settle().await;
    let waited = world.run(&RunId::from("11-app")).await;
    assert_eq!((waited.state, waited.new.commit.seq), (State::Finished, 12));
}

/// Rules W2 and D6: runs wait for run ids that were fixed when the push was routed, so definitions
/// that turn an edge while its rollout is on the way close no circle.
#[tokio::test]
async fn d7_an_edge_that_is_turned_on_the_way_closes_no_circle() {
    let mut world = pair().await;
    world.push("main", &[("stacks/net/main.tf", "# 2"), ("stacks/app/main.tf", "# 2")]).await;
    world.settle_messages().await;
    let turned = PAIR
        .replace("autodeploy: true }", "autodeploy: true, depends_on: [{ stack: app }] }")
        .replace("\n    depends_on: [{ stack: net }]", "");
    let files = [("windlass.yaml", &*turned), ("stacks/net/x", "3"), ("stacks/app/x", "3")];
    world.push("main", &files).await;
    world.quiet_down().await;
    let mut watch = Watch::default();
    assert_eq!(watch.at_rest(&world).await, Vec::<String>::new());
    assert_eq!(world.states(&["net", "app"]).await, ["FINISHED"; 2]);
    let ends: BTreeMap<StackId, usize> = world.applied.iter().fold(BTreeMap::new(), |mut m, a| {
        *m.entry(a.0.clone()).or_default() += 1;
        m
    });
    assert_eq!(ends.values().collect::<Vec<_>>(), [&3, &3]);
}

/// Rule D1's order: no message tells of a document that is not there.
#[tokio::test]
async fn d8_an_outcome_is_not_told_before_its_document_is_stored() {
    let mut world = pair().await;
    world.touch("net").await;
    while world.applies("net") < 2 {
        world.step().await;
    }
    let run = world.head("net").await.active.expect("applying").id().clone();
    let document = format!("docs.put {}", keys::run(&run));
    world.faults.replan(move |_, name| (name == document).then_some(Strike::Before));
    world.settle().await;
    assert!(world.head("net").await.active.is_none(), "it ended");
    let told = world
        .head("app")
        .await
        .queue
        .iter()
        .any(|run| run.new.waits.values().any(|wait| wait.heard.is_some()));
    assert!(!told && world.applies("app") == 1, "nobody heard of it");
    world.faults.revive();
    world.quiet_down().await;
    assert_eq!(world.applies("app"), 2);
}
