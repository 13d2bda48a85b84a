//! Messages, at least once: SQS's standard and FIFO queues.
use crate::fault::Fault;
use async_trait::async_trait;

/// A message to send. A queue whose name ends in `.fifo` needs `group` and `dedup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub body: Vec<u8>,
    /// FIFO: one message of a group at a time is in flight, in order.
    pub group: Option<String>,
    /// FIFO: the same id within five minutes is accepted and dropped.
    pub dedup: Option<String>,
    /// Standard queues: not visible before this. At most 15 minutes. Ignored on FIFO queues.
    pub delay_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub body: Vec<u8>,
    pub group: Option<String>,
    /// For `delete` and `extend`; a later delivery of the same message has another.
    pub receipt: String,
    /// How often it was delivered, this time included.
    pub receives: u32,
    pub message_id: String,
}

/// A FIFO queue forgets a deduplication id after this.
pub const DEDUP_WINDOW_MS: u64 = 300_000;
/// A standard queue refuses a longer delay as `Poison`.
pub const DELAY_MAX_MS: u64 = 900_000;
/// At most this many messages come from one `receive`.
pub const RECEIVE_MAX: usize = 10;
/// A message received this often without being deleted moves to the queue's dead letters. It
/// outlasts an hour's outage at the usual visibility of 30 s: throttles and lost swaps use up
/// receives too (rule A6).
pub const RECEIVES_MAX: u32 = 120;
/// Where dead letters of a queue lie.
#[must_use]
pub fn dead_letters(queue: &str) -> String {
    match queue.strip_suffix(".fifo") {
        Some(name) => format!("{name}-dead.fifo"),
        None => format!("{queue}-dead"),
    }
}

/// Queues by name; a queue exists once something was sent to it.
#[async_trait]
pub trait Queues: Send + Sync {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault>;
    /// Several, in this order and in as few requests as the queue allows. Each has an outcome of
    /// its own, in the same order; one that fails does not keep the later ones back.
    async fn send_many(&self, queue: &str, messages: Vec<Outgoing>) -> Vec<Result<(), Fault>> {
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            outcomes.push(self.send(queue, message).await);
        }
        outcomes
    }
    /// Up to `max` messages (at most [`RECEIVE_MAX`]), waiting up to `wait_ms` for the first. They
    /// stay invisible for `visibility_ms`. Of a FIFO group, nothing is delivered while a message
    /// of it is in flight; one call may return several of one group, in order.
    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault>;
    /// Acknowledges. A receipt whose visibility has passed may delete nothing; that succeeds too.
    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault>;
    /// Acknowledges several, each with an outcome of its own.
    async fn delete_many(&self, queue: &str, receipts: &[&str]) -> Vec<Result<(), Fault>> {
        let mut outcomes = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            outcomes.push(self.delete(queue, receipt).await);
        }
        outcomes
    }
    /// Invisible for this long from now on; 0 hands the message back at once. If the receipt's
    /// visibility has passed, 0 succeeds (it is back already) and anything else is `Retryable`:
    /// whoever holds the receipt must stop (rule A7).
    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault>;
    /// Messages waiting, roughly: those in flight are not counted.
    async fn depth(&self, queue: &str) -> Result<u64, Fault>;
}
