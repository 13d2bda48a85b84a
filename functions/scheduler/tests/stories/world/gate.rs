//! A handler that stops in mid-air: its documents wait at one call until they are let through.
use super::World;
use async_trait::async_trait;
use scheduler::{Deps, Fate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use windlass_ports::{Delivery, Docs, Expect, Fault, Found, Listed, PutError, Version};

/// Stops before the n-th put of a key that starts so.
struct Gate {
    inner: Arc<dyn Docs>,
    before: String,
    puts_left: AtomicU32,
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

#[async_trait]
impl Docs for Gate {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        self.inner.get(key).await
    }
    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        if key.starts_with(&self.before) && self.puts_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.notify_one();
            self.go.notified().await;
        }
        self.inner.put(key, expect, body).await
    }
    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        self.inner.delete(key, expect).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.inner.list(prefix, after, limit).await
    }
}

/// A handler that was stopped.
pub(crate) struct Stopped {
    go: Arc<Notify>,
    task: JoinHandle<Fate>,
}

impl Stopped {
    /// It wakes and goes on to its end.
    pub(crate) async fn wake(self) -> Fate {
        self.go.notify_one();
        self.task.await.expect("it ends")
    }
}

impl World {
    /// Another handler (with healthy ports of its own) takes this message and stops right before
    /// its n-th put of a key that starts so.
    pub(crate) async fn stop_before(
        &self,
        queue: &str,
        delivery: &Delivery,
        (before, nth): (&str, u32),
    ) -> Stopped {
        let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gate = Gate {
            inner: self.docs.clone(),
            before: before.to_owned(),
            puts_left: AtomicU32::new(nth),
            reached: reached.clone(),
            go: go.clone(),
        };
        let write_ids = Arc::new(scheduler::WriteIds::new("other"));
        let docs: Arc<dyn Docs> = Arc::new(gate);
        let (queues, warm) = (self.queues.clone(), Arc::default());
        let deps = Deps { docs, queues, write_ids, warm, ..self.deps.clone() };
        let (queue, delivery) = (queue.to_owned(), delivery.clone());
        let task =
            tokio::spawn(async move { scheduler::handle_message(&deps, &queue, &delivery).await });
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            assert!(!task.is_finished(), "it ended without coming to {before}");
        }
        reached.notified().await;
        Stopped { go, task }
    }
}
