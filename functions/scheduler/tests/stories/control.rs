//! The control plane's own jobs: what they ask of the source.
use crate::world::{REPO, Tool, World, one};
use async_trait::async_trait;
use scheduler::Repository;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Barrier;
use windlass_core::id::{RepoName, RunId, Sha};
use windlass_core::index::{Catalog, Left};
use windlass_core::instance::Instance;
use windlass_core::keys;
use windlass_core::stack::StackHead;
use windlass_ports::fake::FakeSource;
use windlass_ports::forge::CommitInfo;
use windlass_ports::{Blobs, Change, ChangedFiles, Fault, Source, cas};

const AT_ONCE: usize = 16;

/// A source that answers for no file of a stack before sixteen are asked for.
struct Crowd {
    inner: Arc<FakeSource>,
    gate: Barrier,
}

/// A source that shows no commit any more, as soon as it is told so.
struct Shy {
    inner: Arc<FakeSource>,
    shy: AtomicBool,
}

impl Shy {
    fn is_shy(&self) -> bool {
        self.shy.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Source for Shy {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        self.inner.branches(repo).await
    }
    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        self.inner.changed(repo, base, head).await
    }
    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        if self.is_shy() { Ok(None) } else { self.inner.commit(repo, sha).await }
    }
    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        self.inner.resolve(repo, name).await
    }
    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let unseen = || Fault::retryable("this commit is not shown yet");
        if self.is_shy() { Err(unseen()) } else { self.inner.read(repo, sha, path).await }
    }
    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        self.inner.files(repo, sha).await
    }
}

/// It is waited for, and not for ever: one of these runs at a time, whosever it is.
#[tokio::test]
async fn a_commit_that_is_never_shown_ends_its_run() {
    let mut world = World::new();
    let shy = Arc::new(Shy { inner: world.source.clone(), shy: AtomicBool::new(false) });
    world.deps.source = shy.clone();
    world.push("main", &[("windlass.yaml", "version: 1\n")]).await;
    shy.shy.store(true, Ordering::Relaxed);
    world.settle().await;
    for (minutes, expect) in [(5, "PLANNING"), (10, "FAILED")] {
        world.advance(minutes * 60_000);
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, expect, "{minutes}");
    }
}

#[async_trait]
impl Source for Crowd {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        self.inner.branches(repo).await
    }
    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        self.inner.changed(repo, base, head).await
    }
    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        self.inner.commit(repo, sha).await
    }
    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        self.inner.resolve(repo, name).await
    }
    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        if path.starts_with("stacks/") {
            self.gate.wait().await;
        }
        self.inner.read(repo, sha, path).await
    }
    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        self.inner.files(repo, sha).await
    }
}

/// One after the other, some hundreds would outlast the invocation, each time anew.
#[tokio::test]
async fn definition_files_are_read_sixteen_at_a_time() {
    let mut world = World::new();
    let gate = Barrier::new(AT_ONCE);
    world.deps.source = Arc::new(Crowd { inner: world.source.clone(), gate });
    let names: Vec<String> = (0..2 * AT_ONCE).map(|n| format!("s{n:02}")).collect();
    let mut files = vec![(
        "windlass.yaml".to_owned(),
        "version: 1\ninclude: [\"stacks/*/windlass.yaml\"]\n".to_owned(),
    )];
    for name in &names {
        let stack = format!("stacks:\n  - {{ name: {name}, project_root: stacks/{name} }}\n");
        files.push((format!("stacks/{name}/windlass.yaml"), stack));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    world.source.push(REPO, "main", &files);
    world.observe().await.expect("observed");
    world.settle().await;
    assert_eq!(world.state("infra-definitions").await, "FINISHED");
    for name in &names {
        assert_eq!(world.head(name).await.stack, name.as_str().into(), "{name} is defined");
    }
}

/// A visibility that passes while somebody still works: another delivery carries the job to its end
/// and newer definitions follow, before the first goes on.
#[tokio::test]
async fn who_carries_definitions_out_late_undoes_nothing() {
    let control = keys::first_queue(&keys::CONTROL_POOL.into());
    // Where the late one stops: before its slot, its claim, and each write of its apply.
    for before in ["pools/control/", "jobs/", "index/catalog.json", "index/repos/", "definitions/"]
    {
        let mut world = World::with(&stacks(&["old"]), &["old"]).await;
        world.source.push(REPO, "main", &[("windlass.yaml", &stacks(&["old", "new"]))]);
        world.observe().await.expect("observed");
        let late = loop {
            let Some(delivery) = world.receive(&control).await else {
                let handled =
                    world.handle(keys::INTENTS).await || world.handle(keys::REPORTS).await;
                assert!(handled, "{before}: no apply came");
                continue;
            };
            if String::from_utf8_lossy(&delivery.body).contains("apply") {
                break world.stop_before(&control, &delivery, (before, 1)).await;
            }
            let fate = scheduler::handle_message(&world.deps, &control, &delivery).await;
            world.settle_delivery(&control, &delivery, fate).await;
        };
        let plans: Vec<(String, Vec<u8>)> = world.blobs.dump().into_iter().collect();
        world.advance(31_000);
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, "FINISHED", "{before}");
        world.push("main", &[("windlass.yaml", &stacks(&["old", "newer"]))]).await;
        world.settle().await;
        let expect = ["newer", "old"];
        assert_eq!(defined(&world).await, expect, "{before}: with the first at rest");
        // Nothing may hang on a plan having been cleaned up in time.
        for (key, plan) in plans.into_iter().filter(|(key, _)| key.starts_with("plans/")) {
            world.blobs.put(&key, plan).await.expect("stored");
        }
        late.wake().await;
        world.advance(31_000);
        world.settle().await;
        assert_eq!(defined(&world).await, expect, "{before}");
        let stored = &world.docs.dump()["definitions/infra.json"];
        assert!(String::from_utf8_lossy(stored).contains("newer"), "{before}");
        // And the next definitions find the way free.
        world.push("main", &[("windlass.yaml", &stacks(&["old"]))]).await;
        world.settle().await;
        assert_eq!(defined(&world).await, ["old"], "{before}: afterwards");
    }
}

