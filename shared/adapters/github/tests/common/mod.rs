//! A small GitHub with one repository, and the adapter before it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses its own part of this; tests may panic"
)]
use adapter_github::{Auth, Config, Credential, Fixed, Github};
use async_trait::async_trait;
use forge_server::{APP_ID, APP_KEY, ForgeServer, TOKEN};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use windlass_core::id::RepoName;
use windlass_ports::Fault;
use windlass_ports::contract::origin::GitOrigin;

pub const PLACE: &str = "acme/infra";

pub struct Bench {
    pub forge: ForgeServer,
    pub root: TempDir,
    pub repo: RepoName,
}

impl Bench {
    pub fn new() -> (Self, GitOrigin) {
        Self::before(ForgeServer::start())
    }

    pub fn before(forge: ForgeServer) -> (Self, GitOrigin) {
        let root = tempfile::tempdir().unwrap();
        let origin = GitOrigin::create(root.path());
        forge.add(PLACE, root.path());
        (Self { forge, root, repo: "infra".into() }, origin)
    }

    pub fn github(&self, auth: Auth) -> Github {
        let places = [(self.repo.clone(), PLACE), ("other".into(), "acme/other")];
        let repositories: BTreeMap<RepoName, String> =
            places.into_iter().map(|(name, place)| (name, place.to_owned())).collect();
        let api_url = self.forge.url().to_owned();
        Github::new(Config { api_url, repositories, auth })
    }

    pub fn by_token(&self) -> Github {
        self.github(Auth::Token(Arc::new(Fixed::new(TOKEN))))
    }

    pub fn by_app(&self) -> Github {
        self.github(app(APP_KEY))
    }

    /// How often a path was asked for.
    pub fn asked(&self, part: &str) -> usize {
        self.forge.calls().iter().filter(|call| call.path.contains(part)).count()
    }
}

pub fn app(key: &str) -> Auth {
    Auth::App { id: APP_ID.to_owned(), key: Arc::new(Fixed::new(key)) }
}

/// A credential that is rotated: a cache gives what it had until it is asked past it.
pub struct Rotating {
    pub cached: Mutex<String>,
    pub stored: Mutex<String>,
    pub fresh_reads: AtomicUsize,
}

impl Rotating {
    pub fn new(value: &str) -> Arc<Self> {
        Arc::new(Self {
            cached: Mutex::new(value.to_owned()),
            stored: Mutex::new(value.to_owned()),
            fresh_reads: AtomicUsize::new(0),
        })
    }
    pub fn rotate(&self, value: &str) {
        value.clone_into(&mut self.stored.lock().unwrap());
    }
}

#[async_trait]
impl Credential for Rotating {
    async fn read(&self, fresh: bool) -> Result<String, Fault> {
        if fresh {
            self.fresh_reads.fetch_add(1, Ordering::SeqCst);
            let stored = self.stored.lock().unwrap().clone();
            *self.cached.lock().unwrap() = stored;
        }
        Ok(self.cached.lock().unwrap().clone())
    }
}
