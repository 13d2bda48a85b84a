//! A run: one execution of a stack, from its creation to one terminal state.
use serde::{Deserialize, Serialize};

/// Spacelift's `RunType`, the four that a stack knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunType {
    /// A preview: plans, never applies, blocks nobody.
    Proposed,
    /// A deployment.
    Tracked,
    /// Deletes all resources of the stack.
    Destroy,
    /// One shell command in the stack's environment.
    Task,
}

impl RunType {
    /// Takes the stack exclusively from leaving the queue until its terminal state.
    #[must_use]
    pub fn blocking(self) -> bool {
        self != RunType::Proposed
    }
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunType::Proposed => "PROPOSED",
            RunType::Tracked => "TRACKED",
            RunType::Destroy => "DESTROY",
            RunType::Task => "TASK",
        }
    }
}
