//! Queues as a deployment makes them: each with its dead letters.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "shared by tests")]
use adapter_aws::Aws;
use adapter_sqs::Sqs;
use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use emulator::{ACCOUNT, Emulator, REGION};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;
use windlass_ports::fake::MemBlobs;
use windlass_ports::queues::dead_letters;
use windlass_ports::{Delivery, Fault, Outgoing, Queues};

pub const RECEIVES_MAX: u32 = 3;

pub fn sqs(server: &Emulator, prefix: &str) -> (Sqs, Arc<MemBlobs>) {
    let blobs = Arc::new(MemBlobs::new());
    (Sqs::new(&aws(server), &server.queue_url_prefix(prefix), blobs.clone()), blobs)
}

fn aws(server: &Emulator) -> Aws {
    let vars = server.env("sqs-contract").into_iter().map(|(name, value)| (name.to_owned(), value));
    Aws::from_vars(&vars.collect()).unwrap()
}

/// Makes a queue before its first use.
pub struct Deployed {
    sqs: Sqs,
    client: aws_sdk_sqs::Client,
    prefix: String,
    made: Mutex<BTreeSet<String>>,
}

pub fn deployed(server: &Emulator, prefix: &str) -> (Deployed, Arc<MemBlobs>) {
    let (sqs, blobs) = sqs(server, prefix);
    let client = aws_sdk_sqs::Client::new(&aws(server).config_for("SQS"));
    (Deployed { sqs, client, prefix: prefix.to_owned(), made: Mutex::default() }, blobs)
}

impl Deployed {
    async fn ensure(&self, queue: &str) -> &Sqs {
        let mut made = self.made.lock().await;
        if made.insert(queue.to_owned()) {
            if queue.trim_end_matches(".fifo").ends_with("-dead") {
                self.create(queue, None).await;
            } else {
                let dead = dead_letters(queue);
                made.insert(dead.clone());
                self.create(&dead, None).await;
                self.create(queue, Some(&dead)).await;
            }
        }
        &self.sqs
    }

    async fn create(&self, queue: &str, dead: Option<&str>) {
        let mut request = self.client.create_queue().queue_name(format!("{}{queue}", self.prefix));
        if queue.ends_with(".fifo") {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        if let Some(dead) = dead {
            let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}{dead}", self.prefix);
            let policy =
                format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{RECEIVES_MAX}"}}"#);
            request = request.attributes(QueueAttributeName::RedrivePolicy, policy);
        }
        request.send().await.unwrap();
    }
}

#[async_trait]
impl Queues for Deployed {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        self.ensure(queue).await.send(queue, message).await
    }
    async fn send_many(&self, queue: &str, messages: Vec<Outgoing>) -> Vec<Result<(), Fault>> {
        self.ensure(queue).await.send_many(queue, messages).await
    }
    async fn delete_many(&self, queue: &str, receipts: &[&str]) -> Vec<Result<(), Fault>> {
        self.ensure(queue).await.delete_many(queue, receipts).await
    }
    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        self.ensure(queue).await.receive(queue, max, wait_ms, visibility_ms).await
    }
    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        self.ensure(queue).await.delete(queue, receipt).await
    }
    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        self.ensure(queue).await.extend(queue, receipt, visibility_ms).await
    }
    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        self.ensure(queue).await.depth(queue).await
    }
}
