//! What people ask of a stack: allowed by its state, or refused in one sentence; audited both ways.
use super::decide::{Turn, done};
use super::head::{Answer, Lock};
use crate::audit::AuditEntry;
use crate::effect::Effect;
use crate::event::Command;
use crate::id::{Digest, RunId};
use crate::run::{Event, State};
use crate::time::UnixMs;

impl Turn<'_> {
    pub(super) fn command(&mut self, actor: &str, command: &Command) -> Answer {
        let from = command.run().and_then(|run| self.head.run(run)).map(|r| r.state.name());
        let answer = self.obey(actor, command);
        let to = command.run().and_then(|run| self.state_now(run));
        let note = match &answer {
            Answer::Refused { why } | Answer::NotFound { why } | Answer::Stale { why } => {
                Some(why.clone())
            }
            Answer::Done { .. } => None,
        };
        let entry = AuditEntry {
            id: self.envelope.id.clone(),
            // The asker's time, not ours: the entry has one name however often it is written.
            at: self.envelope.at,
            actor: actor.to_owned(),
            action: command.label().to_owned(),
            stack: Some(self.head.stack.clone()),
            run: command.run().cloned(),
            from: from.map(|name| name.as_str().to_owned()),
            to: to.filter(|_| note.is_none()),
            note,
        };
        self.owe(Effect::Audit { entry: Box::new(entry) });
        answer
    }

    /// The state of a run that may just have left the head.
    fn state_now(&self, id: &RunId) -> Option<String> {
        if let Some(run) = self.head.run(id) {
            return Some(run.state.name().as_str().to_owned());
        }
        self.head.outbox.iter().rev().find_map(|entry| match &entry.effect {
            Effect::PutRun { run } if run.id() == id => Some(run.state.name().as_str().to_owned()),
            _ => None,
        })
    }

    fn obey(&mut self, actor: &str, command: &Command) -> Answer {
        let by = actor.to_owned();
        match command {
            Command::Lock { note, until } => self.lock(actor, note.clone(), *until),
            Command::Unlock { force } => self.unlock(actor, *force),
            Command::Retry { run } => self.retry(actor, run),
            Command::Prioritize { run, on } => self.prioritize(run, *on),
            Command::Confirm { run, digest, version } => self.confirm(actor, run, digest, *version),
            Command::Approve { run } => self.ask(run, &Event::Approve { by }),
            Command::Discard { run, note } => {
                self.ask(run, &Event::Discard { by, note: note.clone() })
            }
            Command::Cancel { run, note } => {
                self.ask(run, &Event::Cancel { by, note: note.clone() })
            }
            Command::Stop { run, note } => self.ask(run, &Event::Stop { by, note: note.clone() }),
            Command::Replan { run, targets } => {
                self.ask(run, &Event::Replan { by, targets: targets.clone() })
            }
        }
    }

    fn ask(&mut self, run: &RunId, event: &Event) -> Answer {
        if self.head.run(run).is_none() {
            return self.not_open(run);
        }
        match self.move_run(run, event) {
            Ok(()) => done(Some(run)),
            Err(refused) => Answer::Refused { why: refused.to_string() },
        }
    }

    /// The plan that is applied is the plan that was looked at, on the run as it was looked at.
    fn confirm(&mut self, actor: &str, id: &RunId, digest: &Digest, version: u32) -> Answer {
        // Of two who confirm at once, the second should hear that it is done, and by whom.
        let run = self.head.run(id).or_else(|| self.known(id));
        if let Some((run, by)) = run.and_then(|run| Some((run, run.confirmed_by()?))) {
            let why = format!("the run is {}: already confirmed, by {by}", run.state.name());
            return Answer::Refused { why };
        }
        let Some(run) = self.head.run(id) else { return self.not_open(id) };
        let State::Unconfirmed { planned } = &run.state else {
            let why = format!("the run is {}: confirm is not possible", run.state.name());
            return Answer::Refused { why };
        };
        if planned.plan.digest != *digest || run.version != version {
            let why = "this changed since you looked: look at the plan again".to_owned();
            return Answer::Refused { why };
        }
        if let Some(lock) = self.head.lock.as_ref().filter(|lock| lock.by != actor) {
            return Answer::Refused { why: format!("the stack is locked by {}", lock.by) };
        }
        self.ask(id, &Event::Confirm { by: actor.to_owned() })
    }

    fn retry(&mut self, actor: &str, id: &RunId) -> Answer {
        if let Some(run) = self.head.run(id) {
            let why = format!("the run is {}: only an ended run is retried", run.state.name());
            return Answer::Refused { why };
        }
        let Some(old) = self.known(id).filter(|run| run.stack == self.head.stack) else {
            return self.not_open(id);
        };
        if let Some(newer) = &old.superseded_by {
            return Answer::Refused { why: format!("it was retried already, as {newer}") };
        }
        if old.state == State::Finished {
            return Answer::Refused { why: "the run is FINISHED: trigger a new one".to_owned() };
        }
        if let Some(lock) = self.head.lock.as_ref().filter(|lock| lock.by != actor) {
            return Answer::Refused { why: format!("the stack is locked by {}", lock.by) };
        }
        let mut old = old.clone();
        // A person asks for this very run: what its parents once said no longer holds it.
        let waits = std::mem::take(&mut old.new.waits);
        let because = format!("a retry of {id}");
        let kept = old.clone();
        let new = self.try_again(old, because, Some(actor.to_owned()));
        self.restore_waits(kept, waits, &new);
        done(Some(&new))
    }

    /// The old document keeps the map that it was judged by.
    fn restore_waits(
        &mut self,
        mut old: crate::run::Run,
        waits: std::collections::BTreeMap<RunId, crate::rollout::Wait>,
        newer: &RunId,
    ) {
        old.new.waits = waits;
        old.superseded_by = Some(newer.clone());
        self.project(&mut old);
    }

    fn prioritize(&mut self, id: &RunId, on: bool) -> Answer {
        let Some(run) = self.head.run_mut(id) else { return self.not_open(id) };
        run.prioritized = on;
        self.changed = true;
        let copy = run.clone();
        // A job that waits already gets a second pointer, in the right queue; the claim sees to it
        // that only one of them is taken.
        let waiting = copy.state.job().is_some() && copy.state.held().is_none();
        if let (true, Some(job), Some(def)) = (waiting, copy.job(), self.head.defined.def()) {
            let (pool, class) = (def.worker_pool.clone(), copy.class());
            self.owe(Effect::SendPointer { job, pool, class });
        }
        done(Some(id))
    }

    fn lock(&mut self, actor: &str, note: Option<String>, until: Option<UnixMs>) -> Answer {
        if let Some(lock) = self.head.lock.as_ref().filter(|lock| lock.by != actor) {
            return Answer::Refused { why: format!("the stack is locked by {}", lock.by) };
        }
        if until.is_some_and(|until| until <= self.now) {
            return Answer::Refused { why: "that moment has passed".to_owned() };
        }
        self.head.lock = Some(Lock { by: actor.to_owned(), note, at: self.now, until });
        done(None)
    }

    fn unlock(&mut self, actor: &str, force: bool) -> Answer {
        match &self.head.lock {
            None => Answer::Refused { why: "the stack is not locked".to_owned() },
            Some(lock) if lock.by != actor && !force => Answer::Refused {
                why: format!(
                    "the stack is locked by {}: only they, or --force, unlock it",
                    lock.by
                ),
            },
            Some(_) => {
                self.head.lock = None;
                done(None)
            }
        }
    }

    fn not_open(&self, id: &RunId) -> Answer {
        match self.known(id) {
            Some(run) => {
                Answer::Refused { why: format!("the run is {}: it has ended", run.state.name()) }
            }
            None => Answer::NotFound { why: format!("{} has no open run {id}", self.head.stack) },
        }
    }
}

#[cfg(test)]
#[path = "command_table.rs"]
mod tests;
