//! What a decision needs to know beyond the head: named by [`wants`], loaded by the shell.
use super::head::{Defined, StackHead, StackOutputs};
use crate::event::{Command, StackEnvelope, StackEvent};
use crate::id::{EventId, RunId, StackId};
use crate::instance::Instance;
use crate::job::{Claim, JobId, JobResult, News};
use crate::run::Run;
use crate::time::UnixMs;
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// Documents to load before deciding. Absent ones are simply absent from [`Facts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Run documents, each followed along `superseded_by` to its newest try.
    pub runs: BTreeSet<RunId>,
    pub results: BTreeSet<JobId>,
    /// Claim, the claimer's record with its age, and evidence of presence.
    pub attempts: BTreeSet<JobId>,
    pub outputs: BTreeSet<StackId>,
    /// The audit entry that this command would have left: the ring may have forgotten it (A1).
    pub audit: Option<(UnixMs, EventId)>,
}

#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub runs: BTreeMap<RunId, Run>,
    pub results: BTreeMap<JobId, JobResult>,
    pub attempts: BTreeMap<JobId, Attempted>,
    pub outputs: BTreeMap<StackId, StackOutputs>,
    /// The command's audit entry is stored: it was decided before.
    pub audited: bool,
    /// Somebody hears how runs stand at their commits.
    pub heard: bool,
    /// What policies say to this event; none until policies come.
    pub verdict: Verdict,
}

/// What is known of one attempt.
#[expect(clippy::large_enum_variant, reason = "a handful exist at a time, each looked at once")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    Unclaimed,
    Claimed {
        claim: Claim,
        /// How long ago it was made, by the store's own clock (rule E2).
        claim_age_ms: u64,
        record: Option<Record>,
        /// The worker is provably gone, and why.
        worker_gone: Option<String>,
        /// The tool's process group, or its whole machine, is provably gone.
        tool_gone: bool,
    },
}

/// A worker's record and how old it is by the store's own clock (rule E2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub instance: Instance,
    pub age_ms: u64,
}

impl Facts {
    /// The newest try of this line of runs, as stored.
    #[must_use]
    pub fn newest(&self, origin: &RunId) -> Option<&Run> {
        let mut run = self.runs.get(origin)?;
        while let Some(next) = run.superseded_by.as_ref().and_then(|id| self.runs.get(id)) {
            run = next;
        }
        Some(run)
    }
}

/// What to load for this event. Asking for more than is used costs a read; less, correctness.
#[must_use]
pub fn wants(head: &StackHead, envelope: &StackEnvelope) -> Wants {
    let mut wants = Wants::default();
    let mut may_release = !head.queue.is_empty();
    match &envelope.event {
        StackEvent::Queue { run } => {
            wants.runs.insert(run.id.clone());
            wants.runs.extend(run.waits.keys().cloned());
            may_release = true;
        }
        StackEvent::ParentEnded { child, .. } => {
            wants.runs.insert(child.clone());
            may_release = true;
        }
        StackEvent::Report { report } if report.news == News::Ended => {
            wants.results.insert(report.job.clone());
        }
        StackEvent::Report { report } if report.news == News::Gone => {
            wants.results.insert(report.job.clone());
            wants.attempts.insert(report.job.clone());
        }
        StackEvent::Command { command, .. } => {
            wants.runs.extend(command.run().cloned());
            wants.audit = Some((envelope.at, envelope.id.clone()));
            may_release |= matches!(command, Command::Retry { .. });
        }
        StackEvent::Retell { run } => {
            wants.runs.insert(run.clone());
        }
        StackEvent::Due => sweep_wants(head, &mut wants),
        StackEvent::Define { .. } | StackEvent::Undefine { .. } => may_release = true,
        // Its run leaves the queue at once, and may use outputs of others.
        StackEvent::DriftTurn { .. } => may_release = true,
        StackEvent::Report { .. } | StackEvent::Withdrawal { .. } | StackEvent::Owe { .. } => {}
    }
    // A newer try may be known by a document that is still owed.
    let owed = wants.runs.iter().filter_map(|id| head.owed_run(id)?.superseded_by.clone());
    wants.runs.extend(owed.collect::<Vec<_>>());
    if may_release {
        let def = match &envelope.event {
            StackEvent::Define { def, .. } => Some(&**def),
            _ => head.defined.def(),
        };
        for edge in def.into_iter().flat_map(|def| &def.depends_on) {
            if !edge.references.is_empty() {
                wants.outputs.insert(edge.stack.clone());
            }
        }
    }
    wants
}

fn sweep_wants(head: &StackHead, wants: &mut Wants) {
    for run in head.open() {
        if let Some(job) = run.job() {
            wants.results.insert(job.clone());
            wants.attempts.insert(job);
        }
        for (parent, wait) in &run.new.waits {
            if wait.heard.is_none() {
                wants.runs.insert(parent.clone());
            }
        }
    }
}

impl Defined {
    /// True once every further run is turned away.
    #[must_use]
    pub(crate) fn takes_no_more(&self) -> bool {
        matches!(self, Defined::Gone { .. } | Defined::Leaving { destroy: false, .. })
    }
    /// True once runs may start.
    #[must_use]
    pub fn ready(&self) -> bool {
        matches!(self, Defined::Yes { .. } | Defined::Leaving { .. })
    }
}
