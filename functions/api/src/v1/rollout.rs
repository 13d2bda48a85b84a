//! Rollouts: what one push or trigger became; and why things are as they are.
use super::run::RunView;
use super::stack::CommitView;
use serde::{Deserialize, Serialize};

/// `GET /rollouts?repository&limit`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutList {
    pub rollouts: Vec<RolloutView>,
    pub next: Option<String>,
}

/// `GET /commits/{sha}`: every time this commit was routed, newest first. A prefix will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitDetail {
    pub commit: CommitView,
    pub rollouts: Vec<RolloutView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    pub id: String,
    pub repository: String,
    pub branch: String,
    pub commit: CommitView,
    pub at: String,
    pub triggered_by: Option<String>,
    /// Parents before their dependents.
    pub runs: Vec<RolloutRunView>,
    /// Why no stack matched, when none did.
    pub nothing: Option<String>,
    /// All of its runs have ended.
    pub done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRunView {
    pub stack: String,
    /// The newest try; none while it has not been made.
    pub run: Option<RunView>,
    /// The id that the plan of the rollout gave it.
    pub planned_run: String,
    /// Stacks whose runs it waits for.
    pub after: Vec<String>,
    /// The longest way from a run that waits for none.
    pub depth: u32,
    /// Why it is in the rollout.
    pub because: String,
}

/// `GET /why/{commit, stack or run}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// What was asked about, as it is called in full.
    pub what: String,
    /// `commit`, `stack` or `run`.
    pub kind: String,
    /// The answer, then what led to it.
    pub lines: Vec<WhyLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyLine {
    /// One sentence.
    pub text: String,
    pub at: Option<String>,
    pub stack: Option<String>,
    pub run: Option<String>,
}
