//! What buckets tell EventBridge of.
use crate::Emulator;
use anyhow::{Context as _, Result};
use serde_json::Value;

impl Emulator {
    /// The number of the newest event.
    ///
    /// # Errors
    /// When the server is away.
    pub fn events_so_far(&self) -> Result<u64> {
        self.ask("events")?["next"].as_u64().context("no number")
    }

    /// Events after the one with this number, oldest first, and the number of the newest. Waits a
    /// second for the first.
    ///
    /// # Errors
    /// When the server is away.
    pub fn events(&self, after: u64) -> Result<(Vec<Value>, u64)> {
        let mut answer = self.ask(&format!("events?after={after}"))?;
        let newest = answer["next"].as_u64().context("no number")?;
        let Value::Array(events) = answer["events"].take() else { anyhow::bail!("no events") };
        Ok((events, newest))
    }
}
