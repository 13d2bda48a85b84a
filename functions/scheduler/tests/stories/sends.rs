//! A rollout over very many stacks: in batches, so many in one invocation, and nothing lost.
use crate::world::{REPO, World};
use async_trait::async_trait;
use scheduler::Deps;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use windlass_core::effect::{Effect, Entry};
use windlass_core::event::{Intent, RepoEnvelope, RepoEvent};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::rollout::{Rollout, RolloutRun};
use windlass_core::run::{Commit, NewRun};
use windlass_core::time::UnixMs;
use windlass_ports::{Delivery, Fault, Outgoing, Queues, cas};

/// A queue that writes down what it was sent together, and refuses some stacks once.
struct Post {
    inner: Arc<dyn Queues>,
    batches: Mutex<Vec<usize>>,
    refuses: Mutex<BTreeSet<String>>,
}

impl Post {
    fn refused(&self, message: &Outgoing) -> bool {
        self.refuses.lock().expect("unpoisoned").remove(message.group.as_deref().unwrap_or(""))
    }
}

#[async_trait]
impl Queues for Post {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        self.inner.send(queue, message).await
    }
    async fn send_many(&self, queue: &str, messages: Vec<Outgoing>) -> Vec<Result<(), Fault>> {
        self.batches.lock().expect("unpoisoned").push(messages.len());
        let mut outcomes = Vec::new();
        for message in messages {
            outcomes.push(match self.refused(&message) {
                true => Err(Fault::retryable("this one not now")),
                false => self.inner.send(queue, message).await,
            });
        }
        outcomes
    }
    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        self.inner.receive(queue, max, wait_ms, visibility_ms).await
    }
    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        self.inner.delete(queue, receipt).await
    }
    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        self.inner.extend(queue, receipt, visibility_ms).await
    }
    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        self.inner.depth(queue).await
    }
}

fn stack(n: usize) -> String {
    format!("s{n:04}")
}

fn rollout(stacks: usize, at: UnixMs) -> Rollout {
    let runs = (0..stacks).map(|n| {
        let run = NewRun {
            id: format!("run-{n:04}").as_str().into(),
            ..NewRun::blank(Commit::default())
        };
        RolloutRun { stack: stack(n).as_str().into(), run }
    });
    Rollout {
        id: "infra/c-1".into(),
        event: "push-1".into(),
        repository: REPO.into(),
        branch: "main".to_owned(),
        commit: Commit::default(),
        at,
        triggered_by: None,
        index_revision: 1,
        runs: runs.collect(),
        nothing: None,
    }
}

/// How far the head says that it is, if it owes the rollout still.
async fn sent(world: &World) -> Option<usize> {
    let head = world.load::<RepoHead>(&keys::repo(&REPO.into())).await.expect("a head");
    head.outbox.iter().find_map(|entry| match &entry.effect {
        Effect::PutRollout { sent, .. } => Some(*sent),
        _ => None,
    })
}

async fn look(deps: &Deps, world: &World, id: &str) {
    let (id, at) = (id.into(), world.now());
    let envelope = RepoEnvelope { id, repo: REPO.into(), at, hops: 0, event: RepoEvent::Due };
    scheduler::repo_event(deps, &envelope).await.expect("decided");
}

#[tokio::test]
async fn a_large_rollout_goes_out_in_batches_and_in_parts() {
    #[rustfmt::skip]
    let table = [
        // stacks  refused once  how far after each look
        (25,       None,         &[None][..]),
        (25,       Some(13),     &[Some(13), None]),
        (25,       Some(0),      &[Some(0), None]),
        (2_030,    None,         &[Some(1_000), Some(2_000), None]),
    ];
    for (stacks, refused, expect) in table {
        let mut world = World::new();
        let refuses = refused.map(|n| keys::stack_group(&stack(n).as_str().into()));
        let post = Arc::new(Post {
            inner: world.queues.clone(),
            batches: Mutex::default(),
            refuses: Mutex::new(refuses.into_iter().collect()),
        });
        world.deps.queues = post.clone();
        let mut head = RepoHead::new(&REPO.into(), "main");
        let effect =
            Effect::PutRollout { rollout: Box::new(rollout(stacks, world.now())), sent: 0 };
        head.outbox.push(Entry { id: "infra-1-0".into(), at: world.now(), effect, tries: 0 });
        cas::create(&*world.docs, &keys::repo(&REPO.into()), "head", &head).await.expect("stored");
        for (n, expect) in expect.iter().enumerate() {
            look(&world.deps, &world, &format!("look-{n}")).await;
            assert_eq!(sent(&world).await, *expect, "{stacks} stacks, {refused:?}, look {n}");
        }
        let batches = post.batches.lock().expect("unpoisoned").clone();
        assert!(batches.iter().all(|batch| *batch <= 10), "{batches:?}");
        let least = stacks.div_ceil(10);
        let again = if refused.is_some() { 3 } else { 0 };
        assert!(batches.len() <= least + again, "{stacks}: {} requests", batches.len());
        assert_eq!(told(&world).await, (0..stacks).map(stack).collect(), "{stacks}, {refused:?}");
    }
}

/// The stacks that a run was sent to; each once in the end, for the queue knows what it has.
async fn told(world: &World) -> BTreeSet<String> {
    let (mut told, mut woken) = (BTreeSet::new(), 0);
    loop {
        let batch = world.queues.receive(keys::INTENTS, 10, 0, 600_000).await.expect("received");
        if batch.is_empty() {
            break;
        }
        for delivery in batch {
            match serde_json::from_slice::<Intent>(&delivery.body).expect("an intent") {
                Intent::Stack(envelope) => assert!(told.insert(envelope.stack.0), "twice"),
                _ => woken += 1,
            }
            world.queues.delete(keys::INTENTS, &delivery.receipt).await.expect("deleted");
        }
    }
    assert!(told.len() < 1_000 || woken == 2, "who sent a part wakes itself for the rest: {woken}");
    told
}
