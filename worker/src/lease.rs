//! The lease: renewed in the background, and what follows when it can't be.
//!
//! A plan is interrupted before the lease ends, because the attempt is then made again elsewhere.
//! An apply, a destroy or a task goes on whatever happens to the lease: nobody starts another while
//! its process group exists. Only its machine's own end interrupts it.
use crate::exec::Cause;
use crate::notice::Outlook;
use crate::record::{Record, SwapError, WriteIds};
use crate::until::until;
use crate::{Deps, Shutdown, Timing};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use windlass_core::job::{Control, JobId};
use windlass_core::keys;
use windlass_ports::cas;

/// How the record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Good,
    /// Not renewed for so long that what may be repeated has to end.
    Lapsing,
    /// Another epoch: everything claimed under ours is lost.
    Void,
}

/// A renewal that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(2);
/// A plan is interrupted this long before its lease ends …
const MARGIN_MS: u64 = 15_000;
/// … and killed if it takes longer than this to end.
pub(crate) const LEASE_GRACE: Duration = Duration::from_secs(10);

/// Renews for ever; tells how the record stands, and whether it is marked to drain.
pub(crate) struct Keeper {
    pub deps: Arc<Deps>,
    pub record: Arc<Record>,
    pub ids: Arc<WriteIds>,
    pub timing: Timing,
    pub health: watch::Sender<Health>,
    pub draining: watch::Sender<bool>,
}

impl Keeper {
    pub(crate) async fn keep(self, mut busy: watch::Receiver<usize>) {
        loop {
            let wait = self.wait(*busy.borrow_and_update() > 0);
            tokio::select! {
                () = tokio::time::sleep(wait) => {
                    let now_busy = *busy.borrow() > 0;
                    self.renew(now_busy).await;
                }
                changed = busy.changed() => if changed.is_err() { return },
            }
        }
    }

    fn wait(&self, busy: bool) -> Duration {
        let ms = if busy { self.timing.renew_busy_ms } else { self.timing.renew_idle_ms };
        let due = Duration::from_millis(ms).saturating_sub(self.record.since_renewed());
        if due.is_zero() { RETRY.min(Duration::from_millis(ms)) } else { due }
    }

    async fn renew(&self, busy: bool) {
        let answer = self
            .record
            .swap(&*self.deps.docs, &self.ids.next(), |record, epoch| record.renew(epoch))
            .await;
        match answer {
            Ok(record) => {
                self.draining.send_replace(record.drain.is_some());
                self.tell(Health::Good);
            }
            Err(SwapError::Refused(_)) => self.tell(Health::Void),
            Err(SwapError::Fault(fault)) => {
                tracing::warn!(error = fault.chain(), "the lease was not renewed");
                let margin = MARGIN_MS.min(self.timing.lease_ms / 4);
                let left = Duration::from_millis(self.timing.lease_ms - margin);
                if busy && self.record.since_renewed() + RETRY >= left {
                    self.tell(Health::Lapsing);
                }
            }
        }
    }

    fn tell(&self, health: Health) {
        self.health.send_if_modified(|before| {
            // A void lasts until the worker registers anew.
            let changed = *before != health && *before != Health::Void;
            if changed {
                *before = health;
            }
            changed
        });
    }
}

/// Watches over one claimed job: keeps its pointer out of others' sight, and says when it has to
/// end: what may be repeated for many reasons, anything else for the machine's end alone.
pub(crate) struct Guard {
    pub deps: Arc<Deps>,
    pub timing: Timing,
    pub job: JobId,
    pub queue: String,
    pub receipt: String,
    pub repeatable: bool,
    pub halt: watch::Sender<Option<Cause>>,
}

impl Guard {
    pub(crate) async fn watch(
        self,
        mut health: watch::Receiver<Health>,
        mut shutdown: watch::Receiver<Shutdown>,
        mut outlook: watch::Receiver<Outlook>,
    ) {
        let every = |ms| {
            let period = Duration::from_millis(ms);
            tokio::time::interval_at(tokio::time::Instant::now() + period, period)
        };
        let mut extend = every(self.timing.visibility_ms / 2);
        let mut control = every(self.timing.control_poll_ms);
        let mut halted = false;
        loop {
            let obeys = self.repeatable && !halted;
            let cause = tokio::select! {
                _ = extend.tick() => {
                    self.extend().await;
                    continue;
                }
                _ = control.tick(), if obeys => self.control().await,
                () = until(&mut health, |h| *h != Health::Good), if obeys => Some(Cause::Lease),
                () = until(&mut shutdown, |s| *s == Shutdown::Now), if obeys => Some(Cause::Shutdown),
                cause = spot(&mut outlook, self.repeatable), if !halted => Some(cause),
            };
            if cause.is_some() {
                halted = true;
                self.halt.send_replace(cause);
            }
        }
    }

    async fn extend(&self) {
        let visibility = self.timing.visibility_ms;
        if let Err(fault) = self.deps.queues.extend(&self.queue, &self.receipt, visibility).await {
            tracing::debug!(job = %self.job, error = fault.chain(), "the pointer was not extended");
        }
    }

    async fn control(&self) -> Option<Cause> {
        match cas::load::<Control>(&*self.deps.docs, &keys::job_control(&self.job)).await {
            Ok(Some(found)) => match found.value {
                Control::Stop => Some(Cause::Stop),
            },
            Ok(None) => None,
            Err(fault) => {
                tracing::debug!(job = %self.job, error = fault.chain(), "control can't be read");
                None
            }
        }
    }
}

/// Returns once the job has to make room for the end of its machine.
async fn spot(outlook: &mut watch::Receiver<Outlook>, repeatable: bool) -> Cause {
    until(outlook, |outlook| outlook.ending().is_some()).await;
    let ending = outlook.borrow().ending();
    let Some(ending) = ending else { return std::future::pending().await };
    if repeatable {
        return Cause::Spot { kill_at: ending.kill_at.min(Instant::now() + LEASE_GRACE) };
    }
    tokio::time::sleep_until(ending.interrupt_at.into()).await;
    Cause::Spot { kill_at: ending.kill_at }
}
