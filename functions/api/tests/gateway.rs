//! The same tests of pages, documents and permissions, through API Gateway's events; and the gates
//! that only this mount has.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]
mod common;
#[path = "mount/gateway.rs"]
mod mount;
mod suite {
    mod access;
    mod cloud_gates;
    mod commits;
    mod console;
    mod hidden;
    mod json;
}
