//! How an attempt ended, and what that means to its run.
use super::decide::{Turn, stale};
use super::head::{Answer, StackOutputs};
use crate::audit::AuditEntry;
use crate::effect::Effect;
use crate::id::{Digest, EventId, derive};
use crate::job::{Began, Delta, JobId, JobResult, Outputs, Phase, PlanRef, Verdict};
use crate::run::{Event, FailReason, Planned, RunType, State, gate};
use std::collections::BTreeSet;

impl Turn<'_> {
    /// Applies an attempt's only verdict. Whoever finds it, however often: late ones are stale.
    pub(super) fn result(&mut self, result: &JobResult) -> Answer {
        let id = result.job.run.clone();
        let job = (&result.job).into();
        let Some(run) = self.head.run(&id) else { return stale("the run has ended") };
        if run.state.job() != Some(job) {
            return stale(format!("the run is {} by now", run.state.name()));
        }
        let event = match &result.verdict {
            Verdict::Ok if result.job.phase == Phase::Plan => match self.planned(result) {
                Ok(event) => event,
                Err(reason) => Event::Broke { job, reason },
            },
            Verdict::Ok => Event::Done { job },
            Verdict::Failed { step, reason } => {
                Event::Broke { job, reason: FailReason::Step { step: *step, text: reason.clone() } }
            }
            Verdict::Interrupted => Event::Interrupted { job },
            Verdict::Lost { cause } => Event::Lost { job, cause: cause.clone() },
            Verdict::Cancelled => Event::Withdrawn { job },
        };
        self.has_arrived(&result.job);
        self.note_steps(result);
        self.note_facts(result);
        self.audit_loss(result);
        if result.verdict == Verdict::Ok {
            self.publish_outputs(result);
        }
        self.told(&id, &event)
    }

    /// Somebody has the job, or had it: it is not to be sent any more, whoever sent it.
    pub(super) fn has_arrived(&mut self, job: &JobId) {
        self.head.outbox.retain(|entry| match &entry.effect {
            Effect::SendJob { spec } => spec.id != *job,
            Effect::SendPointer { job: sent, .. } => sent != job,
            _ => true,
        });
    }

    /// A stack that is freed because its worker is provably gone is freed by the rules, not by a
    /// person: it is written down as what it is.
    fn audit_loss(&mut self, result: &JobResult) {
        let Verdict::Lost { cause } = &result.verdict else { return };
        if result.job.phase.repeatable() {
            return;
        }
        let from = self.head.run(&result.job.run).map(|run| run.state.name().as_str().to_owned());
        let entry = AuditEntry {
            id: EventId(derive(&["lost", &result.job.to_string()])),
            at: self.now,
            actor: "windlass".to_owned(),
            action: "free the stack".to_owned(),
            stack: Some(self.head.stack.clone()),
            run: Some(result.job.run.clone()),
            from,
            to: Some("FAILED".to_owned()),
            note: Some(cause.clone()),
        };
        self.owe(Effect::Audit { entry: Box::new(entry) });
    }

    /// Steps that were passed before anybody reported them: the history is whole all the same.
    fn note_steps(&mut self, result: &JobResult) {
        let now = self.now;
        let (Some(worker), Some(run)) = (&result.worker, self.head.run_mut(&result.job.run)) else {
            return;
        };
        for Began { step, at } in &result.began {
            // A cancel that lost against the claim is the end's own business.
            if matches!(run.state, State::Canceling { .. }) {
                return;
            }
            let (job, worker) = ((&result.job).into(), worker.clone());
            let began = Event::Began { job, worker, step: *step };
            // Refused where it is known; and no step comes before what it follows, nor later than now.
            if run.step(&began, (*at).max(run.since).min(now)).is_ok() {
                self.changed = true;
            }
        }
    }

    /// What the run keeps of a result, whatever follows.
    fn note_facts(&mut self, result: &JobResult) {
        let Some(run) = self.head.run_mut(&result.job.run) else { return };
        run.tool_ms += result.tool_ms;
        run.delta = result.delta.or(run.delta);
        if result.changes_key.is_some() {
            run.changes_key.clone_from(&result.changes_key);
        }
        if run.new.drift {
            run.drifted.clone_from(&result.drifted);
        }
        if result.tool_version.is_some() {
            run.tool_version.clone_from(&result.tool_version);
        }
        run.warnings.extend(result.warnings.iter().cloned());
    }

    fn planned(&self, result: &JobResult) -> Result<Event, FailReason> {
        let Some(run) = self.head.run(&result.job.run) else { return Err(FailReason::NotDefined) };
        let def = self.head.defined.def().ok_or(FailReason::NotDefined)?;
        let plan = match (&result.plan, run.new.kind) {
            (Some(plan), _) => plan.clone(),
            // A preview hands nothing over: there is nothing to apply.
            (None, RunType::Proposed) => PlanRef { key: String::new(), digest: Digest::default() },
            (None, _) => {
                let text = "the worker handed over no plan".to_owned();
                return Err(FailReason::Step { step: crate::job::Step::Planning, text });
            }
        };
        let planned = Planned {
            plan,
            round: result.job.round,
            delta: result.delta.unwrap_or(Delta::default()),
            warnings: result.warnings.clone(),
        };
        let gate = gate(
            run.new.kind,
            &planned,
            result.changes,
            run.new.force_apply,
            def.autodeploy,
            self.head.lock.is_some(),
            &self.facts.verdict,
        );
        Ok(Event::Planned { job: (&result.job).into(), planned, gate })
    }

    /// After an apply or a destroy: what dependents may use from now on, and what changed. A plan
    /// that found nothing to change tells the same, which is news after an apply that was lost.
    fn publish_outputs(&mut self, result: &JobResult) {
        let before = self.head.outputs.as_ref().map(|known| &known.outputs.values);
        let outputs = match (result.job.phase, &result.outputs) {
            (Phase::Apply, Some(outputs)) => outputs.clone(),
            (Phase::Plan, Some(outputs)) if before != Some(&outputs.values) => outputs.clone(),
            (Phase::Destroy, _) => Outputs::default(),
            _ => return,
        };
        let changed: BTreeSet<String> = match before {
            None => outputs.values.keys().cloned().collect(),
            Some(before) => {
                let names = before.keys().chain(outputs.values.keys());
                names
                    .filter(|name| before.get(*name) != outputs.values.get(*name))
                    .cloned()
                    .collect()
            }
        };
        let published = StackOutputs {
            stack: self.head.stack.clone(),
            run: result.job.run.clone(),
            outputs,
            resources_key: result.resources_key.clone(),
            head_revision: self.head.revision,
        };
        self.head.outputs = Some(published.clone());
        self.owe(Effect::PutOutputs { outputs: Box::new(published) });
        if let Some(run) = self.head.run_mut(&result.job.run) {
            run.changed_outputs = changed;
        }
    }
}
