//! A batch, and one fate for each of its messages.
//!
//! The poller deletes what is not named in the answer, so a message is named unless it was handled
//! to its end. Order within a group holds: after the first message that must come again, the rest
//! of its group goes back with it.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
use crate::{Batch, Turn};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use tracing::Instrument as _;
use windlass_ports::{Delivery, Queues};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Handled to its end.
    Done,
    /// It can't be handled now: it comes again, and so does what follows it in its group.
    Again,
    /// It can never be handled: it lies in quarantine with its reason.
    Quarantined,
}

/// A message that must come again does so after this, doubled with each receive …
const AGAIN_MS_MIN: u64 = 1_000;
/// … up to this, so that `RECEIVES_MAX` of them outlast an hour.
const AGAIN_MS_MAX: u64 = 32_000;

/// Handles the messages: groups side by side, each in its order. Answers as the poller wants it.
///
/// A panic is a fault of that message: it comes again, and its neighbours are handled.
pub async fn handle<F, Fut>(queues: &dyn Queues, turn: &Turn, batch: Batch, handler: F) -> Value
where
    F: Fn(Delivery) -> Fut,
    Fut: Future<Output = Fate>,
{
    let Batch { queue, messages } = batch;
    let received = messages.len();
    let mut groups: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for message in messages {
        // Messages of a standard queue have no order to keep.
        let group =
            message.group.clone().unwrap_or_else(|| format!("message {}", message.message_id));
        groups.entry(group).or_default().push(message);
    }
    let groups = groups.into_values().map(|group| one_group(turn, group, &handler));
    let fates: Vec<(Delivery, Fate)> = join_all(groups).await.into_iter().flatten().collect();
    let count = |fate: Fate| fates.iter().filter(|(_, known)| *known == fate).count() as u64;
    let (again, set_aside) = (count(Fate::Again), count(Fate::Quarantined));
    tracing::debug!(queue, received, again, quarantined = set_aside, "a batch was handled");
    if set_aside > 0 {
        tracing::error!(
            queue,
            count.Quarantined = set_aside,
            count.Attention = set_aside,
            "messages were set aside"
        );
    }
    if again > 0 {
        tracing::warn!(queue, count.Again = again, "messages must come again");
    }
    let failed: Vec<&Delivery> =
        fates.iter().filter(|(_, fate)| *fate == Fate::Again).map(|(message, _)| message).collect();
    join_all(failed.iter().map(|message| soon(queues, &queue, message))).await;
    let failures: Vec<Value> =
        failed.iter().map(|message| json!({ "itemIdentifier": message.message_id })).collect();
    json!({ "batchItemFailures": failures })
}

async fn one_group<F, Fut>(turn: &Turn, group: Vec<Delivery>, handler: &F) -> Vec<(Delivery, Fate)>
where
    F: Fn(Delivery) -> Fut,
    Fut: Future<Output = Fate>,
{
    let mut fates = Vec::with_capacity(group.len());
    let mut again = false;
    for message in group {
        // One that can't be ended in time is not begun.
        again |= turn.ends_soon();
        let fate = match again {
            true => Fate::Again,
            false => {
                let group = message.group.as_deref().unwrap_or_default();
                let span = tracing::info_span!("message", message_id = message.message_id, group);
                caught(async { handler(message.clone()).await }).instrument(span).await
            }
        };
        again = fate == Fate::Again;
        fates.push((message, fate));
    }
    fates
}

/// The hook that [`crate::init`] sets has logged it.
async fn caught(future: impl Future<Output = Fate>) -> Fate {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Fate::Again),
        }
    })
    .await
}

