//! Documents under a prefix as they were last read, kept from look to look by their versions.
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::time::UnixMs;
use windlass_ports::cas::Stored;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Docs, Fault, Version};

/// Reads side by side.
const AT_ONCE: usize = 32;

/// Two clocks of this very machine. One of them may stand still while a function is frozen, the
/// other may be set: the later of both counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) steady: UnixMs,
    pub(crate) wall: UnixMs,
}

impl Moment {
    fn since_ms(self, earlier: Moment) -> u64 {
        self.steady.since_ms(earlier.steady).max(self.wall.since_ms(earlier.wall))
    }
}

/// A document, and how old it was when it was read, by the store's clock.
#[derive(Debug)]
pub(crate) struct Known<T> {
    pub(crate) version: Version,
    pub(crate) value: T,
    age_ms: u64,
    read: Moment,
}

impl<T> Known<T> {
    /// As old as it was, and as much older as time has passed here.
    pub(crate) fn age_ms(&self, now: Moment) -> u64 {
        self.age_ms.saturating_add(now.since_ms(self.read))
    }
    /// It may have passed one of these ages since it was read. Only the store can say that it did.
    fn doubtful(&self, ages_ms: &[u64], now: Moment) -> bool {
        ages_ms.iter().any(|ms| self.age_ms < *ms && self.age_ms(now) >= *ms)
    }
}

type Rows<T> = BTreeMap<String, Arc<Known<T>>>;

/// What to keep of a document, or why it can't be understood.
pub(crate) type Read<T> = fn(&[u8]) -> Result<T, String>;

pub(crate) struct Mirror<T> {
    prefix: String,
    read: Read<T>,
    /// Ages at which something is concluded from a document.
    ages_ms: fn(&T) -> Vec<u64>,
    rows: Mutex<Arc<Rows<T>>>,
}

impl<T: Send + Sync> Mirror<T> {
    pub(crate) fn new(prefix: String, read: Read<T>, ages_ms: fn(&T) -> Vec<u64>) -> Self {
        Self { prefix, read, ages_ms, rows: Mutex::default() }
    }

    /// Everything under the prefix, as it is now. A document that can't be understood is left out,
    /// and said; a store that is away is a fault, for half a look is none.
    pub(crate) async fn look(&self, docs: &dyn Docs, now: Moment) -> Result<Arc<Rows<T>>, Fault> {
        let known = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut rows, mut after): (Rows<T>, Option<String>) = (BTreeMap::new(), None);
        let mut news = Vec::new();
        loop {
            let page = docs.list(&self.prefix, after.as_deref(), LIST_MAX).await?;
            let full = page.len() == LIST_MAX;
            after = page.last().map(|listed| listed.key.clone());
            for listed in page {
                match known.get(&listed.key) {
                    Some(row) if row.version == listed.version && !self.doubts(row, now) => {
                        rows.insert(listed.key, row.clone());
                    }
                    _ => news.push(listed.key),
                }
            }
            if !full {
                break;
            }
        }
        for some in news.chunks(AT_ONCE) {
            let found = try_join_all(some.iter().map(|key| self.load(docs, key, now))).await?;
            for (key, found) in some.iter().zip(found) {
                // Gone between the list and the read: it is not there.
                rows.extend(found.map(|found| (key.clone(), Arc::new(found))));
            }
        }
        let rows = Arc::new(rows);
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows.clone();
        Ok(rows)
    }

    fn doubts(&self, row: &Known<T>, now: Moment) -> bool {
        row.doubtful(&(self.ages_ms)(&row.value), now)
    }

    async fn load(
        &self,
        docs: &dyn Docs,
        key: &str,
        read: Moment,
    ) -> Result<Option<Known<T>>, Fault> {
        let Some(found) = docs.get(key).await? else { return Ok(None) };
        match (self.read)(&found.body) {
            Ok(value) => {
                Ok(Some(Known { version: found.version, value, age_ms: found.age_ms, read }))
            }
            Err(error) => {
                tracing::warn!(key, error, "a document can't be understood, and is left out");
                Ok(None)
            }
        }
    }
}

/// What lies in an envelope of ours.
pub(crate) fn stored<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let stored: Stored<T> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(stored.value)
}
