//! A forge in memory: what was told, in order.
use super::lock;
use crate::fault::Fault;
use crate::forge::{CommitStatus, Forge};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Mutex;
use windlass_core::id::{RepoName, Sha};
use windlass_core::status::WORDS_MAX;

/// [`Forge`] in memory. It refuses what GitHub refuses.
#[derive(Default)]
pub struct FakeForge(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    told: Vec<CommitStatus>,
    gone: BTreeSet<RepoName>,
}

impl FakeForge {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// An independent copy.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(lock(&self.0).clone()))
    }
    /// The repository was deleted: every status of it is refused for good.
    pub fn delete(&self, repo: &str) {
        lock(&self.0).gone.insert(repo.into());
    }
    /// It is there again.
    pub fn restore(&self, repo: &str) {
        lock(&self.0).gone.remove(&RepoName::from(repo));
    }
    /// Everything that was ever told, oldest first.
    #[must_use]
    pub fn told(&self) -> Vec<CommitStatus> {
        lock(&self.0).told.clone()
    }
    /// What people read at a commit: the last of each context.
    #[must_use]
    pub fn shown(&self, repo: &RepoName, sha: &Sha, context: &str) -> Option<CommitStatus> {
        let state = lock(&self.0);
        let mut told = state.told.iter().rev();
        told.find(|s| s.repo == *repo && s.sha == *sha && s.context == context).cloned()
    }
}

#[async_trait]
impl Forge for FakeForge {
    async fn set_status(&self, status: &CommitStatus) -> Result<(), Fault> {
        let mut state = lock(&self.0);
        if state.gone.contains(&status.repo) {
            return Err(Fault::poison(format!("there is no repository {}", status.repo)));
        }
        let link = status.target_url.as_deref().unwrap_or("https://");
        if status.context.is_empty() || status.description.chars().count() > WORDS_MAX {
            return Err(Fault::poison("a status needs a context, and at most 140 characters"));
        }
        if !link.starts_with("https://") && !link.starts_with("http://") {
            return Err(Fault::poison("a status links to a page"));
        }
        state.told.push(status.clone());
        Ok(())
    }
}
