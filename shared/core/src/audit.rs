//! One line per state-changing request: who did what to what, and what became of it.
use crate::id::{EventId, RunId, StackId};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The request's id.
    pub id: EventId,
    pub at: UnixMs,
    /// A login, or `windlass` when the rules themselves acted.
    pub actor: String,
    /// `confirm`, `lock`, `release_state_lock`, …
    pub action: String,
    pub stack: Option<StackId>,
    pub run: Option<RunId>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// A refusal's or an action's sentence.
    pub note: Option<String>,
}
