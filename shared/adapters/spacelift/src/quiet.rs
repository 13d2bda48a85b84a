//! Too much was asked: silence for as long as Spacelift, or what stands before it, wishes.
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_ports::Fault;

/// When it is not said for how long.
const UNSAID: Duration = Duration::from_secs(10);
/// A fleet that nobody looks at for longer than this costs more than a refusal.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Until when nothing is asked.
#[derive(Default)]
pub(crate) struct Quiet(Mutex<Option<Instant>>);

impl Quiet {
    /// `Retryable` while the silence lasts.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.and_then(|until| until.checked_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => Err(limited(left)),
            None => {
                *until = None;
                Ok(())
            }
        }
    }

    /// Begins a silence if this answer asks for one.
    pub(crate) fn heed(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(wait) = silence(status, headers) else { return Ok(()) };
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + wait;
        *until = Some(until.map_or(end, |known| known.max(end)));
        Err(limited(wait))
    }
}

fn limited(left: Duration) -> Fault {
    let seconds = left.as_secs().max(1);
    Fault::retryable(format!("Spacelift was asked too much; nothing is asked for {seconds} s"))
}

/// How long this answer asks to be left alone.
fn silence(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let wait = match status {
        StatusCode::TOO_MANY_REQUESTS => asked.unwrap_or(UNSAID),
        status if status.is_server_error() => asked?,
        _ => return None,
    };
    Some(wait.clamp(Duration::from_secs(1), SILENCE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_ask_for_silence() {
        #[rustfmt::skip]
        let table = [
            // status retry-after            seconds
            (200,     Some("7"),             None),
            (400,     Some("7"),             None),
            (429,     Some("7"),             Some(7)),
            (429,     None,                  Some(10)),
            (429,     Some("soon"),          Some(10)),
            (429,     Some("0"),             Some(1)),
            (429,     Some("86400"),         Some(300)),
            (503,     Some("20"),            Some(20)),
            (503,     None,                  None),
        ];
        for (status, after, expect) in table {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, after.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let got = silence(status, &headers).map(|wait| wait.as_secs());
            assert_eq!(got, expect, "{status} {after:?}");
        }
    }
}
