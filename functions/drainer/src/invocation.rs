//! One invocation: messages of the hooks' queue, or a tick.
//!
//! Messages have no order among them, and a message that must come again does so when the queue's
//! visibility is over; the tick is there long before.
use crate::{Deps, Fate, handle_message, tick};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_core::time::UnixMs;
use windlass_ports::{Delivery, Fault};

#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Messages {
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

/// Nothing is begun from `until` on.
///
/// # Errors
/// A tick that failed, so that its alarm sees it; an event that is neither.
pub async fn handle(deps: &Deps, event: Value, until: UnixMs) -> Result<Value, Fault> {
    match serde_json::from_value(event) {
        Ok(Event::Messages { records }) => {
            let mut failures = vec![];
            for record in records {
                let id = record.message_id.clone();
                let in_time = deps.clock.now() < until;
                if !in_time || one(deps, record).await == Fate::Again {
                    failures.push(json!({ "itemIdentifier": id }));
                }
            }
            Ok(json!({ "batchItemFailures": failures }))
        }
        Ok(Event::Tick { tick: true }) => {
            let report = tick(deps).await?;
            Ok(json!({ "waiting": report.waiting, "completed": report.completed }))
        }
        Ok(Event::Tick { .. }) | Err(_) => Err(Fault::poison(
            "this function takes messages of its hooks' queue and {\"tick\": true}",
        )),
    }
}

async fn one(deps: &Deps, record: Record) -> Fate {
    let queue = record.event_source_arn.rsplit(':').next().unwrap_or_default().to_owned();
    let receives = record.attributes.get("ApproximateReceiveCount");
    let delivery = Delivery {
        body: record.body.into_bytes(),
        group: None,
        receipt: record.receipt_handle,
        receives: receives.and_then(|text| text.parse().ok()).unwrap_or(1),
        message_id: record.message_id,
    };
    handle_message(deps, &queue, &delivery).await
}
