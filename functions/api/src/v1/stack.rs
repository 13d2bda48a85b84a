//! Stacks: lists with facets, one stack with its surroundings, its resources, outputs and state.
use super::run::{RunRef, RunView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use windlass_core::job::Delta;
use windlass_core::run::{RunType, StateName};
use windlass_core::summary::Group;

/// `GET /stacks?q&state&space&label&repository&group&limit&after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackList {
    /// Those that need a person first, then by slug.
    pub stacks: Vec<StackView>,
    /// How many match, on all pages.
    pub total: u64,
    /// Counted over what the other filters leave, so that each facet shows its alternatives.
    pub facets: Facets,
    /// Pass as `after` for the next page.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facets {
    /// `needs_attention`, `failed`, `on_hold`, `in_progress`, `finished`.
    pub group: BTreeMap<String, u64>,
    pub state: BTreeMap<String, u64>,
    pub space: BTreeMap<String, u64>,
    pub label: BTreeMap<String, u64>,
    pub repository: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackView {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub space: String,
    pub repository: String,
    pub branch: String,
    pub project_root: String,
    pub labels: Vec<String>,
    /// The state of its newest blocking run, or `NONE`.
    pub state: String,
    pub group: Group,
    pub autodeploy: bool,
    pub administrative: bool,
    /// False once it left the definitions.
    pub defined: bool,
    pub last_run: Option<LastRunView>,
    pub tracked: Option<CommitView>,
    pub lock: Option<LockView>,
    pub queued: u32,
    pub proposed: u32,
    /// Resources that are not as they were applied, if any are known to be.
    pub drifted: Option<DriftedView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedView {
    /// Resources and outputs.
    pub count: u32,
    /// Since when exactly these differ.
    pub since: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRunView {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: RunType,
    pub state: StateName,
    pub since: String,
    pub delta: Option<Delta>,
    pub commit: CommitView,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitView {
    pub sha: String,
    pub author: String,
    pub subject: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockView {
    pub by: String,
    pub note: Option<String>,
    pub at: String,
    pub until: Option<String>,
}

/// `GET /stacks/{slug}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackDetail {
    #[serde(flatten)]
    pub stack: StackView,
    pub worker_pool: String,
    pub workspace: String,
    pub tool: String,
    pub version: Option<String>,
    pub manage_state: bool,
    pub protect_from_deletion: bool,
    /// The commit whose definitions it follows.
    pub defined_by: Option<String>,
    pub depends_on: Vec<EdgeView>,
    pub dependents: Vec<EdgeView>,
    /// The blocking run that has the stack.
    pub active: Option<RunView>,
    /// Blocking runs that wait, oldest first.
    pub queue: Vec<RunView>,
    /// Previews that have not ended.
    pub open_proposed: Vec<RunView>,
    /// The run whose outputs dependents use.
    pub outputs_from: Option<RunRef>,
    /// None: nobody has looked for drift here, and nobody will.
    pub drift: Option<DriftView>,
}

/// Drift detection of one stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftView {
    /// Cron lines; empty: only when somebody asks.
    pub schedule: Vec<String>,
    pub timezone: String,
    pub reconcile: bool,
    /// When the next slot falls due.
    pub next: Option<String>,
    /// A slot that fell due and waits for a place in its pool's drift budget.
    pub waiting: Option<DriftWaitView>,
    pub last: Option<DriftLookView>,
    /// The run that first saw what differs now.
    pub found_by: Option<String>,
    /// What differs, by address; the first 200.
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftWaitView {
    pub since: String,
    pub worker_pool: String,
}

/// How the last look went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftLookView {
    pub at: String,
    /// None: it was skipped.
    pub run: Option<String>,
    /// `clean`, `drifted`, `failed`, `overtaken` or `skipped`.
    pub outcome: String,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeView {
    pub stack: String,
    pub state: String,
    /// Empty: the dependent always follows.
    pub references: Vec<ReferenceView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceView {
    pub output: String,
    pub input: String,
    pub trigger_always: bool,
}

/// `GET /stacks/{slug}/resources?after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceList {
    pub stack: String,
    /// The run after which they were listed.
    pub run: Option<String>,
    pub total: u64,
    pub resources: Vec<ResourceView>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub provider: String,
    pub module: Option<String>,
    /// Since when it is known to differ from what was applied.
    pub drifted: Option<String>,
}

/// `GET /stacks/{slug}/outputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputList {
    pub stack: String,
    pub run: Option<String>,
    pub outputs: Vec<OutputView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputView {
    pub name: String,
    pub sensitive: bool,
    /// None when it is sensitive (it is never shown), or longer than an answer may hold.
    pub value: Option<Value>,
    /// Digest of the value's JSON; empty when it is sensitive, for a short one could be guessed from
    /// it.
    pub digest: String,
}

/// `GET /stacks/{slug}/state?after=N`: a piece of the managed state file, from byte N on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePart {
    pub stack: String,
    /// Of the whole file; if it changes between two parts, start anew.
    pub digest: String,
    pub bytes: u64,
    pub text: String,
    /// Pass as `after`; none when this was the last piece.
    pub next: Option<u64>,
}
