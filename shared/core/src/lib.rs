//! What is decided, and nothing else: plain total functions from documents to documents.
//!
//! No clock, no randomness, no I/O, no async, no AWS; `clippy.toml` beside this crate says so and
//! the build holds it. Shells load what a decision [`wants`](stack::wants), call it, commit the
//! head that it returns with one conditional write, and deliver the effects that the head lists.
pub mod access;
pub mod audit;
pub mod changes;
pub mod definition;
pub mod delivery;
pub mod drain;
pub mod drift;
pub mod effect;
pub mod event;
pub mod fleet;
pub mod id;
pub mod index;
pub mod instance;
pub mod job;
pub mod keys;
pub mod repo;
pub mod rollout;
pub mod route;
pub mod run;
pub mod stack;
pub mod state_lock;
pub mod status;
pub mod summary;
pub mod time;
pub mod verdict;
pub mod wire;
