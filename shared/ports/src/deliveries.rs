//! Taking a delivery in, so that whatever dies on the way, its outcome comes (rule W1).
use crate::{Docs, Fault, Outgoing, Queues, cas};
use windlass_core::delivery::{KeptDelivery, VerifiedDelivery};
use windlass_core::event::{DeliveryPointer, Intent};
use windlass_core::id::{EventId, RepoName};
use windlass_core::keys;
use windlass_core::time::UnixMs;

/// The tick asks for a delivery without outcome once this many minutes have passed: until then its
/// first pointer is on its way.
const MINUTES: u64 = 2;

/// Whether a delivery was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    New,
    Repeated,
}

/// Three requests, in this order: the body where the tick finds it, a pointer to it in the group of
/// its repository, the mark. After the first, the delivery can't be lost; after the second, it is
/// on its way; the third tells a repetition from a first time.
///
/// # Errors
/// `Retryable` when a store or the queue is away; what is there by then is handled all the same.
pub async fn take(
    docs: &dyn Docs,
    queues: &dyn Queues,
    (repo, delivery): (&RepoName, &VerifiedDelivery),
    now: UnixMs,
    write_id: impl Fn() -> String,
) -> Result<Taken, Fault> {
    let id = delivery.id();
    let (event, body) = (delivery.event().to_owned(), delivery.body().to_owned());
    let kept = KeptDelivery { event, received_at: now, body };
    let body_key = keys::delivery_body(now.minute() + MINUTES, &id.0, repo);
    cas::create(docs, &body_key, &write_id(), &kept).await?;
    let pointer = DeliveryPointer { id: id.clone(), repo: repo.clone(), body_key };
    send(queues, pointer, id.0.clone()).await?;
    let mark = keys::delivery_mark(&id.0);
    let known = cas::create::<EventId>(docs, &mark, &write_id(), id).await?;
    Ok(known.map_or(Taken::New, |_| Taken::Repeated))
}

/// A pointer to a body that lies there.
///
/// # Errors
/// `Retryable` when the queue is away.
pub async fn send(
    queues: &dyn Queues,
    pointer: DeliveryPointer,
    dedup: String,
) -> Result<(), Fault> {
    let intent = Intent::Delivery(pointer);
    let group = Some(intent.group());
    let body = serde_json::to_vec(&intent)
        .map_err(|error| Fault::poison_from("a pointer does not serialise", error))?;
    let message = Outgoing { body, group, dedup: Some(dedup), delay_ms: 0 };
    queues.send(keys::INTENTS, message).await
}
