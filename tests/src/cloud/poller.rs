//! Event sources: what Lambda does between a queue and a function.
//!
//! A batch is received, the function is invoked with it, and what it does not name as failed is
//! deleted. Of a FIFO queue the queue itself gives no second batch of a group while one is in flight.
use super::aws::Aws;
use super::runtime::Lambda;
use super::stack::Source;
use super::trace::Trace;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use axum::body::Bytes;
use emulator::REGION;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// One receive brings at most ten messages.
const RECEIVE_MAX: i32 = 10;
/// A receive that is given up may still bring a message to nobody, so none is: they end soon by
/// themselves.
const WAIT_S: i32 = 2;
/// After a receive that failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Long enough for the first to be in the middle of it.
const BETWEEN_TWICE: Duration = Duration::from_millis(15);

/// What SQS may do to messages and hardly ever does.
#[derive(Default)]
pub struct Weather {
    /// Each batch is delivered twice, the second time while the first is being handled.
    pub twice: AtomicBool,
    /// Each batch is held back for up to so many milliseconds, another time for each.
    pub late_ms: AtomicU64,
}

/// A box's event sources.
pub struct Pollers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What one poller needs.
struct Poller {
    aws: Aws,
    lambda: Arc<Lambda>,
    source: Source,
    /// After this time the messages of an invocation that failed come back. The queue's own timeout
    /// is minutes, and nothing but minutes lies between the two; None leaves it as it is. What a
    /// function itself names as failed is left to it and the queue.
    comes_back: Option<Duration>,
    weather: Arc<Weather>,
}

