//! Stories of whole rollouts on the real handlers over the fakes.
mod flow;
mod world;
