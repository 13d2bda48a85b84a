//! The port, over the records of one pool.
use crate::demand::OpenRuns;
use crate::mirror::{Known, Mirror, Moment, stored};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, OpId, Victim, hold};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::Instance;
use windlass_core::job::Control;
use windlass_core::keys;
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::pool::{Drained, IfBusy, Pool, Staff};
use windlass_ports::{Change, Clock, Docs, Fault, PutError, WriteIds, cas};

/// The record of a machine without a run that nobody wrote for so long is taken away. Longer than
/// any machine waits for its hook (AWS: 48 hours), and long past any boot: a tombstone has done its
/// work by then.
pub const FORGET_MS: u64 = 3 * 24 * 60 * MINUTE_MS;

/// So many at one look; the next one goes on.
const FORGOTTEN_AT_ONCE: usize = 100;

/// [`Pool`] over [`Docs`].
pub struct WindlassPool {
    docs: Arc<dyn Docs>,
    write_ids: Arc<WriteIds>,
    steady: Arc<dyn Clock>,
    id: PoolId,
    open: Arc<OpenRuns>,
    records: Mirror<Instance>,
}

impl WindlassPool {
    /// `steady` never goes back ([`windlass_ports::clock::SteadyClock`]): it only measures how long
    /// ago something was read.
    #[must_use]
    pub fn new(
        docs: Arc<dyn Docs>,
        write_ids: Arc<WriteIds>,
        steady: Arc<dyn Clock>,
        id: PoolId,
        open: Arc<OpenRuns>,
    ) -> Self {
        let ages = |record: &Instance| vec![hold::lease_ms(record), FORGET_MS];
        let records = Mirror::new(keys::instances(&id), stored::<Instance>, ages);
        Self { docs, write_ids, steady, id, open, records }
    }

    async fn swap<R: Send>(
        &self,
        instance: &InstanceId,
        decide: impl Fn(Option<&Instance>) -> (Option<Instance>, R) + Send + Sync,
    ) -> Result<R, Fault> {
        let key = keys::instance(&self.id, instance);
        cas::update(&*self.docs, &key, &self.write_ids.next(), |record: Option<&Instance>| {
            Ok(match decide(record) {
                (Some(next), answer) => Change::Write(next, answer),
                (None, answer) => Change::Keep(answer),
            })
        })
        .await
    }

    async fn load(&self, instance: &InstanceId) -> Result<Option<Instance>, Fault> {
        let key = keys::instance(&self.id, instance);
        Ok(cas::load::<Instance>(&*self.docs, &key).await?.map(|found| found.value))
    }

    /// Takes away what nobody will ask for any more. Whoever wrote it meanwhile keeps it, and what
    /// can't be taken away now is only untidy.
    async fn forget(&self, rows: &BTreeMap<String, Arc<Known<Instance>>>, now: Moment) {
        let old = |row: &Known<Instance>| !row.value.busy() && row.age_ms(now) >= FORGET_MS;
        for (key, row) in rows.iter().filter(|(_, row)| old(row)).take(FORGOTTEN_AT_ONCE) {
            match self.docs.delete(key, &row.version).await {
                Ok(()) | Err(PutError::Conflict) => {}
                Err(PutError::Fault(fault)) => {
                    tracing::warn!(key, error = fault.chain(), "an old record stays");
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Pool for WindlassPool {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        let open = self.open.of(&self.id, now).await?;
        let moment = Moment { steady: self.steady.now(), wall: now };
        let rows = self.records.look(&*self.docs, moment).await?;
        let workers = rows.values().filter_map(|row| hold::seen(&row.value, row.age_ms(moment)));
        let staff = Staff {
            workers: workers.collect(),
            demand: Demand::of(&open, rows.values().map(|row| &row.value), now),
        };
        self.forget(&rows, moment).await;
        Ok(staff)
    }

    async fn drain(&self, victim: &Victim, if_busy: IfBusy, now: UnixMs) -> Result<Drained, Fault> {
        self.swap(&victim.instance, |record| hold::drain(record, &victim.op, if_busy, now)).await
    }

    async fn doom(&self, victim: &Victim, _: UnixMs) -> Result<Drained, Fault> {
        self.swap(&victim.instance, |record| hold::doom(record, &victim.op)).await
    }

    async fn undrain(&self, instance: &InstanceId, _: &[String], op: &OpId) -> Result<bool, Fault> {
        self.swap(instance, |record| hold::undrain(record, op)).await
    }

    async fn tombstone(
        &self,
        instance: &InstanceId,
        op: &OpId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        self.swap(instance, |record| hold::tombstone(record, instance, &self.id, op, now)).await
    }

    async fn holder(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        Ok(hold::holder(self.load(instance).await?.as_ref()))
    }

    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.swap(instance, |record| hold::close(record, instance, &self.id, now)).await
    }

    /// What can't be repeated goes on all the same: a worker interrupts only what leads to a plan.
    async fn ask_to_stop(&self, instance: &InstanceId, _: UnixMs) -> Result<bool, Fault> {
        let Some(record) = self.load(instance).await? else { return Ok(true) };
        let ask = record.jobs().map(async |job| {
            let (key, id) = (keys::job_control(job), self.write_ids.next());
            cas::create(&*self.docs, &key, &id, &Control::Stop).await
        });
        try_join_all(ask).await?;
        Ok(true)
    }
}