impl Pollers {
    pub fn start(
        aws: &Aws,
        lambda: &Arc<Lambda>,
        sources: &[Source],
        comes_back: Option<Duration>,
        weather: &Arc<Weather>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = sources.iter().map(|source| {
            let poller = Arc::new(Poller {
                aws: aws.clone(),
                lambda: lambda.clone(),
                source: source.clone(),
                comes_back,
                weather: weather.clone(),
            });
            tokio::spawn(poll(poller, stopped.clone()))
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// Takes nothing more, and ends when what was taken is done.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

async fn poll(poller: Arc<Poller>, stopped: watch::Receiver<bool>) {
    let most = u32::try_from(poller.source.concurrency).unwrap_or(u32::MAX);
    let turns = Arc::new(Semaphore::new(poller.source.concurrency));
    while !*stopped.borrow() {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let batch = poller.receive(&stopped).await;
        if batch.is_empty() {
            continue;
        }
        let poller = poller.clone();
        tokio::spawn(async move {
            poller.deliver(batch).await;
            drop(turn);
        });
    }
    // All turns at once: nobody is at work.
    let _ = turns.acquire_many(most).await;
}

impl Poller {
    /// A batch: what is there, or what comes within the window.
    async fn receive(&self, stopped: &watch::Receiver<bool>) -> Vec<Message> {
        let mut batch: Vec<Message> = Vec::new();
        let mut end: Option<Instant> = None;
        loop {
            let room = self.source.batch.saturating_sub(batch.len());
            let room = i32::try_from(room).unwrap_or(RECEIVE_MAX).min(RECEIVE_MAX);
            let over = end.is_some_and(|end| Instant::now() >= end);
            if room == 0 || over || (batch.is_empty() && *stopped.borrow()) {
                return batch;
            }
            // Within the window it is asked again and again; before it, it waits for the first.
            let wait = if batch.is_empty() { WAIT_S } else { 0 };
            let asked = self
                .aws
                .sqs
                .receive_message()
                .queue_url(self.url())
                .max_number_of_messages(room)
                .wait_time_seconds(wait)
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .message_attribute_names("All");
            match asked.send().await {
                Ok(received) => batch.extend(received.messages.unwrap_or_default()),
                Err(error) => {
                    let why = DisplayErrorContext(&error);
                    self.lambda.note(&self.source.function, &format!("POLL failed: {why}"));
                    tokio::time::sleep(AGAIN).await;
                }
            }
            if batch.is_empty() {
                return batch;
            }
            let end = *end.get_or_insert_with(|| Instant::now() + self.source.window);
            if Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn deliver(&self, batch: Vec<Message>) {
        let event = self.event(&batch);
        let cause = furthest(&batch, &self.source.function);
        let body = Bytes::from(event.to_string());
        self.hold_back(&batch).await;
        let (lambda, function) = (&self.lambda, &self.source.function);
        let first = lambda.invoke(function, body.clone(), cause.as_ref());
        let outcome = match self.weather.twice.load(Ordering::Relaxed) {
            false => first.await,
            true => {
                let again = async {
                    tokio::time::sleep(BETWEEN_TWICE).await;
                    lambda.invoke(function, body.clone(), cause.as_ref()).await
                };
                tokio::join!(first, again).0
            }
        };
        let broke = outcome.is_err();
        let failed = match outcome {
            Ok(answer) if self.source.partial => failures(&answer, &batch),
            Ok(_) => BTreeSet::new(),
            Err(_) => batch.iter().filter_map(|m| m.message_id.clone()).collect(),
        };
        let has_failed = |m: &&Message| m.message_id.as_ref().is_some_and(|id| failed.contains(id));
        let (failed, done): (Vec<_>, Vec<_>) = batch.iter().partition(has_failed);
        self.delete(&done).await;
        if let Some(comes_back) = self.comes_back.filter(|_| broke) {
            for message in failed {
                self.hide(message, comes_back).await;
            }
        }
    }

    async fn hold_back(&self, batch: &[Message]) {
        let most = self.weather.late_ms.load(Ordering::Relaxed);
        // As good as chance, and the same for the same message.
        let mut hash = DefaultHasher::new();
        batch.first().and_then(|message| message.message_id.as_ref()).hash(&mut hash);
        if let Some(ms) = hash.finish().checked_rem(most) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    async fn delete(&self, done: &[&Message]) {
        for ten in done.chunks(10) {
            let entries = ten.iter().enumerate().filter_map(|(n, message)| {
                let receipt = message.receipt_handle.clone()?;
                let entry = DeleteMessageBatchRequestEntry::builder();
                entry.id(n.to_string()).receipt_handle(receipt).build().ok()
            });
            let asked = self.aws.sqs.delete_message_batch().queue_url(self.url());
            // What is not deleted comes again: functions expect that.
            let _ = asked.set_entries(Some(entries.collect())).send().await;
        }
    }

    async fn hide(&self, message: &Message, time: Duration) {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let asked = self.aws.sqs.change_message_visibility().queue_url(self.url());
        let asked = asked.set_receipt_handle(message.receipt_handle.clone());
        let _ = asked.visibility_timeout(seconds).send().await;
    }

    fn url(&self) -> String {
        self.aws.queue_url(&self.source.queue)
    }

    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
    fn event(&self, batch: &[Message]) -> Value {
        let records = batch.iter().map(|message| {
            let attributes = message.attributes.iter().flatten();
            let attributes: Map<String, Value> =
                attributes.map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
            let own = message.message_attributes.iter().flatten().map(|(name, value)| {
                let fields = json!({
                    "stringValue": value.string_value,
                    "dataType": value.data_type,
                    "stringListValues": [],
                    "binaryListValues": [],
                });
                (name.clone(), fields)
            });
            json!({
                "messageId": message.message_id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": attributes,
                "messageAttributes": own.collect::<Map<String, Value>>(),
                "md5OfBody": message.md5_of_body,
                "eventSource": "aws:sqs",
                "eventSourceARN": self.source.queue_arn,
                "awsRegion": REGION,
            })
        });
        json!({ "Records": records.collect::<Vec<_>>() })
    }
}

/// The trace that has passed the function most often: a batch is cut off with its worst message.
fn furthest(batch: &[Message], function: &str) -> Option<Trace> {
    let header = |message: &Message| {
        let attributes = message.attributes.as_ref()?;
        attributes.get(&MessageSystemAttributeName::AwsTraceHeader).map(|text| Trace::parse(text))
    };
    batch.iter().filter_map(header).max_by_key(|trace| trace.passes(function))
}

/// Which messages failed, as the function says; all, if what it says makes no sense
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
fn failures(answer: &[u8], batch: &[Message]) -> BTreeSet<String> {
    let all: BTreeSet<String> = batch.iter().filter_map(|m| m.message_id.clone()).collect();
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return all };
    let named = match &answer["batchItemFailures"] {
        Value::Null => return BTreeSet::new(),
        Value::Array(named) => named,
        _ => return all,
    };
    let ids: Option<BTreeSet<String>> = named
        .iter()
        .map(|one| one["itemIdentifier"].as_str().filter(|id| all.contains(*id)))
        .map(|id| id.map(str::to_owned))
        .collect();
    ids.unwrap_or(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says_of_its_batch() {
        let message = |id: &str| Message::builder().message_id(id).build();
        let batch = [message("a"), message("b")];
        let all: &[&str] = &["a", "b"];
        #[rustfmt::skip]
        let table: [(&str, &str, &[&str]); 8] = [
            ("nothing failed",       r#"{"batchItemFailures":[]}"#,                         &[]),
            ("one failed",           r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#,   &["b"]),
            ("null",                 r#"{"batchItemFailures":null}"#,                       &[]),
            ("no word of it",        r#"{}"#,                                               &[]),
            ("an unknown message",   r#"{"batchItemFailures":[{"itemIdentifier":"x"}]}"#,   all),
            ("an empty name",        r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,    all),
            ("another name for it",  r#"{"batchItemFailures":[{"item":"b"}]}"#,             all),
            ("no JSON",              "so long",                                             all),
        ];
        for (name, answer, expect) in table {
            let found = failures(answer.as_bytes(), &batch);
            assert_eq!(found, expect.iter().map(|id| (*id).to_owned()).collect(), "{name}");
        }
    }
}
