//! How many machines a pool of workers has, and which of them go.
//!
//! [`decide()`] turns one look at a pool (its group of machines, its workers, its queue) and what
//! earlier ticks left to remember into a plan that names its victims. It serves a Windlass pool
//! and a Spacelift pool alike. Three promises shape it:
//!
//! - **Supply is counted, never compared for equality**: live slots, and machines that boot and are
//!   younger than the boot deadline. What cannot be launched is not waited for.
//! - **open → draining(by, op) → doomed → gone**: a machine is marked doomed before the call that
//!   ends it, and from there is no way back (rule C2). Ticks undo only their own drains.
//! - **A busy machine is never ended by us.** A plan retires only what has no run, by a swap that a
//!   claim would make fail.
//!
//! The order of a tick: is the look trustworthy ([`guard`]), what is each machine ([`census`]), what
//! was begun and must be finished ([`finish`]), what is broken ([`repair`]), is there too little
//! ([`grow`]) or too much ([`shrink`]).
mod census;
mod decide;
mod finish;
mod grow;
mod guard;
pub mod hold;
mod ledger;
mod memory;
mod plan;
mod policy;
mod repair;
mod shrink;
mod snapshot;
#[cfg(test)]
mod tests;
mod warm;

pub use census::{Census, Standing};
pub use decide::decide;
pub use hold::{Drained, IfBusy};
pub use ledger::{Explanation, Kind, Ledger, Seen, SeenMachine};
pub use memory::{Memory, Op, OpId};
pub use plan::{Action, Alarm, Because, Cause, Plan, Unmet, Victim, Why};
pub use policy::{IdleFrom, Policy};
pub use snapshot::{
    Demand, Draining, Group, Lease, Notice, Place, SeenInstance, SeenWorker, Snapshot, Whereabouts,
};
pub use warm::{Warm, WarmWindow};
