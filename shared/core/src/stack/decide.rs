//! The decision itself: which event does what, and what every moved run owes the world.
use super::facts::Facts;
use super::head::{Answer, Defined, StackHead};
use crate::definition::StackDef;
use crate::effect::Effect;
use crate::event::{StackEnvelope, StackEvent};
use crate::id::{RunId, Sha};
use crate::job::Report;
use crate::rollout::Heard;
use crate::run::{Event, NewRun, Run, RunType, StateName};
use crate::summary::OpenJob;
use crate::time::UnixMs;

/// The next head, and what to tell whoever asked.
#[derive(Clone, Debug)]
pub struct Decision {
    pub head: StackHead,
    pub answer: Answer,
    /// False: nothing to commit. Whatever the head still owes is owed all the same.
    pub changed: bool,
}

/// Decides one event. Total: every event in every state has an answer.
#[must_use]
pub fn decide(
    mut head: StackHead,
    envelope: &StackEnvelope,
    facts: &Facts,
    now: UnixMs,
) -> Decision {
    if let Some(known) = head.answer_to(&envelope.id) {
        let answer = known.clone();
        return Decision { head, answer, changed: false };
    }
    if matches!(envelope.event, StackEvent::Command { .. }) && audited(&head, envelope, facts) {
        let answer = stale("this was answered before");
        return Decision { head, answer, changed: false };
    }
    head.revision += 1;
    let listed = Listed::of(&head);
    let mut turn = Turn { head, envelope, facts, now, changed: false };
    let answer = turn.take(&envelope.event);
    if somebody_waits(&envelope.event) {
        turn.head.remember(&envelope.id, answer.clone());
        turn.changed = true;
    }
    turn.release();
    if listed != Listed::of(&turn.head) {
        // Under a new id: whoever delivers the older entry now made it from an older head.
        turn.head.outbox.retain(|entry| entry.effect != Effect::PutSummary);
        turn.owe(Effect::PutSummary);
    }
    turn.file_due();
    let Turn { mut head, changed, .. } = turn;
    if !changed {
        head.revision -= 1;
    }
    Decision { head, answer, changed }
}

/// True if this command's audit entry is stored or owed: it was decided, and the ring forgot.
fn audited(head: &StackHead, envelope: &StackEnvelope, facts: &Facts) -> bool {
    facts.audited
        || head.outbox.iter().any(|owed| match &owed.effect {
            Effect::Audit { entry } => entry.id == envelope.id,
            _ => false,
        })
}

/// Events whose answer is kept for whoever asked; the others are recognised by what they made.
fn somebody_waits(event: &StackEvent) -> bool {
    match event {
        StackEvent::Command { .. } | StackEvent::Define { .. } | StackEvent::Undefine { .. } => {
            true
        }
        StackEvent::Queue { run } => run.asked_by().is_some(),
        _ => false,
    }
}

/// What lists show of a stack, cheap to compare: a change owes its summary.
#[derive(PartialEq, Eq)]
struct Listed {
    definition: u64,
    gone: bool,
    last: Option<(RunId, StateName)>,
    tracked: u64,
    locked_at: Option<UnixMs>,
    queued: usize,
    proposed: usize,
    drifted: Option<UnixMs>,
    /// Runs that want a slot, or have one that they may want again.
    jobs: usize,
}

impl Listed {
    fn of(head: &StackHead) -> Self {
        Self {
            definition: head.defined.revision(),
            gone: matches!(head.defined, Defined::Gone { .. }),
            last: head.last.as_ref().map(|last| (last.id.clone(), last.state)),
            tracked: head.tracked.as_ref().map_or(0, |commit| commit.seq),
            locked_at: head.lock.as_ref().map(|lock| lock.at),
            queued: head.queue.len(),
            proposed: head.proposed.len(),
            drifted: head.drift.found.as_ref().map(|found| found.since),
            jobs: OpenJob::all(head).len(),
        }
    }
}

/// One event being decided.
pub(super) struct Turn<'a> {
    pub(super) head: StackHead,
    pub(super) envelope: &'a StackEnvelope,
    pub(super) facts: &'a Facts,
    pub(super) now: UnixMs,
    pub(super) changed: bool,
}

pub(super) fn done(run: Option<&RunId>) -> Answer {
    Answer::Done { run: run.cloned() }
}
pub(super) fn stale(why: impl Into<String>) -> Answer {
    Answer::Stale { why: why.into() }
}

