//! Is a worker, or the tool that it started, provably gone? (Rule E1.)
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::job::{Claim, JobId};

/// What is known for certain. "Lapsed" is never "provably gone".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It exists, or may; whoever says so will also see it go.
    Present,
    /// Nobody can tell, and perhaps nobody ever will: only its time, once all of it has passed,
    /// says that it is over.
    Unknown,
    /// It can't run any more: the process was reaped, the instance is terminated. The cause is one
    /// sentence for a person, e.g. `worker w1 was killed by signal 9`.
    Gone { cause: String },
}

#[async_trait]
pub trait Presence: Send + Sync {
    /// The worker's process that made this claim.
    async fn worker(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault>;
    /// The tool: every process of the claim's group.
    async fn tool(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault>;
    /// Ends what is left of a group whose job is harmless to end (a plan). Best effort.
    async fn end_tool(&self, job: &JobId, claim: &Claim) -> Result<(), Fault>;
}
