//! Documents in memory.
use super::{lock, page};
use crate::clock::Clock;
use crate::docs::{Docs, Expect, Found, KEY_BYTES_MAX, Listed, PutError, Version};
use crate::fault::Fault;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use windlass_core::time::UnixMs;

/// [`Docs`] in memory. Ages go by the clock that it was made with.
pub struct MemDocs {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    writes: u64,
    docs: BTreeMap<String, Doc>,
}

#[derive(Clone)]
struct Doc {
    version: u64,
    body: Vec<u8>,
    written: UnixMs,
}

impl MemDocs {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }
    /// An independent copy, so that a test can try several futures of one state.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { clock: self.clock.clone(), state: Mutex::new(lock(&self.state).clone()) }
    }
    /// As [`Self::fork`], going by a clock of its own from here on.
    #[must_use]
    pub fn fork_at(&self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self.fork() }
    }
    /// Everything, by key.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<String, Vec<u8>> {
        let state = lock(&self.state);
        state.docs.iter().map(|(key, doc)| (key.clone(), doc.body.clone())).collect()
    }
    /// How many writes landed so far, deletions included.
    #[must_use]
    pub fn writes(&self) -> u64 {
        lock(&self.state).writes
    }
}

impl Doc {
    fn version(&self) -> Version {
        Version(format!("v{}", self.version))
    }
}

fn check(key: &str) -> Result<(), Fault> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Fault::poison(format!(
            "a key has 1 to {KEY_BYTES_MAX} bytes, not {}",
            key.len()
        )));
    }
    Ok(())
}

#[async_trait]
impl Docs for MemDocs {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        let now = self.clock.now();
        Ok(lock(&self.state).docs.get(key).map(|doc| Found {
            version: doc.version(),
            body: doc.body.clone(),
            age_ms: now.since_ms(doc.written),
        }))
    }

    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        check(key)?;
        let written = self.clock.now();
        let mut state = lock(&self.state);
        let agrees = match (state.docs.get(key), &expect) {
            (None, Expect::Absent) => true,
            (Some(doc), Expect::At(version)) => doc.version() == *version,
            _ => false,
        };
        if !agrees {
            return Err(PutError::Conflict);
        }
        state.writes += 1;
        let doc = Doc { version: state.writes, body, written };
        let version = doc.version();
        state.docs.insert(key.to_owned(), doc);
        Ok(version)
    }

    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        let mut state = lock(&self.state);
        match state.docs.get(key) {
            None => return Ok(()),
            Some(doc) if doc.version() != *expect => return Err(PutError::Conflict),
            Some(_) => {}
        }
        state.writes += 1;
        state.docs.remove(key);
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        let state = lock(&self.state);
        Ok(page(&state.docs, prefix, after, limit)
            .map(|(key, doc)| Listed { key: key.clone(), version: doc.version() })
            .collect())
    }
}
