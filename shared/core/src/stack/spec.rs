//! The job of a run: everything a worker needs, and nothing secret.
use crate::definition::StackDef;
use crate::job::{JobId, JobSpec};
use crate::run::{Run, RunType, State};
use crate::time::UnixMs;

pub(super) fn build(def: &StackDef, run: &Run, job: &JobId, now: UnixMs) -> JobSpec {
    let targets = match &run.state {
        State::ReplanRequested { targets, .. } => targets.clone(),
        _ => Vec::new(),
    };
    let plan = match &run.state {
        State::Confirmed { planned, .. } => Some(planned.plan.clone()),
        _ => None,
    };
    JobSpec {
        id: job.clone(),
        stack: run.stack.clone(),
        run_type: run.new.kind,
        pool: def.worker_pool.clone(),
        class: run.class(),
        repository: run.new.repository.clone(),
        commit: run.new.commit.sha.clone(),
        branch: run.new.branch.clone(),
        stack_branch: def.branch.clone(),
        space: def.space.0.clone(),
        labels: def.labels.iter().cloned().collect(),
        triggered_by: run.new.triggered_by.clone().unwrap_or_default(),
        project_root: def.project_root.clone(),
        tool: def.tool,
        version: def.version.clone(),
        workspace: def.workspace.clone(),
        manage_state: def.manage_state,
        lock: run.new.kind != RunType::Proposed,
        env: def.env.clone(),
        files: def.files.clone(),
        hooks: def.hooks.clone(),
        timeouts: def.timeouts,
        inputs: run.inputs.clone(),
        targets,
        command: run.new.command.clone(),
        plan,
        created_at: now,
    }
}
