//! A job: one phase of one run, executed at most once per attempt.
//!
//! `jobs/<id>/spec` says what to do, `claim` who does it (created once, or as a tombstone by a
//! cancel), `control` what a person asked of it meanwhile, `result` how it ended: the attempt's
//! only verdict, created once by whoever knows it (rules B1–B8 of the protocol).
use crate::definition::{EnvVar, FileMount, Hooks, Timeouts, Tool};
use crate::id::{Digest, InstanceId, PoolId, RepoName, RunId, Sha, StackId};
use crate::run::RunType;
use crate::time::{SECOND_MS, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a job does. Up to the end of planning nothing outside changes, so it may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// init, plan, show.
    Plan,
    /// init, apply of exactly the stored plan, output.
    Apply,
    /// init, plan -destroy, apply of exactly that.
    Destroy,
    /// init, then one shell command.
    Task,
}

impl Phase {
    /// True when a lost attempt may simply be made again.
    #[must_use]
    pub fn repeatable(self) -> bool {
        self == Phase::Plan
    }
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Plan => "plan",
            Phase::Apply => "apply",
            Phase::Destroy => "destroy",
            Phase::Task => "task",
        }
    }
}

/// Counts the tries of one phase of one run, from 1. A message with an older one is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    pub const FIRST: Attempt = Attempt(1);
    #[must_use]
    pub fn next(self) -> Attempt {
        Attempt(self.0 + 1)
    }
}

/// A plan whose worker was lost is made again at most twice: three attempts in all.
pub const PLAN_ATTEMPTS_MAX: u32 = 3;

/// Names one job; its documents live under `jobs/<run>-<phase>-<attempt>/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    pub run: RunId,
    pub phase: Phase,
    /// Rises with each targeted replan, from 0, so that a replan never meets an old plan's files.
    #[serde(default)]
    pub round: u32,
    pub attempt: Attempt,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.phase.as_str())?;
        if self.round > 0 {
            write!(f, "{}", self.round)?;
        }
        write!(f, "-{}", self.attempt.0)
    }
}

/// Which queue of its pool a job waits in. The order of a class is age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person asked for it to overtake.
    Prioritized,
    /// Tracked, destroy and task runs.
    Blocking,
    Proposed,
    Drift,
}

/// Everything a worker needs, and nothing secret. Written once, before the pointer is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    pub id: JobId,
    pub stack: StackId,
    pub run_type: RunType,
    pub pool: PoolId,
    pub class: Class,
    pub repository: RepoName,
    pub commit: Sha,
    pub branch: String,
    /// The stack's tracked branch (the run's own may be another).
    pub stack_branch: String,
    pub space: String,
    pub labels: Vec<String>,
    pub triggered_by: String,
    pub project_root: String,
    pub tool: Tool,
    pub version: Option<String>,
    pub workspace: String,
    pub manage_state: bool,
    /// False for proposed and drift runs: they plan with `-lock=false`.
    pub lock: bool,
    pub env: Vec<EnvVar>,
    pub files: Vec<FileMount>,
    pub hooks: Hooks,
    pub timeouts: Timeouts,
    /// Parents' outputs, frozen by the immutable key that holds them.
    pub inputs: Vec<Input>,
    /// Resource addresses of a targeted replan.
    pub targets: Vec<String>,
    /// The shell command of a task.
    pub command: Option<String>,
    /// For an apply: the plan that was shown, by key and digest.
    pub plan: Option<PlanRef>,
    pub created_at: UnixMs,
}

/// One value from a parent: `env[name] = outputs(key)[output]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub from: StackId,
    pub output: String,
    /// The blob that holds the parent's outputs as they were when this job was made.
    pub outputs_key: String,
}

/// The hand-over archive of one plan: what a person saw and what an apply must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Blob key of the archive; contains the attempt (rule B7).
    pub key: String,
    /// Digest of the plan file inside it.
    pub digest: Digest,
}

/// Resources that a plan or an apply adds, changes, deletes. A replacement counts in both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    pub add: u32,
    pub change: u32,
    pub delete: u32,
}

impl Delta {
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Delta::default()
    }
}

impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} ~{} -{}", self.add, self.change, self.delete)
    }
}

/// `jobs/<id>/claim`: who may start this attempt. Created once; never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Claim {
    Held {
        pool: PoolId,
        worker: InstanceId,
        /// The epoch of the worker's record; another one means the claim is void.
        epoch: u64,
        /// The process group that will run the tool, if it runs on this machine.
        group: Option<ProcessGroup>,
        at: UnixMs,
    },
    /// A cancel got here first: nobody may start it.
    Tombstone { at: UnixMs },
}

/// A process group by its leader, recognisable after the number is used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessGroup {
    pub pid: u32,
    /// The leader's start time as the system tells it; opaque, compared for equality.
    pub started: String,
    /// Which boot of which machine; opaque.
    pub boot: String,
}

