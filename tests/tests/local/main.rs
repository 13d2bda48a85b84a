//! One machine: the stories that every place shares, and those that only `windlass up` has.
//!
//! - [`drift`]: a schedule on the machine's own clock. On the box the clock is the story's.
//! - [`heirs`]: the processes that settle a dead worker's affairs are children of `up`.
//! - [`start`]: refusals of `up` itself, and its data folder on a full or read-only disk. On AWS
//!   there is neither a folder nor a disk; what a deployment refuses is told there.
//! - [`stop`]: Ctrl-C. Nobody interrupts a control plane of functions.
mod drift;
mod heirs;
mod start;
mod stop;
#[path = "../stories/mod.rs"]
mod stories;

fn world(tool: &str) -> e2e::World {
    e2e::World::local(tool)
}
