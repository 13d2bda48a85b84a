//! A run: one execution of a stack, from its creation to one terminal state.
//!
//! [`next`] is the whole machine; [`gate`] decides what follows a plan; [`Run`] is the document.
mod event;
mod gate;
mod next;
mod reason;
mod state;

pub use event::{Event, Refused};
pub use gate::{Gate, gate};
pub use next::next;
pub use reason::{FailReason, SkipReason, headline};
pub use state::{Ending, Held, JobRef, Planned, State, StateName, Stop};

use crate::id::{EventId, RepoName, RolloutId, RunId, Sha, StackId};
use crate::job::{Class, Delta, JobId};
use crate::rollout::{Child, Wait};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// A commit, and where it stands in its repository's history of pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub sha: Sha,
    /// The repository's own count of pushes: orders commits when messages do not (rule A7).
    pub seq: u64,
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub subject: String,
}

/// Everything that is known when a run is asked for; the id derives from the asking event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    pub id: RunId,
    pub kind: RunType,
    pub repository: RepoName,
    pub commit: Commit,
    pub branch: String,
    /// A person chose this very commit (a rollback): it is not replaced by a newer one.
    #[serde(default)]
    pub pinned: bool,
    /// Spacelift's form: none for a push, a login, or the upstream stack.
    #[serde(default)]
    pub triggered_by: Option<String>,
    /// Why it exists, in one sentence.
    #[serde(default)]
    pub because: String,
    #[serde(default)]
    pub rollout: Option<RolloutId>,
    /// Runs (by origin) that must end well before this one starts.
    #[serde(default)]
    pub waits: BTreeMap<RunId, Wait>,
    /// Runs that wait for this one.
    #[serde(default)]
    pub children: Vec<Child>,
    /// The push touched this very stack: it runs even if no parent changed anything.
    #[serde(default)]
    pub direct: bool,
    #[serde(default)]
    pub command: Option<String>,
    /// It looks whether the world still is as it was applied; a tracked one makes it so again.
    #[serde(default)]
    pub drift: bool,
    /// An empty plan still goes through apply.
    #[serde(default)]
    pub force_apply: bool,
    /// A retry belongs to the line of this run …
    #[serde(default)]
    pub origin: Option<RunId>,
    /// … and is its n-th try, from 1.
    #[serde(default = "first")]
    pub try_no: u32,
}

fn first() -> u32 {
    1
}

impl NewRun {
    /// A tracked run of this commit with nothing else said.
    #[must_use]
    pub fn blank(commit: Commit) -> Self {
        Self {
            id: RunId::default(),
            kind: RunType::Tracked,
            repository: RepoName::default(),
            commit,
            branch: String::new(),
            pinned: false,
            triggered_by: None,
            because: String::new(),
            rollout: None,
            waits: BTreeMap::new(),
            children: Vec::new(),
            direct: false,
            command: None,
            drift: false,
            force_apply: false,
            origin: None,
            try_no: 1,
        }
    }

    /// Who asked this stack itself for a preview or a task; other runs come by a rollout, where
    /// the asking is written down already.
    #[must_use]
    pub fn asked_by(&self) -> Option<&str> {
        let by_itself = self.direct && matches!(self.kind, RunType::Proposed | RunType::Task);
        self.triggered_by.as_deref().filter(|_| by_itself)
    }
}

