//! The whole life of a run as one total function: `State × Event → State | Refused`.
use super::RunType;
use super::event::{Event, Refused};
use super::gate::Gate;
use super::reason::FailReason;
use super::state::{Ending, Held, JobRef, Planned, State, StateName, Stop};
use crate::id::InstanceId;
use crate::job::{PLAN_ATTEMPTS_MAX, Phase, Step};

/// The next state. Messages about an older job than the state's are `Stale` in every state.
pub fn next(state: &State, kind: RunType, event: &Event) -> Result<State, Refused> {
    use {Event as E, State as S};
    if let Some(job) = event.job() {
        return match relation(state, job) {
            Relation::Current => job_event(state, event),
            Relation::Past => Err(Refused::Stale { state: state.name() }),
            Relation::Never => Err(illegal(state, event)),
        };
    }
    match (state, event) {
        (S::Queued, E::Release) => Ok(S::Ready { job: JobRef::first(first_phase(kind)) }),
        (S::Queued, E::Skip { why }) => Ok(S::Skipped { why: why.clone() }),
        (S::Queued | S::Unconfirmed { .. } | S::PendingReview { .. }, E::Refuse { reason }) => {
            Ok(S::Failed { reason: reason.clone() })
        }
        (S::PendingReview { .. }, E::Approve { .. }) => Ok(S::Finished),
        (S::Unconfirmed { planned }, E::Confirm { .. }) => {
            Ok(S::Confirmed { job: JobRef::first(Phase::Apply), planned: planned.clone() })
        }
        (S::Unconfirmed { planned }, E::Replan { targets, .. }) => Ok(replan(planned, targets)),
        (S::Queued, E::Cancel { by, note }) => {
            Ok(S::Canceled { by: by.clone(), note: note.clone() })
        }
        (S::Queued | S::Unconfirmed { .. } | S::PendingReview { .. }, E::Discard { by, note }) => {
            Ok(S::Discarded { by: by.clone(), note: note.clone() })
        }
        (S::Ready { job } | S::ReplanRequested { job, .. }, E::Cancel { by, note }) => {
            Ok(canceling(*job, Ending::Canceled, by, note))
        }
        (S::Ready { job } | S::ReplanRequested { job, .. }, E::Discard { by, note }) => {
            Ok(canceling(*job, Ending::Discarded, by, note))
        }
        (_, E::Stop { by, note }) => stop(state, event, by, note),
        _ => Err(illegal(state, event)),
    }
}

/// Events about the very job that the state holds.
fn job_event(state: &State, event: &Event) -> Result<State, Refused> {
    use Event as E;
    match event {
        E::Began { worker, step, .. } => began(state, worker, *step, event),
        E::Taken { worker, .. } => began(state, worker, Step::Preparing, event),
        E::Planned { job, planned, gate } if job.phase == Phase::Plan => {
            Ok(planned_state(state, planned, gate))
        }
        E::Done { job } if job.phase != Phase::Plan => Ok(State::Finished),
        E::Broke { reason, .. } => Ok(State::Failed { reason: reason.clone() }),
        // Nobody stops an apply: if its tool was interrupted all the same, it failed half-way.
        E::Interrupted { job } if job.phase == Phase::Apply => {
            let text = "the apply was interrupted".to_owned();
            Ok(State::Failed { reason: FailReason::Step { step: Step::Applying, text } })
        }
        E::Interrupted { .. } => Ok(stopped(state)),
        E::Silent { job, at } if !job.phase.repeatable() => match state.held() {
            Some(held) if held.silent.is_none() => {
                Ok(with_held(state, Held { silent: Some(*at), ..held.clone() }))
            }
            Some(_) => Err(Refused::Stale { state: state.name() }),
            None => Err(illegal(state, event)),
        },
        E::Lost { job, cause } => Ok(lost(state, *job, cause)),
        E::Withdrawn { .. } => match state {
            State::Canceling { to: Ending::Canceled, by, note, .. } => {
                Ok(State::Canceled { by: by.clone(), note: note.clone() })
            }
            State::Canceling { to: Ending::Discarded, by, note, .. } => {
                Ok(State::Discarded { by: by.clone(), note: note.clone() })
            }
            _ => Err(illegal(state, event)),
        },
        _ => Err(illegal(state, event)),
    }
}

