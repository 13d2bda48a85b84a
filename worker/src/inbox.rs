//! Pointers from a pool's two queues, the first strictly before the rest.
//!
//! Both queues are asked at once, each by a long poll of its own, so that an idle worker reacts to
//! either at once. What a poll brings when it is no longer wanted is handed back at once.
use crate::backoff::Backoff;
use std::sync::Arc;
use tokio::sync::oneshot;
use windlass_core::id::PoolId;
use windlass_core::keys;
use windlass_ports::{Delivery, Queues};

/// A pointer and the queue that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub queue: String,
    pub delivery: Delivery,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub poll_ms: u64,
    pub visibility_ms: u64,
}

type Answer = oneshot::Receiver<Received>;

pub(crate) struct Inbox {
    queues: Arc<dyn Queues>,
    names: [String; 2],
    waits: Waits,
    polls: [Option<Answer>; 2],
    /// A look at the first queue alone, before both are waited for: with both full, the rest
    /// must not win by a hair.
    look: Option<Answer>,
    looked: bool,
}

impl Inbox {
    #[must_use]
    pub(crate) fn new(queues: Arc<dyn Queues>, pool: &PoolId, waits: Waits) -> Self {
        let names = [keys::first_queue(pool), keys::rest_queue(pool)];
        Self { queues, names, waits, polls: [None, None], look: None, looked: false }
    }

    /// The next pointer. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Received {
        if !self.looked {
            let (queues, queue, waits) = (&self.queues, &self.names[0], self.waits);
            let look = self.look.get_or_insert_with(|| start(queues, queue, waits, false));
            let seen = look.await;
            (self.look, self.looked) = (None, true);
            if let Ok(received) = seen {
                self.looked = false;
                return received;
            }
        }
        for (poll, queue) in self.polls.iter_mut().zip(&self.names) {
            poll.get_or_insert_with(|| start(&self.queues, queue, self.waits, true));
        }
        let [Some(first), Some(rest)] = &mut self.polls else {
            return std::future::pending().await;
        };
        let (which, received) = tokio::select! {
            biased;
            received = first => (0, received),
            received = rest => (1, received),
        };
        self.polls[which] = None;
        match received {
            Ok(received) => received,
            // The poll's task is gone; the runtime goes down.
            Err(_) => std::future::pending().await,
        }
    }

    /// Wants nothing more for now.
    pub(crate) async fn close(&mut self) {
        self.looked = false;
        for poll in self.polls.iter_mut().chain([&mut self.look]) {
            let Some(mut answer) = poll.take() else { continue };
            answer.close();
            if let Ok(received) = answer.try_recv() {
                hand_back(&*self.queues, &received).await;
            }
        }
    }
}

/// Asks a queue in the background, until it answers, or once.
fn start(queues: &Arc<dyn Queues>, queue: &str, waits: Waits, lasting: bool) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let waits = if lasting { waits } else { Waits { poll_ms: 0, ..waits } };
    tokio::spawn(ask(queues.clone(), queue.to_owned(), waits, lasting, sender));
    receiver
}

async fn ask(
    queues: Arc<dyn Queues>,
    queue: String,
    waits: Waits,
    lasting: bool,
    mut answer: oneshot::Sender<Received>,
) {
    let mut backoff = Backoff::default();
    loop {
        match queues.receive(&queue, 1, waits.poll_ms, waits.visibility_ms).await {
            Ok(deliveries) => {
                let mut deliveries = deliveries.into_iter();
                if let Some(delivery) = deliveries.next() {
                    if let Err(unwanted) = answer.send(Received { queue, delivery }) {
                        hand_back(&*queues, &unwanted).await;
                    }
                    return;
                }
                if !lasting {
                    return;
                }
                // A queue that does not wait must not be asked in a circle.
                let pause = if waits.poll_ms == 0 { backoff.next() } else { Default::default() };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = answer.closed() => return,
                }
            }
            Err(fault) => {
                tracing::debug!(queue, error = fault.chain(), "no pointers");
                tokio::select! {
                    () = tokio::time::sleep(backoff.next()) => {}
                    () = answer.closed() => return,
                }
            }
        }
        if answer.is_closed() || !lasting {
            return;
        }
    }
}

/// Visible to others again, at once.
pub(crate) async fn hand_back(queues: &dyn Queues, received: &Received) {
    if let Err(fault) = queues.extend(&received.queue, &received.delivery.receipt, 0).await {
        tracing::debug!(queue = received.queue, error = fault.chain(), "not handed back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use windlass_ports::clock::SystemClock;
    use windlass_ports::fake::MemQueues;
    use windlass_ports::queues::Outgoing;

    const WAITS: Waits = Waits { poll_ms: 500, visibility_ms: 30_000 };

    async fn send(queues: &dyn Queues, queue: &str, body: &str) {
        let message = Outgoing { body: body.as_bytes().to_vec(), ..Outgoing::default() };
        queues.send(queue, message).await.unwrap();
    }

    #[tokio::test]
    async fn the_first_queue_goes_first_and_nothing_is_kept() {
        let queues = Arc::new(MemQueues::waiting(Arc::new(SystemClock)));
        let pool = PoolId::from("p");
        for (queue, body) in [
            (keys::rest_queue(&pool), "c"),
            (keys::first_queue(&pool), "a"),
            (keys::first_queue(&pool), "b"),
        ] {
            send(&*queues, &queue, body).await;
        }
        let mut inbox = Inbox::new(queues.clone(), &pool, WAITS);
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(inbox.next().await.delivery.body);
        }
        assert_eq!(seen, [b"a", b"b"]);
        inbox.close().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let rest = queues.receive(&keys::rest_queue(&pool), 1, 0, 1_000).await.unwrap();
        assert_eq!(rest[0].body, b"c", "handed back, not kept invisible");
    }

    #[tokio::test]
    async fn what_arrives_after_closing_goes_back() {
        let queues = Arc::new(MemQueues::waiting(Arc::new(SystemClock)));
        let pool = PoolId::from("p");
        let mut inbox = Inbox::new(queues.clone(), &pool, WAITS);
        let none = tokio::time::timeout(Duration::from_millis(20), inbox.next()).await;
        assert!(none.is_err());
        inbox.close().await;
        send(&*queues, &keys::first_queue(&pool), "late").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let got = inbox.next().await;
        assert_eq!(got.delivery.body, b"late");
    }
}
