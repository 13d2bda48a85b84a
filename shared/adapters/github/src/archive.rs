//! The `Archive` port: a commit's code as a blob, fetched once.
use crate::Github;
use crate::client::{Ask, segment};
use async_trait::async_trait;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::id::{RepoName, Sha};
use windlass_core::keys;
use windlass_ports::{Archive, Blobs, Fault};

/// The largest archive that is taken: it passes through memory, so the process that fetches it
/// needs about twice as much.
pub const ARCHIVE_BYTES_MAX: usize = 250 * 1024 * 1024;
/// Archives that this process knows to be there. More than these are forgotten all at once.
const KNOWN_MAX: usize = 1_024;

/// GitHub's tarball of a commit under [`keys::code_archive`], as GitHub made it: one folder holds
/// all, named after owner, repository and commit.
pub struct GithubArchive {
    github: Github,
    blobs: Arc<dyn Blobs>,
    known: Mutex<HashSet<String>>,
}

impl GithubArchive {
    #[must_use]
    pub fn new(github: Github, blobs: Arc<dyn Blobs>) -> Self {
        Self { github, blobs, known: Mutex::default() }
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
        if self.blobs.list(&key, None, 1).await?.first() != Some(&key) {
            let body = self.github.tarball(repo, sha).await?;
            self.blobs.put(&key, body).await?;
        }
        self.learn(key);
        Ok(())
    }
}

impl Github {
    async fn tarball(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<u8>, Fault> {
        let place = self.place(repo)?;
        let ask = Ask::get(place, format!("/tarball/{}", segment(&sha.0)));
        let told = self.client.ask(&ask).await?;
        let to = told.header("location").filter(|_| told.status.is_redirection());
        let Some(to) = to else { return Err(told.refusal("fetch the code", place)) };
        let body = self.client.download(to, ARCHIVE_BYTES_MAX).await?;
        body.ok_or_else(|| {
            let short = sha.short();
            Fault::poison(format!("the code of {place} at {short} is larger than 250 MB, packed"))
        })
    }
}
