//! How runs stand, as people read it at their commits.
use crate::counts::Attention;
use crate::scenarios::{pair, ready};
use crate::world::{LINKS, REPO, Tool, World, one};
use async_trait::async_trait;
use scheduler::{Deps, Quarantined};
use std::sync::Arc;
use tokio::sync::Notify;
use windlass_core::event::{Command, Intent};
use windlass_core::id::Sha;
use windlass_core::keys;
use windlass_core::status::StatusState;
use windlass_ports::fake::{FakeForge, Strike};
use windlass_ports::forge::NoForge;
use windlass_ports::{CommitStatus, Docs, Fault, Forge};

impl World {
    /// What was told of one stack, in order: `pending queued`.
    fn told(&self, stack: &str) -> Vec<String> {
        let context = format!("windlass/{stack}");
        let all = self.forge.told().into_iter().filter(|status| status.context == context);
        all.map(|status| line(&status)).collect()
    }

    /// What people read at a commit.
    fn shown(&self, stack: &str, sha: &Sha) -> String {
        let shown = self.forge.shown(&REPO.into(), sha, &format!("windlass/{stack}"));
        shown.map_or("nothing".to_owned(), |status| line(&status))
    }

    fn main(&self) -> Sha {
        self.source.tip(REPO, "main").expect("a branch")
    }

    pub(crate) async fn set_aside(&self) -> Vec<Quarantined> {
        let mut all = Vec::new();
        for listed in self.docs.list("quarantine/", None, 1_000).await.expect("list") {
            all.push(self.load(&listed.key).await.expect("it is there"));
        }
        all
    }
}

fn line(status: &CommitStatus) -> String {
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
    };
    format!("{state} {}", status.description)
}

#[tokio::test]
async fn a_run_is_told_from_the_queue_to_its_end() {
    let mut world = World::with(&one(false), &["net"]).await;
    world.confirm("net").await;
    world.settle().await;
    let whole = [
        "pending queued",
        "pending planning",
        "pending waits for confirmation: +1 ~0 -0",
        "pending applying: +1 ~0 -0",
        "success applied: +1 ~0 -0",
    ];
    assert_eq!(world.told("net"), whole);
    let administrative = world.told("infra-definitions");
    assert_eq!(administrative.last().map(String::as_str), Some("success applied: +1 ~0 -0"));
    let run = world.newest("net").await;
    let link = format!("{LINKS}/runs/{}", run.id());
    for status in world.forge.told().iter().filter(|s| s.context == "windlass/net") {
        assert_eq!((&status.repo, &status.sha), (&REPO.into(), &run.new.commit.sha));
        assert_eq!(status.target_url.as_ref(), Some(&link));
    }
    world.quiet_down().await;
    assert_eq!(world.told("net"), whole, "nothing is told again");
}

#[tokio::test]
async fn a_preview_says_what_would_change() {
    let mut world = World::one().await;
    world.push("topic", &[("stacks/net/main.tf", "# topic")]).await;
    world.settle().await;
    let sha = world.source.tip(REPO, "topic").expect("a branch");
    assert_eq!(world.shown("net", &sha), "success would change: +1 ~0 -0");
}

#[tokio::test]
async fn dependents_say_whom_they_wait_for_and_why_they_were_skipped() {
    let mut world = World::demo().await;
    world.push("main", &[("stacks/network/main.tf", "# another")]).await;
    world.settle_messages().await;
    let sha = world.main();
    assert_eq!(world.shown("cluster", &sha), "pending waits for network");
    world.settle().await;
    let skipped = "success skipped: nothing that it uses from network changed";
    assert_eq!(world.shown("cluster", &sha), skipped);
    assert_eq!(
        world.shown("app-b", &sha),
        "success skipped: nothing that it uses from cluster changed"
    );
}

