//! What a function is invoked with: messages of one queue, or a tick of a schedule.
use crate::settings::Store;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use windlass_ports::{Delivery, Fault};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Messages(Batch),
    /// A minute has passed: `{"tick": true}`.
    Tick,
}

/// Messages that came together. The poller takes them from one queue at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The queue's name as `core::keys` has it.
    pub queue: String,
    pub messages: Vec<Delivery>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Records {
        #[serde(rename = "Records")]
        records: Vec<Record>,
    },
    Tick {
        tick: bool,
    },
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

impl Event {
    /// # Errors
    /// `Poison` for what is neither: a trigger that nobody meant.
    pub fn parse(store: &Store, event: Value) -> Result<Self, Fault> {
        match serde_json::from_value(event) {
            Ok(Raw::Records { records }) => Ok(Self::Messages(batch(store, records)?)),
            Ok(Raw::Tick { tick: true }) => Ok(Self::Tick),
            Ok(Raw::Tick { .. }) | Err(_) => Err(Fault::poison(
                "this function takes messages of its queues and {\"tick\": true}",
            )),
        }
    }
}

fn batch(store: &Store, records: Vec<Record>) -> Result<Batch, Fault> {
    let arn = records.first().map(|record| record.event_source_arn.clone()).unwrap_or_default();
    let queue = queue_of(store, &arn)
        .ok_or_else(|| Fault::poison(format!("{arn} is not a queue of this installation")))?;
    Ok(Batch { queue, messages: records.into_iter().map(delivery).collect() })
}

/// `arn:aws:sqs:REGION:ACCOUNT:windlass-intents.fifo` with the address prefix
/// `https://…/windlass-` is `intents.fifo`.
fn queue_of(store: &Store, arn: &str) -> Option<String> {
    let (_, prefix) = store.queue_url_prefix.rsplit_once('/')?;
    let (_, name) = arn.rsplit_once(':')?;
    name.strip_prefix(prefix).map(str::to_owned)
}

fn delivery(record: Record) -> Delivery {
    let number = |name: &str| record.attributes.get(name).and_then(|text| text.parse().ok());
    Delivery {
        receives: number("ApproximateReceiveCount").unwrap_or(1),
        group: record.attributes.get("MessageGroupId").cloned(),
        body: record.body.into_bytes(),
        receipt: record.receipt_handle,
        message_id: record.message_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store() -> Store {
        let prefix = "https://sqs.eu-central-1.amazonaws.com/1234/windlass-";
        Store { bucket: "b".into(), queue_url_prefix: prefix.into() }
    }

    #[test]
    fn an_event_is_messages_or_a_tick() {
        let record = |arn: &str| {
            json!({ "Records": [{
                "messageId": "m1", "receiptHandle": "r1", "body": "{}", "eventSourceARN": arn,
                "eventSource": "aws:sqs", "awsRegion": "eu-central-1",
                "attributes": { "ApproximateReceiveCount": "3", "MessageGroupId": "stack:app" },
            }] })
        };
        let messages = vec![Delivery {
            body: b"{}".to_vec(),
            group: Some("stack:app".into()),
            receipt: "r1".into(),
            receives: 3,
            message_id: "m1".into(),
        }];
        let batch = Event::Messages(Batch { queue: "intents.fifo".into(), messages });
        let arn = "arn:aws:sqs:eu-central-1:1234:";
        for (event, expect) in [
            (json!({ "tick": true }), Some(Event::Tick)),
            (json!({ "tick": false }), None),
            (json!({ "detail-type": "Scheduled Event" }), None),
            (record(&format!("{arn}windlass-intents.fifo")), Some(batch)),
            (record(&format!("{arn}other-intents.fifo")), None),
        ] {
            assert_eq!(Event::parse(&store(), event.clone()).ok(), expect, "{event}");
        }
    }

    /// What really comes, read as what it is.
    #[test]
    fn recorded_events_are_read() {
        let read = |bytes: &[u8]| Event::parse(&store(), serde_json::from_slice(bytes).unwrap());
        let messages = |bytes: &[u8], queue: &str| match read(bytes).unwrap() {
            Event::Messages(batch) => {
                assert_eq!(batch.queue, queue);
                batch.messages.into_iter().map(|m| (m.group.unwrap(), m.receives)).collect()
            }
            Event::Tick => vec![],
        };
        let of = |group: &str, receives| (group.to_owned(), receives);
        let (repo, net) = (of("repo:infra", 1), of("stack:network", 1));
        assert_eq!(
            messages(include_bytes!("../../../events/sqs/intents.json"), "intents.fifo"),
            [repo.clone(), of("stack:network", 2), net.clone(), repo]
        );
        assert_eq!(
            messages(include_bytes!("../../../events/sqs/reports.json"), "reports.fifo"),
            [net.clone(), net, of("stack:cluster", 7)]
        );
        for tick in [
            &include_bytes!("../../../events/schedule/tick.json")[..],
            include_bytes!("../../../events/schedule/drift.json"),
        ] {
            assert_eq!(read(tick).ok(), Some(Event::Tick));
        }
        assert!(read(include_bytes!("../../../events/asg/lifecycle-eventbridge.json")).is_err());
    }
}
