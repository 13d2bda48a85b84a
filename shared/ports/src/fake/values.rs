//! Blobs and secrets in memory.
use super::{lock, page};
use crate::blobs::Blobs;
use crate::fault::Fault;
use crate::secrets::{SECRET_CHARS_MIN, Secrets};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// [`Blobs`] in memory.
#[derive(Default)]
pub struct MemBlobs(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemBlobs {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(self.dump()))
    }
    /// Everything, by key.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.0).clone()
    }
}

#[async_trait]
impl Blobs for MemBlobs {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault> {
        lock(&self.0).insert(key.to_owned(), body);
        Ok(())
    }
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(lock(&self.0).get(key).cloned())
    }
    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        Ok(lock(&self.0).contains_key(key))
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        Ok(page(&lock(&self.0), prefix, after, limit).map(|(key, _)| key.clone()).collect())
    }
    async fn delete(&self, key: &str) -> Result<(), Fault> {
        lock(&self.0).remove(key);
        Ok(())
    }
}

/// [`Secrets`] in memory.
#[derive(Default)]
pub struct MemSecrets(Mutex<BTreeMap<String, String>>);

impl MemSecrets {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Secrets for MemSecrets {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(lock(&self.0).get(name).cloned())
    }
    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        if value.chars().count() < SECRET_CHARS_MIN {
            return Err(Fault::poison(format!(
                "the secret {name} has fewer than {SECRET_CHARS_MIN} characters"
            )));
        }
        lock(&self.0).insert(name.to_owned(), value.to_owned());
        Ok(())
    }
    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        Ok(lock(&self.0).remove(name).is_some())
    }
    async fn names(&self) -> Result<Vec<String>, Fault> {
        Ok(lock(&self.0).keys().cloned().collect())
    }
}
