//! Holds machines that are to end until their runs have ended.
//!
//! The group holds a machine in `Terminating:Wait` until its hook is completed, or its time is over.
//! A message says so, and the tick sees it too (rule C5), so a lost, late or repeated message
//! changes nothing. What is done is decided by `windlass_core::drain` from a record of ours and
//! from who holds the machine: its workers take no more runs, its hook is put off while a run goes
//! on, and completed when none does.
//!
//! Every step is harmless the second time, so a step is taken first and recorded after: who died
//! between the two takes it again.
#[cfg(feature = "aws")]
pub mod config;
pub mod invocation;
mod look;
mod message;
mod record;
mod tick;

pub use look::Looked;
pub use message::{Fate, SetAside, handle_message};
pub use tick::{Report, tick};

use std::sync::Arc;
use windlass_core::id::PoolId;
use windlass_ports::{Clock, Docs, Hooks, Pool, WriteIds};

/// Everything that the handlers may touch.
#[derive(Clone)]
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub write_ids: Arc<WriteIds>,
    pub pool: Arc<dyn Pool>,
    pub hooks: Arc<dyn Hooks>,
    pub clock: Arc<dyn Clock>,
    pub pool_id: PoolId,
    /// The pool's groups, by name; messages of others are not ours.
    pub groups: Vec<String>,
    /// Of their hooks: at least [`windlass_core::drain::TIMEOUT_MS_MIN`].
    pub timeout_ms: u64,
    /// Whether the pool can keep workers from registering on a machine (a tombstone).
    pub fences: bool,
}
