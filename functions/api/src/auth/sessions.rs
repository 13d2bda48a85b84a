//! Where tokens, sessions and login links are kept: in one process and, of browsers, beside it
//! (`windlass up`), or (on AWS) as documents.
use crate::ops::random_id;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_core::id::Digest;
use windlass_core::keys;
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::docs::{LIST_MAX, PutError};
use windlass_ports::{Clock, Docs, Fault, cas};

/// What the holder of a ticket may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Opens the console, once.
    Link,
    /// A browser's cookie.
    Browser,
    /// A program's bearer token.
    Token,
}

/// A ticket that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub kind: Kind,
    pub actor: String,
    /// The API key that it stands for, whose role it has; none: this machine's own token.
    pub key: Option<String>,
    pub expires_at: UnixMs,
}

/// A secret that ends: `<milliseconds, hexadecimal>.<64 digits>`. Its end is told in it only so that
/// its document can be found by it; what is stored decides.
pub(super) fn ticket(expires_at: UnixMs) -> Result<String, Fault> {
    Ok(format!("{:x}.{}{}", expires_at.0, random_id()?, random_id()?))
}

/// Where a ticket is kept: when it ends, then its digest. Who reads it can't come in with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(String);

const TIME_DIGITS: usize = 15;

impl Place {
    /// None: this text is no ticket.
    #[must_use]
    pub fn of(ticket: &str) -> Option<Self> {
        let (time, secret) = ticket.split_once('.')?;
        let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        if secret.len() != 64 || !is_hex(secret) || time.len() > 12 || !is_hex(time) {
            return None;
        }
        let ms = u64::from_str_radix(time, 16).ok()?;
        Some(Self(format!("{ms:0TIME_DIGITS$}-{}", Digest::of(ticket.as_bytes()))))
    }
    fn key(&self) -> String {
        format!("{}{}", keys::SESSIONS, self.0)
    }
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// By where they are kept.
#[async_trait]
pub trait Sessions: Send + Sync {
    async fn put(&self, place: &Place, session: Session) -> Result<(), Fault>;
    async fn get(&self, place: &Place) -> Result<Option<Session>, Fault>;
    /// Removes and returns it: of two that take at once, one gets it.
    async fn take(&self, place: &Place) -> Result<Option<Session>, Fault>;
}

/// More than this many at once are not kept: of whoever has most, the one that ends first goes.
const SESSIONS_MAX: usize = 1_000;
/// … and of one key, or of this machine's own token, not more than this.
const SESSIONS_OF_ONE_MAX: usize = 200;

/// Sessions of one process; they end with it.
pub struct MemSessions {
    clock: Arc<dyn Clock>,
    all: Mutex<BTreeMap<Place, Session>>,
}

impl MemSessions {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, all: Mutex::default() }
    }
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemSessions {
    /// Those that had to make room for it are returned.
    fn add(&self, place: &Place, session: Session) -> Vec<(Place, Session)> {
        let now = self.clock.now();
        let (mut all, mut gone) = (self.lock(), Vec::new());
        all.retain(|_, known| now < known.expires_at);
        while let Some(holder) = crowding(&all, &session.key) {
            // They are in the order in which they end.
            let first = all.iter().find(|(_, known)| known.key == holder).map(|(at, _)| at.clone());
            let Some(first) = first.and_then(|at| all.remove_entry(&at)) else { break };
            gone.push(first);
        }
        all.insert(place.clone(), session);
        gone
    }
}

#[async_trait]
impl Sessions for MemSessions {
    async fn put(&self, place: &Place, session: Session) -> Result<(), Fault> {
        self.add(place, session);
        Ok(())
    }
    async fn get(&self, place: &Place) -> Result<Option<Session>, Fault> {
        Ok(self.lock().get(place).cloned())
    }
    async fn take(&self, place: &Place) -> Result<Option<Session>, Fault> {
        Ok(self.lock().remove(place))
    }
}

/// Who has to give one up before `next` gets another. Nobody loses theirs to somebody else who takes
/// many.
fn crowding(all: &BTreeMap<Place, Session>, next: &Option<String>) -> Option<Option<String>> {
    let mut of: BTreeMap<&Option<String>, usize> = BTreeMap::new();
    for session in all.values() {
        *of.entry(&session.key).or_default() += 1;
    }
    if of.get(next).is_some_and(|count| *count >= SESSIONS_OF_ONE_MAX) {
        return Some(next.clone());
    }
    let most = of.into_iter().max_by_key(|(_, count)| *count);
    most.filter(|_| all.len() >= SESSIONS_MAX).map(|(holder, _)| holder.clone())
}

/// Whoever adds a session clears away up to so many that have ended.
const TIDIED_AT_ONCE: usize = 20;
/// So long after their end, by when they have ended on every clock.
const TIDY_AFTER_MS: u64 = 10 * MINUTE_MS;

