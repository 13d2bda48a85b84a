//! One step of a run, and everything that follows from where it arrives.
use super::decide::{Turn, done, stale};
use super::head::{Answer, Defined, LastRun};
use crate::effect::Effect;
use crate::event::{RepoEnvelope, RepoEvent, StackEnvelope, StackEvent};
use crate::id::{EventId, RunId, derive};
use crate::job::{Control, JobId, Phase};
use crate::rollout::Outcome;
use crate::run::{Event, FailReason, Refused, Run, RunType, SkipReason, State, StateName};
use crate::status::Status;

impl Turn<'_> {
    /// Moves a run by a message that may be late; a message that can't be is answered, not obeyed.
    pub(super) fn told(&mut self, run: &RunId, event: &Event) -> Answer {
        match self.move_run(run, event) {
            Ok(()) => done(Some(run)),
            Err(refused @ Refused::Stale { .. }) => stale(refused.to_string()),
            Err(refused @ Refused::Illegal { .. }) => Answer::Refused { why: refused.to_string() },
        }
    }

    /// One step of one run, and everything that follows from where it arrives.
    pub(super) fn move_run(&mut self, id: &RunId, event: &Event) -> Result<(), Refused> {
        let now = self.now;
        let Some(run) = self.head.run_mut(id) else {
            return Err(Refused::Stale { state: StateName::Finished });
        };
        let job_before = run.state.job();
        let stop_before = run.state.held().is_some_and(|held| held.stop.is_some());
        run.step(event, now)?;
        self.changed = true;
        let mut run = self.take_out(id);
        let job = run.state.job();
        match &run.state {
            State::Canceling { .. } => {
                if let Some(job) = run.job() {
                    self.owe(Effect::Withdraw { job });
                }
            }
            State::Ready { .. } | State::Confirmed { .. } | State::ReplanRequested { .. }
                if job != job_before =>
            {
                self.send_job(&mut run);
            }
            state => {
                let stop = state.held().is_some_and(|held| held.stop.is_some());
                if let (true, false, Some(job)) = (stop, stop_before, run.job()) {
                    self.owe(Effect::Control { job, control: Control::Stop });
                }
            }
        }
        self.put_back(run);
        Ok(())
    }

    pub(super) fn take_out(&mut self, id: &RunId) -> Run {
        if self.head.active.as_ref().is_some_and(|run| run.id() == id)
            && let Some(run) = self.head.active.take()
        {
            return run;
        }
        let list = if self.head.queue.iter().any(|run| run.id() == id) {
            &mut self.head.queue
        } else {
            &mut self.head.proposed
        };
        let place = list.iter().position(|run| run.id() == id).unwrap_or(0);
        list.remove(place)
    }

    /// Where a run belongs after a step. A blocking run has the stack from leaving the queue to
    /// its end; what is terminal leaves the head.
    pub(super) fn put_back(&mut self, mut run: Run) {
        if run.state.terminal() {
            self.end(run);
            return;
        }
        self.show(&mut run);
        if self.is_administrative() && run.state.name().waits_for_person() {
            self.settle_definitions(&run);
        }
        if run.state == State::Queued {
            self.head.queue.push(run);
        } else if run.new.kind.blocking() {
            self.note_last(&run);
            self.overtake_look();
            self.head.active = Some(run);
        } else {
            self.head.proposed.push(run);
        }
    }

    /// A run has ended: its document first, then its children, then what only it needed.
    pub(super) fn end(&mut self, mut run: Run) {
        let started = !run.jobs.is_empty();
        if run.new.kind.blocking() && started {
            self.note_last(&run);
        }
        self.note_drift(&run);
        self.project(&mut run);
        self.tell_children(&run, &outcome(&run));
        if started {
            let plans = run.jobs.iter().filter(|job| job.phase == Phase::Plan);
            let plans: Vec<JobId> = plans.cloned().collect();
            if !plans.is_empty() {
                self.owe(Effect::CleanUp { run: run.id().clone(), plans });
            }
        }
        if self.is_administrative() {
            self.settle_definitions(&run);
        }
        let destroyed = run.new.kind == RunType::Destroy && run.state == State::Finished;
        if let Defined::Leaving { destroy, .. } = &mut self.head.defined
            && destroyed
            && *destroy
        {
            *destroy = false;
            self.nothing_more(vec![]);
        }
        self.gone_if_free();
    }

    /// The stack takes no more runs: those that wait will never be made.
    pub(super) fn nothing_more(&mut self, proposed: Vec<Run>) {
        for run in std::mem::take(&mut self.head.queue).into_iter().chain(proposed) {
            self.never(run);
        }
    }

    /// A stack that leaves is gone once nothing of it is under way.
    pub(super) fn gone_if_free(&mut self) {
        if let Defined::Leaving { revision, destroy: false, .. } = self.head.defined
            && self.head.open().next().is_none()
        {
            self.head.defined = Defined::Gone { revision };
        }
    }

    pub(super) fn tell_children(&mut self, run: &Run, outcome: &Outcome) {
        for child in &run.new.children {
            let event = StackEvent::ParentEnded {
                child: child.run.clone(),
                parent: run.origin().clone(),
                try_no: run.new.try_no,
                outcome: outcome.clone(),
            };
            let id = derive(&["ended", &run.id().0, &child.run.0]);
            let event = StackEnvelope {
                id: EventId(id),
                stack: child.stack.clone(),
                at: self.now,
                hops: self.envelope.hops + 1,
                event,
            };
            self.owe(Effect::ToStack { event: Box::new(event) });
        }
    }

    pub(super) fn is_administrative(&self) -> bool {
        self.head.defined.def().is_some_and(|def| def.administrative)
    }

    pub(super) fn settle_definitions(&mut self, run: &Run) {
        let id = derive(&["settled", &run.id().0, run.state.name().as_str()]);
        let event = RepoEnvelope {
            id: EventId(id),
            repo: run.new.repository.clone(),
            at: self.now,
            hops: self.envelope.hops + 1,
            event: RepoEvent::DefinitionsSettled { run: run.id().clone() },
        };
        self.owe(Effect::ToRepo { event: Box::new(event) });
    }

    pub(super) fn note_last(&mut self, run: &Run) {
        if self.head.last.as_ref().is_some_and(|last| last.id > *run.id()) {
            return;
        }
        self.head.last = Some(LastRun {
            id: run.id().clone(),
            kind: run.new.kind,
            state: run.state.name(),
            since: run.since,
            delta: run.delta,
            commit: run.new.commit.clone(),
        });
    }

    /// An open run is read from this head, so its steps write no document: the first one says that it
    /// exists and whose it is, the last one how it ended. (An administrative run's repository reads it
    /// while it waits.)
    fn show(&mut self, run: &mut Run) {
        if self.is_administrative() || self.head.owed_run(run.id()).is_some() {
            self.project(run);
        } else {
            run.head_revision = self.head.revision;
            self.tell(run);
        }
    }

    /// Owes the run's document; an older one that was not delivered yet is of no use any more.
    pub(super) fn project(&mut self, run: &mut Run) {
        run.head_revision = self.head.revision;
        self.tell(run);
        let id = run.id().clone();
        self.head
            .outbox
            .retain(|e| !matches!(&e.effect, Effect::PutRun { run } if *run.id() == id));
        self.owe(Effect::PutRun { run: Box::new(run.clone()) });
    }

    /// Owes what people read at the run's commit, if it reads differently by now.
    fn tell(&mut self, run: &mut Run) {
        let Some(status) = Status::of(run).filter(|_| self.facts.heard) else { return };
        if run.said.as_ref() == Some(&status.said) {
            return;
        }
        let before = run.said.replace(status.said.clone()).filter(|old| old.sha != status.said.sha);
        if let Some(before) = before {
            self.owe_status(Status::overtaken(run, &before.sha));
        }
        self.owe_status(status);
    }

    /// Owes it again, unless something newer is owed or a newer try speaks in its place.
    pub(super) fn retell(&mut self, id: &RunId) -> Answer {
        let run = self.head.run(id).or_else(|| self.known(id));
        let speaks = run.filter(|run| self.facts.heard && run.superseded_by.is_none());
        let Some(status) = speaks.and_then(Status::of) else {
            return stale("there is nothing to say of this run");
        };
        let newer = self.head.outbox.iter().any(|entry| match &entry.effect {
            Effect::SetStatus { status: owed } => owed.said.sha == status.said.sha,
            _ => false,
        });
        if newer {
            return stale("it is about to be said");
        }
        self.owe_status(status);
        done(Some(id))
    }

    /// Under a new id, in the place of whatever is still owed about this commit.
    fn owe_status(&mut self, status: Status) {
        self.head.outbox.retain(|entry| match &entry.effect {
            Effect::SetStatus { status: old } => {
                (&old.repo, &old.said.sha) != (&status.repo, &status.said.sha)
            }
            _ => true,
        });
        self.owe(Effect::SetStatus { status: Box::new(status) });
    }

    pub(super) fn owe(&mut self, effect: Effect) {
        self.changed = true;
        self.head.owe(effect, self.now);
    }
}

/// What this run's end means to its children.
pub(super) fn outcome(run: &Run) -> Outcome {
    match &run.state {
        State::Finished => Outcome::Good { changed: run.changed_outputs.clone() },
        State::Skipped { why: SkipReason::OutputsUnchanged { .. } } => Outcome::Unneeded,
        State::Failed { reason: FailReason::NotDefined } => Outcome::Never,
        _ => Outcome::Bad,
    }
}
