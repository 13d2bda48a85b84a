//! What can be asked, and the answer to having asked.
use serde::{Deserialize, Serialize};
use windlass_core::run::RunType;

/// The answer to a command that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The request's id; its audit entry has it too.
    pub event: String,
    /// The run that it made or moved.
    pub run: Option<String>,
    /// False when nothing was left to do; `note` says why.
    pub changed: bool,
    pub note: Option<String>,
}

/// `POST /stacks/{slug}/trigger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerRequest {
    /// TRACKED (the default), PROPOSED or DESTROY.
    #[serde(rename = "type")]
    pub kind: Option<RunType>,
    /// A commit id, a branch or a tag; an older commit is a rollback. None: the tracked one.
    pub commit: Option<String>,
    /// An empty plan still goes through apply.
    pub force_apply: bool,
    /// A PROPOSED run that looks for drift: what was last applied, planned anew.
    pub drift: bool,
}

/// `POST /stacks/{slug}/task`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    pub command: String,
}

/// `POST /stacks/{slug}/lock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockRequest {
    pub note: Option<String>,
    /// It expires after this; none: never.
    pub for_ms: Option<u64>,
}

/// `POST /stacks/{slug}/unlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnlockRequest {
    /// Somebody else's lock too.
    pub force: bool,
}

/// `POST /runs/{id}/confirm`: what the person looked at; if either moved it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    pub plan_digest: String,
    pub version: u32,
}

/// `POST /runs/{id}/approve` and `/retry` take nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {}

/// `POST /runs/{id}/discard`, `/cancel` and `/stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoteRequest {
    pub note: Option<String>,
}

/// `POST /runs/{id}/replan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplanRequest {
    /// Resource addresses; at least one.
    pub targets: Vec<String>,
}

/// `POST /runs/{id}/prioritize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrioritizeRequest {
    pub on: bool,
}

/// `PUT /secrets/{name}`. Prints as stars; never echoed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest {
    pub value: String,
}

impl std::fmt::Debug for SecretRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretRequest { value: *** }")
    }
}
