//! The control plane's own jobs: what they ask of the source.
use crate::world::{REPO, World};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Barrier;
use windlass_core::id::{RepoName, Sha};
use windlass_ports::fake::FakeSource;
use windlass_ports::forge::CommitInfo;
use windlass_ports::{ChangedFiles, Fault, Source};

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
