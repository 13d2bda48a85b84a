//! JSON API and console: one router over one module of operations.
//!
//! Never decides: reads documents, and puts what people ask onto the intents queue, the one road
//! that every other event takes too. The same router is mounted behind API Gateway, so nothing
//! here streams, and no answer is over a megabyte.
pub mod auth;
#[cfg(feature = "aws")]
pub mod config;
mod console;
#[cfg(feature = "gateway")]
mod gateway;
mod http;
pub mod ops;
pub mod v1;

pub use auth::{Auth, GatewayHost, bootstrap_key};
#[cfg(feature = "gateway")]
pub use gateway::behind_gateway;
pub use http::{router, routes};
pub use ops::{BlobStates, Deps, StateStore};
