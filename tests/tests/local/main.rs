//! Stories of one machine: real Git, the real tool, real processes that are killed for real.
mod confirm;
mod definitions;
mod flow;
mod hooks;
mod kill_both;
mod kill_server;
mod kill_worker;
mod phases;
mod repositories;
mod runs;
mod start;
mod stop;
