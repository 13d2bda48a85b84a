//! Where code comes from: commits, their files, and what changed between two of them.
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::id::{RepoName, Sha};
pub use windlass_core::status::StatusState;

/// Which files a push touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedFiles {
    /// All of them, by path from the root, sorted. A rename counts as both paths.
    Known(Vec<String>),
    /// Everything may have changed: a first commit, or a base that is gone.
    Everything,
}

/// A commit as people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitInfo {
    pub sha: Sha,
    pub author: String,
    /// First line of the message.
    pub subject: String,
    pub at_ms: u64,
}

/// How a run stands, told where people look at its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    pub repo: RepoName,
    pub sha: Sha,
    /// One line per stack: `windlass/<stack>`. A later status of one context replaces an earlier.
    pub context: String,
    pub state: StatusState,
    /// At most 140 characters (GitHub's bound).
    pub description: String,
    /// Where to read on.
    pub target_url: Option<String>,
}

/// Where people talk about code: told how its runs stand.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Telling twice is harmless. A limit of the forge's is `Retryable`, and the adapter keeps
    /// silent until it has passed.
    async fn set_status(&self, status: &CommitStatus) -> Result<(), Fault>;
    /// False if nobody is there to be told: then nothing is owed in the first place.
    fn hears(&self) -> bool {
        true
    }
}

/// A repository that nobody talks about: every word succeeds and is not said.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoForge;

#[async_trait]
impl Forge for NoForge {
    async fn set_status(&self, _status: &CommitStatus) -> Result<(), Fault> {
        Ok(())
    }
    fn hears(&self) -> bool {
        false
    }
}

/// The code of a commit where workers can fetch it: they hold no key to the forge.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Makes it so, once per commit; before a job's pointer is sent.
    async fn ensure(&self, repo: &RepoName, sha: &Sha) -> Result<(), Fault>;
}

/// Workers on this machine read the mirrors themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArchive;

#[async_trait]
impl Archive for NoArchive {
    async fn ensure(&self, _repo: &RepoName, _sha: &Sha) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
pub trait Source: Send + Sync {
    /// All branches and their heads, fresh.
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault>;
    /// One branch's head, fresh; None when there is no such branch.
    async fn head(&self, repo: &RepoName, branch: &str) -> Result<Option<Sha>, Fault> {
        let found = self.branches(repo).await?.into_iter().find(|(name, _)| name == branch);
        Ok(found.map(|(_, sha)| sha))
    }
    /// Files that differ between `base` and `head`.
    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault>;
    /// The newest commit that both descend from; None when there is none or it is not known.
    async fn merge_base(&self, _repo: &RepoName, _a: &Sha, _b: &Sha) -> Result<Option<Sha>, Fault> {
        Ok(None)
    }
    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault>;
    /// A branch, tag or (abbreviated) commit id to a full one.
    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault>;
    /// One file at a commit; None when there is none. At most 2 MiB, else `Poison`.
    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// All paths at a commit.
    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault>;
}
