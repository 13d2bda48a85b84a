//! Working in-memory ports. They behave like the real ones (conditional writes, visibility, FIFO
//! groups, deduplication, dead letters) and pass the same [contract](crate::contract); only their
//! clock is the test's own.
//!
//! [`Faulty`] wraps any port, these or real ones, and fails calls before or after their effect by
//! a [`Faults`] plan that all wrapped ports share.
mod docs;
mod faults;
mod faulty;
mod fleet;
mod forge;
mod notices;
mod pool;
mod presence;
mod queues;
mod source;
mod values;

pub use docs::MemDocs;
pub use faults::{Call, Faults, Strike};
pub use faulty::Faulty;
pub use fleet::{Death, FakeFleet, FakeHook, GoneBy};
pub use forge::FakeForge;
pub use notices::FakeNotices;
pub use pool::FakePool;
pub use presence::FakePresence;
pub use queues::MemQueues;
pub use source::FakeSource;
pub use values::{MemBlobs, MemSecrets};

use crate::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_core::time::UnixMs;

/// A clock that stands still until it is told. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    #[must_use]
    pub fn at(now: UnixMs) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
    /// Any time, an earlier one too.
    pub fn set(&self, now: UnixMs) {
        self.0.store(now.0, Ordering::SeqCst);
    }
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }
}

impl Clock for FakeClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
}

/// A panicking test must not turn other tests' failures into lock errors.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page of what lies under a prefix, in byte order.
fn page<'a, T>(
    all: &'a std::collections::BTreeMap<String, T>,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    all.range(prefix.to_owned()..)
        .take_while(move |(key, _)| key.starts_with(prefix))
        .filter(move |(key, _)| after.is_none_or(|after| key.as_str() > after))
        .take(limit.min(crate::docs::LIST_MAX))
}
