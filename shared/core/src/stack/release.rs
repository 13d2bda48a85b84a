//! Whose turn it is: which queued runs leave the queue, and when to look again.
use super::decide::Turn;
use super::spec;
use crate::effect::Effect;
use crate::job::Input;
use crate::rollout::{Judgement, judge};
use crate::run::{Commit, Event, FailReason, Run, RunType, State};
use crate::time::{MINUTE_MS, UnixMs};

/// A tick may be this late before its wake is filed again.
const LATE_MINUTES: u64 = 5;

impl Turn<'_> {
    /// Proposed runs block nobody and wait for nobody. Of the blocking ones, the oldest whose
    /// parents have all ended; one that waits never holds back those behind it (rule D5).
    pub(super) fn release(&mut self) {
        if !self.head.defined.ready() {
            return;
        }
        while let Some(place) = self.head.proposed.iter().position(|r| r.state == State::Queued) {
            let run = self.head.proposed.remove(place);
            self.start(run);
        }
        let mut place = 0;
        while let Some(run) = self.head.queue.get(place) {
            match judge(&run.new.waits, run.new.direct) {
                Judgement::Release if self.head.active.is_none() => {
                    let run = self.head.queue.remove(place);
                    self.start(run);
                    place = 0;
                }
                Judgement::Skip(why) => {
                    let id = run.id().clone();
                    let _ = self.move_run(&id, &Event::Skip { why });
                    place = 0;
                }
                Judgement::Release | Judgement::Wait => place += 1,
            }
        }
    }

    /// A run leaves the queue: its commit is bound and its inputs are frozen here.
    fn start(&mut self, mut run: Run) {
        self.follow_definition(&mut run);
        if let (RunType::Tracked, false, Some(tracked)) =
            (run.new.kind, run.new.pinned, &self.head.tracked)
            && tracked.seq > run.new.commit.seq
        {
            run.new.commit = Commit::clone(tracked);
        }
        if run.new.commit.sha.0.is_empty()
            && let Some(tracked) = &self.head.tracked
        {
            run.new.commit = tracked.clone();
        }
        let event = match self.inputs(&run) {
            _ if run.new.commit.sha.0.is_empty() => Event::Refuse { reason: FailReason::NoCommit },
            Ok(inputs) => {
                run.inputs = inputs;
                Event::Release
            }
            Err(missing) => Event::Refuse { reason: FailReason::InputsMissing { inputs: missing } },
        };
        if run.step(&event, self.now).is_err() {
            return;
        }
        if !run.state.terminal() {
            self.send_job(&mut run);
        }
        self.changed = true;
        self.put_back(run);
    }

    /// A run that was queued before its stack moved to another branch or repository runs there: the
    /// commit that it was made for is none of this stack's any more.
    fn follow_definition(&self, run: &mut Run) {
        let Some(def) = self.head.defined.def() else { return };
        let moved = run.new.repository != def.repository || run.new.branch != def.branch;
        if run.new.kind == RunType::Tracked && !run.new.pinned && moved {
            run.new.repository.clone_from(&def.repository);
            run.new.branch.clone_from(&def.branch);
            run.new.commit = self.head.tracked.clone().unwrap_or_default();
        }
    }

    /// Parents' outputs that this stack refers to, or those that are missing. A task goes without.
    fn inputs(&self, run: &Run) -> Result<Vec<Input>, Vec<String>> {
        let (mut inputs, mut missing) = (Vec::new(), Vec::new());
        for edge in self.head.defined.def().into_iter().flat_map(|def| &def.depends_on) {
            let known = self.facts.outputs.get(&edge.stack);
            for reference in &edge.references {
                match known.filter(|k| k.outputs.values.contains_key(&reference.output)) {
                    Some(known) => inputs.push(Input {
                        name: reference.input.clone(),
                        from: edge.stack.clone(),
                        output: reference.output.clone(),
                        outputs_key: known.outputs.key.clone(),
                    }),
                    None => missing.push(format!(
                        "{}.{} => {}",
                        edge.stack, reference.output, reference.input
                    )),
                }
            }
        }
        if missing.is_empty() || run.new.kind == RunType::Task { Ok(inputs) } else { Err(missing) }
    }

    /// Makes the job that the run's state names.
    pub(super) fn send_job(&mut self, run: &mut Run) {
        let (Some(def), Some(job)) = (self.head.defined.def(), run.job()) else { return };
        let spec = spec::build(def, run, &job, self.now);
        run.pointer_at = Some(self.now);
        run.limit_ms = Some(spec.timeouts.run_ms);
        self.head.touched |= !job.phase.repeatable();
        run.jobs.push(job);
        self.owe(Effect::SendJob { spec: Box::new(spec) });
    }

    /// Asks to be woken at the earliest moment that something here may need a look. The shell files
    /// the `due` document **before** it commits the head: a crash in between wakes in vain.
    pub(super) fn file_due(&mut self) {
        if !self.changed {
            return;
        }
        self.schedule_drift();
        let Some(deadline) = self.deadline() else { return };
        let minute = deadline.minute() + 1;
        // A wish whose minute passed long ago and was not heard is taken for lost.
        let heard_soon = |filed: u64| filed + LATE_MINUTES >= self.now.minute();
        if self.head.due_minute.is_some_and(|filed| filed <= minute && heard_soon(filed)) {
            return;
        }
        self.head.due_minute = Some(minute);
    }

    fn deadline(&self) -> Option<UnixMs> {
        let soon = self.now.plus_ms(MINUTE_MS);
        let runs = self.head.open().filter_map(|run| match &run.state {
            State::Queued if run.new.waits.values().any(|w| w.heard.is_none()) => Some(soon),
            state if state.held().is_some() => Some(soon),
            state if state.job().is_some() => Some(super::sweep::pointer_again_at(run).max(soon)),
            _ => None,
        });
        let lock = self.head.lock.as_ref().and_then(|lock| lock.until);
        let owed = self.head.outbox.first().map(|_| soon);
        runs.chain(lock).chain(owed).chain(self.head.drift.next).min()
    }
}
