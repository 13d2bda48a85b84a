//! Workers, the audit trail, secrets' names, what was set aside, and the server itself.
use serde::{Deserialize, Serialize};

/// `GET /workers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerList {
    pub workers: Vec<WorkerView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    pub id: String,
    pub pool: String,
    /// `idle`, `busy`, `draining` (busy and marked), `drained` or `silent`.
    pub state: String,
    pub epoch: u64,
    pub slots: Vec<SlotView>,
    pub draining_by: Option<String>,
    pub draining_since: Option<String>,
    pub registered_at: String,
    /// Since it last renewed its record, by the store's clock.
    pub seen_ms_ago: u64,
    pub version: String,
    pub pid: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// `idle`, `busy` or `void`.
    pub state: String,
    pub job: Option<String>,
    pub run: Option<String>,
}

/// `GET /audit?limit&after`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditList {
    pub entries: Vec<AuditView>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    pub id: String,
    pub at: String,
    pub actor: String,
    pub action: String,
    pub stack: Option<String>,
    pub run: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// A refusal's or an action's sentence.
    pub note: Option<String>,
}

/// `GET /secrets`: names, never values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretList {
    pub secrets: Vec<String>,
}

/// `GET /quarantine`: messages that can't be handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineList {
    pub messages: Vec<QuarantineView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineView {
    pub id: String,
    pub queue: String,
    pub at: String,
    pub reason: String,
}

/// `POST /login-links`: opens the console once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginLink {
    /// Without scheme and host.
    pub path: String,
    pub expires_at: String,
}

impl std::fmt::Debug for LoginLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoginLink {{ path: ***, expires_at: {:?} }}", self.expires_at)
    }
}

/// `GET /health`: the only document that needs no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`.
    pub status: String,
    pub version: String,
    pub now: String,
}
