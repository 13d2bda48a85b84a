//! Stories that are told of every place where the control plane runs: real Git, the real tool, real
//! processes that are killed for real. A test target includes this module and says by its `world`
//! where the story is told.
mod browser;
mod confirm;
mod definitions;
pub(crate) mod drift;
mod flow;
mod hooks;
mod kill_both;
mod kill_server;
mod kill_worker;
pub(crate) mod phases;
mod repositories;
mod runs;
