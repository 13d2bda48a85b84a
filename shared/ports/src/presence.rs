//! Is a worker, or the tool that it started, provably gone? (Rule E1.)
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::id::InstanceId;
use windlass_core::job::Claim;

/// What is known for certain. "Lapsed" is never "provably gone".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It exists, or may.
    Present,
    /// It can't run any more: the process was reaped, the instance is terminated. The cause is one
    /// sentence for a person, e.g. `worker w1 was killed by signal 9`.
    Gone { cause: String },
}

#[async_trait]
pub trait Presence: Send + Sync {
    /// The worker itself.
    async fn worker(&self, worker: &InstanceId) -> Result<Evidence, Fault>;
    /// The tool: every process of the claim's group.
    async fn tool(&self, claim: &Claim) -> Result<Evidence, Fault>;
    /// Ends what is left of a group whose job is harmless to end (a plan). Best effort.
    async fn end_tool(&self, claim: &Claim) -> Result<(), Fault>;
}
