//! Blobs on their way to the store, in the background.
//!
//! The tool never waits for the store. When the store is away, blobs wait in memory; what has not
//! arrived when the job ends is handed back, for the spool.
use crate::backoff::Backoff;
use crate::until::until;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use windlass_ports::Blobs;

/// Bytes and the key they belong under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub key: String,
    pub body: Vec<u8>,
}

/// A line that a file holds once its blob is stored, and not before.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub file: PathBuf,
    pub line: String,
}

impl Note {
    fn write(&self) -> io::Result<()> {
        let part = self.file.with_extension("part");
        fs::write(&part, &self.line)?;
        fs::rename(part, &self.file)
    }
}

type Item = (Blob, Option<Note>);

/// Accepts blobs; clones feed the same queue.
#[derive(Clone, Debug)]
pub(crate) struct Sender(mpsc::UnboundedSender<Item>);

impl Sender {
    pub(crate) fn send(&self, key: String, body: Vec<u8>) {
        self.send_noted(key, body, None);
    }

    pub(crate) fn send_noted(&self, key: String, body: Vec<u8>, note: Option<Note>) {
        // The queue outlives its senders, unless its task panicked; then there is nobody to tell.
        let _ = self.0.send((Blob { key, body }, note));
    }
}

/// The queue and the task that empties it.
pub(crate) struct Uploads {
    sender: Sender,
    give_up: watch::Sender<bool>,
    task: JoinHandle<Vec<Blob>>,
}

impl Uploads {
    /// One after the other.
    #[must_use]
    pub(crate) fn start(blobs: Arc<dyn Blobs>) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        let (give_up, given_up) = watch::channel(false);
        let task = tokio::spawn(empty(blobs, queue, given_up));
        Self { sender: Sender(sender), give_up, task }
    }

    /// All at once; notes are not written.
    #[must_use]
    pub(crate) fn scattered(blobs: Arc<dyn Blobs>) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        let (give_up, given_up) = watch::channel(false);
        let task = tokio::spawn(scatter(blobs, queue, given_up));
        Self { sender: Sender(sender), give_up, task }
    }

    #[must_use]
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits until all is stored, at most for `patience`; what is not comes back. All other
    /// senders must be gone.
    pub(crate) async fn finish(self, patience: Duration) -> Vec<Blob> {
        let Self { sender, give_up, mut task } = self;
        drop(sender);
        if let Ok(left) = tokio::time::timeout(patience, &mut task).await {
            return left.unwrap_or_default();
        }
        give_up.send_replace(true);
        task.await.unwrap_or_default()
    }
}

/// In order: who follows a log must not find its parts with a gap.
async fn empty(
    blobs: Arc<dyn Blobs>,
    mut queue: mpsc::UnboundedReceiver<Item>,
    mut given_up: watch::Receiver<bool>,
) -> Vec<Blob> {
    let mut left = Vec::new();
    while let Some((blob, note)) = queue.recv().await {
        if !left.is_empty() || !stored(&*blobs, &blob, &mut given_up).await {
            left.push(blob);
        } else if let Some(Err(error)) = note.map(|note| note.write()) {
            tracing::warn!(%error, "how far a log is stored was not noted");
        }
    }
    left
}

/// All at once: nobody sees them before the result that names them.
async fn scatter(
    blobs: Arc<dyn Blobs>,
    mut queue: mpsc::UnboundedReceiver<Item>,
    given_up: watch::Receiver<bool>,
) -> Vec<Blob> {
    let mut puts = JoinSet::new();
    while let Some((blob, _)) = queue.recv().await {
        let (blobs, mut given_up) = (blobs.clone(), given_up.clone());
        puts.spawn(async move {
            let stored = stored(&*blobs, &blob, &mut given_up).await;
            (!stored).then_some(blob)
        });
    }
    puts.join_all().await.into_iter().flatten().collect()
}

async fn stored(blobs: &dyn Blobs, blob: &Blob, given_up: &mut watch::Receiver<bool>) -> bool {
    let mut backoff = Backoff::default();
    loop {
        match blobs.put(&blob.key, blob.body.clone()).await {
            Ok(()) => return true,
            Err(fault) if *given_up.borrow() || !fault.is_retryable() => {
                tracing::warn!(key = blob.key, error = fault.chain(), "a blob was not stored");
                return false;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            () = until(given_up, |given_up| *given_up) => return false,
        }
    }
}
