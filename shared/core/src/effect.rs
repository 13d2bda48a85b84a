//! What a decision wants done: data, listed in the head until it is known to be done.
//!
//! Every effect is a no-op at its receiver the second time, because it is named by ids that derive
//! from the event that caused it (rules A1–A4). Effects go out in stages: facts that others read
//! ([`Stage::Facts`]) before messages that make them look (rule D1).
use crate::audit::AuditEntry;
use crate::event::{RepoEnvelope, StackEnvelope};
use crate::id::{EffectId, PoolId, RunId};
use crate::job::{Claim, Class, Control, JobId, JobSpec};
use crate::rollout::Rollout;
use crate::run::Run;
use crate::stack::StackOutputs;
use crate::status::Status;
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

/// One entry of an outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: EffectId,
    /// When it was first owed: a minute later the tick comes back for it.
    pub at: UnixMs,
    pub effect: Effect,
    /// How often it was refused for good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Effect {
    /// `outputs/<stack>.json`, upward.
    PutOutputs {
        outputs: Box<StackOutputs>,
    },
    /// `runs/<id>.json`, upward, and its line under `stack-runs/`.
    PutRun {
        run: Box<Run>,
    },
    /// `summaries/<stack>.json`, upward, made from the head as it is when this is delivered.
    PutSummary,
    /// The rollout document, created once; then one `Queue` event per run, from what is stored.
    PutRollout {
        rollout: Box<Rollout>,
        /// So many of its runs, from the first on, are known to be sent.
        #[serde(default)]
        sent: usize,
    },
    /// The spec, created once; then a pointer on the pool's queue.
    SendJob {
        spec: Box<JobSpec>,
    },
    /// A pointer again: it may have been lost.
    SendPointer {
        job: JobId,
        pool: PoolId,
        class: Class,
    },
    /// Create the claim as a tombstone; tell this stack whether it won (rule B6).
    Withdraw {
        job: JobId,
    },
    /// Leave a word for the worker that holds the job.
    Control {
        job: JobId,
        control: Control,
    },
    /// Void the holder's record, create the result `lost`, report it (rules B2, B4).
    DeclareLost {
        job: JobId,
        claim: Claim,
        cause: String,
    },
    ToStack {
        event: Box<StackEnvelope>,
    },
    ToRepo {
        event: Box<RepoEnvelope>,
    },
    /// A ticket for a place in the pool's drift budget.
    AskPlace {
        pool: PoolId,
        minute: u64,
    },
    /// The place that this ticket got is free again.
    LeavePlace {
        pool: PoolId,
        place: u32,
        minute: u64,
    },
    Audit {
        entry: Box<AuditEntry>,
    },
    /// Delete what only the run needed: the plan archives of these attempts.
    CleanUp {
        run: RunId,
        /// None named: all that lie there.
        #[serde(default)]
        plans: Vec<JobId>,
    },
    /// Tell how a run stands at its commit. A newer one for the same commit takes its place.
    SetStatus {
        status: Box<Status>,
    },
}

/// Effects of an earlier stage are delivered before those of a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What others may read.
    Facts,
    /// Messages and everything else.
    Rest,
    /// What people are told elsewhere: comes after all else, holds up and fails nothing (rule A4).
    Forge,
}

impl Effect {
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Effect::PutOutputs { .. } | Effect::PutRun { .. } | Effect::PutSummary => Stage::Facts,
            Effect::SetStatus { .. } => Stage::Forge,
            _ => Stage::Rest,
        }
    }
    /// True for a message that must not overtake facts that failed to be stored.
    #[must_use]
    pub fn waits_for_facts(&self) -> bool {
        matches!(self, Effect::ToStack { .. } | Effect::ToRepo { .. })
    }
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Effect::PutOutputs { .. } => "put_outputs",
            Effect::PutRun { .. } => "put_run",
            Effect::PutSummary => "put_summary",
            Effect::PutRollout { .. } => "put_rollout",
            Effect::SendJob { .. } => "send_job",
            Effect::SendPointer { .. } => "send_pointer",
            Effect::Withdraw { .. } => "withdraw",
            Effect::Control { .. } => "control",
            Effect::DeclareLost { .. } => "declare_lost",
            Effect::ToStack { .. } => "to_stack",
            Effect::ToRepo { .. } => "to_repo",
            Effect::AskPlace { .. } => "ask_place",
            Effect::LeavePlace { .. } => "leave_place",
            Effect::Audit { .. } => "audit",
            Effect::CleanUp { .. } => "clean_up",
            Effect::SetStatus { .. } => "set_status",
        }
    }
}
