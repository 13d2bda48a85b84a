//! What can happen to a run.
use super::gate::Gate;
use super::reason::{FailReason, SkipReason};
use super::state::{JobRef, Planned, StateName};
use crate::id::InstanceId;
use crate::job::Step;
use crate::time::UnixMs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is this run's turn, and nothing holds it.
    Release,
    /// A guard says it can't be: a rejection, missing inputs.
    Refuse {
        reason: FailReason,
    },
    /// It is not needed.
    Skip {
        why: SkipReason,
    },
    /// A worker began a step of this job.
    Began {
        job: JobRef,
        worker: InstanceId,
        step: Step,
    },
    /// The plan ended well, and this is what follows.
    Planned {
        job: JobRef,
        planned: Planned,
        gate: Gate,
    },
    /// The apply, destroy or task ended well.
    Done {
        job: JobRef,
    },
    /// A step failed.
    Broke {
        job: JobRef,
        reason: FailReason,
    },
    /// A stop was obeyed.
    Interrupted {
        job: JobRef,
    },
    /// The worker holds an unrepeatable job and fell silent.
    Silent {
        job: JobRef,
        at: UnixMs,
    },
    /// The worker (and for an unrepeatable job, the tool) is provably gone.
    Lost {
        job: JobRef,
        cause: String,
    },
    /// The claim is a tombstone: nobody will start this job.
    Withdrawn {
        job: JobRef,
    },
    /// The tombstone came too late: this worker has the job.
    Taken {
        job: JobRef,
        worker: InstanceId,
    },
    Confirm {
        by: String,
    },
    /// A review passed.
    Approve {
        by: String,
    },
    Discard {
        by: String,
        note: Option<String>,
    },
    Cancel {
        by: String,
        note: Option<String>,
    },
    Stop {
        by: String,
        note: Option<String>,
    },
    Replan {
        by: String,
        targets: Vec<String>,
    },
}

/// Why an event does not move a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A duplicate or late message: acknowledge it, change nothing.
    #[error("it is late: the run is {state} by now")]
    Stale { state: StateName },
    /// A person asked for what this state does not allow, or a message that can't be.
    #[error("the run is {state}: {event} is not possible")]
    Illegal { state: StateName, event: &'static str },
}

impl Event {
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Event::Release => "release",
            Event::Refuse { .. } => "refuse",
            Event::Skip { .. } => "skip",
            Event::Began { .. } => "began",
            Event::Planned { .. } => "planned",
            Event::Done { .. } => "done",
            Event::Broke { .. } => "broke",
            Event::Interrupted { .. } => "interrupted",
            Event::Silent { .. } => "silent",
            Event::Lost { .. } => "lost",
            Event::Withdrawn { .. } => "withdrawn",
            Event::Taken { .. } => "taken",
            Event::Confirm { .. } => "confirm",
            Event::Approve { .. } => "approve",
            Event::Discard { .. } => "discard",
            Event::Cancel { .. } => "cancel",
            Event::Stop { .. } => "stop",
            Event::Replan { .. } => "replan",
        }
    }
    /// The job that a worker's message is about.
    #[must_use]
    pub fn job(&self) -> Option<JobRef> {
        match self {
            Event::Began { job, .. }
            | Event::Planned { job, .. }
            | Event::Done { job }
            | Event::Broke { job, .. }
            | Event::Interrupted { job }
            | Event::Silent { job, .. }
            | Event::Lost { job, .. }
            | Event::Withdrawn { job }
            | Event::Taken { job, .. } => Some(*job),
            _ => None,
        }
    }
    /// The person who caused it.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        match self {
            Event::Confirm { by }
            | Event::Approve { by }
            | Event::Discard { by, .. }
            | Event::Cancel { by, .. }
            | Event::Stop { by, .. }
            | Event::Replan { by, .. } => Some(by),
            _ => None,
        }
    }
    /// Something to tell although the state's name stays: a stop that is asked for, a lost plan.
    #[must_use]
    pub fn worth_a_line(&self) -> bool {
        matches!(self, Event::Stop { .. } | Event::Silent { .. } | Event::Lost { .. })
    }
    #[must_use]
    pub fn note(&self) -> Option<String> {
        match self {
            Event::Stop { note, .. } => {
                Some(note.clone().unwrap_or_else(|| "asked to stop".to_owned()))
            }
            Event::Silent { .. } => Some("worker silent; the stack stays taken".to_owned()),
            Event::Lost { cause, .. } => Some(format!("the worker was lost: {cause}")),
            Event::Began { worker, .. } => Some(format!("on {worker}")),
            _ => None,
        }
    }
}
