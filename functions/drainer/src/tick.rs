//! The tick looks at every machine that it sees waiting: a message is only faster (rule C5).
use crate::Deps;
use crate::look::{Looked, look};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use windlass_core::drain::{DrainRecord, Notice};
use windlass_core::id::InstanceId;
use windlass_core::keys;
use windlass_core::time::MINUTE_MS;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::fleet::By;
use windlass_ports::{Fault, PutError, cas};

/// A record outlives its machine by this: a message that comes later still finds that it is over.
const KEPT_MS: u64 = 24 * 60 * MINUTE_MS;
/// Old records are looked for this often.
const SWEEP_MINUTES: u64 = 60;

/// Machines that are looked at side by side: a refresh of a large group lets many wait at once, and
/// one that is reached too late loses its run.
const AT_ONCE: usize = 16;

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Machines that wait.
    pub waiting: u32,
    pub completed: u32,
    pub stuck: u32,
    /// Machines that could not be looked at.
    pub failed: u32,
}

impl Report {
    fn count(&mut self, notice: &Notice, looked: Result<Looked, Fault>) {
        self.waiting += 1;
        match looked {
            Ok(Looked::Completed) => self.completed += 1,
            Ok(Looked::Stuck) => self.stuck += 1,
            Ok(Looked::Over | Looked::Waits) => {}
            Err(fault) => {
                let (instance, error) = (&notice.instance, fault.chain());
                if fault.is_retryable() {
                    tracing::warn!(%instance, error, "it could not be looked at");
                } else {
                    tracing::error!(%instance, error, count.Attention = 1, "it can't be looked at");
                }
                self.failed += 1;
            }
        }
    }
}

/// # Errors
/// `Retryable` when no group could be looked at; a machine that could not be is counted.
pub async fn tick(deps: &Deps) -> Result<Report, Fault> {
    let mut report = Report::default();
    let mut outcome = Ok(());
    let mut waiting = BTreeSet::new();
    for group in &deps.groups {
        let notices = match deps.hooks.waiting(group).await {
            Ok(notices) => notices,
            Err(fault) => {
                tracing::warn!(group, error = fault.chain(), "a group could not be looked at");
                outcome = Err(fault);
                continue;
            }
        };
        for some in notices.chunks(AT_ONCE) {
            let looked = join_all(some.iter().map(|notice| look_or_hold(deps, notice))).await;
            for (notice, looked) in some.iter().zip(looked) {
                report.count(notice, looked);
            }
        }
        waiting.extend(notices.into_iter().map(|notice| notice.instance));
    }
    if outcome.is_ok() && deps.clock.now().minute().is_multiple_of(SWEEP_MINUTES) {
        // What stays is only untidy.
        if let Err(fault) = sweep(deps, &waiting).await {
            tracing::warn!(error = fault.chain(), "old records stay");
        }
    }
    if report.waiting > 0 {
        let Report { waiting, completed, stuck, failed } = report;
        tracing::info!(count.HooksWaiting = waiting, completed, stuck, failed, "hooks");
    }
    outcome.map(|()| report)
}

/// A machine of which nothing can be learnt is held: it may have a run, and its hook's time goes on
/// whether or not our store and the pool can be asked. AWS bounds that, too.
async fn look_or_hold(deps: &Deps, notice: &Notice) -> Result<Looked, Fault> {
    let looked = look(deps, notice, true).await;
    if looked.is_err()
        && let Err(fault) = deps.hooks.heartbeat(notice, By::Instance).await
    {
        let (instance, error) = (&notice.instance, fault.chain());
        tracing::warn!(%instance, error, "it could not be held either");
    }
    looked
}

/// Deletes records of machines that are long gone.
async fn sweep(deps: &Deps, waiting: &BTreeSet<InstanceId>) -> Result<(), Fault> {
    let prefix = keys::drains(&deps.pool_id);
    let mut after: Option<String> = None;
    loop {
        let page = deps.docs.list(&prefix, after.as_deref(), LIST_MAX).await?;
        let full = page.len() == LIST_MAX;
        for listed in page {
            after = Some(listed.key.clone());
            let found = match cas::load::<DrainRecord>(&*deps.docs, &listed.key).await {
                Ok(Some(found)) => found,
                Ok(None) | Err(Fault::Poison { .. }) => continue,
                Err(fault) => return Err(fault),
            };
            if found.age_ms < KEPT_MS || waiting.contains(&found.value.notice.instance) {
                continue;
            }
            match deps.docs.delete(&listed.key, &found.version).await {
                Ok(()) | Err(PutError::Conflict) => {}
                Err(PutError::Fault(fault)) => return Err(fault),
            }
        }
        if !full {
            return Ok(());
        }
    }
}
