//! Secrets that were read a short while ago.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Five minutes: what is rotated is noticed soon, and a busy function asks about once in a
/// thousand requests. Whoever finds a value refused asks past it (`Secrets::fresh`).
pub const KEPT_MS: u64 = 300_000;

/// Values by name, each for so long. Absence is not kept: a secret may be set any time.
pub struct Kept {
    for_: Duration,
    values: Mutex<HashMap<String, (Instant, String)>>,
}

impl Kept {
    #[must_use]
    pub fn for_ms(ms: u64) -> Self {
        Self { for_: Duration::from_millis(ms), values: Mutex::default() }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let values = self.values();
        let (since, value) = values.get(name)?;
        (since.elapsed() < self.for_).then(|| value.clone())
    }

    /// Keeps what was found under the name, or that nothing was.
    pub fn note(&self, name: &str, found: Option<&str>) {
        match found {
            Some(value) => {
                self.values().insert(name.to_owned(), (Instant::now(), value.to_owned()));
            }
            None => {
                self.values().remove(name);
            }
        }
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_for_a_while() {
        let kept = Kept::for_ms(60_000);
        assert_eq!(kept.get("a"), None);
        kept.note("a", Some("first"));
        kept.note("a", Some("second"));
        assert_eq!(kept.get("a").as_deref(), Some("second"));
        kept.note("a", None);
        assert_eq!(kept.get("a"), None);
        let lapsed = Kept::for_ms(0);
        lapsed.note("a", Some("first"));
        assert_eq!(lapsed.get("a"), None);
    }
}
