//! What was asked of the server, by whom: for counting requests, and for holding roles against
//! what their functions really do.
use crate::Emulator;
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One AWS request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Call {
    /// Seconds since 1970.
    pub at: f64,
    /// The access key id that signed it.
    pub caller: String,
    /// `s3`, `sqs`, `ssm`, …
    pub service: String,
    /// As IAM names it: `PutObject`, `SendMessage`.
    pub action: String,
    /// `bucket/key`, a queue's or parameter's name.
    pub resource: String,
    /// What the caller saw; 0 is a cut connection.
    pub status: u16,
    /// Of the request's body.
    pub bytes: u64,
    #[serde(rename = "class")]
    pub price: Price,
    /// A receive that brought nothing.
    #[serde(default)]
    pub empty: bool,
}

/// How AWS bills it: <https://aws.amazon.com/s3/pricing/>, "Requests & data retrievals".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Price {
    /// PUT, COPY, POST, LIST.
    Put,
    /// GET and all others.
    Get,
    /// DELETE costs nothing.
    Free,
    Sqs,
    #[serde(other)]
    Other,
}

impl Emulator {
    /// All calls since the start, or since they were last forgotten.
    ///
    /// # Errors
    /// When the server is away.
    pub fn calls(&self) -> Result<Vec<Call>> {
        let answer = self.ask("calls")?;
        serde_json::from_value(answer["calls"].clone()).context("the record does not parse")
    }

    /// Begins the record anew.
    ///
    /// # Errors
    /// When the server is away.
    pub fn forget_calls(&self) -> Result<()> {
        self.ask("calls/clear").map(|_| ())
    }
}
