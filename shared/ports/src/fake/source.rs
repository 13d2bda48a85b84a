//! Repositories in memory.
use super::lock;
use crate::fault::Fault;
use crate::forge::{ChangedFiles, CommitInfo, Source};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use windlass_core::id::{Digest, RepoName, Sha};

/// A larger file is refused, as the port says.
const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

type Files = BTreeMap<String, Vec<u8>>;

/// [`Source`] in memory: branches, tags, commits with all their files.
#[derive(Default)]
pub struct FakeSource(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    commits: u64,
    repos: BTreeMap<RepoName, Repo>,
}

#[derive(Clone, Default)]
struct Repo {
    branches: BTreeMap<String, Sha>,
    tags: BTreeMap<String, Sha>,
    commits: BTreeMap<Sha, (CommitInfo, Files)>,
    parents: BTreeMap<Sha, Sha>,
}

impl FakeSource {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An independent copy.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(lock(&self.0).clone()))
    }

    /// A commit on this branch (made if new, from nothing): the head's files with these written.
    pub fn push(&self, repo: &str, branch: &str, files: &[(&str, &str)]) -> Sha {
        self.push_change(repo, branch, files, &[])
    }

    /// As [`Self::push`], and these paths are gone.
    pub fn push_change(
        &self,
        repo: &str,
        branch: &str,
        written: &[(&str, &str)],
        removed: &[&str],
    ) -> Sha {
        let mut state = lock(&self.0);
        state.commits += 1;
        let n = state.commits;
        let repo_name = RepoName::from(repo);
        let repo = state.repos.entry(repo_name.clone()).or_default();
        let head = repo.branches.get(branch).and_then(|sha| repo.commits.get(sha));
        let mut files = head.map(|(_, files)| files.clone()).unwrap_or_default();
        files.retain(|path, _| !removed.contains(&path.as_str()));
        files.extend(written.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())));
        let mut sha = Digest::of(format!("{repo_name} {n}").as_bytes()).0;
        sha.truncate(40);
        let sha = Sha(sha);
        let info = CommitInfo {
            sha: sha.clone(),
            author: "Ada Example".to_owned(),
            subject: format!("Commit {n}"),
            at_ms: n * 1_000,
        };
        if let Some(parent) = repo.branches.get(branch) {
            repo.parents.insert(sha.clone(), parent.clone());
        }
        repo.commits.insert(sha.clone(), (info, files));
        repo.branches.insert(branch.to_owned(), sha.clone());
        sha
    }

    /// The newest commit of a branch.
    #[must_use]
    pub fn tip(&self, repo: &str, branch: &str) -> Option<Sha> {
        lock(&self.0).repos.get(&repo.into())?.branches.get(branch).cloned()
    }

    /// Points a branch at a commit: a new branch, a forced push.
    pub fn set_branch(&self, repo: &str, branch: &str, sha: &Sha) {
        let mut state = lock(&self.0);
        let repo = state.repos.entry(repo.into()).or_default();
        repo.branches.insert(branch.to_owned(), sha.clone());
    }

    pub fn delete_branch(&self, repo: &str, branch: &str) {
        if let Some(repo) = lock(&self.0).repos.get_mut(&repo.into()) {
            repo.branches.remove(branch);
        }
    }

    pub fn set_tag(&self, repo: &str, tag: &str, sha: &Sha) {
        let mut state = lock(&self.0);
        state.repos.entry(repo.into()).or_default().tags.insert(tag.to_owned(), sha.clone());
    }

    /// The commit is gone, as after a forced push and a collection.
    pub fn forget(&self, repo: &str, sha: &Sha) {
        if let Some(repo) = lock(&self.0).repos.get_mut(&repo.into()) {
            repo.commits.remove(sha);
        }
    }

    fn with<R>(
        &self,
        repo: &RepoName,
        read: impl FnOnce(&Repo) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        match lock(&self.0).repos.get(repo) {
            Some(found) => read(found),
            None => Err(Fault::poison(format!("there is no repository {repo}"))),
        }
    }
}

impl Repo {
    /// A commit and all that it descends from, newest first.
    fn line<'a>(&'a self, sha: &'a Sha) -> impl Iterator<Item = &'a Sha> {
        std::iter::successors(Some(sha), |sha| self.parents.get(*sha))
    }
    fn tree(&self, sha: &Sha) -> Result<&Files, Fault> {
        match self.commits.get(sha) {
            Some((_, files)) => Ok(files),
            None => Err(Fault::poison(format!("there is no commit {sha}"))),
        }
    }
}

#[async_trait]
impl Source for FakeSource {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        self.with(repo, |repo| Ok(repo.branches.clone().into_iter().collect()))
    }

    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        self.with(repo, |repo| {
            let new = repo.tree(head)?;
            let Some((_, old)) = base.and_then(|base| repo.commits.get(base)) else {
                return Ok(ChangedFiles::Everything);
            };
            let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differ = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
            Ok(ChangedFiles::Known(differ.cloned().collect()))
        })
    }

    async fn merge_base(&self, repo: &RepoName, a: &Sha, b: &Sha) -> Result<Option<Sha>, Fault> {
        self.with(repo, |repo| {
            let known = |sha: &&Sha| repo.commits.contains_key(*sha);
            if !known(&a) || !known(&b) {
                return Ok(None);
            }
            let ours: BTreeSet<&Sha> = repo.line(a).collect();
            Ok(repo.line(b).find(|sha| ours.contains(sha)).cloned())
        })
    }

    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        self.with(repo, |repo| Ok(repo.commits.get(sha).map(|(info, _)| info.clone())))
    }

    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        self.with(repo, |repo| {
            if let Some(sha) = repo.branches.get(name).or_else(|| repo.tags.get(name)) {
                return Ok(Some(sha.clone()));
            }
            let mut matching = repo.commits.keys().filter(|sha| sha.0.starts_with(name));
            match (matching.next(), matching.next()) {
                (Some(sha), None) if name.len() >= 4 => Ok(Some(sha.clone())),
                _ => Ok(None),
            }
        })
    }

    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.with(repo, |repo| match repo.tree(sha)?.get(path) {
            Some(body) if body.len() > FILE_BYTES_MAX => {
                Err(Fault::poison(format!("{path} is larger than 2 MiB")))
            }
            found => Ok(found.cloned()),
        })
    }

    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        self.with(repo, |repo| Ok(repo.tree(sha)?.keys().cloned().collect()))
    }
}