/// The stored document. Owned by its stack's actor, which keeps it in the head until it is
/// terminal; `runs/<id>.json` is the projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub stack: StackId,
    #[serde(flatten)]
    pub new: NewRun,
    pub event: EventId,
    pub created_at: UnixMs,
    pub state: State,
    /// Rises by one per transition; logs, confirmations and consumers refer to it.
    pub version: u32,
    /// When the present state began.
    pub since: UnixMs,
    /// When it last left the queue: a claim that never comes is measured from here.
    #[serde(default)]
    pub pointer_at: Option<UnixMs>,
    /// How long its last job may take, as that job was told: what the definition says by now is
    /// another job's.
    #[serde(default)]
    pub limit_ms: Option<u64>,
    pub history: Vec<Transition>,
    #[serde(default)]
    pub delta: Option<Delta>,
    /// The stripped plan to show, if there was one.
    #[serde(default)]
    pub changes_key: Option<String>,
    /// What a drift run found to differ.
    #[serde(default)]
    pub drifted: Option<crate::drift::Drifted>,
    /// Parents' outputs, frozen when it left the queue.
    #[serde(default)]
    pub inputs: Vec<crate::job::Input>,
    /// Jobs in the order they were made: where logs and archives lie.
    #[serde(default)]
    pub jobs: Vec<JobId>,
    #[serde(default)]
    pub prioritized: bool,
    /// Time spent in the tool's processes, over all jobs.
    #[serde(default)]
    pub tool_ms: u64,
    #[serde(default)]
    pub tool_version: Option<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Names of outputs that its apply changed.
    #[serde(default)]
    pub changed_outputs: std::collections::BTreeSet<String>,
    /// The newer try that took its place in the rollout.
    #[serde(default)]
    pub superseded_by: Option<RunId>,
    /// What was last said of it at its commit; None where nobody hears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<crate::status::Said>,
    /// The head's count of changes when this was written: a projection only rises.
    #[serde(default)]
    pub head_revision: u64,
}

/// One line of a run's history, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    pub state: StateName,
    pub version: u32,
    pub at: UnixMs,
    /// Who, if it was a person.
    #[serde(default)]
    pub by: Option<String>,
    /// Why, in one sentence, where there is something to say.
    #[serde(default)]
    pub note: Option<String>,
}

impl Run {
    #[must_use]
    pub fn create(new: NewRun, stack: &StackId, event: &EventId, now: UnixMs) -> Run {
        let note = (!new.because.is_empty()).then(|| new.because.clone());
        let by = new.triggered_by.clone();
        let born = Transition { state: StateName::Queued, version: 1, at: now, by, note };
        Run {
            stack: stack.clone(),
            event: event.clone(),
            created_at: now,
            state: State::Queued,
            version: 1,
            since: now,
            pointer_at: None,
            limit_ms: None,
            history: vec![born],
            delta: None,
            changes_key: None,
            drifted: None,
            inputs: Vec::new(),
            jobs: Vec::new(),
            prioritized: false,
            tool_ms: 0,
            tool_version: None,
            warnings: Vec::new(),
            changed_outputs: std::collections::BTreeSet::new(),
            superseded_by: None,
            said: None,
            head_revision: 0,
            new,
        }
    }

    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.new.id
    }
    /// The first run of this line of tries: what parents and children know it by.
    #[must_use]
    pub fn origin(&self) -> &RunId {
        self.new.origin.as_ref().unwrap_or(&self.new.id)
    }
    /// The job that this run's state refers to, if it has one in flight.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        self.state.job().map(|job| job.of(self.id()))
    }
    /// Who confirmed the plan that is, or was, carried out, if a person did. A plan that was made
    /// anew since then asks again.
    #[must_use]
    pub fn confirmed_by(&self) -> Option<&str> {
        let asked = self.history.iter().rposition(|step| step.state == StateName::Unconfirmed)?;
        let answer = self.history.get(asked + 1)?;
        answer.by.as_deref().filter(|_| answer.state == StateName::Confirmed)
    }
    #[must_use]
    pub fn class(&self) -> Class {
        match (self.prioritized, self.new.kind.blocking(), self.new.drift) {
            (true, _, _) => Class::Prioritized,
            (_, true, _) => Class::Blocking,
            (_, _, true) => Class::Drift,
            _ => Class::Proposed,
        }
    }

    /// Takes one step: the state, its version, and a line of history.
    pub fn step(&mut self, event: &Event, now: UnixMs) -> Result<(), Refused> {
        let to = next(&self.state, self.new.kind, event)?;
        let moved = to.name() != self.state.name();
        self.state = to;
        if moved || event.worth_a_line() {
            self.version += 1;
            if moved {
                self.since = now;
            }
            self.history.push(Transition {
                state: self.state.name(),
                version: self.version,
                at: now,
                by: event.by().map(str::to_owned),
                note: event.note().or_else(|| if moved { self.state.note() } else { None }),
            });
        }
        Ok(())
    }
}
