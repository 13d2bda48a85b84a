//! One invocation of the scheduler function: messages of one of its queues, or the tick.
use crate::{Deps, Fate, bury, handle_message, tick, watch};
use serde_json::{Value, json};
use windlass_lambda::settings::Store;
use windlass_lambda::{Event, Turn, batch};
use windlass_ports::{Delivery, Fault};

/// # Errors
/// A tick that failed, so that its alarm sees it; an event that is neither.
pub async fn handle(deps: &Deps, store: &Store, event: Value, turn: Turn) -> Result<Value, Fault> {
    match Event::parse(store, event)? {
        Event::Messages(messages) => {
            let queue = messages.queue.clone();
            let handler = |delivery| message(deps, &queue, delivery);
            Ok(batch::handle(&*deps.queues, &turn, messages, handler).await)
        }
        Event::Tick => {
            let woken = tick(deps).await;
            // Whatever comes of the one, the others are tried.
            let told = watch(deps).await;
            bury(deps).await?;
            let (told, woken) = (told?, woken?);
            tracing::debug!(woken, told, "ticked");
            Ok(json!({ "woken": woken, "told": told }))
        }
    }
}

/// The poller hands on what lies in the queue: for a large body, where it lies.
async fn message(deps: &Deps, queue: &str, mut delivery: Delivery) -> batch::Fate {
    let text = String::from_utf8_lossy(&delivery.body);
    match adapter_sqs::open(&*deps.blobs, &text).await {
        Ok(Some(body)) => delivery.body = body,
        Ok(None) => {
            tracing::info!(queue, "acknowledged before, delivered again");
            return batch::Fate::Done;
        }
        Err(fault) => {
            tracing::warn!(queue, error = fault.chain(), "again");
            return batch::Fate::Again;
        }
    }
    match handle_message(deps, queue, &delivery).await {
        Fate::Done => batch::Fate::Done,
        Fate::Again => batch::Fate::Again,
        Fate::Quarantined => batch::Fate::Quarantined,
    }
}
