//! Where sessions and login links are kept: in this process, or (on AWS) as documents.
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_core::id::Digest;
use windlass_core::time::UnixMs;
use windlass_ports::{Clock, Fault};

/// A browser's session, or a link that will become one.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub actor: String,
    pub is_link: bool,
    /// Every form of this session carries it.
    pub form_token: String,
    pub expires_at: UnixMs,
}

impl Session {
    pub(super) fn link(actor: &str, expires_at: UnixMs) -> Self {
        Self { actor: actor.to_owned(), is_link: true, form_token: String::new(), expires_at }
    }
}

/// By the digest of what the browser holds.
#[async_trait]
pub trait Sessions: Send + Sync {
    async fn put(&self, key: &Digest, session: Session) -> Result<(), Fault>;
    async fn get(&self, key: &Digest) -> Result<Option<Session>, Fault>;
    /// Removes and returns it: of two that take at once, one gets it.
    async fn take(&self, key: &Digest) -> Result<Option<Session>, Fault>;
}

/// More than this many at once are not kept: those that end first go.
const SESSIONS_MAX: usize = 1_000;

/// Sessions of one process; they end with it.
pub struct MemSessions {
    clock: Arc<dyn Clock>,
    all: Mutex<BTreeMap<Digest, Session>>,
}

impl MemSessions {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, all: Mutex::default() }
    }
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sessions for MemSessions {
    async fn put(&self, key: &Digest, session: Session) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut all = self.lock();
        all.retain(|_, known| now < known.expires_at);
        if all.len() >= SESSIONS_MAX {
            let first = all.iter().min_by_key(|(_, known)| known.expires_at);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                all.remove(&key);
            }
        }
        all.insert(key.clone(), session);
        Ok(())
    }
    async fn get(&self, key: &Digest) -> Result<Option<Session>, Fault> {
        Ok(self.lock().get(key).cloned())
    }
    async fn take(&self, key: &Digest) -> Result<Option<Session>, Fault> {
        Ok(self.lock().remove(key))
    }
}
