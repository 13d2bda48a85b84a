//! Carries out what is decided about a pool's machines: load, decide, commit, act.
//!
//! Nothing here chooses: `windlass_core::fleet` does, and its plan names every machine. What this
//! adds is an order in which a death at any moment does no harm:
//!
//! - One tick at a time decides about a pool ([`lease`]). Who comes meanwhile leaves word, and the
//!   tick that decides looks once more.
//! - A queued run, or a provider's notice, wakes it between ticks. Such a look makes the pool grow and
//!   drains what was warned, and leaves all else to the tick.
//! - What was decided, and why, is stored before the first action. Each removal has a name (its op)
//!   from there on, so that finishing it twice is finishing it once.
//! - A machine is drained, then doomed, then ended; whoever has a run after all is left alone.
//! - An action that fails fails nothing else. The next tick sees what came of it, and goes on.
//!
//! Without a store (the official Spacelift module with nothing but the code changed) the same
//! decisions are made from one look alone: no cooldowns, no second looks, no names of removals.
mod act;
#[cfg(feature = "aws")]
pub mod config;
pub mod event;
mod lease;
mod observe;
mod remove;
mod tick;

pub use lease::LEASE_MS;
pub use tick::{Outcome, Report, handle};

use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::fleet::{Notice, Op, Policy};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::time::UnixMs;
use windlass_ports::{Clock, Docs, Fleet, Pool, WriteIds};

/// Takes the removals that were begun.
pub type Remember = dyn Fn(&BTreeMap<InstanceId, Op>) + Send + Sync;

/// Everything that [`handle`] may touch.
#[derive(Clone)]
pub struct Deps {
    pub pool: Arc<dyn Pool>,
    pub fleet: Arc<dyn Fleet>,
    pub policy: Policy,
    /// None: as a guest in the official Spacelift module.
    pub store: Option<Store>,
    /// Whether the pool can keep workers from registering on a machine (a tombstone).
    pub fences: bool,
    pub clock: Arc<dyn Clock>,
    /// Told before each look which removals earlier ticks began: a pool that can't tell by itself
    /// whose a drain is learns it here.
    pub remember: Arc<Remember>,
}

/// Where ticks remember what they did.
#[derive(Clone)]
pub struct Store {
    pub docs: Arc<dyn Docs>,
    pub write_ids: Arc<WriteIds>,
    pub pool: PoolId,
}

/// What an invocation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A minute has passed.
    Tick,
    /// A run was queued.
    Work,
    /// The provider is about to take a machine; perhaps one of another group.
    Notice { instance: InstanceId, notice: Notice },
}

/// One invocation.
#[derive(Clone, Debug)]
pub struct Call {
    pub occasion: Occasion,
    /// When it was due: a tick of the schedule, or the work that woke it.
    pub due: UnixMs,
    /// Nothing is begun from here on.
    pub until: UnixMs,
}