impl Turn<'_> {
    fn take(&mut self, event: &StackEvent) -> Answer {
        match event {
            StackEvent::Define { def, commit, revision } => self.define(def, commit, *revision),
            StackEvent::Undefine { revision, destroy } => self.undefine(*revision, *destroy),
            StackEvent::Queue { run } => self.queue((**run).clone()),
            StackEvent::ParentEnded { child, parent, try_no, outcome } => {
                let heard = Heard { try_no: *try_no, outcome: outcome.clone() };
                self.parent_ended(child, parent, heard)
            }
            StackEvent::Report { report } => self.report(report),
            StackEvent::Withdrawal { job, taken_by } => {
                let event = match taken_by {
                    None => Event::Withdrawn { job: job.into() },
                    Some(worker) => Event::Taken { job: job.into(), worker: worker.clone() },
                };
                self.told(&job.run.clone(), &event)
            }
            StackEvent::Command { actor, command } => self.command(actor, command),
            StackEvent::DriftTurn { pool, place, minute } => self.drift_turn(pool, *place, *minute),
            StackEvent::Retell { run } => self.retell(run),
            StackEvent::Owe { effect } => {
                self.owe((**effect).clone());
                done(None)
            }
            StackEvent::Due => self.sweep(),
        }
    }

    fn define(&mut self, def: &StackDef, commit: &Sha, revision: u64) -> Answer {
        if revision <= self.head.defined.revision() {
            return stale("a newer definition is known");
        }
        let elsewhere =
            |known: &StackDef| known.repository != def.repository || known.branch != def.branch;
        // Commits of two branches have no order: what was tracked there is nothing to apply here.
        if self.head.defined.def().is_some_and(elsewhere) {
            self.head.tracked = None;
            self.head.drift.applied = None;
        }
        self.reschedule(def);
        let leaving = matches!(self.head.defined, Defined::Leaving { destroy: true, .. });
        let def = Box::new(def.clone());
        self.head.defined = Defined::Yes { def, commit: commit.clone(), revision };
        if leaving {
            self.stay();
        }
        done(None)
    }

    /// It is in the definitions again: the destroy that leaving them asked for is not wanted any
    /// more, as far as nobody has started it.
    fn stay(&mut self) {
        let ours = |run: &&Run| run.new.kind == RunType::Destroy && run.new.triggered_by.is_none();
        let destroys: Vec<RunId> =
            self.head.open().filter(ours).map(|run| run.id().clone()).collect();
        for run in destroys {
            let (by, note) = ("windlass".to_owned(), Some("the stack is defined again".to_owned()));
            // Refused once a worker has it: then it goes to its end.
            let _ = self.move_run(&run, &Event::Cancel { by, note });
        }
    }

    /// The stack left the definitions. Open runs go to their end; with `destroy` a last run
    /// deletes the resources first.
    fn undefine(&mut self, revision: u64, destroy: bool) -> Answer {
        if revision <= self.head.defined.revision() {
            return stale("a newer definition is known");
        }
        let tracked = self.head.tracked.clone();
        let Some(def) = self.head.defined.def().cloned() else {
            self.head.defined = Defined::Gone { revision };
            let proposed = std::mem::take(&mut self.head.proposed);
            self.nothing_more(proposed);
            return done(None);
        };
        let (true, Some(commit)) = (destroy, tracked) else {
            // What is under way still needs its definition: to be swept, and for its next job.
            self.head.defined = Defined::Leaving { def: Box::new(def), revision, destroy: false };
            self.nothing_more(vec![]);
            self.gone_if_free();
            return done(None);
        };
        let id = RunId::derive(self.envelope.at, &self.envelope.id, &self.head.stack);
        let run = NewRun {
            id: id.clone(),
            kind: RunType::Destroy,
            repository: def.repository.clone(),
            branch: def.branch.clone(),
            because: "the stack left the definitions, with on_delete: destroy".into(),
            ..NewRun::blank(commit)
        };
        self.head.defined = Defined::Leaving { def: Box::new(def), revision, destroy: true };
        self.queue(run);
        done(Some(&id))
    }

    fn report(&mut self, report: &Report) -> Answer {
        use crate::job::News;
        match report.news {
            News::Began(step) => {
                let job = (&report.job).into();
                let began = Event::Began { job, worker: report.worker.clone(), step };
                let answer = self.told(&report.job.run.clone(), &began);
                if matches!(answer, Answer::Done { .. }) {
                    self.has_arrived(&report.job);
                }
                answer
            }
            News::Ended => match self.facts.results.get(&report.job) {
                Some(result) => self.result(&result.clone()),
                None => stale("its result is not there yet; the sweep will look again"),
            },
            News::Gone => {
                if self.head.run(&report.job.run).and_then(Run::job).as_ref() != Some(&report.job) {
                    return stale("the run is not at that job");
                }
                self.sweep_job(&report.job);
                done(Some(&report.job.run))
            }
        }
    }
}

#[cfg(test)]
#[path = "define_table.rs"]
mod tests;
