//! One message, one fate: done, again, or set aside with its reason.
use crate::{Deps, control, delivery, repo, stack};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use tokio::sync::watch;
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{EventId, derive};
use windlass_core::job::Report;
use windlass_core::keys;
use windlass_ports::queues::RECEIVE_MAX;
use windlass_ports::{Delivery, Fault, cas};

/// How long a message stays invisible while it is handled, and before it comes back after a fault.
const VISIBILITY_MS: u64 = 30_000;
/// How long one receive waits for the first message.
const WAIT_MS: u64 = 20_000;
/// A message that failed retryably comes back after this.
const RETRY_MS: u64 = 1_000;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Decided and committed: acknowledge it.
    Done,
    /// A fault that may pass: hand it back, and what follows it in its group.
    Again,
    /// It can never succeed: it lies in quarantine with its reason.
    Quarantined,
}

/// Handles a message of the intents queue.
pub async fn handle_intent(deps: &Deps, delivery: &Delivery) -> Fate {
    let outcome = match serde_json::from_slice::<Intent>(&delivery.body) {
        Ok(Intent::Stack(envelope)) => stack::event(deps, &envelope).await.map(|_| ()),
        Ok(Intent::Repo(envelope)) => repo::event(deps, &envelope).await.map(|_| ()),
        Ok(Intent::Delivery(pointer)) => delivery::handle(deps, &pointer).await,
        Err(error) => Err(Fault::poison_from("this intent does not parse", error)),
    };
    fate(deps, keys::INTENTS, delivery, outcome).await
}

/// Handles a message of the reports queue.
pub async fn handle_report(deps: &Deps, delivery: &Delivery) -> Fate {
    let outcome = match serde_json::from_slice::<Report>(&delivery.body) {
        Ok(report) => stack::event(deps, &envelope(report)).await.map(|_| ()),
        Err(error) => Err(Fault::poison_from("this report does not parse", error)),
    };
    fate(deps, keys::REPORTS, delivery, outcome).await
}

/// Handles a message of whichever of the control plane's queues it came from.
pub async fn handle_message(deps: &Deps, queue: &str, delivery: &Delivery) -> Fate {
    match queue {
        keys::INTENTS => handle_intent(deps, delivery).await,
        keys::REPORTS => handle_report(deps, delivery).await,
        _ if queue == keys::first_queue(&keys::CONTROL_POOL.into()) => {
            let outcome = control::handle(deps, delivery).await;
            fate(deps, queue, delivery, outcome).await
        }
        _ => {
            let outcome = Err(Fault::poison(format!("the control plane does not serve {queue}")));
            fate(deps, queue, delivery, outcome).await
        }
    }
}

fn envelope(report: Report) -> StackEnvelope {
    let news = report.news.as_str();
    StackEnvelope {
        id: EventId(derive(&["report", &report.job.to_string(), news])),
        stack: report.stack.clone(),
        at: report.at,
        hops: 0,
        event: StackEvent::Report { report },
    }
}

async fn fate(deps: &Deps, queue: &str, delivery: &Delivery, outcome: Result<(), Fault>) -> Fate {
    let fault = match outcome {
        Ok(()) => return Fate::Done,
        Err(fault) => fault,
    };
    if fault.is_retryable() {
        tracing::warn!(queue, message_id = delivery.message_id, error = fault.chain(), "again");
        return Fate::Again;
    }
    tracing::error!(queue, message_id = delivery.message_id, error = fault.chain(), "quarantined");
    match quarantine(deps, queue, delivery, &fault).await {
        Ok(()) => Fate::Quarantined,
        Err(_) => Fate::Again,
    }
}

/// A message set aside, readable by people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quarantined {
    pub queue: String,
    pub group: Option<String>,
    pub body: String,
    pub reason: String,
    pub at: windlass_core::time::UnixMs,
}

async fn quarantine(
    deps: &Deps,
    queue: &str,
    delivery: &Delivery,
    fault: &Fault,
) -> Result<(), Fault> {
    let set_aside = Quarantined {
        queue: queue.to_owned(),
        group: delivery.group.clone(),
        body: String::from_utf8_lossy(&delivery.body).into_owned(),
        reason: fault.chain(),
        at: deps.clock.now(),
    };
    let key = keys::quarantine(&delivery.message_id);
    cas::create(&*deps.docs, &key, &deps.write_ids.next(), &set_aside).await?;
    Ok(())
}

/// Serves one of the two queues until told to stop: groups side by side, each in its order.
pub async fn serve(deps: &Deps, queue: &str, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let received = tokio::select! {
            received = deps.queues.receive(queue, RECEIVE_MAX, WAIT_MS, VISIBILITY_MS) => received,
            _ = stop.changed() => return,
        };
        match received {
            Ok(batch) => handle_batch(deps, queue, batch).await,
            Err(fault) => {
                tracing::warn!(queue, error = fault.chain(), "can't receive; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(RETRY_MS)).await;
            }
        }
    }
}

/// One fate per message; within a group, what follows a message that must come again is handed
/// back too, so that order holds.
pub(crate) async fn handle_batch(deps: &Deps, queue: &str, batch: Vec<Delivery>) {
    let mut groups: BTreeMap<Option<String>, Vec<Delivery>> = BTreeMap::new();
    for delivery in batch {
        groups.entry(delivery.group.clone()).or_default().push(delivery);
    }
    join_all(groups.into_values().map(|group| handle_group(deps, queue, group))).await;
}

async fn handle_group(deps: &Deps, queue: &str, group: Vec<Delivery>) {
    let mut again = false;
    for delivery in group {
        let fate = match queue {
            _ if again => Fate::Again,
            keys::REPORTS => handle_report(deps, &delivery).await,
            _ => handle_intent(deps, &delivery).await,
        };
        let settled = match fate {
            Fate::Done | Fate::Quarantined => deps.queues.delete(queue, &delivery.receipt).await,
            Fate::Again => {
                again = true;
                deps.queues.extend(queue, &delivery.receipt, RETRY_MS).await
            }
        };
        if let Err(fault) = settled {
            tracing::warn!(queue, error = fault.chain(), "not acknowledged; it will come again");
        }
    }
}
