//! Where code comes from: commits, their files, and what changed between two of them.
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::id::{RepoName, Sha};

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

#[async_trait]
pub trait Source: Send + Sync {
    /// All branches and their heads, fresh.
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault>;
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
