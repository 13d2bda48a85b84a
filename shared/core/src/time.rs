//! The only time type of the core, and how it is written for people and scripts.
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

pub const SECOND_MS: u64 = 1_000;
pub const MINUTE_MS: u64 = 60 * SECOND_MS;

impl UnixMs {
    /// Milliseconds from `earlier` to this; 0 if the clock jumped back.
    #[must_use]
    pub fn since_ms(self, earlier: UnixMs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> UnixMs {
        UnixMs(self.0.saturating_add(ms))
    }
    /// The minute this moment lies in, counted from the epoch.
    #[must_use]
    pub fn minute(self) -> u64 {
        self.0 / MINUTE_MS
    }
    /// RFC 3339, UTC, to the millisecond: `2026-11-22T10:15:30.123Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(ms) {
            Ok(stamp) => format!("{stamp:.3}"),
            Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
        }
    }
    /// Reads RFC 3339, in any offset. None: it is something else, or before the epoch.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<UnixMs> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok().map(UnixMs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc3339_and_survives_a_clock_that_jumps_back() {
        assert_eq!(UnixMs(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMs(1_795_343_730_123).rfc3339(), "2026-11-22T10:35:30.123Z");
        assert_eq!(UnixMs(u64::MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(UnixMs(5).since_ms(UnixMs(9)), 0);
    }

    #[test]
    fn reads_what_others_write() {
        for (text, expect) in [
            ("2026-11-22T10:35:30.123Z", Some(1_795_343_730_123)),
            ("2026-11-22T10:35:30Z", Some(1_795_343_730_000)),
            ("2026-11-22T11:35:30+01:00", Some(1_795_343_730_000)),
            ("1960-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(UnixMs::from_rfc3339(text), expect.map(UnixMs), "{text}");
        }
    }
}
