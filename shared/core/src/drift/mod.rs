//! Drift detection: when a stack is due for a look at the world, and what the look found.
//!
//! Pure: time comes as an argument, and the zones' rules are compiled in, so every machine agrees
//! on when a line falls due.
mod budget;
mod cron;
mod found;
mod schedule;
mod watch;

pub use budget::{Admission, BUDGET, Place, PoolSettings, TELL_AGAIN_MS, admit};
pub use cron::Cron;
pub use found::{ADDRESSES_MAX, Drifted};
pub(crate) use schedule::zones;
pub use schedule::{Due, JITTER_MAX_MS, Schedule, is_zone};
pub use watch::{Found, Look, Looked, Turn, Unfit, Watch};

/// Who asks for the tracked run that makes the world what the code says.
pub const ACTOR: &str = "drift detection";