enum Relation {
    Current,
    Past,
    Never,
}

/// Where a job stands to the one that the state holds. Phases follow each other as
/// plan (round 0) < plan (round 1) < … < apply; destroy and task stand alone.
fn relation(state: &State, job: JobRef) -> Relation {
    if state.terminal() {
        return Relation::Past;
    }
    match state.job() {
        Some(current) if current == job => Relation::Current,
        Some(current) if job < current => Relation::Past,
        Some(_) => Relation::Never,
        // Between two jobs: whatever was, is over; nothing newer was made.
        None if matches!(state, State::Queued) => Relation::Never,
        None => Relation::Past,
    }
}

fn first_phase(kind: RunType) -> Phase {
    match kind {
        RunType::Proposed | RunType::Tracked => Phase::Plan,
        RunType::Destroy => Phase::Destroy,
        RunType::Task => Phase::Task,
    }
}

/// A step only moves forward; one that is reached already is old news.
fn began(state: &State, worker: &InstanceId, step: Step, event: &Event) -> Result<State, Refused> {
    let Some(job) = state.job() else { return Err(illegal(state, event)) };
    let held = match state {
        // The tombstone lost the race: what was a cancel is a stop now (rule B6).
        State::Canceling { by, note, .. } => Held {
            job,
            worker: worker.clone(),
            stop: Some(Stop { by: by.clone(), note: note.clone() }),
            silent: None,
        },
        _ => match state.held() {
            Some(held) => Held { silent: None, ..held.clone() },
            None => Held { job, worker: worker.clone(), stop: None, silent: None },
        },
    };
    let to = match (job.phase, step, state) {
        (
            Phase::Apply,
            Step::Applying,
            State::Confirmed { planned, .. }
            | State::PreparingApply { planned, .. }
            | State::Applying { planned, .. },
        ) => State::Applying { held, planned: planned.clone() },
        (
            Phase::Apply,
            Step::Preparing | Step::Initializing,
            State::Confirmed { planned, .. } | State::PreparingApply { planned, .. },
        ) => State::PreparingApply { held, planned: planned.clone() },
        (
            Phase::Plan,
            Step::Preparing,
            State::ReplanRequested { targets, .. } | State::PreparingReplan { targets, .. },
        ) => State::PreparingReplan { held, targets: targets.clone() },
        (Phase::Plan, Step::Planning, _) => State::Planning { held },
        (Phase::Destroy, Step::Destroying, _) => State::Destroying { held },
        (Phase::Task, Step::Performing, _) => State::Performing { held },
        (Phase::Plan | Phase::Destroy | Phase::Task, Step::Initializing, _) => {
            State::Initializing { held }
        }
        (Phase::Plan | Phase::Destroy | Phase::Task, Step::Preparing, _) => {
            State::Preparing { held }
        }
        _ => return Err(Refused::Stale { state: state.name() }),
    };
    if state.held().is_some() && rank(&to) <= rank(state) {
        return Err(Refused::Stale { state: state.name() });
    }
    Ok(to)
}

fn rank(state: &State) -> u8 {
    match state.name() {
        StateName::Preparing | StateName::PreparingReplan | StateName::PreparingApply => 1,
        StateName::Initializing => 2,
        StateName::Planning
        | StateName::Applying
        | StateName::Destroying
        | StateName::Performing => 3,
        _ => 0,
    }
}

