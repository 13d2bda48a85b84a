//! Large immutable things: logs, archives, plans, values of outputs.
use crate::fault::Fault;
use async_trait::async_trait;

/// Blobs by key. A key is written once or with the same bytes again; nothing is swapped.
#[async_trait]
pub trait Blobs: Send + Sync {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault>;
    /// None when there is none.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Whether there is one, without its bytes.
    async fn exists(&self, key: &str) -> Result<bool, Fault>;
    /// Keys with this prefix greater than `after`, in byte order, at most `limit` (≤ 1,000).
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault>;
    /// Deleting what is absent succeeds.
    async fn delete(&self, key: &str) -> Result<(), Fault>;
}
