//! The machine's own end: when it is announced, what it leaves time for, and what follows.
//!
//! EC2 takes a Spot machine some two minutes after it said so, whoever is at work there. From then
//! on the worker takes nothing and begins nothing. A plan is interrupted at once, because it is made
//! again elsewhere. An apply, a destroy or a task may still end by itself, until the tool needs what
//! is left to stop in order and store its state.
use crate::Deps;
use crate::record::{Record, SwapError, WriteIds};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windlass_core::instance::{DrainedBy, Refused};
use windlass_ports::{Notice, Notices};

/// Nobody is told earlier than this. By a clock that is behind it would be longer.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// A tool is interrupted so long before the end …
const STOP: Duration = Duration::from_secs(75);
/// … and killed so long before it: what it did has to be told.
const TELL: Duration = Duration::from_secs(15);
/// Whatever is left, the tool has this between the two.
const STOP_MIN: Duration = Duration::from_secs(5);

/// What is known of the machine's end. It only gets worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outlook {
    #[default]
    Stays,
    /// It may be taken soon.
    Leaves,
    Ends(Ending),
}

impl Outlook {
    fn is_worse_than(&self, other: &Outlook) -> bool {
        let rank = |outlook: &Outlook| match outlook {
            Outlook::Stays => 0,
            Outlook::Leaves => 1,
            Outlook::Ends(_) => 2,
        };
        rank(self) > rank(other)
    }

    #[must_use]
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self {
            Outlook::Ends(ending) => Some(*ending),
            Outlook::Stays | Outlook::Leaves => None,
        }
    }
}

/// What the rest of the machine's time is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Until then a tool that can't be repeated may go on.
    pub interrupt_at: Instant,
    pub kill_at: Instant,
}

impl Ending {
    fn of(left: Duration, heard: Instant) -> Self {
        let left = left.min(AHEAD_MAX);
        let interrupt_at = heard + left.saturating_sub(STOP);
        let kill_at = (heard + left.saturating_sub(TELL)).max(interrupt_at + STOP_MIN);
        Self { interrupt_at, kill_at }
    }
}

/// Asks for notices again and again, and drains the worker's own record on the first.
pub(crate) struct Watcher {
    pub notices: Arc<dyn Notices>,
    pub deps: Arc<Deps>,
    pub record: Arc<Record>,
    pub ids: Arc<WriteIds>,
    pub poll: Duration,
    pub outlook: watch::Sender<Outlook>,
    pub draining: watch::Sender<bool>,
}

impl Watcher {
    pub(crate) async fn watch(self) {
        let mut deaf = false;
        loop {
            match self.notices.standing().await {
                Ok(notice) => {
                    deaf = false;
                    if let Some(notice) = notice {
                        self.heed(notice).await;
                    }
                }
                Err(fault) => {
                    if !deaf {
                        tracing::warn!(error = fault.chain(), "Spot notices are not heard");
                    }
                    deaf = true;
                }
            }
            tokio::time::sleep(self.poll).await;
        }
    }

    async fn heed(&self, notice: Notice) {
        let outlook = match notice {
            Notice::Rebalance => Outlook::Leaves,
            Notice::Interruption { at } => {
                let left = Duration::from_millis(at.since_ms(self.deps.clock.now()));
                Outlook::Ends(Ending::of(left, Instant::now()))
            }
        };
        let news = self.outlook.send_if_modified(|before| {
            let worse = outlook.is_worse_than(before);
            if worse {
                *before = outlook;
            }
            worse
        });
        if news {
            tracing::warn!(?notice, "EC2 wants this machine back");
        }
        // Somebody else's drain does as well, as long as it stands.
        if news || !*self.draining.borrow() {
            self.drain().await;
        }
    }

    async fn drain(&self) {
        let now = self.deps.clock.now();
        let id = self.ids.next();
        let drain = self.record.swap(&*self.deps.docs, &id, |record, epoch| {
            let renewed = record.renew(epoch)?;
            match renewed.drain(DrainedBy::Notice {}, now) {
                Err(Refused::Theirs) => Ok(renewed),
                drained => drained,
            }
        });
        match drain.await {
            Ok(_) => {
                self.draining.send_replace(true);
            }
            // Another epoch: the next registration is drained by the next look.
            Err(SwapError::Refused(refused)) => tracing::debug!(%refused, "not drained"),
            Err(SwapError::Fault(fault)) => {
                tracing::warn!(error = fault.chain(), "the drain is not written down");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rest_of_the_time_is_for() {
        let heard = Instant::now();
        #[rustfmt::skip]
        let table = [
            // left, interrupted, killed
            (120, 45, 105),
            (115, 40, 100),
            ( 75,  0,  60),
            ( 39,  0,  24),
            ( 16,  0,   5),
            (  0,  0,   5),
            // By a clock that is an hour behind.
            (3_720, 45, 105),
        ];
        for (left, interrupted, killed) in table {
            let ending = Ending::of(Duration::from_secs(left), heard);
            let after = |at: Instant| at.duration_since(heard).as_secs();
            let seen = (after(ending.interrupt_at), after(ending.kill_at));
            assert_eq!(seen, (interrupted, killed), "{left} s");
        }
    }
}
