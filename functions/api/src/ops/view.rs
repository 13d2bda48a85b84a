//! From the core's documents to the API's.
use crate::v1::{
    CommitView, DriftedView, InputView, JobView, LastRunView, LockView, ReferenceView, RunDetail,
    RunRef, RunView, StackView, TransitionView, Verb, WaitView,
};
use std::collections::BTreeSet;
use windlass_core::definition::Reference;
use windlass_core::rollout::{Outcome, Wait};
use windlass_core::run::{Commit, Event, Run, State, next};
use windlass_core::stack::Lock;
use windlass_core::summary::Summary;

pub(super) fn commit(commit: &Commit) -> CommitView {
    CommitView {
        sha: commit.sha.0.clone(),
        author: commit.author.clone(),
        subject: commit.subject.clone(),
    }
}

pub(super) fn lock(lock: &Lock) -> LockView {
    LockView {
        by: lock.by.clone(),
        note: lock.note.clone(),
        at: lock.at.rfc3339(),
        until: lock.until.map(|until| until.rfc3339()),
    }
}

pub(super) fn reference(reference: &Reference) -> ReferenceView {
    ReferenceView {
        output: reference.output.clone(),
        input: reference.input.clone(),
        trigger_always: reference.trigger_always,
    }
}

pub(super) fn stack(summary: &Summary) -> StackView {
    StackView {
        slug: summary.stack.0.clone(),
        name: summary.name.clone(),
        description: summary.description.clone(),
        space: summary.space.0.clone(),
        repository: summary.repository.0.clone(),
        branch: summary.branch.clone(),
        project_root: summary.project_root.clone(),
        labels: summary.labels.iter().cloned().collect(),
        state: summary.state().to_owned(),
        group: summary.group(),
        autodeploy: summary.autodeploy,
        administrative: summary.administrative,
        defined: summary.defined,
        last_run: summary.last.as_ref().map(|last| LastRunView {
            id: last.id.0.clone(),
            kind: last.kind,
            state: last.state,
            since: last.since.rfc3339(),
            delta: last.delta,
            commit: commit(&last.commit),
        }),
        tracked: summary.tracked.as_ref().map(commit),
        lock: summary.lock.as_ref().map(lock),
        queued: summary.queued,
        proposed: summary.proposed,
        drifted: summary
            .drifted
            .map(|drifted| DriftedView { count: drifted.count, since: drifted.since.rfc3339() }),
    }
}

pub(super) fn run(run: &Run) -> RunView {
    let new = &run.new;
    RunView {
        id: new.id.0.clone(),
        stack: run.stack.0.clone(),
        kind: new.kind,
        state: run.state.name(),
        terminal: run.state.terminal(),
        waits_for_person: run.state.name().waits_for_person(),
        repository: new.repository.0.clone(),
        branch: new.branch.clone(),
        commit: commit(&new.commit),
        triggered_by: new.triggered_by.clone(),
        because: new.because.clone(),
        note: run.state.note(),
        created_at: run.created_at.rfc3339(),
        since: run.since.rfc3339(),
        version: run.version,
        delta: run.delta,
        rollout: new.rollout.as_ref().map(|id| id.0.clone()),
        try_no: new.try_no,
        drift: new.drift,
        pinned: new.pinned,
        prioritized: run.prioritized,
        superseded_by: run.superseded_by.as_ref().map(|id| id.0.clone()),
    }
}

pub(super) fn run_detail(doc: &Run) -> RunDetail {
    let held = doc.state.held();
    let waiting = match &doc.state {
        State::Unconfirmed { planned } | State::PendingReview { planned } => Some(planned),
        _ => None,
    };
    RunDetail {
        run: run(doc),
        history: doc.history.iter().map(transition).collect(),
        jobs: doc.jobs.iter().map(job).collect(),
        can: can(doc),
        plan_digest: waiting.map(|planned| planned.plan.digest.0.clone()),
        plan_round: waiting.map(|planned| planned.round),
        confirmed_by: doc.confirmed_by().map(str::to_owned),
        has_changes: doc.changes_key.is_some(),
        warnings: doc.warnings.clone(),
        waits: doc.new.waits.iter().map(|(run, w)| wait(&run.0, w)).collect(),
        children: doc
            .new
            .children
            .iter()
            .map(|child| RunRef { id: child.run.0.clone(), stack: child.stack.0.clone() })
            .collect(),
        inputs: doc
            .inputs
            .iter()
            .map(|input| InputView {
                name: input.name.clone(),
                from: input.from.0.clone(),
                output: input.output.clone(),
            })
            .collect(),
        changed_outputs: doc.changed_outputs.clone(),
        command: doc.new.command.clone(),
        targets: targets(&doc.state),
        worker: held.map(|held| held.worker.0.clone()),
        silent_since: held.and_then(|held| held.silent).map(|at| at.rfc3339()),
        stop_asked_by: held.and_then(|held| held.stop.as_ref()).map(|stop| stop.by.clone()),
        tool_version: doc.tool_version.clone(),
        tool_ms: doc.tool_ms,
        origin: doc.origin().0.clone(),
    }
}

fn targets(state: &State) -> Vec<String> {
    match state {
        State::ReplanRequested { targets, .. } | State::PreparingReplan { targets, .. } => {
            targets.clone()
        }
        _ => Vec::new(),
    }
}

fn transition(line: &windlass_core::run::Transition) -> TransitionView {
    TransitionView {
        state: line.state,
        version: line.version,
        at: line.at.rfc3339(),
        by: line.by.clone(),
        note: line.note.clone(),
    }
}

fn job(job: &windlass_core::job::JobId) -> JobView {
    JobView { id: job.to_string(), phase: job.phase, round: job.round, attempt: job.attempt.0 }
}

fn wait(run: &str, wait: &Wait) -> WaitView {
    let outcome = wait.heard.as_ref().map(|heard| &heard.outcome);
    let word = outcome.map(|outcome| match outcome {
        Outcome::Good { .. } => "good",
        Outcome::Unneeded => "unneeded",
        Outcome::Bad => "bad",
        Outcome::Never => "never",
    });
    let changed = match outcome {
        Some(Outcome::Good { changed }) => changed.clone(),
        _ => BTreeSet::new(),
    };
    WaitView {
        stack: wait.stack.0.clone(),
        run: run.to_owned(),
        references: wait.references.iter().map(reference).collect(),
        outcome: word.map(str::to_owned),
        changed,
    }
}

/// What the state allows: the machine itself is asked, so a button never promises too much.
pub(super) fn can(run: &Run) -> BTreeSet<Verb> {
    Verb::ALL.into_iter().filter(|verb| allows(run, *verb)).collect()
}

fn allows(run: &Run, verb: Verb) -> bool {
    let by = String::new();
    let event = match verb {
        Verb::Confirm => Event::Confirm { by },
        Verb::Approve => Event::Approve { by },
        Verb::Discard => Event::Discard { by, note: None },
        Verb::Cancel => Event::Cancel { by, note: None },
        Verb::Stop => {
            let asked = run.state.held().is_some_and(|held| held.stop.is_some());
            if asked {
                return false;
            }
            Event::Stop { by, note: None }
        }
        Verb::Replan => Event::Replan { by, targets: vec![String::new()] },
        Verb::Retry => {
            return run.state.terminal()
                && run.state != State::Finished
                && run.superseded_by.is_none();
        }
        Verb::Prioritize => {
            return run.state == State::Queued
                || (run.state.job().is_some() && run.state.held().is_none());
        }
    };
    next(&run.state, run.new.kind, &event).is_ok()
}
