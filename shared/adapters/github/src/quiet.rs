//! GitHub's limits, obeyed by silence.
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_ports::Fault;

/// How long to be silent when GitHub says "too much" and not for how long (its documented advice).
const UNSAID: Duration = Duration::from_secs(60);
/// Nobody is silent for longer than the hour in which a primary limit fills up again.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

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
    pub(crate) fn heed(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now_s: u64,
    ) -> Result<(), Fault> {
        let Some(wait) = silence(status, headers, body, now_s) else { return Ok(()) };
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + wait;
        *until = Some(until.map_or(end, |known| known.max(end)));
        Err(limited(wait))
    }
}

fn limited(left: Duration) -> Fault {
    let seconds = left.as_secs().max(1);
    Fault::retryable(format!("GitHub's rate limit is used up; nothing is asked for {seconds} s"))
}

/// How long this answer asks to be left alone.
fn silence(status: StatusCode, headers: &HeaderMap, body: &[u8], now_s: u64) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let refused = matches!(status.as_u16(), 403 | 429);
    let asked = number("retry-after").filter(|_| refused || status.is_server_error());
    let reset = match number("x-ratelimit-remaining") {
        Some(0) if refused => number("x-ratelimit-reset").map(|at| at.saturating_sub(now_s)),
        _ => None,
    };
    let said = String::from_utf8_lossy(body);
    let limit = status.as_u16() == 429
        || (refused && (said.contains("rate limit") || said.contains("abuse detection")));
    let wait = asked.or(reset).map(Duration::from_secs).or(limit.then_some(UNSAID))?;
    Some(wait.clamp(Duration::from_secs(1), SILENCE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;

    type Row = (&'static str, u16, Headers, &'static str, Option<u64>);
    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn answers_that_ask_for_silence() {
        const SECONDARY: &str = "You have exceeded a secondary rate limit.";
        const NO_ACCESS: &str = "Resource not accessible by integration";
        const RESET: Headers = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1300")];
        const LEFT: Headers = &[("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "1300")];
        #[rustfmt::skip]
        let table: [Row; 12] = [
            // name                     status headers                     body        seconds
            ("fine",                    200,   LEFT,                       "",         None),
            ("the last one allowed",    200,   RESET,                      "",         None),
            ("no access",               403,   LEFT,                       NO_ACCESS,  None),
            ("primary, 403",            403,   RESET,                      "",         Some(300)),
            ("primary, 429",            429,   RESET,                      "",         Some(300)),
            ("retry-after goes first",  429,   &[("retry-after", "7")],    SECONDARY,  Some(7)),
            ("secondary, unsaid",       403,   LEFT,                       SECONDARY,  Some(60)),
            ("429, unsaid",             429,   &[],                        "",         Some(60)),
            ("503 with retry-after",    503,   &[("retry-after", "20")],   "",         Some(20)),
            ("503",                     503,   &[],                        "",         None),
            ("not for days",            429,   &[("retry-after", "99999")],"",         Some(3_600)),
            ("not a number",            429,   &[("retry-after", "soon")], "",         Some(60)),
        ];
        for (name, status, headers, body, expect) in table {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let got = silence(status, &map, body.as_bytes(), 1_000).map(|wait| wait.as_secs());
            assert_eq!(got, expect, "{name}");
        }
    }
}
