//! The webhook's secrets, by reference, and when they are read again.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_core::delivery::LiveSecrets;
use windlass_core::time::{SECOND_MS, UnixMs};
use windlass_ports::{Fault, Secrets};

/// A bad signature may mean that a secret was rotated, or that somebody guesses: the store is asked
/// past its cache at most this often …
const FRESH_EVERY_MS: u64 = 30 * SECOND_MS;
/// … and after it did not answer, sooner: nothing is known then.
const AWAY_EVERY_MS: u64 = 5 * SECOND_MS;

/// Several secrets are live during a rotation: several references, or several lines in one value.
pub struct WebhookSecrets {
    secrets: Arc<dyn Secrets>,
    references: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What each reference gave when it was last read.
    last: BTreeMap<String, String>,
    looked: Option<Looked>,
}

/// When the store was last asked for what is live now. Whoever asks notes it first, as if it were
/// answered, so that a crowd asks once.
#[derive(Clone, Copy)]
struct Looked {
    at: UnixMs,
    away: bool,
}

impl Looked {
    /// A clock that was set back must not silence it for as long.
    fn lately(self, now: UnixMs) -> bool {
        let every_ms = if self.away { AWAY_EVERY_MS } else { FRESH_EVERY_MS };
        self.at <= now && now.since_ms(self.at) < every_ms
    }
}

impl WebhookSecrets {
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>, references: Vec<String>) -> Self {
        Self { secrets, references, known: Mutex::default() }
    }

    /// What is known to be live. (The adapter remembers it for a while.) What was read last holds
    /// for as long as the store does not answer.
    pub(crate) async fn live(&self, now: UnixMs) -> Result<LiveSecrets, Fault> {
        let mut values = Vec::new();
        for reference in &self.references {
            values.extend(self.get(reference, now).await?);
        }
        Ok(LiveSecrets::of(values.iter().map(String::as_str)))
    }

    async fn get(&self, reference: &str, now: UnixMs) -> Result<Option<String>, Fault> {
        let (last, looked) = {
            let known = self.known();
            (known.last.get(reference).cloned(), known.looked)
        };
        if last.is_some() && looked.is_some_and(|looked| looked.away && looked.lately(now)) {
            return Ok(last);
        }
        match self.secrets.get(reference).await {
            Ok(found) => {
                self.note(reference, found.as_ref());
                Ok(found)
            }
            Err(fault) => {
                self.known().looked = Some(Looked { at: now, away: true });
                let kept = last.filter(|_| fault.is_retryable());
                let Some(kept) = kept else { return Err(fault) };
                tracing::warn!(error = fault.chain(), "the secret that was read last still holds");
                Ok(Some(kept))
            }
        }
    }

    /// What is live now; None if that was asked a moment ago.
    pub(crate) async fn fresh(&self, now: UnixMs) -> Result<Option<LiveSecrets>, Fault> {
        {
            let mut known = self.known();
            if known.looked.is_some_and(|looked| looked.lately(now)) {
                return Ok(None);
            }
            known.looked = Some(Looked { at: now, away: false });
        }
        let mut values = Vec::new();
        for reference in &self.references {
            let found = self.secrets.fresh(reference).await.inspect_err(|_| {
                self.known().looked = Some(Looked { at: now, away: true });
            })?;
            self.note(reference, found.as_ref());
            values.extend(found);
        }
        Ok(Some(LiveSecrets::of(values.iter().map(String::as_str))))
    }

    fn note(&self, reference: &str, found: Option<&String>) {
        let last = &mut self.known().last;
        match found {
            Some(value) => last.insert(reference.to_owned(), value.clone()),
            None => last.remove(reference),
        };
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
