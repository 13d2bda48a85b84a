//! Deliveries of a forge.
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `POST /deliveries`: a recorded delivery, for an admin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRequest {
    /// GitHub's name of the event, as `X-GitHub-Event` has it.
    pub kind: String,
    /// The delivery's id; one that was taken before changes nothing. None: a new one.
    #[serde(default)]
    pub delivery: Option<String>,
    /// The repository's name here. None: the last part of its name on GitHub.
    #[serde(default)]
    pub repository: Option<String>,
    pub payload: Box<RawValue>,
}

/// `GET /deliveries/{id}`, and the answer to having handed one in: what became of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Of the request that handed it in; its audit entry has it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    pub delivery: String,
    pub repository: Option<String>,
    /// GitHub's name of the event.
    pub kind: Option<String>,
    pub received_at: Option<String>,
    pub at: Option<String>,
    /// `routed`, `known`, `ignored` or `refused`; none: nobody has looked at it yet.
    pub became: Option<String>,
    /// The branch that moved, or went.
    pub branch: Option<String>,
    /// Where it is now; none: it is gone.
    pub commit: Option<String>,
    /// Why nothing came of it.
    pub why: Option<String>,
}
