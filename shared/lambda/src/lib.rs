//! Lambda glue: configuration, logs and metrics, a batch with one fate per message.
//!
//! Nothing here knows what a message means. It never acknowledges one that was not handled to its
//! end, and never begins one that can't be ended before the invocation's deadline.
pub mod batch;
mod event;
pub mod fleet;
#[cfg(feature = "github")]
mod github;
mod log;
pub mod settings;
mod vars;
#[cfg(feature = "workers")]
pub mod workers;

pub use batch::Fate;
pub use event::{Batch, Event};
#[cfg(feature = "github")]
pub use github::github;
pub use lambda_runtime::Error;
pub use vars::{Configured, Misconfigured, Vars, asked, read_from};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use windlass_ports::{Fault, WriteIds};

/// An invocation with less time than this left begins no further message. A message takes about a
/// second; four lost swaps against a slow store take some.
const LAST_MS: u64 = 10_000;

/// One invocation: how long it may still take.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    ends: SystemTime,
    /// Nothing is begun when no more than this is left.
    last_ms: u64,
}

impl Turn {
    /// For tests, and for callers with a limit of their own.
    #[must_use]
    pub fn ending_in(left: Duration) -> Self {
        Self { ends: now() + left, last_ms: LAST_MS }
    }

    /// One that begins now. Of a short limit, which is whoever deploys the function's, half is for
    /// beginning: else nothing ever would be.
    fn until(ends: SystemTime) -> Self {
        Self { ends, last_ms: LAST_MS.min(ms_until(ends) / 2) }
    }

    /// Too soon to begin anything that takes time.
    #[must_use]
    pub fn ends_soon(&self) -> bool {
        self.left_ms() == 0
    }

    /// For so long anything may still be begun.
    #[must_use]
    pub fn left_ms(&self) -> u64 {
        ms_until(self.ends).saturating_sub(self.last_ms)
    }
}

fn ms_until(ends: SystemTime) -> u64 {
    let left = ends.duration_since(now()).unwrap_or_default();
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// Lambda states deadlines by the machine's clock, which is also read here: nothing is compared
/// across machines.
fn now() -> SystemTime {
    use windlass_ports::{Clock as _, clock::SystemClock};
    SystemTime::UNIX_EPOCH + Duration::from_millis(SystemClock.now().0)
}

/// The first line of every `main`: starts the log, then reads the configuration. Nothing is taken
/// from a queue before it has succeeded, so a deployment with a missing variable eats no message.
///
/// # Errors
/// Every problem of the environment at once; logged already.
pub fn init<C: Configured>() -> Result<C, Error> {
    let lookup = |name: &str| std::env::var(name).ok();
    let function = lookup("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    log::start(&function, lookup(settings::LOG).as_deref());
    std::panic::set_hook(Box::new(|panic| tracing::error!(count.Panics = 1, %panic, "a bug")));
    vars::read(&lookup).map_err(|problems| {
        tracing::error!(error = %problems, "can't start");
        Error::from(problems)
    })
}

/// Says why a function can't start, once, and gives the reason back.
///
/// # Errors
/// The reason, if there is one.
pub fn started<T, E: std::error::Error>(outcome: Result<T, E>) -> Result<T, Error> {
    outcome.map_err(|error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        tracing::error!(error = text, "can't start");
        Error::from(text)
    })
}

/// Write ids that no other process makes.
///
/// # Errors
/// When the system gives no randomness.
pub fn write_ids() -> Result<WriteIds, Error> {
    let mut prefix = [0_u8; 12];
    getrandom::fill(&mut prefix)
        .map_err(|error| Error::from(format!("the system gives no randomness: {error}")))?;
    Ok(WriteIds::new(prefix.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Takes invocations until the environment ends. An error fails the invocation, so that alarms see
/// it.
///
/// # Errors
/// When the runtime can't be reached.
pub async fn run<F, Fut>(handler: F) -> Result<(), Error>
where
    F: Fn(Value, Turn) -> Fut,
    Fut: Future<Output = Result<Value, Fault>>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let turn = Turn::until(event.context.deadline());
        let handled = handler(event.payload, turn);
        async { handled.await.map_err(Failure) }
    }))
    .await
}

/// What failed an invocation, by kind and with its whole chain.
struct Failure(Fault);

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.chain())
    }
}

impl From<Failure> for Diagnostic {
    fn from(Failure(fault): Failure) -> Self {
        let kind = if fault.is_retryable() { "Retryable" } else { "Poison" };
        Self { error_type: kind.to_owned(), error_message: fault.chain() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_its_limit_an_invocation_begins_something() {
        for (limit_s, expect_ms) in [(60, 50_000), (20, 10_000), (10, 5_000), (3, 1_500), (0, 0)] {
            let left_ms = Turn::until(now() + Duration::from_secs(limit_s)).left_ms();
            let range = expect_ms.min(1)..=expect_ms;
            assert!(range.contains(&left_ms), "{limit_s} s: {left_ms}");
        }
        assert!(Turn::ending_in(Duration::from_secs(9)).ends_soon());
    }
}
