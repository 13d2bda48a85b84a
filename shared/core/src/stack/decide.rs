//! The decision itself: which event does what, and what every moved run owes the world.
use super::facts::Facts;
use super::head::{Answer, Defined, LastRun, StackHead};
use crate::definition::StackDef;
use crate::effect::Effect;
use crate::event::{RepoEnvelope, RepoEvent, StackEnvelope, StackEvent};
use crate::id::{EventId, RunId, Sha, derive};
use crate::job::{Control, Report};
use crate::rollout::{Heard, Judgement, Outcome, hear, judge};
use crate::run::{Event, FailReason, NewRun, Refused, Run, RunType, State, StateName};
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
    head.revision += 1;
    let listed = Listed::of(&head);
    let mut turn = Turn { head, envelope, facts, now, changed: false };
    let answer = turn.take(&envelope.event);
    if matches!(
        envelope.event,
        StackEvent::Command { .. } | StackEvent::Define { .. } | StackEvent::Undefine { .. }
    ) {
        turn.head.remember(&envelope.id, answer.clone());
        turn.changed = true;
    }
    turn.release();
    if listed != Listed::of(&turn.head)
        && !turn.head.outbox.iter().any(|entry| entry.effect == Effect::PutSummary)
    {
        turn.owe(Effect::PutSummary);
    }
    turn.file_due();
    let Turn { mut head, changed, .. } = turn;
    if !changed {
        head.revision -= 1;
    }
    Decision { head, answer, changed }
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
            StackEvent::Due => self.sweep(),
        }
    }

    fn define(&mut self, def: &StackDef, commit: &Sha, revision: u64) -> Answer {
        if revision <= self.head.defined.revision() {
            return stale("a newer definition is known");
        }
        let def = Box::new(def.clone());
        self.head.defined = Defined::Yes { def, commit: commit.clone(), revision };
        done(None)
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
            return done(None);
        };
        let (true, Some(commit)) = (destroy, tracked) else {
            self.head.defined = Defined::Gone { revision };
            for run in std::mem::take(&mut self.head.queue) {
                self.never(run);
            }
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
        self.head.defined = Defined::Leaving { def: Box::new(def), revision };
        self.queue(run);
        done(Some(&id))
    }

    /// A run is born. Its parents may have ended before it was: their documents say so (rule D1).
    pub(super) fn queue(&mut self, new: NewRun) -> Answer {
        let id = new.id.clone();
        if self.head.run(&id).is_some() || self.facts.runs.contains_key(&id) {
            return stale("this run exists");
        }
        let refused = self.lock_refuses(&new);
        if new.kind == RunType::Tracked
            && !new.pinned
            && self.head.tracked.as_ref().is_none_or(|known| known.seq < new.commit.seq)
        {
            self.head.tracked = Some(new.commit.clone());
        }
        if new.kind == RunType::Proposed && !new.drift {
            self.supersede_proposed(&new);
        }
        self.supersede_definitions();
        let mut run = Run::create(new, &self.head.stack, &self.envelope.id, self.now);
        self.hear_parents(&mut run);
        self.changed = true;
        if let Some(why) = refused {
            self.turn_away(run, FailReason::Rejected { messages: vec![why.clone()] });
            return Answer::Refused { why };
        }
        if matches!(self.head.defined, Defined::Gone { .. }) {
            self.never(run);
            return Answer::NotFound { why: format!("{} is not defined", self.head.stack) };
        }
        self.project(&mut run);
        if run.new.kind.blocking() {
            self.head.queue.push(run);
        } else {
            self.head.proposed.push(run);
        }
        done(Some(&id))
    }

    /// A person's run on a stack that somebody else has locked.
    fn lock_refuses(&self, new: &NewRun) -> Option<String> {
        let lock = self.head.lock.as_ref()?;
        let person = new.triggered_by.as_ref().filter(|_| new.direct && new.kind.blocking())?;
        (*person != lock.by).then(|| format!("{} is locked by {}", self.head.stack, lock.by))
    }

    fn hear_parents(&self, run: &mut Run) -> bool {
        let mut any = false;
        for parent in run.new.waits.keys().cloned().collect::<Vec<_>>() {
            let Some(known) = self.facts.newest(&parent) else { continue };
            if known.state.terminal() {
                let outcome = outcome(known);
                any |=
                    hear(&mut run.new.waits, &parent, Heard { try_no: known.new.try_no, outcome });
            }
        }
        any
    }

    /// An older preview of the same branch is of no use any more.
    fn supersede_proposed(&mut self, new: &NewRun) {
        let older = self.head.proposed.iter().filter(|run| {
            !run.new.drift && run.new.branch == new.branch && run.new.commit.seq < new.commit.seq
        });
        let note = Some("a newer commit arrived on this branch".to_owned());
        for (id, held) in
            older.map(|r| (r.id().clone(), r.state.held().is_some())).collect::<Vec<_>>()
        {
            let by = "windlass".to_owned();
            let event = if held {
                Event::Stop { by, note: note.clone() }
            } else {
                Event::Cancel { by, note: note.clone() }
            };
            let _ = self.move_run(&id, &event);
        }
    }

    /// Definitions that wait for a person give way to newer ones: they must not hold up the rest.
    fn supersede_definitions(&mut self) {
        let waiting = self.head.active.as_ref().filter(|_| self.is_administrative());
        let Some(id) =
            waiting.filter(|r| r.state.name().waits_for_person()).map(|r| r.id().clone())
        else {
            return;
        };
        let note = Some("newer definitions arrived".to_owned());
        let _ = self.move_run(&id, &Event::Discard { by: "windlass".to_owned(), note });
    }

    /// Hears what a parent's newest try says. A child that was skipped because of an older one is
    /// judged again from its whole map, and if it may run now, a new run is made (rule D4).
    fn parent_ended(&mut self, child: &RunId, parent: &RunId, heard: Heard) -> Answer {
        let open = self.head.open().find(|run| run.origin() == child).map(|run| run.id().clone());
        if let Some(id) = open {
            let Some(run) = self.head.run_mut(&id) else { return stale("no such run") };
            if !hear(&mut run.new.waits, parent, heard) {
                return stale("a newer try is known");
            }
            self.changed = true;
            return done(Some(&id));
        }
        let Some(known) = self.facts.newest(child).cloned() else {
            // Not born yet: it will read its parents' documents when it is.
            return stale("this run is not known yet");
        };
        let mut old = known;
        if !matches!(old.state, State::Skipped { .. }) || old.superseded_by.is_some() {
            return stale("this run has ended");
        }
        if !hear(&mut old.new.waits, parent, heard) {
            return stale("a newer try is known");
        }
        self.changed = true;
        if judge(&old.new.waits, old.new.direct) != Judgement::Release {
            self.project(&mut old);
            return done(None);
        }
        let because = "a retry upstream ended well".to_owned();
        let id = self.try_again(old, because, None);
        done(Some(&id))
    }

    /// A new try in the place of `old`, under the same origin and with the same children.
    pub(super) fn try_again(&mut self, mut old: Run, because: String, by: Option<String>) -> RunId {
        let id = RunId::derive(self.envelope.at, &self.envelope.id, &self.head.stack);
        let new = NewRun {
            id: id.clone(),
            origin: Some(old.origin().clone()),
            try_no: old.new.try_no + 1,
            triggered_by: by.or_else(|| old.new.triggered_by.clone()),
            because,
            ..old.new.clone()
        };
        old.superseded_by = Some(id.clone());
        self.project(&mut old);
        self.queue(new);
        id
    }

    fn report(&mut self, report: &Report) -> Answer {
        use crate::job::News;
        match report.news {
            News::Began(step) => {
                let job = (&report.job).into();
                let began = Event::Began { job, worker: report.worker.clone(), step };
                self.told(&report.job.run.clone(), &began)
            }
            News::Ended => match self.facts.results.get(&report.job) {
                Some(result) => self.result(&result.clone()),
                None => stale("its result is not there yet; the sweep will look again"),
            },
        }
    }

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

    fn take_out(&mut self, id: &RunId) -> Run {
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
        self.project(&mut run);
        if self.is_administrative() && run.state.name().waits_for_person() {
            self.settle_definitions(&run);
        }
        if run.state == State::Queued {
            self.head.queue.push(run);
        } else if run.new.kind.blocking() {
            self.note_last(&run);
            self.head.active = Some(run);
        } else {
            self.head.proposed.push(run);
        }
    }

    /// A run has ended: its document first, then its children, then what only it needed.
    fn end(&mut self, mut run: Run) {
        let started = !run.jobs.is_empty();
        if run.new.kind.blocking() && started {
            self.note_last(&run);
        }
        self.project(&mut run);
        self.tell_children(&run, &outcome(&run));
        if started {
            self.owe(Effect::CleanUp { run: run.id().clone() });
        }
        if self.is_administrative() {
            self.settle_definitions(&run);
        }
        if let (Defined::Leaving { revision, .. }, RunType::Destroy, State::Finished) =
            (&self.head.defined, run.new.kind, &run.state)
        {
            self.head.defined = Defined::Gone { revision: *revision };
            for queued in std::mem::take(&mut self.head.queue) {
                self.never(queued);
            }
        }
    }

    /// A run that will not be made leaves a document and tells its children so (rule D3).
    fn never(&mut self, run: Run) {
        self.turn_away(run, FailReason::NotDefined);
    }

    fn turn_away(&mut self, mut run: Run, reason: FailReason) {
        let _ = run.step(&Event::Refuse { reason }, self.now);
        self.project(&mut run);
        self.tell_children(&run, &Outcome::Never);
    }

    fn tell_children(&mut self, run: &Run, outcome: &Outcome) {
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

    fn is_administrative(&self) -> bool {
        self.head.defined.def().is_some_and(|def| def.administrative)
    }

    fn settle_definitions(&mut self, run: &Run) {
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

    fn note_last(&mut self, run: &Run) {
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

    /// Owes the run's document; an older one that was not delivered yet is of no use any more.
    pub(super) fn project(&mut self, run: &mut Run) {
        run.head_revision = self.head.revision;
        let id = run.id().clone();
        self.head
            .outbox
            .retain(|e| !matches!(&e.effect, Effect::PutRun { run } if *run.id() == id));
        self.owe(Effect::PutRun { run: Box::new(run.clone()) });
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
        State::Failed { reason: FailReason::NotDefined } => Outcome::Never,
        _ => Outcome::Bad,
    }
}
