//! What actors are told: one enum per kind of actor, in an envelope that names the event.
use crate::definition::StackDef;
use crate::effect::Effect;
use crate::id::{Digest, EventId, InstanceId, PoolId, RepoName, RunId, Sha, StackId};
use crate::job::{JobId, Report};
use crate::rollout::Outcome;
use crate::run::{NewRun, RunType};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

/// After this many hops from one message to the next a chain is cut: nothing we do is that long,
/// so it is a loop. (A rollout's chain grows by two hops per level of dependents.)
pub const HOPS_MAX: u32 = 512;

/// A message on the intents queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Intent {
    Stack(StackEnvelope),
    Repo(RepoEnvelope),
    Delivery(DeliveryPointer),
}

impl Intent {
    #[must_use]
    pub fn id(&self) -> &EventId {
        match self {
            Intent::Stack(envelope) => &envelope.id,
            Intent::Repo(envelope) => &envelope.id,
            Intent::Delivery(pointer) => &pointer.id,
        }
    }
    /// The FIFO group that it belongs to.
    #[must_use]
    pub fn group(&self) -> String {
        match self {
            Intent::Stack(envelope) => crate::keys::stack_group(&envelope.stack),
            Intent::Repo(envelope) => crate::keys::repo_group(&envelope.repo),
            Intent::Delivery(pointer) => crate::keys::repo_group(&pointer.repo),
        }
    }
}

/// Something that a forge sent lies here; its body is too large for a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPointer {
    /// The forge's own id of the delivery.
    pub id: EventId,
    pub repo: RepoName,
    pub body_key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackEnvelope {
    pub id: EventId,
    pub stack: StackId,
    /// When it happened, by the clock of whoever saw it; orders nothing.
    pub at: UnixMs,
    #[serde(default)]
    pub hops: u32,
    pub event: StackEvent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StackEvent {
    /// The definitions say this now. An older revision of the catalog is stale.
    Define {
        def: Box<StackDef>,
        commit: Sha,
        revision: u64,
    },
    /// The definitions no longer name it.
    Undefine {
        revision: u64,
        destroy: bool,
    },
    Queue {
        run: Box<NewRun>,
    },
    /// A run that one of ours waits for (both by origin) has ended, or will never be made.
    ParentEnded {
        child: RunId,
        parent: RunId,
        try_no: u32,
        outcome: Outcome,
    },
    Report {
        report: Report,
    },
    /// What became of a tombstone.
    Withdrawal {
        job: JobId,
        taken_by: Option<InstanceId>,
    },
    Command {
        actor: String,
        command: Command,
    },
    /// The pool's drift budget has a place for the look that fell due in this minute.
    DriftTurn {
        pool: PoolId,
        place: u32,
        minute: u64,
    },
    /// Say at its commit, once more, how this run stands: what was to be said was set aside.
    Retell {
        run: RunId,
    },
    /// Owe this once more: it could not be delivered, was set aside, and somebody retries it.
    Owe {
        effect: Box<Effect>,
    },
    /// A moment that this stack asked to be woken for has come, or somebody thinks it should look.
    Due,
}

/// What a person or client may ask of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Command {
    /// The digest and version that the person looked at; if either moved it is refused.
    Confirm {
        run: RunId,
        digest: Digest,
        version: u32,
    },
    Approve {
        run: RunId,
    },
    Discard {
        run: RunId,
        note: Option<String>,
    },
    Cancel {
        run: RunId,
        note: Option<String>,
    },
    Stop {
        run: RunId,
        note: Option<String>,
    },
    Retry {
        run: RunId,
    },
    Replan {
        run: RunId,
        targets: Vec<String>,
    },
    Prioritize {
        run: RunId,
        on: bool,
    },
    /// `until` none: it never expires.
    Lock {
        note: Option<String>,
        until: Option<UnixMs>,
    },
    /// `force`: somebody else's lock too.
    Unlock {
        force: bool,
    },
}

impl Command {
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Command::Confirm { .. } => "confirm",
            Command::Approve { .. } => "approve",
            Command::Discard { .. } => "discard",
            Command::Cancel { .. } => "cancel",
            Command::Stop { .. } => "stop",
            Command::Retry { .. } => "retry",
            Command::Replan { .. } => "replan",
            Command::Prioritize { .. } => "prioritize",
            Command::Lock { .. } => "lock",
            Command::Unlock { .. } => "unlock",
        }
    }
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Command::Confirm { run, .. }
            | Command::Approve { run }
            | Command::Discard { run, .. }
            | Command::Cancel { run, .. }
            | Command::Stop { run, .. }
            | Command::Retry { run }
            | Command::Replan { run, .. }
            | Command::Prioritize { run, .. } => Some(run),
            Command::Lock { .. } | Command::Unlock { .. } => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoEnvelope {
    pub id: EventId,
    pub repo: RepoName,
    pub at: UnixMs,
    #[serde(default)]
    pub hops: u32,
    pub event: RepoEvent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RepoEvent {
    Push {
        push: Box<Push>,
    },
    BranchDeleted {
        branch: String,
    },
    /// The administrative run of this push has ended, or waits for a person.
    DefinitionsSettled {
        run: RunId,
    },
    /// Somebody asks for a run of a stack and all that depends on it.
    Trigger {
        trigger: Box<Trigger>,
    },
    /// As a stack's.
    Owe {
        effect: Box<Effect>,
    },
    Due,
}

/// A branch moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    pub branch: String,
    pub head: Sha,
    /// None: the branch is new.
    pub before: Option<Sha>,
    pub author: String,
    pub subject: String,
    pub files: Files,
    /// Whether this commit's definition files differ from those that were last applied; only
    /// looked at on the branch that the definitions live on.
    pub touches_definitions: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Files {
    Known(Vec<String>),
    Everything,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    pub stack: StackId,
    /// Tracked or destroy; proposed runs and tasks go straight to the stack.
    pub kind: RunType,
    /// None: the tracked branch's head. Some: pinned, a rollback if it is older.
    pub commit: Option<crate::run::Commit>,
    pub actor: String,
    #[serde(default)]
    pub force_apply: bool,
    /// Drift was found, and the stack reconciles it.
    #[serde(default)]
    pub drift: bool,
}
