//! How runs come to be: asked for, tried again, or turned away with a document that says so.
use super::decide::{Turn, done, stale};
use super::head::Answer;
use super::moves::outcome;
use crate::audit::AuditEntry;
use crate::definition::StackDef;
use crate::effect::Effect;
use crate::id::RunId;
use crate::rollout::{Heard, Judgement, Outcome, hear, judge};
use crate::run::{Event, FailReason, NewRun, Run, RunType, State};

impl Turn<'_> {
    /// A run of this stack that left the head. What is still owed is newer than what is stored.
    pub(super) fn known(&self, id: &RunId) -> Option<&Run> {
        self.head.owed_run(id).or_else(|| self.facts.runs.get(id))
    }

    /// The newest try of this line of runs.
    fn newest_known(&self, origin: &RunId) -> Option<&Run> {
        let mut run = self.known(origin)?;
        while let Some(next) = run.superseded_by.as_ref().and_then(|id| self.known(id)) {
            run = next;
        }
        Some(run)
    }

    /// A run is born. Its parents may have ended before it was: their documents say so (rule D1).
    pub(super) fn queue(&mut self, new: NewRun) -> Answer {
        let id = new.id.clone();
        if self.head.run(&id).is_some() || self.known(&id).is_some() {
            return stale("this run exists");
        }
        let refused = self.lock_refuses(&new);
        self.audit_asking(&new, refused.clone());
        let here = |def: &StackDef| def.repository == new.repository && def.branch == new.branch;
        if new.kind == RunType::Tracked
            && !new.pinned
            && self.head.defined.def().is_none_or(here)
            && self.head.tracked.as_ref().is_none_or(|known| known.seq < new.commit.seq)
        {
            self.head.tracked = Some(new.commit.clone());
        }
        match (new.kind, new.drift) {
            (RunType::Proposed, true) => self.begin_look(),
            (RunType::Proposed, false) => self.supersede_proposed(&new),
            _ => {}
        }
        if new.kind == RunType::Tracked {
            self.supersede_definitions();
        }
        let mut run = Run::create(new, &self.head.stack, &self.envelope.id, self.now);
        self.hear_parents(&mut run);
        self.changed = true;
        if let Some(why) = refused {
            self.turn_away(run, FailReason::Rejected { messages: vec![why.clone()] });
            return Answer::Refused { why };
        }
        if self.head.defined.takes_no_more() {
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

    fn audit_asking(&mut self, new: &NewRun, note: Option<String>) {
        let Some(actor) = new.asked_by() else { return };
        let entry = AuditEntry {
            id: self.envelope.id.clone(),
            at: self.now,
            actor: actor.to_owned(),
            action: format!("trigger {}", new.kind.as_str().to_lowercase()),
            stack: Some(self.head.stack.clone()),
            run: Some(new.id.clone()),
            from: None,
            to: None,
            note: note.or_else(|| new.command.clone()),
        };
        self.owe(Effect::Audit { entry: Box::new(entry) });
    }

    /// A person's run on a stack that somebody else has locked.
    pub(super) fn lock_refuses(&self, new: &NewRun) -> Option<String> {
        let lock = self.head.lock.as_ref()?;
        let person = new.triggered_by.as_ref().filter(|_| new.direct && new.kind.blocking())?;
        (*person != lock.by).then(|| format!("{} is locked by {}", self.head.stack, lock.by))
    }

    pub(super) fn hear_parents(&self, run: &mut Run) -> bool {
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
    pub(super) fn supersede_proposed(&mut self, new: &NewRun) {
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
    pub(super) fn supersede_definitions(&mut self) {
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
    pub(super) fn parent_ended(&mut self, child: &RunId, parent: &RunId, heard: Heard) -> Answer {
        let open = self.head.open().find(|run| run.origin() == child).map(|run| run.id().clone());
        if let Some(id) = open {
            let Some(run) = self.head.run_mut(&id) else { return stale("no such run") };
            if !hear(&mut run.new.waits, parent, heard) {
                return stale("a newer try is known");
            }
            self.changed = true;
            return done(Some(&id));
        }
        let Some(known) = self.newest_known(child).cloned() else {
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

    /// A run that will not be made leaves a document and tells its children so (rule D3).
    pub(super) fn never(&mut self, run: Run) {
        self.turn_away(run, FailReason::NotDefined);
    }

    pub(super) fn turn_away(&mut self, mut run: Run, reason: FailReason) {
        let _ = run.step(&Event::Refuse { reason }, self.now);
        self.project(&mut run);
        self.tell_children(&run, &Outcome::Never);
    }
}
