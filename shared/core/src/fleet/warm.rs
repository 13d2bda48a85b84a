//! Free slots that are there before anybody asks: always the same, or by the week.
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warm {
    Always(u32),
    /// The largest of the windows that a moment lies in; none: 0.
    Weekly {
        /// An IANA name.
        timezone: String,
        windows: Vec<WarmWindow>,
    },
}

/// `days` from 0 (Monday) to 6; minutes of the local day, the end not included. A window whose end
/// is not after its beginning goes on into the next day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmWindow {
    pub days: Vec<u8>,
    pub from_minute: u16,
    pub to_minute: u16,
    pub slots: u32,
}

impl Warm {
    /// Free slots wanted at this moment. An unknown time zone is UTC.
    #[must_use]
    pub fn at(&self, now: UnixMs) -> u32 {
        let (timezone, windows) = match self {
            Warm::Always(slots) => return *slots,
            Warm::Weekly { timezone, windows } => (timezone, windows),
        };
        let zone = crate::drift::zones().get(timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let Ok(stamp) = jiff::Timestamp::from_millisecond(ms) else { return 0 };
        let local = stamp.to_zoned(zone);
        let day = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = u16::try_from(local.hour()).unwrap_or(0) * 60
            + u16::try_from(local.minute()).unwrap_or(0);
        let open = windows.iter().filter(|window| window.covers(day, minute));
        open.map(|window| window.slots).max().unwrap_or(0)
    }
}

impl WarmWindow {
    fn covers(&self, day: u8, minute: u16) -> bool {
        let yesterday = (day + 6) % 7;
        if self.from_minute < self.to_minute {
            return self.days.contains(&day)
                && (self.from_minute..self.to_minute).contains(&minute);
        }
        (self.days.contains(&day) && minute >= self.from_minute)
            || (self.days.contains(&yesterday) && minute < self.to_minute)
    }
}
