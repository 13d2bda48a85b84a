//! The scenarios that a fleet must get right, by their numbers; each asserts the whole plan.
//!
//! Defaults unless a row says otherwise: one slot a machine, 0 to 20 machines, 10 more or 5 fewer a
//! tick, idle for 10 minutes since the last run's end, 10 minutes to boot.
mod extremes;
mod grow;
mod hold;
mod pool;
mod shrink;
mod strays;
mod woken;
