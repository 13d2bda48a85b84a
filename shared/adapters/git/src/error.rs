//! What can go wrong with git, each as a sentence that a person can act on.
use crate::origin::redact;
use std::path::PathBuf;
use windlass_core::id::{RepoName, Sha};
use windlass_ports::Fault;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("the program `git` was not found on PATH; install git")]
    NotInstalled,
    #[error("{} is not a git repository", path.display())]
    NotARepository { path: PathBuf },
    #[error("`{origin}` can't be the origin of a repository: {why}")]
    BadOrigin { origin: String, why: &'static str },
    #[error("the repository {0} is not known here")]
    UnknownRepository(RepoName),
    #[error("the repository {repo} has no commit {sha}")]
    UnknownCommit { repo: RepoName, sha: Sha },
    #[error("`{0}` is not a full commit id")]
    BadSha(String),
    #[error("{} exists and is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{path} at {sha} is a symbolic link, which is not followed")]
    SymbolicLink { path: String, sha: Sha },
    #[error("{path} at {sha} has {bytes} bytes; at most {max} can be read")]
    TooBig { path: String, sha: Sha, bytes: u64, max: u64 },
    #[error("git {verb} took longer than {} s and was stopped", timeout_ms / 1_000)]
    TimedOut { verb: &'static str, timeout_ms: u64 },
    /// `said` holds the last lines of its standard error, redacted.
    #[error("git {verb} failed: {said}")]
    Failed { verb: &'static str, said: String },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl GitError {
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: redact(&what.into()), source }
    }
    /// True when trying again later may help: the network, a slow disk, a missing program.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotInstalled | Self::TimedOut { .. } | Self::Failed { .. } | Self::Io { .. } => {
                true
            }
            // It may have been added to a folder that is still being copied or mounted; but a
            // person has to do something, and an endless retry would hide that.
            Self::NotARepository { .. }
            | Self::BadOrigin { .. }
            | Self::UnknownRepository(_)
            | Self::UnknownCommit { .. }
            | Self::BadSha(_)
            | Self::NotEmpty { .. }
            | Self::SymbolicLink { .. }
            | Self::TooBig { .. } => false,
        }
    }
}

impl From<GitError> for Fault {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Io { what, source } => Fault::retryable_from(what, source),
            other if other.is_retryable() => Fault::retryable(other.to_string()),
            other => Fault::poison(other.to_string()),
        }
    }
}
