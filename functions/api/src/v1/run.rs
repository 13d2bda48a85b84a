//! Runs: lists, one run with its history and what may be done with it, its log.
use super::stack::{CommitView, ReferenceView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use windlass_core::job::{Delta, Phase, Step};
use windlass_core::run::{RunType, StateName};

/// `GET /runs` and `GET /stacks/{slug}/runs`, `?state&type&stack&limit&after`; newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunList {
    pub runs: Vec<RunView>,
    /// Pass as `after` for older ones.
    pub next: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    pub id: String,
    pub stack: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    pub id: String,
    pub stack: String,
    #[serde(rename = "type")]
    pub kind: RunType,
    pub state: StateName,
    /// It will not move any more.
    pub terminal: bool,
    /// It waits for a person, not for a machine.
    pub waits_for_person: bool,
    pub repository: String,
    pub branch: String,
    pub commit: CommitView,
    /// None for a push.
    pub triggered_by: Option<String>,
    /// Why it exists, in one sentence.
    pub because: String,
    /// What there is to say about its state: why it failed, was skipped, or waits.
    pub note: Option<String>,
    pub created_at: String,
    /// When the present state began.
    pub since: String,
    /// Rises by one per transition; a confirmation names it.
    pub version: u32,
    pub delta: Option<Delta>,
    pub rollout: Option<String>,
    pub try_no: u32,
    pub drift: bool,
    /// A person chose this commit.
    pub pinned: bool,
    pub prioritized: bool,
    /// The newer try that took its place.
    pub superseded_by: Option<String>,
}

/// `GET /runs/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetail {
    #[serde(flatten)]
    pub run: RunView,
    /// Oldest first.
    pub history: Vec<TransitionView>,
    pub jobs: Vec<JobView>,
    /// What its state allows.
    pub can: BTreeSet<Verb>,
    /// Of the plan that waits for a person; a confirmation names it.
    pub plan_digest: Option<String>,
    pub plan_round: Option<u32>,
    /// Who confirmed the plan that is, or was, carried out, if a person did.
    #[serde(default)]
    pub confirmed_by: Option<String>,
    /// `GET /runs/{id}/changes` has something to show.
    pub has_changes: bool,
    pub warnings: Vec<String>,
    /// Runs that must end well before this one starts.
    pub waits: Vec<WaitView>,
    /// Runs that wait for this one.
    pub children: Vec<RunRef>,
    pub inputs: Vec<InputView>,
    pub changed_outputs: BTreeSet<String>,
    pub command: Option<String>,
    /// Addresses of a targeted replan.
    pub targets: Vec<String>,
    /// The worker that has its job.
    pub worker: Option<String>,
    /// Since when that worker has been silent, if it is.
    pub silent_since: Option<String>,
    /// Who asked to stop it, if somebody did.
    pub stop_asked_by: Option<String>,
    pub tool_version: Option<String>,
    pub tool_ms: u64,
    /// The first run of this line of tries.
    pub origin: String,
}

/// What can be asked of a run; also the last part of the path that asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Confirm,
    Approve,
    Discard,
    Cancel,
    Stop,
    Retry,
    Replan,
    Prioritize,
}

impl Verb {
    pub const ALL: [Verb; 8] = [
        Verb::Confirm,
        Verb::Approve,
        Verb::Discard,
        Verb::Cancel,
        Verb::Stop,
        Verb::Retry,
        Verb::Replan,
        Verb::Prioritize,
    ];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Confirm => "confirm",
            Verb::Approve => "approve",
            Verb::Discard => "discard",
            Verb::Cancel => "cancel",
            Verb::Stop => "stop",
            Verb::Retry => "retry",
            Verb::Replan => "replan",
            Verb::Prioritize => "prioritize",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionView {
    pub state: StateName,
    pub version: u32,
    pub at: String,
    pub by: Option<String>,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    pub id: String,
    pub phase: Phase,
    pub round: u32,
    pub attempt: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    pub stack: String,
    pub run: String,
    /// Empty: a plain edge.
    pub references: Vec<ReferenceView>,
    /// `good`, `unneeded`, `bad` or `never`; none while it has not ended.
    pub outcome: Option<String>,
    /// The parent's outputs that changed.
    pub changed: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputView {
    pub name: String,
    pub from: String,
    pub output: String,
}

/// `GET /runs/{id}/logs?after&wait_ms`: what follows the cursor, at most half a megabyte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    pub run: String,
    pub state: StateName,
    /// In order; colours are the tool's own escape sequences.
    pub parts: Vec<LogPart>,
    /// Pass as `after` for what comes next; stays valid when `parts` is empty.
    pub next: String,
    /// The run has ended and nothing follows.
    pub done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    pub job: String,
    pub step: Step,
    pub text: String,
}