/// Left alone it would stay invisible, and its group with it, for the queue's whole visibility.
async fn soon(queues: &dyn Queues, queue: &str, message: &Delivery) {
    let doublings = message.receives.saturating_sub(1).min(5);
    let after_ms = (AGAIN_MS_MIN << doublings).min(AGAIN_MS_MAX);
    if let Err(fault) = queues.extend(queue, &message.receipt, after_ms).await {
        tracing::warn!(queue, error = fault.chain(), "it comes again later than it should");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;
    use windlass_core::time::UnixMs;
    use windlass_ports::Outgoing;
    use windlass_ports::fake::{FakeClock, MemQueues};

    async fn received(queues: &MemQueues, messages: &[(&str, &str)]) -> Batch {
        for (group, body) in messages {
            let message = Outgoing {
                body: body.as_bytes().to_vec(),
                group: Some((*group).to_owned()),
                dedup: Some((*body).to_owned()),
                delay_ms: 0,
            };
            queues.send("intents.fifo", message).await.unwrap();
        }
        let messages = queues.receive("intents.fifo", 10, 0, 360_000).await.unwrap();
        Batch { queue: "intents.fifo".into(), messages }
    }

    /// What was begun, in order, and the bodies of what must come again.
    async fn run(messages: &[(&str, &str)], left: Duration) -> (Vec<String>, Vec<String>) {
        let queues = MemQueues::new(std::sync::Arc::new(FakeClock::at(UnixMs(0))));
        let batch = received(&queues, messages).await;
        let bodies: BTreeMap<String, String> = batch
            .messages
            .iter()
            .map(|m| (m.message_id.clone(), String::from_utf8_lossy(&m.body).into_owned()))
            .collect();
        let begun = Mutex::new(vec![]);
        let answer = handle(&queues, &Turn::ending_in(left), batch, |message| {
            let body = String::from_utf8_lossy(&message.body).into_owned();
            begun.lock().unwrap().push(body.clone());
            async move {
                match body.as_str() {
                    body if body.ends_with("panics") => panic!("a bug"),
                    body if body.ends_with("again") => Fate::Again,
                    body if body.ends_with("poison") => Fate::Quarantined,
                    _ => Fate::Done,
                }
            }
        })
        .await;
        let failed = answer["batchItemFailures"].as_array().unwrap();
        let mut again: Vec<String> = failed
            .iter()
            .map(|one| bodies[one["itemIdentifier"].as_str().unwrap()].clone())
            .collect();
        again.sort();
        (begun.into_inner().unwrap(), again)
    }

    #[tokio::test]
    async fn one_fate_per_message_and_order_in_each_group() {
        let long = Duration::from_secs(60);
        for (messages, left, begun, again) in [
            (vec![("a", "1"), ("a", "2"), ("b", "3")], long, vec!["1", "2", "3"], vec![]),
            // What follows it in its group goes back with it; another group goes on.
            (
                vec![("a", "1 again"), ("a", "2"), ("b", "3"), ("a", "4")],
                long,
                vec!["1 again", "3"],
                vec!["1 again", "2", "4"],
            ),
            (vec![("a", "1 poison"), ("a", "2")], long, vec!["1 poison", "2"], vec![]),
            // A bug loses nothing, and takes no neighbour with it.
            (
                vec![("a", "1 panics"), ("b", "2"), ("a", "3")],
                long,
                vec!["1 panics", "2"],
                vec!["1 panics", "3"],
            ),
            // Too late to begin anything.
            (vec![("a", "1"), ("b", "2")], Duration::from_secs(1), vec![], vec!["1", "2"]),
        ] {
            let seen = run(&messages, left).await;
            let text = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(seen, (text(begun), text(again)), "{messages:?}");
        }
    }

    #[tokio::test]
    async fn what_must_come_again_comes_soon_and_ever_later() {
        for (receives, after_ms) in [(1, 1_000), (2, 2_000), (6, 32_000), (100, 32_000)] {
            let clock = std::sync::Arc::new(FakeClock::at(UnixMs(0)));
            let queues = MemQueues::new(clock.clone());
            let mut batch = received(&queues, &[("a", "1 again")]).await;
            batch.messages[0].receives = receives;
            let turn = Turn::ending_in(Duration::from_secs(60));
            handle(&queues, &turn, batch, |_| async { Fate::Again }).await;
            clock.advance(after_ms - 1);
            let early = queues.receive("intents.fifo", 1, 0, 1_000).await.unwrap();
            clock.advance(1);
            let then = queues.receive("intents.fifo", 1, 0, 1_000).await.unwrap();
            assert_eq!((early.len(), then.len()), (0, 1), "receive {receives}");
        }
    }
}