#[tokio::test]
async fn a_retry_speaks_in_the_place_of_what_failed() {
    let mut world = World::one().await;
    let broken = Tool { plan_fails: Some("main.tf:1: broken".to_owned()), ..Tool::default() };
    world.tools.insert("net".into(), broken);
    world.touch("net").await;
    world.settle().await;
    let sha = world.main();
    assert_eq!(world.shown("net", &sha), "failure failed: main.tf:1: broken");
    world.tools.clear();
    let run = world.newest("net").await.id().clone();
    world.command("net", Command::Retry { run }).await;
    world.settle_messages().await;
    assert_eq!(world.shown("net", &sha), "pending queued");
    world.settle().await;
    assert_eq!(world.shown("net", &sha), "success applied: +1 ~0 -0");
}

/// A run that waited in the queue takes the newer commit: the older one is told so.
#[tokio::test]
async fn a_commit_that_was_overtaken_does_not_stay_pending() {
    let mut world = World::with(&one(false), &["net"]).await;
    world.touch("net").await;
    let older = world.main();
    world.settle().await;
    assert_eq!(world.shown("net", &older), "pending queued");
    world.touch("net").await;
    let newer = world.main();
    world.settle().await;
    world.confirm("net").await;
    world.settle().await;
    let said = format!("success superseded: {} is newer and was taken instead", newer.short());
    assert_eq!(world.shown("net", &older), said);
    assert_eq!(world.shown("net", &newer), "pending waits for confirmation: +1 ~0 -0");
}

/// Rule A4: a status that can never be told holds up nothing, and is set aside alone.
#[tokio::test]
async fn a5_a_deleted_repository_does_not_stop_its_stacks() {
    let mut world = World::one().await;
    world.quiet_down().await;
    world.forge.delete(REPO);
    world.touch("net").await;
    world.settle().await;
    assert_eq!((world.applies("net"), world.state("net").await), (2, "FINISHED".to_owned()));
    let owed = world.head("net").await.outbox;
    assert_eq!(owed.iter().map(|e| e.effect.label()).collect::<Vec<_>>(), ["set_status"]);
    assert_eq!(world.set_aside().await, [], "not at the first refusal");
    world.quiet_down().await;
    assert_eq!(world.head("net").await.outbox, []);
    let aside = world.set_aside().await;
    assert_eq!(aside.len(), 1, "the last word of one run, and nothing else");
    let why = "can't say \"applied: +1 ~0 -0\" under windlass/net: there is no repository infra";
    assert_eq!((aside[0].queue.as_str(), aside[0].reason.as_str()), (keys::INTENTS, why));
    assert_eq!(world.queues.busy(), Vec::<String>::new());
    // It is there again, and somebody retries what was set aside.
    world.forge.restore(REPO);
    let again: Intent = serde_json::from_str(&aside[0].body).expect("an intent");
    world.send_late(again).await;
    world.settle().await;
    assert_eq!(world.shown("net", &world.main()), "success applied: +1 ~0 -0");
    // And the next run goes its way.
    world.touch("net").await;
    world.settle().await;
    assert_eq!(world.applies("net"), 3);
}

/// A forge that is away is told later, and only the last word.
#[tokio::test]
async fn a_forge_that_is_away_delays_nothing_and_hears_the_last_word() {
    let mut world = World::one().await;
    world.quiet_down().await;
    let before = world.told("net").len();
    world.faults.replan(|_, name| name.starts_with("forge.").then_some(Strike::Before));
    world.touch("net").await;
    world.settle().await;
    assert_eq!(world.applies("net"), 2);
    assert_eq!(world.told("net").len(), before);
    world.pass_minutes(90).await;
    assert_eq!(world.set_aside().await, [], "an outage of hours is borne");
    world.faults.revive();
    world.quiet_down().await;
    assert_eq!(world.told("net")[before..], ["success applied: +1 ~0 -0"]);
    assert_eq!(world.shown("net", &world.main()), "success applied: +1 ~0 -0");
}

