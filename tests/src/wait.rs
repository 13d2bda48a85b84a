//! Waiting by asking again, with a deadline that only something broken reaches.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// For what takes seconds.
pub const LONG: Duration = Duration::from_secs(90);
/// For what takes moments.
pub const SHORT: Duration = Duration::from_secs(30);

/// Where everything takes longer, so does patience.
static FACTOR: AtomicU32 = AtomicU32::new(1);

/// From now on waiting takes so many times as long before it is given up.
pub fn be_patient(factor: u32) {
    FACTOR.fetch_max(factor, Ordering::Relaxed);
}

const AGAIN: Duration = Duration::from_millis(50);

/// Asks until there is an answer. The panic says what was waited for and what was last seen.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let patience = patience * FACTOR.load(Ordering::Relaxed);
    let end = Instant::now() + patience;
    loop {
        match ask() {
            Ok(seen) => return seen,
            Err(last) if Instant::now() >= end => {
                panic!("waited {} s for {what}; last seen: {last}", patience.as_secs())
            }
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}
