//! What a plan would change, as people and policies may see it: nothing sensitive is in it.
//!
//! The worker derives it from `terraform show -json` **before anything is stored**; values that
//! the tool marks as sensitive are replaced by [`SENSITIVE`], so the console can say that one
//! differs without ever having it.
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stands where a sensitive value was.
pub const SENSITIVE: &str = "(sensitive value)";
/// Stands where a value is known only after apply.
pub const UNKNOWN: &str = "(known after apply)";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    pub resources: Vec<ResourceChange>,
    pub outputs: Vec<OutputChange>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceChange {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub provider: String,
    pub action: Action,
    /// Why, in the tool's word: `replace_because_cannot_update`, …
    pub reason: Option<String>,
    /// Where it was before a move, if it moved.
    pub previous_address: Option<String>,
    pub attributes: Vec<AttributeChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Read,
    Update,
    /// Deleted first, then created.
    Replace,
    /// Created first, then the old one deleted.
    ReplaceCreateFirst,
    Delete,
    /// Dropped from the state, left in the world.
    Forget,
    NoOp,
}

/// One attribute that differs, by its path: `tags.Name`, `rule[0].port`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeChange {
    pub path: String,
    /// Absent when there was none.
    pub before: Option<Value>,
    /// Absent when there will be none; [`UNKNOWN`] when only the apply will tell.
    pub after: Option<Value>,
    pub sensitive: bool,
    pub known_after_apply: bool,
    pub forces_replacement: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputChange {
    pub name: String,
    pub action: Action,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub sensitive: bool,
}

/// One resource in a stack's state, after its last apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub provider: String,
    pub module: Option<String>,
}
