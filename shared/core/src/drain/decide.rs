//! What to do about a hook that waits, now; and when to look again.
use super::Notice;
use crate::time::{MINUTE_MS, SECOND_MS, UnixMs};
use serde::{Deserialize, Serialize};

/// A shorter hook leaves no room for a heartbeat at a third of it beside a minute's tick.
pub const TIMEOUT_MS_MIN: u64 = 180 * SECOND_MS;
/// AWS's bound on a hook, whatever the heartbeats.
const HOOK_MS_MAX: u64 = 48 * 60 * MINUTE_MS;
/// … and in timeouts.
const HOOK_TIMEOUTS_MAX: u64 = 100;
/// So long before the bound, runs are asked to stop.
const LAST_WORDS_MS: u64 = 5 * MINUTE_MS;

/// A wait as we remember it: stored before its message is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRecord {
    pub notice: Notice,
    /// When we first heard of it.
    pub since: UnixMs,
    pub timeout_ms: u64,
    pub beat_at: Option<UnixMs>,
    pub asked_to_stop: bool,
    pub completed: bool,
}

impl DrainRecord {
    #[must_use]
    pub fn new(notice: Notice, timeout_ms: u64, now: UnixMs) -> Self {
        Self {
            notice,
            since: now,
            timeout_ms,
            beat_at: None,
            asked_to_stop: false,
            completed: false,
        }
    }
}

/// Who holds the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// No worker ever registered, and no tombstone keeps one from it.
    Nobody,
    /// A tombstone: none will.
    Tombstone,
    /// Workers that may still take runs.
    Open,
    /// Workers that drain; this many of their slots have runs.
    Draining { busy: u32 },
    /// Declared lost: their runs are dealt with elsewhere.
    Lost,
}

/// What to do, in order; each is harmless the second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One swap: drains what is there, or creates the tombstone if nothing is (rule C4).
    DrainOrTombstone,
    /// Puts the hook's timeout off.
    Heartbeat,
    /// The bound is near: runs are asked to stop while there is time to say so.
    AskToStop,
    Complete {
        because: Completion,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Nothing runs there, and nothing will.
    Drained,
    /// Nobody ever was there.
    NeverRegistered,
    WorkerLost,
    /// AWS waits no longer.
    Deadline,
}

/// The plan of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub steps: Vec<Step>,
    pub record: DrainRecord,
    /// None: it is over.
    pub next: Option<UnixMs>,
}

/// Total; `holder` is what a load, or the drain that this very look made, says.
#[must_use]
pub fn decide(record: &DrainRecord, holder: Holder, now: UnixMs) -> Look {
    let mut record = record.clone();
    if record.completed {
        return Look { steps: vec![], record, next: None };
    }
    let waited_ms = now.since_ms(record.since);
    let bound_ms = HOOK_MS_MAX.min(record.timeout_ms.saturating_mul(HOOK_TIMEOUTS_MAX));
    let because = match holder {
        Holder::Nobody | Holder::Open => None,
        Holder::Tombstone => Some(Completion::NeverRegistered),
        Holder::Draining { busy: 0 } => Some(Completion::Drained),
        Holder::Lost => Some(Completion::WorkerLost),
        Holder::Draining { .. } => (waited_ms >= bound_ms).then_some(Completion::Deadline),
    };
    if let Some(because) = because {
        record.completed = true;
        return Look { steps: vec![Step::Complete { because }], record, next: None };
    }
    let mut steps = Vec::new();
    if matches!(holder, Holder::Nobody | Holder::Open) {
        // What came of it is looked at in the same invocation.
        steps.push(Step::DrainOrTombstone);
        return Look { steps, record, next: Some(now) };
    }
    let beat_ms = record.timeout_ms / 3;
    // The first at once: how long AWS waits already, nobody says who saw it first.
    if record.beat_at.is_none_or(|beat_at| now.since_ms(beat_at) >= beat_ms) {
        steps.push(Step::Heartbeat);
        record.beat_at = Some(now);
    }
    let last_words_ms = bound_ms.saturating_sub(LAST_WORDS_MS);
    if waited_ms >= last_words_ms && !record.asked_to_stop {
        steps.push(Step::AskToStop);
        record.asked_to_stop = true;
    }
    let beat = record.beat_at.unwrap_or(record.since).plus_ms(beat_ms);
    let last = record.since.plus_ms(if record.asked_to_stop { bound_ms } else { last_words_ms });
    Look { steps, record, next: Some(beat.min(last)) }
}

/// What AWS said to a completion that it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// "No active Lifecycle Action found": it is over, or we named it wrongly.
    NoActiveAction { still_waits: bool, by_token: bool },
}

/// Then: done, once more by the machine alone, or a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Done,
    AgainByInstance,
    Alarm,
}

#[must_use]
pub fn after_completion(refusal: Refusal) -> Then {
    match refusal {
        Refusal::NoActiveAction { still_waits: false, .. } => Then::Done,
        Refusal::NoActiveAction { still_waits: true, by_token: true } => Then::AgainByInstance,
        Refusal::NoActiveAction { still_waits: true, by_token: false } => Then::Alarm,
    }
}
