//! Stories of whole rollouts on the real handlers over the fakes.
mod actor;
mod claim;
mod crash;
mod deliveries;
mod dice;
mod drift;
mod fence;
mod flow;
mod heir;
mod invariants;
mod rollouts;
mod scenarios;
mod simulation;
mod statuses;
mod twice;
mod warm;
mod world;
