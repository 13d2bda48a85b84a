//! The webhook's secrets, by reference, and when they are read again.
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::delivery::LiveSecrets;
use windlass_core::time::{SECOND_MS, UnixMs};
use windlass_ports::{Fault, Secrets};

/// A bad signature may mean that a secret was rotated, or that somebody guesses: the store is asked
/// past its cache at most this often.
const FRESH_EVERY_MS: u64 = 30 * SECOND_MS;

/// Several secrets are live during a rotation: several references, or several lines in one value.
pub struct WebhookSecrets {
    secrets: Arc<dyn Secrets>,
    references: Vec<String>,
    asked: Mutex<Option<UnixMs>>,
}

impl WebhookSecrets {
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>, references: Vec<String>) -> Self {
        Self { secrets, references, asked: Mutex::new(None) }
    }

    /// What is known to be live. (The adapter remembers it for a while.)
    pub(crate) async fn live(&self) -> Result<LiveSecrets, Fault> {
        let mut values = Vec::new();
        for reference in &self.references {
            values.extend(self.secrets.get(reference).await?);
        }
        Ok(LiveSecrets::of(values.iter().map(String::as_str)))
    }

    /// What is live now; None if that was asked a moment ago.
    pub(crate) async fn fresh(&self, now: UnixMs) -> Result<Option<LiveSecrets>, Fault> {
        if !self.may_ask(now) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for reference in &self.references {
            values.extend(self.secrets.fresh(reference).await?);
        }
        Ok(Some(LiveSecrets::of(values.iter().map(String::as_str))))
    }

    fn may_ask(&self, now: UnixMs) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not silence it for as long.
        let lately = |at: UnixMs| at <= now && now.since_ms(at) < FRESH_EVERY_MS;
        let may = !asked.is_some_and(lately);
        if may {
            *asked = Some(now);
        }
        may
    }
}
