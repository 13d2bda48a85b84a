//! GitHub over HTTP: commits and what they change, archives, commit statuses.
//!
//! Speaks as a token's owner or as an installed App. A limit of GitHub's is obeyed by silence: the
//! adapter asks nothing until it has passed and answers `Retryable` at once. Credentials are read
//! when they are needed, again when they are refused, and appear in no error and no log.
mod app;
mod archive;
mod client;
mod compare;
mod credential;
mod forge;
mod quiet;
mod source;
mod tokens;
mod wire;

pub use archive::{ARCHIVE_BYTES_MAX, GithubArchive};
pub use credential::{Credential, Fixed, Named};

use client::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::id::RepoName;
use windlass_ports::Fault;

/// What an installation says about its GitHub.
pub struct Config {
    /// `https://api.github.com`, or a GitHub Enterprise Server's `https://HOST/api/v3`.
    pub api_url: String,
    /// Short names to `owner/repository`.
    pub repositories: BTreeMap<RepoName, String>,
    pub auth: Auth,
}

/// In whose name it asks.
#[derive(Clone)]
pub enum Auth {
    /// A personal access token: its owner's.
    Token(Arc<dyn Credential>),
    /// An App's installations: one token per owner, an hour each, made with the App's private key.
    App { id: String, key: Arc<dyn Credential> },
}

/// One GitHub. Clones share connections, tokens and silence.
#[derive(Clone)]
pub struct Github {
    client: Arc<Client>,
    repositories: Arc<BTreeMap<RepoName, String>>,
}

impl Github {
    /// Asks nothing yet, and reads no credential.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { api_url, repositories, auth } = config;
        let client = Arc::new(Client::new(&api_url, auth));
        Self { client, repositories: Arc::new(repositories) }
    }

    /// `owner/repository` of a repository that is served here.
    fn place(&self, repo: &RepoName) -> Result<&str, Fault> {
        let place = self.repositories.get(repo).map(String::as_str);
        place.ok_or_else(|| Fault::poison(format!("the repository {repo} is not served here")))
    }
}
