//! Several messages in one request: one outcome for each.
use crate::body::seal;
use crate::queues::{LAPSED, Sqs};
use crate::words::{self, Envelope};
use adapter_aws::Failure;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};
use std::collections::BTreeMap;
use windlass_ports::{Fault, Outgoing};

/// SQS takes so many entries in one request, and 1 MiB of bodies; the rest is for what goes round
/// them.
const ENTRIES_MAX: usize = 10;
const BYTES_MAX: usize = 1_000_000;

/// Outcomes by position: all is well until something is said of it.
type Outcomes = Vec<Result<(), Fault>>;

impl Sqs {
    pub(crate) async fn send_batches(&self, queue: &str, messages: Vec<Outgoing>) -> Outcomes {
        let (mut outcomes, mut entries) = (Vec::with_capacity(messages.len()), Vec::new());
        for (n, message) in messages.into_iter().enumerate() {
            let entry = self.entry(queue, n, message).await;
            outcomes.push(entry.map(|entry| entries.push((n, entry))));
        }
        for batch in split(entries, |(_, entry)| entry.message_body().len()) {
            let (sent, batch): (Vec<usize>, Vec<_>) = batch.into_iter().unzip();
            let request = self.client.send_message_batch().queue_url(self.url(queue));
            let told = request.set_entries(Some(batch)).send().await.map_err(Failure::of);
            let told = told.map(|told| {
                let done = told.successful.into_iter().map(|entry| entry.id);
                Told::of(done, told.failed)
            });
            for n in sent {
                outcomes[n] =
                    outcome(&told, n).map_err(|failure| self.fault(failure, "send to", queue));
            }
        }
        outcomes
    }

    async fn entry(
        &self,
        queue: &str,
        n: usize,
        message: Outgoing,
    ) -> Result<SendMessageBatchRequestEntry, Fault> {
        let envelope = Envelope::of(queue, &message)?;
        let text = seal(&*self.blobs, message.body).await?;
        SendMessageBatchRequestEntry::builder()
            .id(n.to_string())
            .message_body(text)
            .set_message_group_id(envelope.group)
            .set_message_deduplication_id(envelope.dedup)
            .set_delay_seconds(envelope.delay_secs)
            .build()
            .map_err(unbuilt)
    }

    pub(crate) async fn delete_batches(&self, queue: &str, receipts: &[&str]) -> Outcomes {
        let mut outcomes: Outcomes = receipts.iter().map(|_| Ok(())).collect();
        let parsed = receipts.iter().map(|receipt| words::parse_receipt(receipt)).enumerate();
        let real = parsed.filter(|(_, (own, _))| !own.is_empty());
        for batch in split(real.collect(), |_| 0) {
            let entries = batch.iter().map(|(n, (own, _))| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
                entry.receipt_handle(*own).build().map_err(unbuilt)
            });
            let entries = match entries.collect::<Result<Vec<_>, Fault>>() {
                Ok(entries) => entries,
                Err(fault) => {
                    outcomes[batch[0].0] = Err(fault);
                    continue;
                }
            };
            let request = self.client.delete_message_batch().queue_url(self.url(queue));
            let told = request.set_entries(Some(entries)).send().await.map_err(Failure::of);
            let told = told.map(|told| {
                let done = told.successful.into_iter().map(|entry| entry.id);
                Told::of(done, told.failed)
            });
            for (n, (_, beside)) in batch {
                match outcome(&told, n) {
                    Ok(()) => self.clear(beside).await,
                    // Whoever holds the message now needs its body.
                    Err(failure) if failure.is(&LAPSED) => {}
                    Err(failure) => {
                        outcomes[n] = Err(self.fault(failure, "delete from", queue));
                    }
                }
            }
        }
        outcomes
    }
}

/// What SQS said of each entry.
struct Told(BTreeMap<String, Option<Failure>>);

impl Told {
    fn of(done: impl Iterator<Item = String>, failed: Vec<BatchResultErrorEntry>) -> Self {
        let failed = failed.into_iter().map(|entry| {
            let failure = Failure::of_entry(&entry.code, entry.message(), entry.sender_fault);
            (entry.id, Some(failure))
        });
        Self(done.map(|id| (id, None)).chain(failed).collect())
    }
}

fn outcome(told: &Result<Told, Failure>, n: usize) -> Result<(), Failure> {
    match told {
        Err(failure) => Err(failure.clone()),
        Ok(told) => match told.0.get(&n.to_string()) {
            Some(None) => Ok(()),
            Some(Some(failure)) => Err(failure.clone()),
            None => Err(Failure::of_entry("Unmentioned", Some("AWS said nothing of it"), false)),
        },
    }
}

fn unbuilt(error: BuildError) -> Fault {
    Fault::poison_from("an entry of a batch could not be put together", error)
}

/// In order, as many together as one request takes.
fn split<T>(entries: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut batches, mut room): (Vec<Vec<T>>, usize) = (Vec::new(), 0);
    for entry in entries {
        let size = bytes(&entry);
        match batches.last_mut() {
            Some(batch) if batch.len() < ENTRIES_MAX && size <= room => batch.push(entry),
            _ => {
                batches.push(vec![entry]);
                room = BYTES_MAX;
            }
        }
        room = room.saturating_sub(size);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_a_request() {
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1; 10], vec![10]),
            (vec![1; 23], vec![10, 10, 3]),
            (vec![200_000; 11], vec![5, 5, 1]),
            (vec![900_000, 100_000, 1, 1_000_000, 0], vec![2, 1, 2]),
            (vec![2_000_000, 1], vec![1, 1]),
        ] {
            let batches = split(sizes.clone(), |size| *size);
            let lengths: Vec<usize> = batches.iter().map(Vec::len).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
            assert_eq!(batches.concat(), sizes);
        }
    }
}
