//! What the tool of a job does: a table instead of Terraform, and the list of what runs.
use super::{Running, World};
use windlass_core::drift::Drifted;
use windlass_core::id::Digest;
use windlass_core::job::{
    Claim, Delta, JobResult, JobSpec, OutputInfo, Outputs, Phase, PlanRef, Step, Verdict,
};
use windlass_core::keys;
use windlass_core::run::RunType;
use windlass_ports::presence::Evidence;

pub(super) fn began(phase: Phase) -> Step {
    match phase {
        Phase::Plan => Step::Planning,
        Phase::Apply => Step::Applying,
        Phase::Destroy => Step::Destroying,
        Phase::Task => Step::Performing,
    }
}

impl World {
    pub(crate) async fn start_tool(&mut self, worker: &str, spec: &JobSpec, claim: &Claim) {
        self.started.push((spec.id.clone(), worker.to_owned()));
        self.running.push(Running {
            stack: spec.stack.clone(),
            job: spec.id.clone(),
            claim: claim.clone(),
            worker: worker.to_owned(),
            since: windlass_ports::Clock::now(&self.clock),
        });
        if let (Phase::Apply, Some(plan)) = (spec.id.phase, &spec.plan) {
            self.applied.push((spec.stack.clone(), plan.digest.clone()));
        }
    }

    /// The tool's process group is empty, and whoever asks is told so.
    pub(crate) fn end_tool(&mut self, claim: &Claim) {
        self.running.retain(|running| running.claim != *claim);
        self.presence.set_tool(claim, Evidence::Gone { cause: "its group is empty".to_owned() });
    }

    /// What a real worker would put into its result.
    pub(crate) fn execute(&mut self, spec: &JobSpec) -> JobResult {
        let tool = self.tools.get(&spec.stack).cloned().unwrap_or_default();
        let phase = spec.id.phase;
        let fails = if phase == Phase::Plan { &tool.plan_fails } else { &tool.apply_fails };
        let verdict = match fails {
            Some(reason) => Verdict::Failed { step: began(phase), reason: reason.clone() },
            None => Verdict::Ok,
        };
        let digest = Digest::of(format!("{} {}", spec.id, spec.commit).as_bytes());
        let values = tool.outputs.iter().map(|(name, value)| {
            let digest = Digest::of(value.as_bytes());
            (name.clone(), OutputInfo { digest, sensitive: false })
        });
        let outputs =
            Outputs { key: keys::output_values(&spec.stack, &spec.id), values: values.collect() };
        JobResult {
            delta: Some(Delta { add: u32::from(!tool.no_changes), change: 0, delete: 0 }),
            changes: !tool.no_changes,
            plan: (phase == Phase::Plan)
                .then(|| PlanRef { key: keys::plan_archive(&spec.id), digest }),
            outputs: (phase == Phase::Apply).then_some(outputs),
            drifted: (spec.run_type == RunType::Proposed).then(|| Drifted {
                count: u32::try_from(tool.drifted.len()).unwrap_or(u32::MAX),
                addresses: tool.drifted.clone(),
                digest: Digest::of(tool.drifted.join(" ").as_bytes()),
            }),
            tool_ms: 1,
            ..JobResult::blank(&spec.id, &spec.stack, verdict, self.now())
        }
    }
}
