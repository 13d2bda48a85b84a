//! The agent.
pub mod mask;
pub mod plan;
