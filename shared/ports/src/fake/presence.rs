//! Presence as a test says it is.
use super::lock;
use crate::fault::Fault;
use crate::presence::{Evidence, Presence};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;
use windlass_core::id::InstanceId;
use windlass_core::job::{Claim, JobId};

/// [`Presence`] that answers what it was told; whoever was not mentioned is present.
#[derive(Default)]
pub struct FakePresence(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    workers: BTreeMap<InstanceId, Evidence>,
    tools_of: BTreeMap<InstanceId, Evidence>,
    tools: Vec<(Claim, Evidence)>,
    ended: Vec<Claim>,
    immortal: bool,
}

fn gone(cause: &str) -> Evidence {
    Evidence::Gone { cause: cause.to_owned() }
}

impl FakePresence {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// An independent copy.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(lock(&self.0).clone()))
    }
    pub fn set_worker(&self, worker: &InstanceId, evidence: Evidence) {
        lock(&self.0).workers.insert(worker.clone(), evidence);
    }
    pub fn worker_gone(&self, worker: &InstanceId, cause: &str) {
        self.set_worker(worker, gone(cause));
    }
    /// Of this very claim; goes before what [`Self::set_tools_of`] said of its worker.
    pub fn set_tool(&self, claim: &Claim, evidence: Evidence) {
        let mut state = lock(&self.0);
        state.tools.retain(|(known, _)| known != claim);
        state.tools.push((claim.clone(), evidence));
    }
    pub fn tool_gone(&self, claim: &Claim, cause: &str) {
        self.set_tool(claim, gone(cause));
    }
    /// Of every claim that this worker holds.
    pub fn set_tools_of(&self, worker: &InstanceId, evidence: Evidence) {
        lock(&self.0).tools_of.insert(worker.clone(), evidence);
    }
    /// The worker and every tool of it.
    pub fn all_gone(&self, worker: &InstanceId, cause: &str) {
        self.worker_gone(worker, cause);
        self.set_tools_of(worker, gone(cause));
    }
    /// From now on `end_tool` ends nothing.
    pub fn set_immortal(&self, immortal: bool) {
        lock(&self.0).immortal = immortal;
    }
    /// The claims that `end_tool` was called for.
    #[must_use]
    pub fn ended(&self) -> Vec<Claim> {
        lock(&self.0).ended.clone()
    }
}

#[async_trait]
impl Presence for FakePresence {
    async fn worker(&self, _: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        let Claim::Held { worker, .. } = claim else { return Ok(Evidence::Present) };
        Ok(lock(&self.0).workers.get(worker).cloned().unwrap_or(Evidence::Present))
    }

    async fn tool(&self, _: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        let state = lock(&self.0);
        if let Some((_, evidence)) = state.tools.iter().find(|(known, _)| known == claim) {
            return Ok(evidence.clone());
        }
        Ok(match claim {
            Claim::Tombstone { .. } => gone("the claim is a tombstone: no tool was started"),
            Claim::Held { worker, .. } => {
                state.tools_of.get(worker).cloned().unwrap_or(Evidence::Present)
            }
        })
    }

    async fn end_tool(&self, _: &JobId, claim: &Claim) -> Result<(), Fault> {
        let mut state = lock(&self.0);
        state.ended.push(claim.clone());
        if !state.immortal {
            state.tools.retain(|(known, _)| known != claim);
            state.tools.push((claim.clone(), gone("the process group was ended")));
        }
        Ok(())
    }
}
