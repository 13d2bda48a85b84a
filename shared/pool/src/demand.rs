//! What waits for workers: runs that a free slot would start now.
use crate::mirror::{Mirror, Moment, stored};
use std::sync::Arc;
use windlass_core::id::PoolId;
use windlass_core::keys;
use windlass_core::summary::{OpenJob, Summary};
use windlass_core::time::UnixMs;
use windlass_ports::{Clock, Docs, Fault};

/// The open runs of all stacks, by their summaries. One for all pools of a process: a look is one
/// list for each thousand stacks, and a read for each stack that moved.
pub struct OpenRuns {
    docs: Arc<dyn Docs>,
    steady: Arc<dyn Clock>,
    summaries: Mirror<Vec<OpenJob>>,
}

impl OpenRuns {
    /// `steady` never goes back ([`windlass_ports::clock::SteadyClock`]).
    #[must_use]
    pub fn new(docs: Arc<dyn Docs>, steady: Arc<dyn Clock>) -> Self {
        let read = |body: &[u8]| stored::<Summary>(body).map(|summary| summary.jobs);
        let summaries = Mirror::new(keys::SUMMARIES.to_owned(), read, |_| vec![]);
        Self { docs, steady, summaries }
    }

    /// All of a pool. To be asked **before** the workers' records are read: then a run that is
    /// claimed in between is seen with its worker, and not with both.
    pub(crate) async fn of(&self, pool: &PoolId, now: UnixMs) -> Result<Vec<OpenJob>, Fault> {
        let moment = Moment { steady: self.steady.now(), wall: now };
        let rows = self.summaries.look(&*self.docs, moment).await?;
        let jobs = rows.values().flat_map(|row| &row.value);
        Ok(jobs.filter(|job| job.pool == *pool).cloned().collect())
    }
}
