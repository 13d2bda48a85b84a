//! The main job: a commit becomes a plan, a decision and an applied change.
use crate::world::{Tool, World};
use windlass_core::id::{RepoName, Sha};
use windlass_core::run::{RunType, State};
use windlass_core::stack::Answer;

const NET: &str = "
version: 1
stacks:
  - { name: net, project_root: stacks/net, autodeploy: true }
";
const ALL: [&str; 4] = ["network", "cluster", "app-a", "app-b"];

#[tokio::test]
async fn a_first_commit_defines_plans_and_applies_in_order() {
    let world = World::demo().await;
    assert_eq!(world.states(&ALL).await, ["FINISHED"; 4]);
    let order: Vec<_> = world.applied.iter().map(|(stack, _)| stack.as_str()).collect();
    assert_eq!(order[..2], ["network", "cluster"]);
    assert_eq!(order.len(), 4);
    assert!(world.repo().await.pending.is_empty());
    for stack in ALL {
        assert_eq!(world.head(stack).await.outbox, [], "{stack} owes nothing");
    }
}

#[tokio::test]
async fn what_does_not_change_an_output_skips_those_that_use_it() {
    let mut world = World::demo().await;
    world.push("main", &[("stacks/network/main.tf", "# another")]).await;
    world.settle().await;
    assert_eq!(world.states(&ALL).await, ["FINISHED", "SKIPPED", "SKIPPED", "SKIPPED"]);
    let why = world.runs("cluster").await.pop().and_then(|run| run.state.note());
    assert_eq!(why.as_deref(), Some("nothing that it uses from network changed"));
}

#[tokio::test]
async fn what_the_push_touched_itself_runs_after_a_parent_that_was_not_needed() {
    let mut world = World::demo().await;
    let files = [("stacks/network/main.tf", "# another"), ("stacks/app-a/main.tf", "# another")];
    world.push("main", &files).await;
    world.settle().await;
    assert_eq!(world.states(&ALL).await, ["FINISHED", "SKIPPED", "FINISHED", "SKIPPED"]);
    let why = world.runs("app-b").await.pop().and_then(|run| run.state.note());
    assert_eq!(why.as_deref(), Some("nothing that it uses from cluster changed"));
}

#[tokio::test]
async fn a_changed_output_releases_them() {
    let mut world = World::demo().await;
    let network = world.tools.entry("network".into()).or_default();
    network.outputs.insert("vpc_id".to_owned(), "vpc-2".to_owned());
    world.push("main", &[("stacks/network/main.tf", "# another")]).await;
    world.settle().await;
    assert_eq!(world.states(&ALL).await, ["FINISHED", "FINISHED", "FINISHED", "UNCONFIRMED"]);
}

#[tokio::test]
async fn a_failure_skips_the_rest_and_a_retry_brings_them_back() {
    let mut world = World::demo().await;
    let broken = Tool { plan_fails: Some("main.tf:1: broken".to_owned()), ..Tool::default() };
    let good = world.tools.insert("network".into(), broken).unwrap_or_default();
    world.push("main", &[("stacks/network/main.tf", "broken")]).await;
    world.settle().await;
    assert_eq!(world.states(&ALL).await, ["FAILED", "SKIPPED", "SKIPPED", "SKIPPED"]);

    let mut mended = good;
    mended.outputs.insert("vpc_id".to_owned(), "vpc-3".to_owned());
    world.tools.insert("network".into(), mended);
    let failed = world.runs("network").await.pop().expect("a run").id().clone();
    let event = world
        .command("network", windlass_core::event::Command::Retry { run: failed.clone() })
        .await;
    world.settle().await;
    assert!(matches!(world.answer("network", &event).await, Some(Answer::Done { run: Some(_) })));
    assert_eq!(world.states(&ALL).await, ["FINISHED", "FINISHED", "FINISHED", "UNCONFIRMED"]);
    assert!(world.run(&failed).await.superseded_by.is_some());
}

#[tokio::test]
async fn another_branch_previews_and_a_readme_is_nobodys() {
    let mut world = World::demo().await;
    let before = world.applied.len();
    world.push("feature", &[("stacks/app-a/main.tf", "x"), ("stacks/network/main.tf", "")]).await;
    world.settle().await;
    let run = world.runs("app-a").await.pop().expect("a preview");
    assert_eq!((run.new.kind, run.state), (RunType::Proposed, State::Finished));
    world.push("main", &[("README.md", "hello")]).await;
    world.settle().await;
    assert_eq!(world.applied.len(), before);
}

#[tokio::test]
async fn a_confirmation_of_something_else_is_refused() {
    let mut world = World::demo().await;
    world.push("main", &[("stacks/app-b/main.tf", "x")]).await;
    world.settle().await;
    let run = world.head("app-b").await.active.expect("it waits");
    let command = windlass_core::event::Command::Confirm {
        run: run.id().clone(),
        digest: windlass_core::id::Digest::of(b"another plan"),
        version: run.version,
    };
    let event = world.command("app-b", command).await;
    world.settle().await;
    let Some(Answer::Refused { why }) = world.answer("app-b", &event).await else {
        panic!("it was obeyed")
    };
    assert_eq!(why, "this changed since you looked: look at the plan again");
    assert_eq!(world.state("app-b").await, "UNCONFIRMED");
}

#[tokio::test]
async fn a_trigger_makes_a_rollout_with_dependents() {
    let mut world = World::demo().await;
    world.trigger("cluster", RunType::Tracked).await;
    world.settle().await;
    assert_eq!(world.runs("network").await.len(), 1);
    assert_eq!(world.runs("app-a").await.len(), 2);
    assert_eq!(world.states(&ALL).await, ["FINISHED", "FINISHED", "FINISHED", "UNCONFIRMED"]);
}

