//! What wakes the function, what for, and when that was due.
//!
//! The schedule (`{"tick": true}`, or EventBridge's own event with its `time`), a new job's document
//! in the bucket (EventBridge's `Object Created`), EC2's word that it takes a machine, or a queue's
//! messages (`SentTimestamp`). Which job it is does not matter: a look tells what there is.
use crate::{Call, Occasion};
use serde::Deserialize;
use serde_json::Value;
use windlass_core::fleet::Notice;
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::Fault;

#[derive(Deserialize)]
struct Woken {
    #[serde(default)]
    tick: bool,
    #[serde(default)]
    time: Option<String>,
    #[serde(default, rename = "detail-type")]
    kind: Option<String>,
    #[serde(default)]
    detail: Detail,
    #[serde(default, rename = "Records")]
    records: Vec<Record>,
}

#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default, rename = "instance-id")]
    instance: Option<InstanceId>,
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

/// As it is due: of many messages, the newest; an event without a time, and a notice, which is true
/// until its machine is gone, now.
///
/// # Errors
/// `Poison` for what nobody meant to send here.
pub fn call(event: Value, now: UnixMs, until: UnixMs) -> Result<Call, Fault> {
    let refused = |why: &str| Fault::poison(format!("this is no tick and no word of work: {why}"));
    let woken: Woken =
        serde_json::from_value(event).map_err(|error| refused(&error.to_string()))?;
    if !woken.records.is_empty() {
        let newest = woken.records.iter().filter_map(Record::due).max();
        let due = newest.ok_or_else(|| refused("its records have no time"))?;
        return Ok(Call { occasion: Occasion::Work, due, until });
    }
    let notice = |notice| {
        let instance = woken.detail.instance.clone();
        let instance = instance.ok_or_else(|| refused("a notice names no machine"))?;
        Ok(Occasion::Notice { instance, notice })
    };
    let occasion = match woken.kind.as_deref() {
        None | Some("Scheduled Event") => Occasion::Tick,
        Some("Object Created") => Occasion::Work,
        Some("EC2 Spot Instance Interruption Warning") => notice(Notice::Spot)?,
        Some("EC2 Instance Rebalance Recommendation") => notice(Notice::Rebalance)?,
        Some(other) => return Err(refused(other)),
    };
    let due = match woken.time.as_deref().map(UnixMs::from_rfc3339) {
        Some(None) => return Err(refused("its time is none")),
        Some(Some(_)) if matches!(occasion, Occasion::Notice { .. }) => now,
        Some(Some(due)) => due,
        None if woken.tick => now,
        None => return Err(refused("it says neither `tick` nor a time")),
    };
    Ok(Call { occasion, due, until })
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

    fn read(event: Value) -> Option<(Occasion, UnixMs)> {
        call(event, NOW, NOW.plus_ms(1)).ok().map(|call| (call.occasion, call.due))
    }

    #[test]
    fn whatever_wakes_it_says_what_for_and_when_that_was_due() {
        let at = |ms: u64| UnixMs(1_795_343_730_000 + ms);
        let sent = |ms: u64| json!({ "attributes": { "SentTimestamp": at(ms).0.to_string() } });
        let time = "2026-11-22T10:35:30Z";
        let of = |kind: &str| json!({ "detail-type": kind, "time": time });
        let tick = |due| Some((Occasion::Tick, due));
        let work = |due| Some((Occasion::Work, due));
        for (event, expect) in [
            (json!({ "tick": true }), tick(NOW)),
            (json!({ "tick": true, "time": time }), tick(at(0))),
            (of("Scheduled Event"), tick(at(0))),
            (of("Object Created"), work(at(0))),
            (json!({ "Records": [sent(1), sent(9), sent(5)] }), work(at(9))),
            (
                json!({ "Records": [{ "eventSource": "aws:s3", "eventTime": "2026-11-22T10:35:30.007Z" }] }),
                work(at(7)),
            ),
            (of("Object Deleted"), None),
            (of("EC2 Spot Instance Interruption Warning"), None),
            (json!({ "detail-type": "Object Created" }), None),
            (json!({ "tick": false }), None),
            (json!({ "time": "soon" }), None),
            (json!({ "Records": [{}] }), None),
            (json!({ "Records": [] }), None),
            (json!("tick"), None),
        ] {
            assert_eq!(read(event.clone()), expect, "{event}");
        }
    }

    /// What really comes, read as what it is.
    #[test]
    fn recorded_events_are_read() {
        let file = |bytes: &[u8]| read(serde_json::from_slice(bytes).unwrap());
        let time = UnixMs(1_795_343_730_000);
        let notice = |notice| Occasion::Notice { instance: "i-0123456789abcdef0".into(), notice };
        let messages = file(include_bytes!("../../../events/sqs/intents.json"));
        assert_eq!(messages.unwrap().0, Occasion::Work);
        for (bytes, expect) in [
            (
                &include_bytes!("../../../events/schedule/tick.json")[..],
                Some((Occasion::Tick, NOW)),
            ),
            (include_bytes!("../../../events/s3/job-created.json"), Some((Occasion::Work, time))),
            (
                include_bytes!("../../../events/ec2/spot-warning.json"),
                Some((notice(Notice::Spot), NOW)),
            ),
            (
                include_bytes!("../../../events/ec2/rebalance-recommendation.json"),
                Some((notice(Notice::Rebalance), NOW)),
            ),
            (include_bytes!("../../../events/asg/lifecycle-eventbridge.json"), None),
        ] {
            assert_eq!(file(bytes), expect, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
