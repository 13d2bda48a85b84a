//! The states of a run. Each holds exactly the facts that exist in it.
use super::reason::{FailReason, SkipReason};
use crate::id::{InstanceId, RunId};
use crate::job::{Attempt, Delta, JobId, Phase, PlanRef};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

/// A job of a run, the run being known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobRef {
    pub phase: Phase,
    #[serde(default)]
    pub round: u32,
    pub attempt: Attempt,
}

impl JobRef {
    #[must_use]
    pub fn first(phase: Phase) -> Self {
        Self { phase, round: 0, attempt: Attempt::FIRST }
    }
    #[must_use]
    pub fn again(self) -> Self {
        Self { attempt: self.attempt.next(), ..self }
    }
    #[must_use]
    pub fn of(self, run: &RunId) -> JobId {
        JobId { run: run.clone(), phase: self.phase, round: self.round, attempt: self.attempt }
    }
}

impl From<&JobId> for JobRef {
    fn from(id: &JobId) -> Self {
        Self { phase: id.phase, round: id.round, attempt: id.attempt }
    }
}

/// A job in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub job: JobRef,
    pub worker: InstanceId,
    /// A person asked to stop it.
    pub stop: Option<Stop>,
    /// Its worker fell silent, and what it was doing can't be repeated: it keeps the stack until
    /// the tool is provably gone (rule E1).
    pub silent: Option<UnixMs>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub by: String,
    pub note: Option<String>,
}

/// A plan that ended well: what a person sees, and what an apply must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub plan: PlanRef,
    /// Which replan this was, from 0.
    #[serde(default)]
    pub round: u32,
    pub delta: Delta,
    pub warnings: Vec<String>,
}

/// How a run that never started ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Canceled,
    Discarded,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Not yet eligible: the stack is taken, a parent has not ended, or a guard holds it.
    Queued,
    /// Eligible; its job waits for a worker.
    Ready {
        job: JobRef,
    },
    /// Dropped while READY: until its claim exists as a tombstone the stack is not free (B6).
    Canceling {
        job: JobRef,
        to: Ending,
        by: String,
        note: Option<String>,
    },
    Preparing {
        held: Held,
    },
    Initializing {
        held: Held,
    },
    Planning {
        held: Held,
    },
    /// A proposed run whose plan needs a review.
    PendingReview {
        planned: Planned,
    },
    /// Waits for a person; no worker is held.
    Unconfirmed {
        planned: Planned,
    },
    /// A plan limited to some addresses was asked for; its job waits for a worker.
    ReplanRequested {
        job: JobRef,
        targets: Vec<String>,
    },
    PreparingReplan {
        held: Held,
        targets: Vec<String>,
    },
    /// Accepted; the apply's job waits for a worker. Can't be stopped any more.
    Confirmed {
        job: JobRef,
        planned: Planned,
    },
    PreparingApply {
        held: Held,
        planned: Planned,
    },
    Applying {
        held: Held,
        planned: Planned,
    },
    Destroying {
        held: Held,
    },
    Performing {
        held: Held,
    },
    /// The only state that passes.
    Finished,
    Failed {
        reason: FailReason,
    },
    Canceled {
        by: String,
        note: Option<String>,
    },
    Discarded {
        by: String,
        note: Option<String>,
    },
    Stopped {
        by: String,
        note: Option<String>,
    },
    Skipped {
        why: SkipReason,
    },
}

/// Spacelift's `RunState`, and CANCELING, which it does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StateName {
    Queued,
    Ready,
    Canceling,
    Preparing,
    Initializing,
    Planning,
    PendingReview,
    Unconfirmed,
    ReplanRequested,
    PreparingReplan,
    Confirmed,
    PreparingApply,
    Applying,
    Destroying,
    Performing,
    Finished,
    Failed,
    Canceled,
    Discarded,
    Stopped,
    Skipped,
}

