//! The `Archive` port: a commit's code as a blob, fetched once.
use crate::Github;
use crate::client::{Ask, segment};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::id::{RepoName, Sha};
use windlass_core::keys;
use windlass_ports::{Archive, Blobs, Fault};

/// The largest archive that is taken. It passes through memory, one at a time; while it grows it may
/// lie there twice. (A gate holds this against the memory of the function that fetches.)
pub const ARCHIVE_BYTES_MAX: usize = 200 * MIB;
const MIB: usize = 1024 * 1024;
/// Archives that this process knows to be there. More than these are forgotten all at once.
const KNOWN_MAX: usize = 1_024;

/// GitHub's tarball of a commit under [`keys::code_archive`], as GitHub made it: one folder holds
/// all, named after owner, repository and commit.
pub struct GithubArchive {
    github: Github,
    blobs: Arc<dyn Blobs>,
    bytes_max: usize,
    known: Mutex<HashSet<String>>,
    /// Held while one is fetched. Many jobs of one commit begin at once, and whoever waited here
    /// finds it there; archives of different commits don't lie in memory side by side either.
    fetching: tokio::sync::Mutex<()>,
}

impl GithubArchive {
    #[must_use]
    pub fn new(github: Github, blobs: Arc<dyn Blobs>) -> Self {
        let (known, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { github, blobs, bytes_max: ARCHIVE_BYTES_MAX, known, fetching }
    }

    /// Another bound on an archive than [`ARCHIVE_BYTES_MAX`].
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    fn knows(&self, key: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn learn(&self, key: String) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key);
    }
}

#[async_trait]
impl Archive for GithubArchive {
    async fn ensure(&self, repo: &RepoName, sha: &Sha) -> Result<(), Fault> {
        let key = keys::code_archive(repo, sha);
        if self.knows(&key) {
            return Ok(());
        }
        let _fetching = self.fetching.lock().await;
        if self.knows(&key) {
            return Ok(());
        }
        if !self.blobs.exists(&key).await? {
            let body = self.github.tarball(repo, sha, self.bytes_max).await?;
            self.blobs.put(&key, body).await?;
        }
        self.learn(key);
        Ok(())
    }
}

impl Github {
    async fn tarball(
        &self,
        repo: &RepoName,
        sha: &Sha,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Fault> {
        let place = self.place(repo)?;
        let ask = Ask::get(place, format!("/tarball/{}", segment(&sha.0)));
        let told = self.client.ask(&ask).await?;
        let to = told.header("location").filter(|_| told.status.is_redirection());
        let Some(to) = to else { return Err(told.refusal("fetch the code", place)) };
        let body = self.client.download(to, bytes_max).await?;
        body.ok_or_else(|| {
            let (short, mib) = (sha.short(), bytes_max / MIB);
            Fault::poison(format!(
                "the code of {place} at {short} is larger than {mib} MiB, packed, and no more is \
                 taken: keep large files out of the repository, or in Git LFS"
            ))
        })
    }
}
