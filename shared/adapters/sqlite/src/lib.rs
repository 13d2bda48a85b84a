//! Documents and queues in one SQLite file, for one server on one machine.
//!
//! One thread writes ([`writer`]): it takes whatever operations wait, runs them in one
//! transaction, and answers after its commit, so that a lone caller pays one `fsync` and many at
//! once share it. Reads run on connections of their own ([`reader`]) and never wait for it.
//! Nothing polls: a `receive` sleeps until its queue is touched or its next message is due.
//!
//! What durability costs an `fsync`, and what does not: a document written or deleted and a
//! message sent are on the disk when they are answered (`synchronous=FULL`). Receiving, extending
//! and acknowledging survive any death of the process, but a power cut may undo the last of them;
//! at-least-once delivery allows exactly that.
mod docs;
mod open;
mod queues;
mod reader;
mod rising;
mod writer;

pub use open::OpenError;

use queues::Waiters;
use reader::Readers;
use rising::Rising;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use windlass_core::time::UnixMs;
use windlass_ports::queues::RECEIVES_MAX;
use windlass_ports::{Clock, Fault};
use writer::Writer;

/// The open store. Dropping it finishes what waits and lets the next server in.
pub struct Store {
    clock: Arc<Rising>,
    readers: Readers,
    waiters: Arc<Waiters>,
    receives_max: Arc<AtomicU32>,
    // Dropped in this order: the lock only when nobody writes any more.
    writer: Writer,
    _lock: File,
}

impl Store {
    /// Opens or creates the file; its folder must exist. `clock` is best one that is never set
    /// ([`SteadyClock`](windlass_ports::clock::SteadyClock)); if it jumps back all the same, the
    /// store's time does not.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
        let opened = open::open(path, clock.now())?;
        let clock = Arc::new(Rising::new(clock, UnixMs(opened.time_ms)));
        let readers = Readers::open(path).map_err(|e| OpenError::of(path, e))?;
        let (waiters, receives_max) = (Arc::default(), Arc::new(AtomicU32::new(RECEIVES_MAX)));
        let seed = writer::Seed {
            clock: clock.clone(),
            waiters: Arc::clone(&waiters),
            receives_max: receives_max.clone(),
            opens: opened.opens,
            time_ms: opened.time_ms,
        };
        let writer = Writer::start(opened.conn, seed)
            .map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
        Ok(Store { clock, readers, waiters, receives_max, writer, _lock: opened.lock })
    }

    /// Lowers [`RECEIVES_MAX`], for tests of what happens behind it.
    pub fn set_receives_max(&self, receives_max: u32) {
        self.receives_max.store(receives_max, Ordering::Relaxed);
    }

    /// Makes everything in flight on this queue visible: whoever received it is known to be gone,
    /// such as the handlers of a server that was killed.
    pub async fn hand_back_all(&self, queue: &str) -> Result<(), Fault> {
        let queue = queue.to_owned();
        self.writer.call(false, move |tx| queues::hand_back_all(tx, &queue)).await
    }
}

/// An SQLite error in the words of a fault. Nothing that this store is asked can never succeed, so
/// all are retryable: a full disk, too, has room again some day.
fn fault(error: &rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode;
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk with the store is full",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "the store's file is damaged",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "the store's file can't be written"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk with the store fails",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the store's file"
        }
        _ => "the store failed",
    };
    Fault::retryable_from(what, error.to_string())
}
