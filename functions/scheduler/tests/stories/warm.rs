//! What a process remembers of a stack: it is only ever a saving, whoever else writes meanwhile.
use crate::invariants::Watch;
use crate::scenarios::{self, Scenario};
use crate::twice::documents;
use crate::world::{Stage, World};
use std::sync::Arc;
use windlass_core::effect::{Effect, Entry};
use windlass_core::event::Command;
use windlass_core::keys;

/// Two processes handle the messages in turns, each by what it remembers of its own last turn. What
/// comes of it is what comes of one.
async fn in_turns(Scenario { setup, act }: Scenario) {
    let before = setup().await;
    let mut ends = Vec::new();
    for processes in [1, 2] {
        let warm: Vec<Arc<scheduler::Warm>> = (0..processes).map(|_| Arc::default()).collect();
        let mut world = before.fork();
        act(&mut world).await;
        world.back_to_work(&before);
        let (mut watch, mut turn) = (Watch::default(), 0);
        loop {
            world.deps.warm = warm[turn % warm.len()].clone();
            if !world.step().await {
                break;
            }
            watch.expect(&world, &format!("turn {turn} of {processes}")).await;
            turn += 1;
        }
        world.quiet_down().await;
        let broken = watch.at_rest(&world).await;
        assert!(broken.is_empty(), "{broken:#?}");
        let mut applied = world.applied.clone();
        applied.sort();
        ends.push((documents(&world), applied));
    }
    let (second, first) = (ends.pop().expect("two"), ends.pop().expect("one"));
    assert_eq!(second.1, first.1, "a plan was applied another time");
    for (key, document) in &first.0 {
        assert_eq!(second.0.get(key), Some(document), "{key}");
    }
    assert_eq!(second.0.len(), first.0.len());
}

macro_rules! each { ($($name:ident)+) => {$(
    #[tokio::test]
    async fn $name() {
        in_turns(scenarios::$name()).await;
    }
)+}; }

each! {
    a_first_commit an_automatic_apply a_confirmation a_cancel_of_a_ready_run a_stop_of_a_plan
    a_retry a_trigger_with_dependents a_destroy a_lost_plan a_lost_apply changed_definitions
    a_stack_that_leaves
}

/// A process left delivered effects on the list, and remembers the stack as it was then; another
/// one has gone on meanwhile.
#[tokio::test]
async fn what_is_remembered_gives_way_to_what_is_stored() {
    let mut world = scenarios::planning().await;
    let remembered = std::mem::take(&mut world.deps.warm);
    let run = world.job("net").await.run;
    world.command("net", Command::Stop { run, note: None }).await;
    world.settle_messages().await;
    world.deps.warm = remembered;
    world.settle().await;
    assert_eq!(world.state("net").await, "STOPPED");
    world.quiet_down().await;
    assert_eq!(world.head("net").await.outbox, []);
}

/// What hands out a job stays on the list until a worker is heard of: who hears of it, and remembers
/// nothing, sends nothing again; and until then it is owed no more than a minute.
#[tokio::test]
async fn a_job_that_was_heard_of_is_not_sent_again() {
    for heard in [true, false] {
        let mut world = scenarios::ready().await;
        let job = world.job("net").await;
        let sends = |entry: &Entry| matches!(entry.effect, Effect::SendJob { .. });
        assert!(world.head("net").await.outbox.iter().any(sends), "it is left on the list");
        let asked = |world: &World| {
            let spec = format!("docs.put {}", keys::job_spec(&job));
            world.faults.trace().iter().filter(|made| made.name == spec).count()
        };
        let before = asked(&world);
        world.deps.warm = Arc::default();
        if heard {
            world.work_until("w1", |stage| *stage == Stage::Running).await;
            world.began("w1").await;
            assert!(!world.head("net").await.outbox.iter().any(sends));
        } else {
            world.crew.clear();
            world.pass_minutes(2).await;
            assert_eq!(world.head("net").await.outbox, []);
        }
        assert_eq!(asked(&world) - before, usize::from(!heard), "{heard}");
    }
}

/// One push of one stack, planned and applied, by one process: what it asks of the documents of the
/// stack and the run. There are six events: queued, planning, planned, applying, applied, and the
/// two of the repository.
#[tokio::test]
async fn what_a_run_asks_of_its_documents() {
    let mut world = World::one().await;
    let from = world.faults.trace().len();
    world.touch("net").await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2);
    let asked = |call: &str| {
        let trace = world.faults.trace();
        trace[from..].iter().filter(|made| made.name.starts_with(call)).count()
    };
    for (call, times) in [
        // Five commits, and a strike for each but three: those that hand out a job, which look
        // instead, and the one report that nobody but readers of documents is told of.
        ("docs.put stacks/", 7),
        ("docs.get stacks/", 7),
        // As it began, and as it ended: in between its head tells of it.
        ("docs.put runs/", 2),
        ("docs.get runs/", 2),
        ("docs.put summaries/", 5),
        ("docs.get summaries/", 0),
        ("docs.put stack-runs/", 1),
        ("docs.get stack-runs/", 0),
    ] {
        assert_eq!(asked(call), times, "{call}\n{}", world.faults.story());
    }
}