/// `jobs/<id>/control`: what a person asked of a claimed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Interrupt, and kill after the grace. Obeyed up to the end of planning only.
    Stop,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    Failed {
        /// Which step failed.
        step: Step,
        /// One sentence, then what the tool said (at most a few kilobytes).
        reason: String,
    },
    /// A stop was obeyed.
    Interrupted,
    /// The worker is gone; written by whoever declares it (rule B4).
    Lost {
        cause: String,
    },
    /// The claim was created as a tombstone.
    Cancelled,
}

/// `jobs/<id>/result`: the attempt's only verdict, created once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    pub job: JobId,
    pub stack: StackId,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub worker: Option<InstanceId>,
    /// After a plan that ended well (for a destroy: what it destroyed).
    pub delta: Option<Delta>,
    /// The plan changes something: a resource **or an output**.
    pub changes: bool,
    pub plan: Option<PlanRef>,
    /// Blob key of the stripped plan, `core::changes` shape.
    pub changes_key: Option<String>,
    /// After an apply: the outputs by name, and the blob that holds their values.
    pub outputs: Option<Outputs>,
    /// Blob key of the list of resources in the state after an apply.
    pub resources_key: Option<String>,
    /// After a preview: what it would change, by address. A drift run's is what has drifted.
    #[serde(default)]
    pub drifted: Option<crate::drift::Drifted>,
    /// What a plan policy or the administrative stack's own rule objects to mildly.
    pub warnings: Vec<String>,
    pub started_at: UnixMs,
    pub ended_at: UnixMs,
    /// Wall time spent in the tool's processes.
    pub tool_ms: u64,
    /// `Terraform v1.11.4`, as the tool names itself.
    pub tool_version: Option<String>,
    /// Steps that its worker began, in order. One that was soon passed was not reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub began: Vec<Began>,
}

/// When a step began, by its worker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    pub step: Step,
    pub at: UnixMs,
}

impl JobResult {
    /// A verdict on this attempt, by nobody, with nothing to show for it.
    #[must_use]
    pub fn blank(job: &JobId, stack: &StackId, verdict: Verdict, at: UnixMs) -> Self {
        Self {
            job: job.clone(),
            stack: stack.clone(),
            verdict,
            worker: None,
            delta: None,
            changes: false,
            plan: None,
            changes_key: None,
            outputs: None,
            resources_key: None,
            drifted: None,
            warnings: Vec::new(),
            started_at: at,
            ended_at: at,
            tool_ms: 0,
            tool_version: None,
            began: Vec::new(),
        }
    }
}

/// Outputs as a stack publishes them. Values lie in the blob; sensitive ones are never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    pub key: String,
    pub values: BTreeMap<String, OutputInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// Of the value's JSON; tells a change without the value.
    pub digest: Digest,
    pub sensitive: bool,
}

/// `jobs/<id>/gone`: proof that neither the process that claimed this job nor any of its group's
/// exists any more. Written once, by the next agent on the same machine, which can see that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// One sentence for a person.
    pub cause: String,
    pub by: InstanceId,
    pub at: UnixMs,
}

/// `jobs/<id>/lock`: the locks that this job's tool was seen to hold on a state that Windlass
/// keeps, by the ids that the tool gave them. Only such a lock is ever removed for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenLocks {
    pub ids: Vec<String>,
}

/// Where a worker is in its job; the run's state follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Preparing,
    Initializing,
    Planning,
    Applying,
    Destroying,
    Performing,
}

impl Step {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Preparing => "preparing",
            Step::Initializing => "initializing",
            Step::Planning => "planning",
            Step::Applying => "applying",
            Step::Destroying => "destroying",
            Step::Performing => "performing",
        }
    }
}

/// What a worker tells the stack's actor, through the reports queue, in the stack's own group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub job: JobId,
    pub stack: StackId,
    pub worker: InstanceId,
    pub at: UnixMs,
    pub news: News,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// This step began.
    Began(Step),
    /// `jobs/<id>/result` exists; the actor reads it.
    Ended,
    /// `jobs/<id>/gone` exists: the actor looks at the attempt at once.
    Gone,
}

impl News {
    /// As it stands in the id of the event that it becomes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            News::Began(step) => step.as_str(),
            News::Ended => "ended",
            News::Gone => "gone",
        }
    }
}

/// A pointer on a pool's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub job: JobId,
    pub stack: StackId,
}

/// Busy workers renew their record this often …
pub const RENEW_BUSY_MS: u64 = 30 * SECOND_MS;
/// … and a record older than this, by the store's own clock, has lapsed: four missed renewals.
pub const LEASE_MS: u64 = 120 * SECOND_MS;
/// Idle workers renew this often …
pub const RENEW_IDLE_MS: u64 = 300 * SECOND_MS;
/// … and have lapsed after this.
pub const LEASE_IDLE_MS: u64 = 720 * SECOND_MS;
/// A worker looks at `control` this often, so that a stop is obeyed within ten seconds.
pub const CONTROL_POLL_MS: u64 = 2 * SECOND_MS;
/// A READY job that nobody claimed gets its pointer again after this.
pub const UNCLAIMED_MS: u64 = 60 * SECOND_MS;
/// The longest that a repeated pointer waits for its next repetition.
pub const UNCLAIMED_MAX_MS: u64 = 15 * 60 * SECOND_MS;
