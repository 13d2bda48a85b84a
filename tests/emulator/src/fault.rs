//! What may go wrong on purpose.
use crate::Emulator;
use anyhow::Result;
use serde::Serialize;

/// A rule: which calls it meets, which of those it strikes, and what their caller sees. What is
/// left out meets everything; without a choice every call that is met is struck.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// How the resource's name begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    pub when: When,
    /// The HTTP status; 0 cuts the connection. None: it is only delayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Only the n-th that is met, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// Each n-th that is met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// By chance, from a seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// At most so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The rule ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
}

/// Before the effect (it did not happen) or after it (the answer is lost).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Before,
    After,
}

impl Emulator {
    /// From now on these rules hold, and no others.
    ///
    /// # Errors
    /// When the server is away.
    pub fn set_faults(&self, faults: &[Fault]) -> Result<()> {
        self.tell("faults", &serde_json::to_value(faults)?)
    }

    /// How many calls each rule struck.
    ///
    /// # Errors
    /// When the server is away.
    pub fn struck(&self) -> Result<Vec<u64>> {
        let answer = self.ask("faults")?;
        let rules = answer["rules"].as_array().cloned().unwrap_or_default();
        Ok(rules.iter().map(|rule| rule["struck"].as_u64().unwrap_or_default()).collect())
    }
}
