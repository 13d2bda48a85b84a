//! Drift detection in a stack's actor: when to look, whether to, and what follows from the look.
use super::decide::{Turn, done, stale};
use super::head::{Answer, Defined};
use crate::audit::AuditEntry;
use crate::definition::StackDef;
use crate::drift::{self, Found, Look, Looked, Schedule, Unfit};
use crate::effect::Effect;
use crate::event::{RepoEnvelope, RepoEvent, Trigger};
use crate::id::{EventId, PoolId, RunId, derive};
use crate::run::{NewRun, Run, RunType, State};

impl Turn<'_> {
    fn watched(&self) -> Option<&StackDef> {
        match &self.head.defined {
            Defined::Yes { def, .. } if def.drift.is_some() => Some(def),
            _ => None,
        }
    }

    fn schedule(&self) -> Option<Schedule> {
        Schedule::new(self.watched()?.drift.as_ref()?, &self.head.stack)
    }

    /// A definition arrives: another schedule counts from now on, another pool has other places.
    pub(super) fn reschedule(&mut self, def: &StackDef) {
        let known = self.head.defined.def();
        let same = known.is_some_and(|known| known.drift == def.drift);
        let moved = known.is_some_and(|known| known.worker_pool != def.worker_pool);
        let watch = &mut self.head.drift;
        if !same {
            (watch.seen, watch.next) = (self.now, None);
        }
        // Whoever has a place keeps it to the end of its run.
        if let Some(turn) = watch.turn.take_if(|turn| turn.place.is_none()) {
            match (&def.drift, moved) {
                (None, _) => {}
                (Some(_), true) => watch.next = Some(turn.due),
                (Some(_), false) => watch.turn = Some(turn),
            }
        }
    }

    /// Sets when the next slot falls due, where that is not known.
    pub(super) fn schedule_drift(&mut self) {
        if self.watched().is_none() {
            self.head.drift.next = None;
        } else if self.head.drift.next.is_none() {
            if self.head.drift.seen.0 == 0 {
                self.head.drift.seen = self.now;
            }
            let (seen, now) = (self.head.drift.seen, self.now);
            self.head.drift.next = self.schedule().and_then(|s| s.due(seen, now).next);
        }
    }

    /// A slot may have passed. However many have, one look stands for all of them.
    pub(super) fn look_for_drift(&mut self) {
        let Some(slot) = self.head.drift.next.filter(|next| *next <= self.now) else { return };
        let (Some(schedule), Some(def)) = (self.schedule(), self.watched()) else { return };
        let pool = def.worker_pool.clone();
        let due = schedule.due(self.head.drift.seen, self.now);
        (self.head.drift.seen, self.head.drift.next) = (due.seen, due.next);
        if let Some(turn) = &self.head.drift.turn {
            // The earlier slot still waits, or is being looked at. Asking again changes nothing.
            if turn.place.is_none() {
                let (pool, minute) = (turn.pool.clone(), turn.minute());
                self.owe(Effect::AskPlace { pool, minute });
            }
            return;
        }
        if let Some(why) = self.unfit() {
            self.looked(None, Looked::Skipped { why });
            return;
        }
        let turn = drift::Turn { due: slot, pool: pool.clone(), place: None };
        let minute = turn.minute();
        self.head.drift.turn = Some(turn);
        self.owe(Effect::AskPlace { pool, minute });
    }

    /// Why a look at this stack would say nothing, or nothing new.
    fn unfit(&self) -> Option<Unfit> {
        let head = &self.head;
        if let Some(lock) = &head.lock {
            return Some(Unfit::Locked { by: lock.by.clone() });
        }
        if let Some(run) = head.active.iter().chain(&head.queue).next() {
            return Some(Unfit::Busy { run: run.id().clone() });
        }
        if head.drift.applied.is_none() {
            return Some(Unfit::NeverApplied);
        }
        let any = self.watched().and_then(|def| def.drift.as_ref()).is_some_and(|d| d.ignore_state);
        let state = head.last.as_ref().map(|last| last.state);
        let state = state.filter(|state| *state != State::Finished.name() && !any);
        state.map(|state| Unfit::NotFinished { state })
    }

    /// The pool has a place for this stack. One that is not wanted (any more) goes back.
    pub(super) fn drift_turn(&mut self, pool: &PoolId, place: u32, minute: u64) -> Answer {
        let turn = self.head.drift.turn.as_mut();
        let wanted = turn.filter(|turn| turn.pool == *pool && turn.minute() == minute);
        let back = Effect::LeavePlace { pool: pool.clone(), place, minute };
        match wanted {
            Some(turn) if turn.place == Some(place) => return stale("it has this place"),
            Some(turn) if turn.place.is_none() => turn.place = Some(place),
            _ => {
                self.owe(back);
                return stale("nobody here waits for this place");
            }
        }
        self.changed = true;
        let unfit = self.unfit();
        let (Some(def), None, Some(commit)) =
            (self.watched(), &unfit, self.head.drift.applied.clone())
        else {
            if let Some(why) = unfit {
                self.looked(None, Looked::Skipped { why });
            }
            self.leave_place();
            return done(None);
        };
        // Of the slot, not of the message: told twice, it is one run.
        let event = EventId(derive(&["drift", &self.head.stack.0, &minute.to_string()]));
        let id = RunId::derive(self.envelope.at, &event, &self.head.stack);
        let run = NewRun {
            id: id.clone(),
            kind: RunType::Proposed,
            repository: def.repository.clone(),
            branch: def.branch.clone(),
            drift: true,
            because: "its schedule looks for drift".to_owned(),
            ..NewRun::blank(commit)
        };
        self.queue(run);
        done(Some(&id))
    }

    /// A look begins. One that a deployment overlaps says nothing about the world.
    pub(super) fn begin_look(&mut self) {
        let others = self.head.proposed.iter().any(|run| run.new.drift);
        let watch = &mut self.head.drift;
        watch.overtaken = self.head.active.is_some() || (watch.overtaken && others);
    }

    /// A blocking run has the stack: whatever is looking meanwhile looks at something that moves.
    pub(super) fn overtake_look(&mut self) {
        self.head.drift.overtaken |= self.head.proposed.iter().any(|run| run.new.drift);
    }

    fn leave_place(&mut self) {
        let Some(turn) = self.head.drift.turn.take() else { return };
        self.changed = true;
        let minute = turn.minute();
        if let Some(place) = turn.place {
            self.owe(Effect::LeavePlace { pool: turn.pool, place, minute });
        }
    }

    fn looked(&mut self, run: Option<&Run>, looked: Looked) {
        self.changed = true;
        let run = run.map(|run| run.id().clone());
        self.head.drift.last = Some(Look { at: self.now, run, looked });
    }

    /// What a run's end says about the world.
    pub(super) fn note_drift(&mut self, run: &Run) {
        match (run.new.kind, &run.state) {
            (RunType::Proposed, _) if run.new.drift => self.note_look(run),
            (RunType::Tracked, State::Finished) => {
                self.head.drift.applied = Some(run.new.commit.clone());
                self.note_found(run, None);
            }
            (RunType::Destroy, State::Finished) => {
                self.head.drift.applied = None;
                self.note_found(run, None);
            }
            _ => {}
        }
    }

    fn note_look(&mut self, run: &Run) {
        // A look that a person asked for has no place, and leaves the schedule's alone.
        if run.new.triggered_by.is_none() {
            self.leave_place();
        }
        let found = match (&run.state, &run.drifted) {
            _ if self.head.drift.overtaken => {
                self.looked(Some(run), Looked::Overtaken);
                return;
            }
            (State::Finished, Some(drifted)) => drifted.clone(),
            (state, _) => {
                let state = state.name();
                self.looked(Some(run), Looked::Broken { state });
                return;
            }
        };
        if found.count == 0 {
            self.looked(Some(run), Looked::Clean);
            self.note_found(run, None);
            return;
        }
        self.looked(Some(run), Looked::Drifted);
        let (since, id) = (self.now, run.id().clone());
        self.note_found(run, Some(Found { since, run: id, drifted: found }));
        self.reconcile(run);
    }

    /// Only another set of addresses is news: the same one, seen again, is not told again.
    fn note_found(&mut self, run: &Run, found: Option<Found>) {
        let before = self.head.drift.found.take();
        let digest = |found: &Option<Found>| found.as_ref().map(|f| f.drifted.digest.clone());
        if digest(&before) == digest(&found) {
            self.head.drift.found = before;
            return;
        }
        let action = match (&before, &found) {
            (_, None) => "drift cleared",
            (None, Some(_)) => "drift found",
            (Some(_), Some(_)) => "drift changed",
        };
        let entry = AuditEntry {
            id: EventId(derive(&[action, &run.id().0])),
            at: self.now,
            actor: "windlass".to_owned(),
            action: action.to_owned(),
            stack: Some(self.head.stack.clone()),
            run: Some(run.id().clone()),
            from: before.map(|found| found.drifted.count.to_string()),
            to: Some(found.as_ref().map_or(0, |found| found.drifted.count).to_string()),
            note: found.as_ref().map(|found| found.drifted.sentence()),
        };
        self.head.drift.found = found;
        self.owe(Effect::Audit { entry: Box::new(entry) });
    }

    /// A tracked run with all that follows it, under the stack's ordinary rules. It applies what
    /// was applied: code that nobody deployed is not deployed because something drifted.
    fn reconcile(&mut self, run: &Run) {
        let wanted = self.watched().filter(|def| def.drift.as_ref().is_some_and(|d| d.reconcile));
        let Some(repo) = wanted.map(|def| def.repository.clone()) else { return };
        let head = &self.head;
        if head.lock.is_some() || head.active.is_some() || !head.queue.is_empty() {
            return;
        }
        let newest = head.tracked.as_ref().map(|commit| &commit.sha);
        let commit = (newest != Some(&run.new.commit.sha)).then(|| run.new.commit.clone());
        let trigger = Trigger {
            stack: head.stack.clone(),
            kind: RunType::Tracked,
            commit,
            actor: drift::ACTOR.to_owned(),
            force_apply: false,
            drift: true,
        };
        let event = RepoEnvelope {
            id: EventId(derive(&["reconcile", &run.id().0])),
            repo,
            at: self.now,
            hops: self.envelope.hops + 1,
            event: RepoEvent::Trigger { trigger: Box::new(trigger) },
        };
        self.owe(Effect::ToRepo { event: Box::new(event) });
    }
}

#[cfg(test)]
#[path = "drift_table.rs"]
mod tests;