/// Sessions as documents, for processes that come and go.
pub struct DocSessions {
    docs: Arc<dyn Docs>,
    clock: Arc<dyn Clock>,
}

/// A session's document. Who takes it swaps it for one that is taken, then deletes that: a delete
/// alone succeeds for everybody, a swap for one.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    session: Session,
    #[serde(default)]
    taken: bool,
}

impl DocSessions {
    #[must_use]
    pub fn new(docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Self {
        Self { docs, clock }
    }

    /// Lifecycle rules never touch documents, so this is how those that have ended go.
    async fn tidy(&self) -> Result<(), Fault> {
        let past = self.clock.now().0.saturating_sub(TIDY_AFTER_MS);
        let before = format!("{}{past:0TIME_DIGITS$}", keys::SESSIONS);
        for listed in self.docs.list(keys::SESSIONS, None, TIDIED_AT_ONCE).await? {
            if listed.key >= before {
                break;
            }
            match self.docs.delete(&listed.key, &listed.version).await {
                Ok(()) | Err(PutError::Conflict) => {}
                Err(PutError::Fault(fault)) => return Err(fault),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Sessions for DocSessions {
    async fn put(&self, place: &Place, session: Session) -> Result<(), Fault> {
        let kept = Kept { session, taken: false };
        cas::create(&*self.docs, &place.key(), &random_id()?, &kept).await?;
        if let Err(fault) = self.tidy().await {
            tracing::warn!(why = %fault.chain(), "ended sessions are left for the next login");
        }
        Ok(())
    }
    async fn get(&self, place: &Place) -> Result<Option<Session>, Fault> {
        let found = cas::load::<Kept>(&*self.docs, &place.key()).await?;
        Ok(found.map(|found| found.value).filter(|kept| !kept.taken).map(|kept| kept.session))
    }
    async fn take(&self, place: &Place) -> Result<Option<Session>, Fault> {
        let (docs, key) = (&*self.docs, place.key());
        let found = cas::load::<Kept>(docs, &key).await?;
        let Some(found) = found.filter(|found| !found.value.taken) else { return Ok(None) };
        let taken = Kept { taken: true, ..found.value.clone() };
        let at = Some((&found.version, found.revision));
        if !cas::commit(docs, &key, at, &taken, &random_id()?).await? {
            return Ok(None);
        }
        // It is won. What is left of it ends on its own if this fails.
        if let Ok(Some(rest)) = docs.get(&key).await {
            let _ = docs.delete(&key, &rest.version).await;
        }
        Ok(Some(found.value.session))
    }
}

/// Sessions of one process, of which a browser's outlive it. A token does not (its key makes
/// another), nor does a link (it lasts a minute).
pub struct KeptSessions {
    mem: MemSessions,
    kept: DocSessions,
}

impl KeptSessions {
    /// With what an earlier process left. The bounds hold for that as well.
    pub async fn open(docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let this = Self {
            mem: MemSessions::new(clock.clone()),
            kept: DocSessions::new(docs.clone(), clock.clone()),
        };
        let mut after = format!("{}{:0TIME_DIGITS$}", keys::SESSIONS, clock.now().0);
        loop {
            let page = docs.list(keys::SESSIONS, Some(&after), LIST_MAX).await?;
            for place in page.iter().filter_map(|at| at.key.strip_prefix(keys::SESSIONS)) {
                let place = Place(place.to_owned());
                let found = this.kept.get(&place).await?;
                if let Some(session) = found.filter(|found| found.kind == Kind::Browser) {
                    this.forget(this.mem.add(&place, session)).await?;
                }
            }
            match page.last() {
                Some(last) if page.len() == LIST_MAX => after.clone_from(&last.key),
                _ => return Ok(this),
            }
        }
    }

    async fn forget(&self, gone: Vec<(Place, Session)>) -> Result<(), Fault> {
        for (place, _) in gone.iter().filter(|(_, session)| session.kind == Kind::Browser) {
            self.kept.take(place).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Sessions for KeptSessions {
    async fn put(&self, place: &Place, session: Session) -> Result<(), Fault> {
        if session.kind == Kind::Browser {
            self.kept.put(place, session.clone()).await?;
        }
        self.forget(self.mem.add(place, session)).await
    }
    async fn get(&self, place: &Place) -> Result<Option<Session>, Fault> {
        self.mem.get(place).await
    }
    /// What is beside the process goes first: whoever logged out must not be back after a restart.
    async fn take(&self, place: &Place) -> Result<Option<Session>, Fault> {
        let known = self.mem.get(place).await?;
        if known.is_some_and(|known| known.kind == Kind::Browser) {
            self.kept.take(place).await?;
        }
        self.mem.take(place).await
    }
}
