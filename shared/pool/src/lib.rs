//! A pool's workers and its queue, from the records that the store keeps of them.
//!
//! [`WindlassPool`] is the port [`Pool`] over [`Docs`]. Every question that changes something is one
//! swap of one machine's record, as claims are, so that no look has to be believed later. A look
//! lists keys with their versions and reads only what changed since the last one; both caches live
//! as long as the process does, and an empty one costs nothing but reads.
//!
//! What waits is counted from the stacks' summaries ([`OpenRuns`]), less what the workers' records
//! already have: no queue tells how old its messages are, or which of them are repetitions.
mod demand;
mod mirror;
mod pool;

pub use demand::OpenRuns;
pub use pool::{FORGET_MS, WindlassPool};