impl StateName {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        use StateName as N;
        match self {
            N::Queued => "QUEUED",
            N::Ready => "READY",
            N::Canceling => "CANCELING",
            N::Preparing => "PREPARING",
            N::Initializing => "INITIALIZING",
            N::Planning => "PLANNING",
            N::PendingReview => "PENDING_REVIEW",
            N::Unconfirmed => "UNCONFIRMED",
            N::ReplanRequested => "REPLAN_REQUESTED",
            N::PreparingReplan => "PREPARING_REPLAN",
            N::Confirmed => "CONFIRMED",
            N::PreparingApply => "PREPARING_APPLY",
            N::Applying => "APPLYING",
            N::Destroying => "DESTROYING",
            N::Performing => "PERFORMING",
            N::Finished => "FINISHED",
            N::Failed => "FAILED",
            N::Canceled => "CANCELED",
            N::Discarded => "DISCARDED",
            N::Stopped => "STOPPED",
            N::Skipped => "SKIPPED",
        }
    }
    #[must_use]
    pub fn terminal(self) -> bool {
        use StateName as N;
        matches!(
            self,
            N::Finished | N::Failed | N::Canceled | N::Discarded | N::Stopped | N::Skipped
        )
    }
    /// Waits for a person, not for a machine.
    #[must_use]
    pub fn waits_for_person(self) -> bool {
        matches!(self, StateName::Unconfirmed | StateName::PendingReview)
    }
}

impl std::fmt::Display for StateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl State {
    #[must_use]
    pub fn name(&self) -> StateName {
        use {State as S, StateName as N};
        match self {
            S::Queued => N::Queued,
            S::Ready { .. } => N::Ready,
            S::Canceling { .. } => N::Canceling,
            S::Preparing { .. } => N::Preparing,
            S::Initializing { .. } => N::Initializing,
            S::Planning { .. } => N::Planning,
            S::PendingReview { .. } => N::PendingReview,
            S::Unconfirmed { .. } => N::Unconfirmed,
            S::ReplanRequested { .. } => N::ReplanRequested,
            S::PreparingReplan { .. } => N::PreparingReplan,
            S::Confirmed { .. } => N::Confirmed,
            S::PreparingApply { .. } => N::PreparingApply,
            S::Applying { .. } => N::Applying,
            S::Destroying { .. } => N::Destroying,
            S::Performing { .. } => N::Performing,
            S::Finished => N::Finished,
            S::Failed { .. } => N::Failed,
            S::Canceled { .. } => N::Canceled,
            S::Discarded { .. } => N::Discarded,
            S::Stopped { .. } => N::Stopped,
            S::Skipped { .. } => N::Skipped,
        }
    }
    #[must_use]
    pub fn terminal(&self) -> bool {
        self.name().terminal()
    }
    /// The job in flight: waiting for a worker, or held by one.
    #[must_use]
    pub fn job(&self) -> Option<JobRef> {
        match self {
            State::Ready { job }
            | State::Canceling { job, .. }
            | State::ReplanRequested { job, .. }
            | State::Confirmed { job, .. } => Some(*job),
            _ => self.held().map(|held| held.job),
        }
    }
    /// The job in a worker's hands.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            State::Preparing { held }
            | State::Initializing { held }
            | State::Planning { held }
            | State::PreparingReplan { held, .. }
            | State::PreparingApply { held, .. }
            | State::Applying { held, .. }
            | State::Destroying { held }
            | State::Performing { held } => Some(held),
            _ => None,
        }
    }
    /// The plan that a person may look at and confirm.
    #[must_use]
    pub fn planned(&self) -> Option<&Planned> {
        match self {
            State::PendingReview { planned }
            | State::Unconfirmed { planned }
            | State::Confirmed { planned, .. }
            | State::PreparingApply { planned, .. }
            | State::Applying { planned, .. } => Some(planned),
            _ => None,
        }
    }
    /// What there is to say about this state, in one sentence.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        match self {
            State::Failed { reason } => Some(reason.to_string()),
            State::Skipped { why } => Some(why.to_string()),
            State::Canceled { note, .. }
            | State::Discarded { note, .. }
            | State::Stopped { note, .. } => note.clone(),
            _ => self.held().and_then(|held| held.silent).map(|_| "worker silent".to_owned()),
        }
    }
}