/// Who died had its result stored, and others dropped its pointer: nobody comes to free the slot.
#[tokio::test]
async fn a_job_that_has_ended_keeps_no_other_from_the_slot() {
    let mut world = World::with(&stacks(&["old"]), &["old"]).await;
    let ended = world.newest("infra-definitions").await.jobs.pop().expect("a job");
    let key = keys::instance(&keys::CONTROL_POOL.into(), &scheduler::CONTROL_INSTANCE.into());
    let taken = |record: Option<&Instance>| {
        let record = record.expect("a record");
        Ok(Change::Write(record.take(record.epoch, &ended).expect("taken"), ()))
    };
    cas::update(&*world.docs, &key, "dead", taken).await.expect("stored");
    world.push("main", &[("windlass.yaml", &stacks(&["old", "new"]))]).await;
    world.settle().await;
    assert_eq!(defined(&world).await, ["new", "old"]);
}

/// A stack whose first apply failed has no outputs, and may have resources.
#[tokio::test]
async fn what_may_have_resources_leaves_by_a_persons_decision() {
    #[rustfmt::skip]
    let table: [(&str, bool, Option<&str>, &str); 4] = [
        // name                    applies  fails             definitions without it
        ("it was never applied",   false,   None,             "FINISHED"),
        ("its plan failed",        false,   Some("plan"),     "FINISHED"),
        ("its apply ended well",   true,    None,             "UNCONFIRMED"),
        ("its first apply failed", true,    Some("apply"),    "UNCONFIRMED"),
    ];
    for (name, applies, fails, expect) in table {
        let mut world = World::new();
        let says = |phase: &str| (fails == Some(phase)).then(|| "no".to_owned());
        let tool = Tool { plan_fails: says("plan"), apply_fails: says("apply"), ..Tool::default() };
        world.tools.insert("net".into(), tool);
        world.define(&one(applies), &["net"]).await;
        world.settle().await;
        world.push("main", &[("windlass.yaml", "version: 1\n")]).await;
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, expect, "{name}");
    }
}

/// What was planned while a stack had nothing is not applied once it may have something.
#[tokio::test]
async fn an_apply_that_began_meanwhile_asks_for_a_new_plan() {
    let mut world = World::new();
    world.define(&one(false), &["net"]).await;
    world.settle().await;
    assert_eq!(world.state("net").await, "UNCONFIRMED");
    let first = world.newest("infra-definitions").await.id().clone();
    world.push("main", &[("windlass.yaml", "version: 1\n")]).await;
    until_planned(&mut world, &first).await;
    let head = StackHead { touched: true, ..world.head("net").await };
    let key = keys::head(&"net".into());
    let taken = |_: Option<&StackHead>| Ok(Change::Write(head.clone(), ()));
    cas::update(&*world.docs, &key, "apply", taken).await.expect("stored");
    world.settle().await;
    assert_eq!(world.state("infra-definitions").await, "FAILED");
    assert_eq!(defined(&world).await, ["net"]);
}

/// Whoever defined it anew would have its state, its outputs and its runs.
#[tokio::test]
async fn the_name_of_a_stack_that_left_stays_its_repositorys() {
    for (name, owner, meanwhile, expect) in [
        ("it comes back", REPO, false, "FINISHED"),
        ("another's", "apps", false, "FAILED"),
        ("another's that left between plan and apply", "apps", true, "FAILED"),
    ] {
        let mut world = World::with(&stacks(&["old"]), &["old"]).await;
        if !meanwhile {
            leave(&world, "new", owner).await;
        }
        let first = world.newest("infra-definitions").await.id().clone();
        world.push("main", &[("windlass.yaml", &stacks(&["old", "new"]))]).await;
        if meanwhile {
            until_planned(&mut world, &first).await;
            leave(&world, "new", owner).await;
        }
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, expect, "{name}");
        let new = defined(&world).await.contains(&"new".to_owned());
        assert_eq!(new, owner == REPO, "{name}");
    }
}

