//! What a story needs of the place where it is told, as two interfaces with two implementations
//! each: one machine ([`crate::local`]) and the cloud in a box.
use crate::local::Server;
use crate::up::Up;
use crate::world::World;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a world's control plane keeps its things. It lives as long as the world, so a control plane
/// that was killed and is started again finds what it had.
pub trait Place: Send + Sync {
    /// Starts the control plane, or starts it again, with at least this many workers, and waits
    /// until it answers.
    fn start(&self, world: &World, workers: u16) -> Up;
    /// The program, as it is built for there.
    fn program(&self) -> &'static Path;
    /// Lets the command line find the control plane.
    fn point(&self, command: &mut Command);
    /// A file with a stack's managed state, if there is one.
    fn state(&self, stack: &str) -> Option<PathBuf>;
    /// Everything that is kept, by name, but for what may hold secrets: states, and outputs on their
    /// way to dependents.
    fn kept(&self) -> Vec<(String, Vec<u8>)>;
    /// The words of a run that failed because its worker died while its tool went on.
    fn cause(&self, death: Death) -> &'static str;
}

/// Who died beside the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Nobody: the control plane saw it.
    WorkerAlone,
    /// The control plane too.
    Everybody,
}

/// A control plane that runs, and its workers.
pub trait Stage: Send + Sync {
    fn login_link(&self) -> String;
    fn processes(&self) -> BTreeMap<String, u32>;
    fn workers(&self) -> BTreeMap<String, u32>;
    fn kill_worker(&self, name: &str);
    fn strike(&self);
    fn kill(&mut self);
    fn kill_all(&mut self);
    fn kill_tools(&self);
    fn stop(&mut self);
    /// What it said lately, for whoever has to find out why a story failed.
    fn said(&self) -> String;
    /// The one process of `windlass up`, where there is one.
    fn server(&mut self) -> Option<&mut Server> {
        None
    }
}
