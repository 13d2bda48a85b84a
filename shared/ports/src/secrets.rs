//! Values that no document, log or page may hold.
use crate::fault::Fault;
use async_trait::async_trait;

/// A value shorter than this can't be masked in a log without blanking half of it.
pub const SECRET_CHARS_MIN: usize = 5;

#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value under this name (`cluster/token`), or None.
    async fn get(&self, name: &str) -> Result<Option<String>, Fault>;
    /// The same past any cache: what `get` gave may have been rotated since. A cache remembers what
    /// this found.
    async fn fresh(&self, name: &str) -> Result<Option<String>, Fault> {
        self.get(name).await
    }
    /// Refuses (as `Poison`) values under [`SECRET_CHARS_MIN`] characters.
    async fn set(&self, name: &str, value: &str) -> Result<(), Fault>;
    async fn remove(&self, name: &str) -> Result<bool, Fault>;
    /// Names, sorted; never values.
    async fn names(&self) -> Result<Vec<String>, Fault>;
}