/// Whoever was granted a space may declare others below it, of any name, and grant those: that must
/// not open secrets that happen to have such a name, nor the code of a third.
#[tokio::test]
async fn only_the_root_spaces_owner_gives_secrets_and_code_away() {
    let named = "version: 1\nstacks:\n  - { name: net, project_root: stacks/net, space: team, ";
    let (plain, secret, code) = ("", "env: [{ name: X, secret: team/token }]", "repository: lib");
    for (declarer, what, expect) in [
        ("platform", plain, "FINISHED"),
        ("platform", secret, "FINISHED"),
        ("platform", code, "FINISHED"),
        ("apps", plain, "FINISHED"),
        ("apps", secret, "FAILED"),
        ("apps", code, "FAILED"),
    ] {
        let mut world = World::new();
        world.deps.secrets.set("team/token", "a-secret-of-somebody").await.expect("stored");
        serve(&mut world, &["platform", "apps", "lib", REPO]);
        declare(&world, declarer, &[("team", &[REPO, "lib"])]).await;
        world.define(&format!("{named}{what} }}\n"), &["net"]).await;
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, expect, "{declarer} {what}");
    }
}

/// What was granted when it was planned may not be any more.
#[tokio::test]
async fn what_others_took_between_plan_and_apply_is_not_defined() {
    let (given, kept): (&[&str], &[&str]) = (&[REPO], &[]);
    for (name, meanwhile, expect) in [
        ("nothing", &[("team", given)][..], "FINISHED"),
        ("the grant", &[("team", kept)][..], "FAILED"),
        ("the name of a space", &[("team", given), ("sub", kept)][..], "FAILED"),
    ] {
        let mut world = World::new();
        serve(&mut world, &["platform", REPO]);
        declare(&world, "platform", &[("team", given)]).await;
        world.define("version: 1\n", &[]).await;
        world.settle().await;
        let first = world.newest("infra-definitions").await.id().clone();
        let text = "version: 1\nspaces: [{ name: sub, parent: team }]\nstacks: [{ name: net, \
                    space: team, project_root: stacks/net }]\n";
        world.push("main", &[("windlass.yaml", text)]).await;
        until_planned(&mut world, &first).await;
        declare(&world, "platform", meanwhile).await;
        world.settle().await;
        assert_eq!(world.state("infra-definitions").await, expect, "{name}");
        assert_eq!(defined(&world).await.is_empty(), expect == "FAILED", "{name}");
    }
}

/// The installation serves these, the first of which owns the root space.
fn serve(world: &mut World, names: &[&str]) {
    let served = names
        .iter()
        .map(|name| Repository { name: (*name).into(), default_branch: "main".to_owned() });
    world.deps.repositories = Arc::new(served.collect());
}

/// That repository's definitions: spaces, each with those who may define in it.
async fn declare(world: &World, repo: &str, spaces: &[(&str, &[&str])]) {
    let space = |(slug, granted): &(&str, &[&str])| {
        let parent = if *slug == "team" { "root" } else { "team" };
        json!({ "slug": slug, "name": slug, "parent": parent, "repositories": granted })
    };
    let spaces: Vec<Value> = spaces.iter().map(space).collect();
    let stored = json!({ "commit": "c", "revision": 1, "definitions": { "spaces": spaces } });
    let taken = |_: Option<&Value>| Ok(Change::Write(stored.clone(), ()));
    let key = keys::definitions(&repo.into());
    cas::update(&*world.docs, &key, "declared", taken).await.expect("stored");
    let served = |catalog: Option<&Catalog>| {
        let mut catalog = catalog.cloned().unwrap_or_default();
        catalog.commits.insert(repo.into(), "c".into());
        Ok(Change::Write(catalog, ()))
    };
    cas::update(&*world.docs, keys::CATALOG, "served", served).await.expect("stored");
}

/// The catalog of a world in which such a stack left the definitions of such a repository.
async fn leave(world: &World, stack: &str, owner: &str) {
    let mut catalog = world.load::<Catalog>(keys::CATALOG).await.expect("a catalog");
    catalog.left.insert(stack.into(), Left { owner: owner.into(), space: "root".into() });
    let taken = |_: Option<&Catalog>| Ok(Change::Write(catalog.clone(), ()));
    cas::update(&*world.docs, keys::CATALOG, "left", taken).await.expect("stored");
}

/// The definitions after that run are planned, and not applied yet.
async fn until_planned(world: &mut World, before: &RunId) {
    loop {
        let run = world.newest("infra-definitions").await;
        if run.id() != before && run.jobs.len() == 2 {
            return;
        }
        assert!(world.serve().await, "it never comes to the apply");
    }
}

fn stacks(names: &[&str]) -> String {
    let line = |name: &&str| format!("  - {{ name: {name}, project_root: stacks/{name} }}\n");
    let lines: String = names.iter().map(line).collect();
    format!("version: 1\nstacks:\n{lines}")
}

async fn defined(world: &World) -> Vec<String> {
    let catalog = world.load::<Catalog>(keys::CATALOG).await.expect("a catalog");
    catalog.stacks.into_keys().map(|stack| stack.0).collect()
}
