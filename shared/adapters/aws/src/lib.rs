//! What every AWS adapter shares: credentials, region, endpoints, one HTTP client, which failures
//! may pass.
//!
//! Everything is read and built in [`Aws::from_env`], the client with its root certificates
//! included: on Lambda that is the start-up, not somebody's first request.
mod config;
mod failure;
mod http;
mod kept;
mod references;

pub use config::{ATTEMPT_MS, Aws, AwsError, CONNECT_MS, TRIES_MAX, http_client};
pub use failure::Failure;
pub use kept::{KEPT_MS, Kept};
pub use references::References;
