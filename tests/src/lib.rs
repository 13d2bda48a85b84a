//! What the stories stand on: the real program, real Git and the real tool behind a wrapper that
//! keeps a log of its own. Nothing here links a crate of Windlass: a story sees what a person sees
//! (the API, files, processes), and what the tool was really asked to do.
//!
//! - [`binary`]: the program, built once.
//! - [`repo`]: a Git repository that a story commits to.
//! - [`tool`]: the wrapper that is the first `terraform` on PATH; gates that hold it at a phase.
//! - [`world`], [`up`], [`http`]: a control plane with its workers, its API, its deaths and returns.
//! - [`place`]: what a story needs of where it is told; [`local`] is one machine, [`cloud`] the cloud
//!   in a box.
//! - [`fleet`]: pools of machines, for the autoscaler and the drainer.
//! - [`proofs`]: what must be true of every world at its end.
//! - [`browser`]: a headless Chromium.
pub mod binary;
pub mod browser;
pub mod cloud;
pub mod fleet;
pub mod http;
pub mod local;
pub mod place;
pub mod process;
pub mod proofs;
pub mod repo;
pub mod tool;
pub mod up;
pub mod wait;
pub mod world;

pub use http::{Api, Refusal};
pub use local::Server;
pub use repo::Repo;
pub use tool::{Call, Gate, Tool};
pub use up::Up;
pub use wait::{LONG, SHORT, until};
pub use world::World;
