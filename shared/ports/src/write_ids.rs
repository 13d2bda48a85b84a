//! A fresh id for every write: an S3 ETag is a content hash, so a body must never repeat.
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids are `<prefix>-<n>`; the prefix is random per process, given by the shell.
#[derive(Debug)]
pub struct WriteIds {
    prefix: String,
    next: AtomicU64,
}

impl WriteIds {
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), next: AtomicU64::new(1) }
    }
    #[must_use]
    pub fn next(&self) -> String {
        format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
