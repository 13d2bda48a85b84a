//! Waiting by asking again, with a deadline that only something broken reaches.
use std::time::{Duration, Instant};

/// For what takes seconds.
pub const LONG: Duration = Duration::from_secs(90);
/// For what takes moments.
pub const SHORT: Duration = Duration::from_secs(30);

const AGAIN: Duration = Duration::from_millis(50);

/// Asks until there is an answer. The panic says what was waited for and what was last seen.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
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
