//! Small documents, each changed only by compare-and-swap: S3's conditional requests.
use crate::fault::Fault;
use async_trait::async_trait;

/// Opaque version of a stored document (an ETag on S3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub String);

/// A document as found.
#[derive(Clone, Debug)]
pub struct Found {
    pub version: Version,
    pub body: Vec<u8>,
    /// Time since it was last written, in milliseconds, by the store's own clock on both ends
    /// (S3: `Last-Modified` against the `Date` of the same answer). Two machines' clocks are
    /// never compared (rule E2).
    pub age_ms: u64,
}

/// What a put expects to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    At(Version),
}

#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Someone else wrote first (S3's 412 and 409). Reload and decide again. It can also be our
    /// own earlier try whose answer was lost: `cas` finds out by the write id.
    #[error("somebody else wrote first")]
    Conflict,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A key and the version it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub version: Version,
}

/// At most this many keys come back from one `list`, as on S3.
pub const LIST_MAX: usize = 1_000;

/// A longer key, or an empty one, is refused as `Poison`.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Documents by key. Keys are at most [`KEY_BYTES_MAX`] bytes of UTF-8 and sort by bytes.
#[async_trait]
pub trait Docs: Send + Sync {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault>;
    /// Writes iff the stored version is as expected. A `Fault` leaves it open whether it landed.
    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError>;
    /// Deletes iff the stored version matches; deleting what is absent succeeds.
    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError>;
    /// Keys with this prefix, greater than `after`, in byte order; at most `limit`, never more
    /// than [`LIST_MAX`].
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault>;
}