/// What a commit creates runs for that commit, also when its definitions took a second try.
#[tokio::test]
async fn definitions_that_are_mended_by_a_retry_bring_their_stacks_to_life() {
    let mut world = World::new();
    let definitions = r"
version: 1
stacks:
  - name: network
    autodeploy: true
    project_root: stacks/network
    env: [{ name: TF_VAR_token, secret: network/token }]
";
    world.push("main", &[("windlass.yaml", definitions), ("stacks/network/main.tf", "")]).await;
    world.settle().await;
    assert_eq!(world.states(&["infra-definitions", "network"]).await, ["FAILED", "NONE"]);
    world.deps.secrets.set("network/token", "long enough").await.expect("stored");
    let failed = world.runs("infra-definitions").await.pop().expect("a run").id().clone();
    world.command("infra-definitions", windlass_core::event::Command::Retry { run: failed }).await;
    world.settle().await;
    assert_eq!(world.states(&["infra-definitions", "network"]).await, ["FINISHED"; 2]);
    assert!(world.repo().await.pending.is_empty());
}

/// What can't be read at all fails its run; it does not hold up the definitions that mend it.
#[tokio::test]
async fn definitions_that_cannot_be_read_hold_up_nothing() {
    let stack = "{ name: network, project_root: stacks/network, autodeploy: true }";
    let definitions = format!("version: 1\nstacks: [{stack}]\n");
    for unreadable in ["windlass.yaml", "stacks/network/windlass.yaml"] {
        let mut world = World::new();
        let root = format!("{definitions}include: [\"stacks/**\"]\n");
        let endless = "#".repeat(3 * 1024 * 1024);
        world.push("main", &[("windlass.yaml", root.as_str())]).await;
        world.settle().await;
        world.push("main", &[(unreadable, endless.as_str())]).await;
        world.settle().await;
        assert_eq!(world.states(&["infra-definitions"]).await, ["FAILED"], "{unreadable}");
        let body = if unreadable == "windlass.yaml" { root.as_str() } else { "stacks: []\n" };
        world.push("main", &[(unreadable, body), ("stacks/network/main.tf", "#")]).await;
        world.settle().await;
        assert_eq!(
            world.states(&["infra-definitions", "network"]).await,
            ["FINISHED"; 2],
            "{unreadable}"
        );
        assert!(world.repo().await.pending.is_empty(), "{unreadable}");
    }
}

/// Time alone frees no stack: an apply whose time has passed is ended, and seen to have ended.
#[tokio::test]
async fn an_apply_without_a_worker_is_ended_when_its_time_has_passed() {
    for immortal in [true, false] {
        let mut world = crate::scenarios::applying().await;
        world.presence.set_immortal(immortal);
        world.crew.clear();
        world.presence.worker_gone(&"w1".into(), "worker w1 was killed by signal 9");
        world.pass_minutes(60).await;
        assert!(world.presence.ended().is_empty(), "it has its time");
        world.pass_minutes(30).await;
        assert!(!world.presence.ended().is_empty());
        assert_eq!(world.head("net").await.active.is_some(), immortal);
    }
}

/// Events of people differ in their last letters: each has a rollout of its own.
#[tokio::test]
async fn whoever_triggers_many_stacks_at_one_commit_gets_a_run_of_each() {
    let mut world = World::demo().await;
    let before = world.runs("network").await.len();
    for _ in 0..3 {
        world.trigger("network", RunType::Tracked).await;
        world.settle().await;
    }
    assert_eq!(world.runs("network").await.len(), before + 3);
}

/// The server is told of another default branch: definitions follow it from its next push on.
#[tokio::test]
async fn a_repository_that_renames_its_branch_keeps_its_definitions() {
    let mut world = World::with(NET, &["net"]).await;
    let served = world.deps.repositories[0].clone();
    let renamed = scheduler::Repository { default_branch: "trunk".to_owned(), ..served };
    world.deps.repositories = std::sync::Arc::new(vec![renamed]);
    let main = world.branch("main").await.expect("a branch");
    world.source.set_branch(crate::world::REPO, "trunk", &main);
    let with = format!("{NET}  - {{ name: app, project_root: stacks/app, autodeploy: true }}\n");
    world.push("trunk", &[("windlass.yaml", &with), ("stacks/app/main.tf", "# app")]).await;
    world.settle().await;
    world.pass_minutes(2).await;
    assert_eq!(world.states(&["app"]).await, ["FINISHED"]);
}

/// A forge that is away for minutes, after it has told of a push.
struct Away;

#[async_trait::async_trait]
impl windlass_ports::Archive for Away {
    async fn ensure(&self, _: &RepoName, _: &Sha) -> Result<(), windlass_ports::Fault> {
        Err(windlass_ports::Fault::retryable("the forge is away"))
    }
}

/// The sweep sends pointers by itself: no worker may begin before the code lies there.
#[tokio::test]
async fn a_job_whose_code_is_not_there_yet_waits_for_it() {
    let mut world = World::with(NET, &["net"]).await;
    let specs = |world: &World| {
        let docs = world.docs.dump();
        docs.keys().filter(|key| key.starts_with("jobs/") && key.ends_with("/spec")).count()
    };
    let (there, before) = (world.deps.archive.clone(), specs(&world));
    world.deps.archive = std::sync::Arc::new(Away);
    world.touch("net").await;
    world.settle().await;
    world.pass_minutes(4).await;
    assert_eq!(specs(&world), before);
    assert_eq!(world.states(&["net"]).await, ["READY"]);
    world.deps.archive = there;
    world.pass_minutes(2).await;
    assert_eq!(specs(&world), before + 1, "and then it is there");
}
