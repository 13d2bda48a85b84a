//! The router as `up` mounts it: pages, documents, gates, and who may do what.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]
mod common;
#[path = "mount/direct.rs"]
mod mount;
mod suite {
    mod access;
    mod commits;
    mod console;
    mod gates;
    mod hidden;
    mod json;
    mod sessions;
}
