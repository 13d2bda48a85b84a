//! What a plan would change, resource by resource; sensitive values never were in it.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::changes::Action;
use windlass_core::job::Delta;

/// `GET /runs/{id}/changes?after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangesView {
    pub run: String,
    pub delta: Option<Delta>,
    /// Resources that change, all pages counted.
    pub total: u64,
    pub resources: Vec<ResourceChangeView>,
    /// On the first page.
    pub outputs: Vec<OutputChangeView>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceChangeView {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub provider: String,
    pub action: Action,
    /// In the tool's word: `replace_because_cannot_update`, …
    pub reason: Option<String>,
    pub previous_address: Option<String>,
    pub attributes: Vec<AttributeView>,
    /// Attributes that differ but did not fit.
    pub attributes_left_out: u64,
}

/// A long value is cut, and says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeView {
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub sensitive: bool,
    pub known_after_apply: bool,
    pub forces_replacement: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputChangeView {
    pub name: String,
    pub action: Action,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub sensitive: bool,
}
