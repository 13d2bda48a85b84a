//! What every adapter must pass: the ports' promises as rows of a test.
//!
//! A suite takes the port, names of its own (a prefix, so that a shared store can be used again)
//! and a [`Time`] that passes: a fake clock is advanced, a real store is waited for. Rows that a
//! real store would have to wait for too long skip themselves.
#![expect(clippy::unwrap_used, reason = "a suite is a test: it fails by panicking")]

pub mod blobs;
pub mod docs;
pub mod fleet;
pub mod forge;
pub mod origin;
pub mod pool;
pub mod queues;
pub mod secrets;
pub mod source;

use crate::fake::FakeClock;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How time goes by for the store under test.
#[async_trait]
pub trait Time: Send + Sync {
    /// Lets this much pass; false if that is too long to wait for.
    async fn pass(&self, ms: u64) -> bool;
}

#[async_trait]
impl Time for FakeClock {
    async fn pass(&self, ms: u64) -> bool {
        self.advance(ms);
        true
    }
}

/// Sleeps, up to ten seconds at a time.
pub struct RealTime;

#[async_trait]
impl Time for RealTime {
    async fn pass(&self, ms: u64) -> bool {
        if ms > 10_000 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(ms)).await;
        true
    }
}

/// A port under test, with a part of its names to itself.
pub struct Ground<P: ?Sized> {
    pub port: Arc<P>,
    /// Before every key, queue or name of the suite. Letters, digits and `-`.
    pub prefix: String,
    pub time: Arc<dyn Time>,
}

impl<P: ?Sized> Ground<P> {
    pub fn new(port: Arc<P>, prefix: &str, time: impl Time + 'static) -> Self {
        Self { port, prefix: prefix.to_owned(), time: Arc::new(time) }
    }
}

/// `all` runs every row in turn and names it first, so that a failure tells which it was.
macro_rules! rows {
    ($ground:ty: $($row:ident),+ $(,)?) => {
        /// Every row of the suite.
        pub async fn all(ground: &$ground) {
            $(
                eprintln!("row {}", stringify!($row));
                $row(ground).await;
            )+
        }
    };
}
use rows;
