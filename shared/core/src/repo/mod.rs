//! One repository, one actor: pushes and triggers become rollouts.
mod decide;
mod head;

pub use decide::{RepoDecision, RepoFacts, RepoWants, decide, wants};
pub use head::{Branch, Pending, RepoHead};
