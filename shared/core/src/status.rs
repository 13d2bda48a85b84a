//! How a run stands, in the words of a commit status: told where people look at its commit.
use crate::id::{RepoName, RunId, Sha, StackId};
use crate::job::Phase;
use crate::run::{FailReason, Run, RunType, State, headline};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// GitHub's bound on a status' description.
pub const WORDS_MAX: usize = 140;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    Pending,
    Success,
    Failure,
    /// Not the code's fault: a worker was lost, a person stopped it.
    Error,
}

/// What is told of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub run: RunId,
    /// The run's version that this tells of.
    pub version: u32,
    pub repo: RepoName,
    #[serde(flatten)]
    pub said: Said,
}

/// What people read of it, and at which commit. A run remembers it: only what differs is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub sha: Sha,
    pub state: StatusState,
    pub words: String,
}

/// One line per stack: a later status replaces an earlier one of the same context.
#[must_use]
pub fn context(stack: &StackId) -> String {
    format!("windlass/{stack}")
}

impl Status {
    /// None for a run that is not about a commit (a task, a destroy, drift detection), and for one
    /// that a person asked for and was refused.
    #[must_use]
    pub fn of(run: &Run) -> Option<Status> {
        let about = matches!(run.new.kind, RunType::Tracked | RunType::Proposed) && !run.new.drift;
        let sha = Some(&run.new.commit.sha).filter(|sha| about && !sha.0.is_empty())?;
        let (state, words) = say(run)?;
        Some(Self::at(run, sha, state, &words))
    }

    /// The last word on a commit that this run was made for and then left for a newer one.
    #[must_use]
    pub fn overtaken(run: &Run, sha: &Sha) -> Status {
        let words =
            format!("superseded: {} is newer and was taken instead", run.new.commit.sha.short());
        Self::at(run, sha, StatusState::Success, &words)
    }

    fn at(run: &Run, sha: &Sha, state: StatusState, words: &str) -> Status {
        let said = Said { sha: sha.clone(), state, words: cut(words) };
        let (id, repo) = (run.id().clone(), run.new.repository.clone());
        Status { run: id, version: run.version, repo, said }
    }
}

fn say(run: &Run) -> Option<(StatusState, String)> {
    use StatusState::{Error, Failure, Pending, Success};
    let delta = run.state.planned().map(|planned| planned.delta).or(run.delta).unwrap_or_default();
    let by = |verb: &str, by: &str, note: &Option<String>| match (by, note) {
        ("windlass", Some(note)) => format!("{verb}: {note}"),
        (by, Some(note)) => format!("{verb} by {by}: {note}"),
        (by, None) => format!("{verb} by {by}"),
    };
    let told = match &run.state {
        State::Queued if !run.new.waits.is_empty() => (Pending, waits(run)),
        State::Queued | State::Ready { .. } => (Pending, "queued".to_owned()),
        State::Canceling { .. } => (Pending, "being canceled".to_owned()),
        State::ReplanRequested { .. }
        | State::Preparing { .. }
        | State::Initializing { .. }
        | State::Planning { .. }
        | State::PreparingReplan { .. } => (Pending, "planning".to_owned()),
        State::PendingReview { .. } => (Pending, format!("waits for a review: {delta}")),
        State::Unconfirmed { .. } => (Pending, format!("waits for confirmation: {delta}")),
        State::Confirmed { .. } | State::PreparingApply { .. } | State::Applying { .. } => {
            (Pending, format!("applying: {delta}"))
        }
        State::Finished if run.jobs.iter().any(|job| job.phase == Phase::Apply) => {
            (Success, format!("applied: {delta}"))
        }
        State::Finished if delta.is_zero() => (Success, "no changes".to_owned()),
        State::Finished => (Success, format!("would change: {delta}")),
        State::Skipped { why } => (Success, format!("skipped: {why}")),
        State::Failed { reason: FailReason::Rejected { .. } } if run.jobs.is_empty() => {
            return None;
        }
        State::Failed { reason } => {
            let blameless =
                matches!(reason, FailReason::WorkerLost { .. } | FailReason::NotDefined);
            let text = reason.to_string();
            (if blameless { Error } else { Failure }, format!("failed: {}", headline(&text)))
        }
        State::Canceled { by: who, note } => (Error, by("canceled", who, note)),
        State::Stopped { by: who, note } => (Error, by("stopped", who, note)),
        State::Discarded { by: who, note } => (Failure, by("discarded", who, note)),
        State::Destroying { .. } | State::Performing { .. } => return None,
    };
    Some(told)
}

fn waits(run: &Run) -> String {
    let parents: BTreeSet<&str> = run.new.waits.values().map(|wait| wait.stack.as_str()).collect();
    format!("waits for {}", parents.into_iter().collect::<Vec<_>>().join(", "))
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= WORDS_MAX {
        return line.to_owned();
    }
    let kept: String = line.chars().take(WORDS_MAX - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
#[path = "status_table.rs"]
mod tests;
