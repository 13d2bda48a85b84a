//! What wakes the function, and when that was due.
//!
//! The schedule (`{"tick": true}`, or EventBridge's own event with its `time`), a queue's messages
//! (`SentTimestamp`), or a new job's document in the bucket (`eventTime`). What is in them does not
//! matter: a look tells what there is.
use serde::Deserialize;
use serde_json::Value;
use windlass_core::time::UnixMs;
use windlass_ports::Fault;

#[derive(Deserialize)]
struct Woken {
    #[serde(default)]
    tick: bool,
    #[serde(default)]
    time: Option<String>,
    #[serde(default, rename = "Records")]
    records: Vec<Record>,
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    attributes: Option<Attributes>,
    #[serde(default, rename = "eventTime")]
    event_time: Option<String>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(rename = "SentTimestamp")]
    sent: String,
}

/// When the newest of what came was due; an event without a time is due now.
///
/// # Errors
/// `Poison` for what nobody meant to send here.
pub fn due(event: Value, now: UnixMs) -> Result<UnixMs, Fault> {
    let refused = |why: &str| Fault::poison(format!("this is no tick and no word of work: {why}"));
    let woken: Woken =
        serde_json::from_value(event).map_err(|error| refused(&error.to_string()))?;
    if !woken.records.is_empty() {
        let newest = woken.records.iter().filter_map(Record::due).max();
        return newest.ok_or_else(|| refused("its records have no time"));
    }
    match woken.time.as_deref().map(UnixMs::from_rfc3339) {
        Some(due) => due.ok_or_else(|| refused("its time is none")),
        None if woken.tick => Ok(now),
        None => Err(refused("it says neither `tick` nor a time")),
    }
}

impl Record {
    fn due(&self) -> Option<UnixMs> {
        let sent = self.attributes.as_ref().and_then(|of| of.sent.parse().ok().map(UnixMs));
        sent.or_else(|| self.event_time.as_deref().and_then(UnixMs::from_rfc3339))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: UnixMs = UnixMs(1_795_343_800_000);

    #[test]
    fn whatever_wakes_it_says_when_it_was_due() {
        let at = |ms: u64| Some(UnixMs(1_795_343_730_000 + ms));
        let sent = |ms: u64| json!({ "attributes": { "SentTimestamp": (1_795_343_730_000_u64 + ms).to_string() } });
        for (event, expect) in [
            (json!({ "tick": true }), Some(NOW)),
            (json!({ "tick": true, "time": "2026-11-22T10:35:30Z" }), at(0)),
            (json!({ "detail-type": "Scheduled Event", "time": "2026-11-22T10:35:30Z" }), at(0)),
            (json!({ "Records": [sent(1), sent(9), sent(5)] }), at(9)),
            (
                json!({ "Records": [{ "eventSource": "aws:s3", "eventTime": "2026-11-22T10:35:30.007Z" }] }),
                at(7),
            ),
            (json!({ "tick": false }), None),
            (json!({ "time": "soon" }), None),
            (json!({ "Records": [{}] }), None),
            (json!({ "Records": [] }), None),
            (json!("tick"), None),
        ] {
            assert_eq!(due(event.clone(), NOW).ok(), expect, "{event}");
        }
        let queued = serde_json::from_slice(include_bytes!("../../../events/sqs/intents.json"));
        assert!(due(queued.unwrap(), NOW).is_ok());
        let tick = serde_json::from_slice(include_bytes!("../../../events/schedule/tick.json"));
        assert_eq!(due(tick.unwrap(), NOW).ok(), Some(NOW));
    }
}
