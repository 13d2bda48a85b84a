//! The ports of a worker, over a Unix socket in the data folder.
//!
//! A worker has one way to the control plane: documents, queues, blobs and secrets by key. On AWS
//! IAM says which keys; on one machine [`Authority`] says the same, call by call, and the worker's
//! code can't tell the two apart.
//!
//! - [`Client`] is the worker's end: the four ports, reconnecting by itself.
//! - [`bind`] and [`serve`] are the control plane's end.
//! - [`allowed`] decides, from a call and stored facts and nothing else.
mod allow;
mod authority;
mod client;
mod listener;
mod server;
mod wire;

pub use allow::{Denied, Facts, JobFacts, Needs, allowed, needs};
pub use authority::{Authority, Token};
pub use client::Client;
pub use listener::bind;
pub use server::{Gate, Ports, serve};
pub use wire::{BODY_BYTES_MAX, Call, Hello};
