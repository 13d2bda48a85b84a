//! One message of the hooks' queue: one fate, whatever its neighbours.
use crate::Deps;
use crate::look::look;
use serde::{Deserialize, Serialize};
use windlass_core::drain::{Message, notice};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Delivery, Fault, cas};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its wait is on record, or it means nothing to us.
    Done,
    /// A store or AWS was away: it comes again.
    Again,
    /// It is no message of a hook: it lies in quarantine with its reason.
    Quarantined,
}

/// A message in quarantine, as those of other queues are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub queue: String,
    pub group: Option<String>,
    pub body: String,
    pub reason: String,
    pub at: UnixMs,
}

/// Handles one message; may come twice, late, or never.
pub async fn handle_message(deps: &Deps, queue: &str, delivery: &Delivery) -> Fate {
    let groups: Vec<&str> = deps.groups.iter().map(String::as_str).collect();
    match notice::read(&delivery.body, &groups) {
        Ok(Message::Terminating(notice)) => match look(deps, &notice, false).await {
            Ok(looked) => {
                tracing::debug!(instance = %notice.instance, ?looked, "a hook waits");
                Fate::Done
            }
            Err(fault) if fault.is_retryable() => {
                tracing::warn!(instance = %notice.instance, error = fault.chain(), "again");
                Fate::Again
            }
            Err(fault) => set_aside(deps, queue, delivery, &fault).await,
        },
        Ok(Message::Test) => {
            tracing::info!(count.HookTests = 1, "AWS tries out the queue");
            Fate::Done
        }
        Ok(Message::Other { what }) => {
            tracing::info!(what, count.HookStrangers = 1, "not ours");
            Fate::Done
        }
        Err(malformed) => {
            let fault = Fault::poison_from("it can't be read", malformed);
            set_aside(deps, queue, delivery, &fault).await
        }
    }
}

/// A machine that is set aside with its message is still seen by the tick.
async fn set_aside(deps: &Deps, queue: &str, delivery: &Delivery, fault: &Fault) -> Fate {
    let message_id = &delivery.message_id;
    tracing::error!(queue, message_id, error = fault.chain(), "quarantined");
    let aside = SetAside {
        queue: queue.to_owned(),
        group: delivery.group.clone(),
        body: String::from_utf8_lossy(&delivery.body).into_owned(),
        reason: fault.chain(),
        at: deps.clock.now(),
    };
    let key = keys::quarantine(message_id);
    match cas::create(&*deps.docs, &key, &deps.write_ids.next(), &aside).await {
        Ok(_) => Fate::Quarantined,
        Err(_) => Fate::Again,
    }
}
