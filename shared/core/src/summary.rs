//! One small document per stack for lists, facets and search: a projection of its head.
use crate::definition::DependsOn;
use crate::id::{PoolId, RepoName, RunId, SpaceId, StackId};
use crate::run::{Commit, Run, State, StateName};
use crate::stack::{LastRun, Lock, StackHead};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// `summaries/<slug>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub stack: StackId,
    pub head_revision: u64,
    pub name: String,
    pub description: String,
    pub space: SpaceId,
    pub repository: RepoName,
    pub branch: String,
    pub project_root: String,
    pub labels: BTreeSet<String>,
    pub autodeploy: bool,
    pub administrative: bool,
    pub depends_on: Vec<DependsOn>,
    /// The newest blocking run that left the queue; its state is the stack's.
    pub last: Option<LastRun>,
    pub tracked: Option<Commit>,
    pub lock: Option<Lock>,
    pub queued: u32,
    pub proposed: u32,
    /// How many resources have drifted, if any, and since when just these.
    #[serde(default)]
    pub drifted: Option<DriftBrief>,
    /// Runs that have, or will have, a slot of a worker: what a pool's demand is counted from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<OpenJob>,
    /// False once it left the definitions.
    pub defined: bool,
}

/// A run with a job. Whether a worker has it already, the workers' own records say: they know first,
/// and a summary is not written again for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenJob {
    pub run: RunId,
    pub pool: PoolId,
    pub drift: bool,
    /// Since when it could have been taken.
    pub since: UnixMs,
}

impl OpenJob {
    /// What can't be repeated wants no second slot once it was taken, whatever became of the first;
    /// what is being cancelled wants none at all.
    fn of(run: &Run, pool: &PoolId) -> Option<Self> {
        let job = run.job()?;
        let canceling = matches!(run.state, State::Canceling { .. });
        if canceling || (run.state.held().is_some() && !job.phase.repeatable()) {
            return None;
        }
        // A preview is ready as soon as it exists, and its states are in no summary.
        let since = if run.new.kind.blocking() { run.since } else { run.created_at };
        Some(Self { run: run.id().clone(), pool: pool.clone(), drift: run.new.drift, since })
    }

    /// All of a stack, in the order of its runs.
    #[must_use]
    pub fn all(head: &StackHead) -> Vec<Self> {
        let Some(def) = head.defined.def() else { return vec![] };
        head.open().filter_map(|run| Self::of(run, &def.worker_pool)).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftBrief {
    pub count: u32,
    pub since: UnixMs,
}

impl Summary {
    /// None before the stack was ever defined.
    #[must_use]
    pub fn of(head: &StackHead, before: Option<&Summary>) -> Option<Summary> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let Some(def) = head.defined.def() else {
            // Gone: what was known stays readable, marked as such.
            let (head_revision, jobs) = (head.revision, vec![]);
            let gone = Summary { head_revision, jobs, defined: false, ..before?.clone() };
            return Some(gone);
        };
        Some(Summary {
            stack: head.stack.clone(),
            head_revision: head.revision,
            name: def.name.clone(),
            description: def.description.clone(),
            space: def.space.clone(),
            repository: def.repository.clone(),
            branch: def.branch.clone(),
            project_root: def.project_root.clone(),
            labels: def.labels.clone(),
            autodeploy: def.autodeploy,
            administrative: def.administrative,
            depends_on: def.depends_on.clone(),
            last: head.last.clone(),
            tracked: head.tracked.clone(),
            lock: head.lock.clone(),
            queued: count(head.queue.len()),
            proposed: count(head.proposed.len()),
            drifted: head
                .drift
                .found
                .as_ref()
                .map(|found| DriftBrief { count: found.drifted.count, since: found.since }),
            jobs: OpenJob::all(head),
            defined: true,
        })
    }

    /// The stack's state as Spacelift shows it: `NONE` before its first run.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.last.as_ref().map_or("NONE", |last| last.state.as_str())
    }
    /// Spacelift's grouping of stacks.
    #[must_use]
    pub fn group(&self) -> Group {
        match self.last.as_ref().map(|last| last.state) {
            None | Some(StateName::Confirmed | StateName::ReplanRequested) => Group::OnHold,
            Some(StateName::Unconfirmed | StateName::PendingReview) => Group::NeedsAttention,
            Some(StateName::Failed) => Group::Failed,
            Some(state) if state.terminal() => Group::Finished,
            Some(_) => Group::InProgress,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    NeedsAttention,
    Failed,
    OnHold,
    InProgress,
    Finished,
}
