//! When a stack's schedule falls due: its lines, its zone, and a little of its own.
use super::cron::Cron;
use crate::definition::Drift;
use crate::id::{StackId, derive};
use crate::time::{MINUTE_MS, UnixMs};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::sync::OnceLock;

/// Stacks of one schedule are spread over this long, so that they do not all come in one minute;
/// never over more than half the time to the schedule's next slot.
pub const JITTER_MAX_MS: u64 = 5 * MINUTE_MS;

/// The rules of all zones, as they were when this program was built: reading the machine's own
/// would let two machines disagree.
pub(crate) fn zones() -> &'static TimeZoneDatabase {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled)
}

/// True if this names a zone whose rules are known.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    zones().get(name).is_ok()
}

/// One stack's schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    lines: Vec<Cron>,
    zone: TimeZone,
    /// What this stack is late by, if nothing bounds it.
    jitter_ms: u64,
}

/// A schedule looked at: which of its slots have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// At least one has: one look stands for all of them, however many.
    pub now: bool,
    /// Slots up to here are dealt with.
    pub seen: UnixMs,
    /// When the next one falls due, jitter included. None: never.
    pub next: Option<UnixMs>,
}

impl Schedule {
    /// None for a zone or lines that no checked definition has.
    #[must_use]
    pub fn new(drift: &Drift, stack: &StackId) -> Option<Self> {
        let lines = drift.schedule.iter().map(|line| Cron::parse(line).ok());
        let hash = derive(&["drift", stack.as_str()]);
        let hash = hash.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok())?;
        Some(Self {
            lines: lines.collect::<Option<_>>()?,
            zone: zones().get(&drift.timezone).ok()?,
            jitter_ms: hash % JITTER_MAX_MS,
        })
    }

    /// The first slot after this moment.
    #[must_use]
    pub fn slot_after(&self, after: UnixMs) -> Option<UnixMs> {
        let after = Timestamp::from_millisecond(i64::try_from(after.0).ok()?).ok()?;
        let next = self.lines.iter().filter_map(|line| line.next_after(after, &self.zone)).min()?;
        u64::try_from(next.as_millisecond()).ok().map(UnixMs)
    }

    /// When this stack looks for a slot.
    fn look_at(&self, slot: UnixMs) -> UnixMs {
        let gap = self.slot_after(slot).map_or(u64::MAX, |next| next.since_ms(slot));
        slot.plus_ms(match gap / 2 {
            room if room < JITTER_MAX_MS => self.jitter_ms % room.max(1),
            _ => self.jitter_ms,
        })
    }

    /// What has passed since the slots up to `seen` were dealt with.
    #[must_use]
    pub fn due(&self, seen: UnixMs, now: UnixMs) -> Due {
        let first = self.slot_after(seen).map(|slot| (slot, self.look_at(slot)));
        let Some((mut slot, mut look)) = first else { return Due { now: false, seen, next: None } };
        if look > now {
            return Due { now: false, seen, next: Some(look) };
        }
        // All that is older than the longest jitter has passed, without counting it up.
        let mut seen = seen.max(UnixMs(now.0.saturating_sub(JITTER_MAX_MS)));
        while look <= now {
            seen = seen.max(slot);
            let Some(next) = self.slot_after(seen) else {
                return Due { now: true, seen, next: None };
            };
            (slot, look) = (next, self.look_at(next));
        }
        Due { now: true, seen, next: Some(look) }
    }
}

#[cfg(test)]
#[path = "schedule_table.rs"]
mod tests;
