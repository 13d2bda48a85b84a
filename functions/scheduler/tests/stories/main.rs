//! Stories of whole rollouts on the real handlers over the fakes.
mod actor;
mod crash;
mod flow;
mod invariants;
mod scenarios;
mod twice;
mod world;
