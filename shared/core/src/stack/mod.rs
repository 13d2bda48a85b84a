//! One stack, one actor: everything that happens to a stack, decided on its head.
//!
//! [`wants`] names what to load, [`decide`] answers with the next head: state and owed effects in
//! one document, so that one conditional write commits both.
mod births;
mod command;
mod decide;
mod drift;
mod facts;
mod head;
mod moves;
mod release;
mod result;
mod spec;
mod sweep;

pub use decide::{Decision, decide};
pub use facts::{Attempted, Facts, Record, Wants, wants};
pub(crate) use head::free_id;
pub use head::{Answer, Defined, LastRun, Lock, RECENT_MAX, Recent, StackHead, StackOutputs};
