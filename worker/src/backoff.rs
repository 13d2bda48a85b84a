//! How long to wait before trying a store again.
use std::time::Duration;
use windlass_ports::Fault;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 50 ms to 5 s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    #[must_use]
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        wait
    }
}

/// Asks until the answer is known; a fault that can't pass is one.
pub(crate) async fn until_known<T, F>(mut ask: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Err(fault) if fault.is_retryable() => tokio::time::sleep(backoff.next()).await,
            known => return known,
        }
    }
}
