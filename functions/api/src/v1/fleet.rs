//! Workers, the audit trail, secrets' names, what was set aside, and the server itself.
use serde::{Deserialize, Serialize};
use windlass_core::access::Role;

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

/// `GET /quarantine?limit&after`: messages that can't be handled, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineList {
    pub messages: Vec<QuarantineView>,
    pub next: Option<String>,
}

/// `GET /quarantine/{id}`: one of them, with what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineDetail {
    #[serde(flatten)]
    pub message: QuarantineView,
    /// Whose turn it was: `stack:<slug>`, `repo:<name>`.
    pub group: Option<String>,
    /// Its beginning, if it is long.
    pub body: String,
    pub bytes: u64,
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

/// `POST /tokens`: what a key's holder has. Prints as stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenRequest {{ id: {:?}, secret: *** }}", self.id)
    }
}

/// The answer: a bearer token for an hour, and what it may do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    pub token: String,
    pub expires_at: String,
    /// As the audit trail names its bearer.
    pub actor: String,
    pub role: Role,
    pub space: String,
}

impl std::fmt::Debug for TokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { actor, expires_at, .. } = self;
        write!(f, "TokenView {{ token: ***, actor: {actor:?}, expires_at: {expires_at:?} }}")
    }
}

/// `POST /keys`: a key for programs, or for somebody who is not on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    pub name: String,
    pub role: Role,
    /// None: the root space, which is all of them.
    #[serde(default)]
    pub space: Option<String>,
}

/// The new key, with the secret that is told this once. Prints as stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyView {
    #[serde(flatten)]
    pub key: KeyView,
    pub secret: String,
}

impl std::fmt::Debug for NewKeyView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKeyView {{ key: {:?}, secret: *** }}", self.key)
    }
}

/// `GET /keys`: those of the spaces that the caller administers, revoked ones too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    pub keys: Vec<KeyView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub space: String,
    pub created_by: String,
    pub created_at: String,
    /// To within an hour.
    pub last_used: Option<String>,
    pub revoked_by: Option<String>,
    pub revoked_at: Option<String>,
}

/// `GET /health`: the only document that needs no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`.
    pub status: String,
    pub version: String,
    pub now: String,
}
