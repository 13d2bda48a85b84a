//! Rule A4 for everything that is owed: what can never be delivered is set aside alone.
use crate::counts::Attention;
use crate::world::{World, one};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use windlass_core::event::Intent;
use windlass_core::id::{RepoName, Sha};
use windlass_core::keys;
use windlass_core::run::{FailReason, State};
use windlass_ports::{Archive, Docs, Expect, Fault, forge::NoArchive};

/// An archive that takes no commit's code.
struct Full {
    poison: bool,
    asked: AtomicU32,
}

#[async_trait]
impl Archive for Full {
    async fn ensure(&self, _: &RepoName, _: &Sha) -> Result<(), Fault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.poison {
            true => Err(Fault::poison("this commit's code is too large")),
            false => Err(Fault::retryable("GitHub does not show the commit yet")),
        }
    }
}

/// The run ends and says why, the alarm hears of it, and the next commit has the stack.
#[tokio::test]
async fn a_job_that_can_never_be_handed_out_ends_its_run() {
    #[rustfmt::skip]
    let table = [
        // poison  hours before the tick  tries  what is said
        (true,     0,                     5,     "this commit's code is too large"),
        (false,    24,                    2,     "GitHub does not show the commit yet"),
    ];
    for (poison, hours, tries, why) in table {
        let mut world = World::with(&one(true), &["net"]).await;
        world.quiet_down().await;
        let full = Arc::new(Full { poison, asked: AtomicU32::new(0) });
        world.deps.archive = full.clone();
        world.touch("net").await;
        world.settle().await;
        assert_eq!(world.state("net").await, "READY", "{why}: not at the first refusal");
        let attention = Attention::listen();
        world.advance(hours * 60 * 60 * 1_000);
        world.quiet_down().await;
        let run = world.newest("net").await;
        let State::Failed { reason: FailReason::Step { text, .. } } = &run.state else {
            panic!("{why}: {:?}", run.state)
        };
        assert_eq!(*text, format!("the job could not be handed to pool default: {why}"));
        assert_eq!(full.asked.load(Ordering::Relaxed), tries, "{why}");
        let aside = world.set_aside().await;
        let said = format!("can't hand out the job {}: {why}", run.jobs[0]);
        assert_eq!(aside.iter().map(|one| &*one.reason).collect::<Vec<_>>(), [said], "{why}");
        assert_eq!(attention.counted(), 1, "{why}: the alarm hears of it");
        world.deps.archive = Arc::new(NoArchive);
        world.touch("net").await;
        world.settle().await;
        assert_eq!(world.state("net").await, "FINISHED", "{why}: the next one goes its way");
    }
}

/// A fact that can't be stored keeps back the messages that tell of it, and not for ever.
#[tokio::test]
async fn a_document_that_does_not_parse_holds_its_children_up_for_minutes_only() {
    let mut world = World::demo().await;
    world.quiet_down().await;
    world.touch("network").await;
    world.settle_messages().await;
    let run = world.newest("network").await;
    let key = keys::run(run.id());
    let found = world.docs.get(&key).await.expect("read").expect("a run");
    let broken = world.docs.put(&key, Expect::At(found.version), b"?".to_vec()).await;
    let broken = broken.expect("stored");
    world.deps.warm = Arc::default();
    let before = world.head("cluster").await.revision;
    world.settle().await;
    assert_eq!(world.head("cluster").await.revision, before, "its child has not heard");
    world.pass_minutes(10).await;
    assert!(world.head("cluster").await.revision > before, "its child has heard");
    let aside = world.set_aside().await;
    assert!(aside.iter().any(|one| one.reason.contains("does not parse")), "{aside:?}");
    // Mended, and retried by somebody.
    world.docs.delete(&key, &broken).await.expect("removed");
    for one in aside {
        let again: Intent = serde_json::from_str(&one.body).expect("an intent");
        world.send_late(again).await;
    }
    world.settle().await;
    assert_eq!(world.state("network").await, "FINISHED");
}