fn planned_state(state: &State, planned: &Planned, gate: &Gate) -> State {
    // A stop that came too late to interrupt the plan still keeps what follows from happening.
    if state.held().is_some_and(|h| h.stop.is_some()) || matches!(state, State::Canceling { .. }) {
        return stopped(state);
    }
    match gate {
        Gate::Finish => State::Finished,
        Gate::Apply => {
            State::Confirmed { job: JobRef::first(Phase::Apply), planned: planned.clone() }
        }
        Gate::Confirm => State::Unconfirmed { planned: planned.clone() },
        Gate::Review => State::PendingReview { planned: planned.clone() },
        Gate::Deny { messages } => {
            State::Failed { reason: FailReason::Rejected { messages: messages.clone() } }
        }
    }
}

/// Rule E1. A plan is simply made again, unless somebody wanted it stopped anyway; what can't be
/// repeated ends here, and the caller has seen to it that its tool is gone.
fn lost(state: &State, job: JobRef, cause: &str) -> State {
    let unwanted = state.held().is_some_and(|held| held.stop.is_some())
        || matches!(state, State::Canceling { .. });
    if unwanted && job.phase.repeatable() {
        return stopped(state);
    }
    if !job.phase.repeatable() || job.attempt.0 >= PLAN_ATTEMPTS_MAX {
        return State::Failed { reason: FailReason::WorkerLost { cause: cause.to_owned() } };
    }
    match state {
        State::ReplanRequested { targets, .. } | State::PreparingReplan { targets, .. } => {
            State::ReplanRequested { job: job.again(), targets: targets.clone() }
        }
        _ => State::Ready { job: job.again() },
    }
}

/// Only a plan is interrupted: what can't be undone half-way goes to its end.
fn stop(state: &State, event: &Event, by: &str, note: &Option<String>) -> Result<State, Refused> {
    match state.held() {
        Some(held) if held.job.phase == Phase::Plan && held.stop.is_none() => {
            let stop = Some(Stop { by: by.to_owned(), note: note.clone() });
            Ok(with_held(state, Held { stop, ..held.clone() }))
        }
        Some(held) if held.stop.is_some() => Err(Refused::Stale { state: state.name() }),
        _ => Err(illegal(state, event)),
    }
}

fn stopped(state: &State) -> State {
    let stop = match state {
        State::Canceling { by, note, .. } => Some((by.clone(), note.clone())),
        _ => state.held().and_then(|h| h.stop.clone()).map(|s| (s.by, s.note)),
    };
    let (by, note) = stop.unwrap_or_else(|| ("windlass".to_owned(), None));
    State::Stopped { by, note }
}

fn with_held(state: &State, held: Held) -> State {
    match state {
        State::Preparing { .. } => State::Preparing { held },
        State::Initializing { .. } => State::Initializing { held },
        State::Planning { .. } => State::Planning { held },
        State::PreparingReplan { targets, .. } => {
            State::PreparingReplan { held, targets: targets.clone() }
        }
        State::PreparingApply { planned, .. } => {
            State::PreparingApply { held, planned: planned.clone() }
        }
        State::Applying { planned, .. } => State::Applying { held, planned: planned.clone() },
        State::Destroying { .. } => State::Destroying { held },
        State::Performing { .. } => State::Performing { held },
        other => other.clone(),
    }
}

/// A targeted plan in place of the one that waits.
fn replan(planned: &Planned, targets: &[String]) -> State {
    let round = planned.round + 1;
    let job = JobRef { phase: Phase::Plan, round, attempt: crate::job::Attempt::FIRST };
    State::ReplanRequested { job, targets: targets.to_vec() }
}

fn canceling(job: JobRef, to: Ending, by: &str, note: &Option<String>) -> State {
    State::Canceling { job, to, by: by.to_owned(), note: note.clone() }
}

fn illegal(state: &State, event: &Event) -> Refused {
    Refused::Illegal { state: state.name(), event: event.label() }
}

#[cfg(test)]
#[path = "next_table.rs"]
mod tests;
