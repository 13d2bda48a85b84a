//! The port over SQS's calls.
use crate::body::{beside, open, seal};
use crate::words::{self, Envelope};
use adapter_aws::{Aws, Failure};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName};
use std::sync::Arc;
use windlass_ports::queues::{Queues, RECEIVE_MAX};
use windlass_ports::{Blobs, Delivery, Fault, Outgoing};

/// The receipt's visibility has passed, or it never was one.
pub(crate) const LAPSED: [&str; 3] =
    ["MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"];
const NO_QUEUE: [&str; 2] = ["QueueDoesNotExist", "NonExistentQueue"];

/// All queues of one installation.
pub struct Sqs {
    pub(crate) client: Client,
    url_prefix: String,
    pub(crate) blobs: Arc<dyn Blobs>,
    aws: Aws,
}

impl Sqs {
    /// A queue's address is `url_prefix` and its name, as in
    /// `https://sqs.eu-central-1.amazonaws.com/1234/windlass-` and `intents.fifo`.
    #[must_use]
    pub fn new(aws: &Aws, url_prefix: &str, blobs: Arc<dyn Blobs>) -> Self {
        let client = Client::new(&aws.config_for("SQS"));
        Self { client, url_prefix: url_prefix.to_owned(), blobs, aws: aws.clone() }
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}{queue}", self.url_prefix)
    }

    pub(crate) fn fault(&self, failure: Failure, what: &str, queue: &str) -> Fault {
        if failure.is(&NO_QUEUE) {
            let url = self.url(queue);
            return Fault::retryable_from(format!("there is no queue {url}"), failure);
        }
        failure.fault(format!("can't {what} the queue {queue}"))
    }

    /// The body that lay beside a message that is gone.
    pub(crate) async fn clear(&self, beside: Option<&str>) {
        if let Some(key) = beside
            && let Err(fault) = self.blobs.delete(key).await
        {
            tracing::info!(key, error = fault.chain(), "left to the bucket's lifecycle rule");
        }
    }

    /// None for a message that was acknowledged before and has come once more.
    async fn delivery(&self, message: &Message) -> Result<Option<Delivery>, Fault> {
        let text = message.body().unwrap_or_default();
        let Some(body) = open(&*self.blobs, text).await? else { return Ok(None) };
        let attribute = |name| message.attributes().and_then(|all| all.get(&name)).cloned();
        let receives = attribute(Attribute::ApproximateReceiveCount);
        Ok(Some(Delivery {
            body,
            group: attribute(Attribute::MessageGroupId),
            receipt: words::receipt(message.receipt_handle().unwrap_or_default(), beside(text)),
            receives: receives.and_then(|n| n.parse().ok()).unwrap_or(1),
            message_id: message.message_id().unwrap_or_default().to_owned(),
        }))
    }

    /// All of them, or none: order within a group would not hold otherwise.
    async fn open_all(&self, queue: &str, messages: Vec<Message>) -> Result<Vec<Delivery>, Fault> {
        let mut deliveries = Vec::with_capacity(messages.len());
        for message in &messages {
            match self.delivery(message).await {
                Ok(Some(delivery)) => deliveries.push(delivery),
                Ok(None) => {
                    let id = message.message_id().unwrap_or_default();
                    tracing::info!(queue, message_id = id, "acknowledged before, delivered again");
                    self.delete(queue, message.receipt_handle().unwrap_or_default()).await?;
                }
                Err(fault) => {
                    for message in &messages {
                        let receipt = message.receipt_handle().unwrap_or_default();
                        // If that fails too, the visibility passes.
                        let _ = self.extend(queue, receipt, 0).await;
                    }
                    return Err(fault);
                }
            }
        }
        Ok(deliveries)
    }
}

#[async_trait]
impl Queues for Sqs {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        let envelope = Envelope::of(queue, &message)?;
        let text = seal(&*self.blobs, message.body).await?;
        let request = self
            .client
            .send_message()
            .queue_url(self.url(queue))
            .message_body(text)
            .set_message_group_id(envelope.group)
            .set_message_deduplication_id(envelope.dedup)
            .set_delay_seconds(envelope.delay_secs);
        let sent = request.send().await.map_err(Failure::of);
        sent.map(drop).map_err(|failure| self.fault(failure, "send to", queue))
    }

    async fn send_many(&self, queue: &str, messages: Vec<Outgoing>) -> Vec<Result<(), Fault>> {
        self.send_batches(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        let Ok(max @ 1..) = i32::try_from(max.min(RECEIVE_MAX)) else { return Ok(Vec::new()) };
        let wait_secs = words::wait_secs(wait_ms);
        let patience = self.aws.timeouts(u64::from(wait_secs.unsigned_abs()) * 1_000);
        let config = aws_sdk_sqs::Config::builder().timeout_config(patience);
        let request = self
            .client
            .receive_message()
            .queue_url(self.url(queue))
            .max_number_of_messages(max)
            .wait_time_seconds(wait_secs)
            .visibility_timeout(words::visibility_secs(visibility_ms))
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::MessageGroupId);
        let received = request.customize().config_override(config).send().await;
        let received = received.map_err(Failure::of);
        let received = received.map_err(|failure| self.fault(failure, "receive from", queue))?;
        self.open_all(queue, received.messages.unwrap_or_default()).await
    }

    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        let (own, beside) = words::parse_receipt(receipt);
        if own.is_empty() {
            return Ok(());
        }
        let request = self.client.delete_message().queue_url(self.url(queue)).receipt_handle(own);
        match request.send().await.map_err(Failure::of) {
            Ok(_) => {}
            // Whoever holds the message now needs its body.
            Err(failure) if failure.is(&LAPSED) => return Ok(()),
            Err(failure) => return Err(self.fault(failure, "delete from", queue)),
        }
        self.clear(beside).await;
        Ok(())
    }

    async fn delete_many(&self, queue: &str, receipts: &[&str]) -> Vec<Result<(), Fault>> {
        self.delete_batches(queue, receipts).await
    }

    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        let (own, _) = words::parse_receipt(receipt);
        let request = self
            .client
            .change_message_visibility()
            .queue_url(self.url(queue))
            .receipt_handle(own)
            .visibility_timeout(words::visibility_secs(visibility_ms));
        match request.send().await.map_err(Failure::of) {
            Ok(_) => Ok(()),
            Err(failure) if failure.is(&LAPSED) && visibility_ms == 0 => Ok(()),
            Err(failure) if failure.is(&LAPSED) => {
                Err(Fault::retryable_from("the message is held no longer", failure))
            }
            Err(failure) => Err(self.fault(failure, "hold a message of", queue)),
        }
    }

    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(self.url(queue));
        let answer = request.attribute_names(name.clone()).send().await.map_err(Failure::of);
        let answer = answer.map_err(|failure| self.fault(failure, "measure", queue))?;
        let count = answer.attributes().and_then(|all| all.get(&name));
        count.and_then(|n| n.parse().ok()).ok_or_else(|| {
            Fault::retryable(format!("SQS did not say how many messages are in {queue}"))
        })
    }
}
