//! Drift detection: when a stack is due for a look at the world, and what the look found.
//!
//! Pure: time comes as an argument, and the zones' rules are compiled in, so every machine agrees
//! on when a line falls due.
mod cron;
mod found;
mod schedule;
mod watch;

pub use cron::Cron;
pub use found::{ADDRESSES_MAX, Drifted};
pub use schedule::{Due, JITTER_MAX_MS, Schedule, is_zone};
pub use watch::{Found, Look, Looked, Turn, Unfit, Watch};

/// How many drift runs of one pool are open at a time, unless the pool says otherwise: one, so that
/// a sweep over many stacks never takes the last worker from somebody who waits for a plan.
pub const BUDGET: u32 = 1;
/// Who asks for the tracked run that makes the world what the code says.
pub const ACTOR: &str = "drift detection";