#[tokio::test]
async fn a_forge_that_stays_away_is_given_up_after_a_day() {
    let mut world = World::one().await;
    world.quiet_down().await;
    world.faults.replan(|_, name| name.starts_with("forge.").then_some(Strike::Before));
    world.touch("net").await;
    world.settle().await;
    world.advance(24 * 60 * 60 * 1_000);
    let attention = Attention::listen();
    world.quiet_down().await;
    assert_eq!(world.head("net").await.outbox, []);
    assert_eq!(attention.counted(), 1, "the alarm hears of it");
    assert_eq!(world.set_aside().await.len(), 1);
}

/// Everything else comes first: the job is on its way before the forge hears of it.
#[tokio::test]
async fn the_forge_hears_last() {
    let mut world = World::one().await;
    world.quiet_down().await;
    world.touch("net").await;
    world.faults.replan(|_, name| name.starts_with("forge.").then_some(Strike::CrashBefore));
    world.settle_messages().await;
    assert!(world.faults.crashed());
    let job = world.job("net").await;
    assert!(world.docs.get(&keys::job_spec(&job)).await.expect("get").is_some());
    assert!(world.queues.busy().iter().any(|queue| queue.starts_with("jobs-default")));
    world.restart().await;
    world.quiet_down().await;
    assert_eq!(world.shown("net", &world.main()), "success applied: +1 ~0 -0");
}

/// Holds its first status until it is let go.
struct Slow {
    inner: Arc<FakeForge>,
    reached: Notify,
    go: Notify,
}

#[async_trait]
impl Forge for Slow {
    async fn set_status(&self, status: &CommitStatus) -> Result<(), Fault> {
        self.reached.notify_one();
        self.go.notified().await;
        self.go.notify_one();
        self.inner.set_status(status).await
    }
}

/// A handler that is slow to tell must not have the last word.
#[tokio::test]
async fn a_late_status_is_followed_by_the_newest() {
    let mut world = World::one().await;
    world.quiet_down().await;
    world.crew.clear();
    world.touch("net").await;
    let queue = world.receive_of("net").await;
    let (inner, reached, go) = (world.forge.clone(), Notify::new(), Notify::new());
    let forge = Arc::new(Slow { inner, reached, go });
    let deps = Deps { forge: forge.clone(), ..world.deps.clone() };
    let late = tokio::spawn(async move { scheduler::handle_intent(&deps, &queue).await });
    forge.reached.notified().await;
    // Its message's time is over: another handler decides, tells, and the run goes to its end.
    world.advance(31_000);
    world.crew = vec!["w1".to_owned()];
    world.settle().await;
    let sha = world.main();
    assert_eq!(world.shown("net", &sha), "success applied: +1 ~0 -0");
    forge.go.notify_one();
    late.await.expect("it ends");
    assert_eq!(
        world.told("net").iter().rev().take(2).collect::<Vec<_>>(),
        ["success applied: +1 ~0 -0", "pending queued"]
    );
    assert_eq!(world.shown("net", &sha), "success applied: +1 ~0 -0");
}

#[tokio::test]
async fn where_nobody_hears_nothing_is_owed() {
    let mut world = World::new();
    world.deps.forge = Arc::new(NoForge);
    world.define(&one(true), &["net"]).await;
    // No status could be delivered: it would still be there.
    world.settle_messages().await;
    let head = world.head("infra-definitions").await;
    assert_eq!(head.outbox, []);
    world.settle().await;
    assert_eq!(world.newest("net").await.said, None);
    assert_eq!(world.forge.told(), []);
}

#[tokio::test]
async fn what_a_person_stops_is_nobodys_fault() {
    let mut world = ready().await;
    let run = world.job("net").await.run;
    world.crew.clear();
    world.command("net", Command::Cancel { run, note: Some("not now".to_owned()) }).await;
    world.settle_messages().await;
    assert_eq!(world.shown("net", &world.main()), "error canceled by ann: not now");
}

#[tokio::test]
async fn each_stack_has_a_line_of_its_own() {
    let world = pair().await;
    let sha = world.main();
    for stack in ["net", "app"] {
        assert_eq!(world.shown(stack, &sha), "success applied: +1 ~0 -0", "{stack}");
    }
}
