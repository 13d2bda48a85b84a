//! A pool of workers in simulated time: arrivals, boots, runs, failures, Spot, throttling.
//!
//! The world ([`world`]) is one machine room with one queue. A controller ([`Controller`]) looks at
//! it and changes it, as the real one does, through the group's size and through drains; ours
//! ([`ours`]) carries `windlass_core::fleet`'s plans, [`spacelift`] is a model of Spacelift's
//! autoscaler as its source has it. Everything random derives from one seed, so that two
//! controllers meet the very same day.
pub mod grid;
pub mod ours;
pub mod outcome;
pub mod simulate;
pub mod spacelift;
pub mod trace;
pub mod world;

pub use outcome::Outcome;
pub use simulate::simulate;
pub use trace::{Bounds, Run, Trace, TraceError};
pub use world::World;

/// Milliseconds since the trace began.
pub type Ms = u64;

/// Who decides about the pool.
pub trait Controller {
    /// Looks at the world and acts on it.
    fn tick(&mut self, world: &mut World);
    /// Whether queued work wakes it; else it looks once a minute.
    fn woken_by_work(&self) -> bool;
}
