//! Records in a store in memory, and the workers' side of them by the workers' own transitions.
use crate::stories::{Staffed, at_once, pool_id};
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::drain::Holder;
use windlass_core::fleet::{OpId, Victim};
use windlass_core::id::InstanceId;
use windlass_core::instance::{DrainedBy, Instance, Refused};
use windlass_core::job::{Attempt, JobId, Phase};
use windlass_core::keys;
use windlass_core::summary::{OpenJob, Summary};
use windlass_core::time::UnixMs;
use windlass_pool::{OpenRuns, WindlassPool};
use windlass_ports::contract::pool::Can;
use windlass_ports::fake::{FakeClock, Faults, Faulty, MemDocs};
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Change, Clock as _, Docs, Fault, Pool, Staff, WriteIds, cas};

struct Records {
    clock: FakeClock,
    docs: Arc<MemDocs>,
    ids: Arc<WriteIds>,
    /// Warm from its first look on.
    pool: WindlassPool,
}

pub(crate) const CAN: Can = Can::ALL;

pub(crate) fn new(clock: &FakeClock) -> Arc<dyn Staffed> {
    Arc::new(Records::over(clock, Arc::new(MemDocs::new(clock.shared())), "w"))
}

fn job(run: &str) -> JobId {
    JobId { run: run.into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST }
}

impl Records {
    fn over(clock: &FakeClock, docs: Arc<MemDocs>, name: &str) -> Self {
        let ids = Arc::new(WriteIds::new(name));
        let pool = pool_over(docs.clone(), &ids, clock);
        Self { clock: clock.clone(), docs, ids, pool }
    }
    fn swap(
        &self,
        machine: &InstanceId,
        change: impl Fn(Option<&Instance>) -> Result<Instance, Refused> + Send + Sync,
    ) -> Result<(), Refused> {
        let key = keys::instance(&pool_id(), machine);
        let id = self.ids.next();
        let swap = cas::update(&*self.docs, &key, &id, |record: Option<&Instance>| {
            Ok(match change(record) {
                Ok(next) => Change::Write(next, Ok(())),
                Err(refused) => Change::Keep(Err(refused)),
            })
        });
        at_once(swap).expect("stored")
    }
    /// Swaps the record that is there.
    fn own(
        &self,
        machine: &InstanceId,
        change: impl Fn(&Instance) -> Result<Instance, Refused> + Send + Sync,
    ) -> Result<(), Refused> {
        self.swap(machine, |record| record.map_or(Err(Refused::OtherEpoch), &change))
    }
}

fn pool_over(docs: Arc<dyn Docs>, ids: &Arc<WriteIds>, clock: &FakeClock) -> WindlassPool {
    let open = Arc::new(OpenRuns::new(docs.clone(), clock.shared()));
    WindlassPool::new(docs, ids.clone(), clock.shared(), pool_id(), open)
}

fn summary(jobs: Vec<OpenJob>) -> Summary {
    Summary {
        stack: "s".into(),
        head_revision: 1,
        name: "s".into(),
        description: String::new(),
        space: "root".into(),
        repository: "infra".into(),
        branch: "main".into(),
        project_root: String::new(),
        labels: [].into(),
        autodeploy: false,
        administrative: false,
        depends_on: vec![],
        last: None,
        tracked: None,
        lock: None,
        queued: 0,
        proposed: 0,
        drifted: None,
        jobs,
        defined: true,
    }
}

impl Staffed for Records {
    fn fork_at(&self, clock: &FakeClock) -> Arc<dyn Staffed> {
        let docs = Arc::new(self.docs.fork_at(clock.shared()));
        // Another name, so that no write of the copy is taken for one of ours.
        Arc::new(Records::over(clock, docs, &format!("{}-fork", self.ids.next())))
    }
    fn behind(&self, faults: &Faults) -> Option<Arc<dyn Pool>> {
        let docs = Arc::new(Faulty::new(self.docs.clone(), faults));
        Some(Arc::new(pool_over(docs, &self.ids, &self.clock)))
    }
    fn set_queue(&self, runs: u32) {
        let since = self.clock.now();
        let open = |n| OpenJob {
            run: format!("waits-{n}").as_str().into(),
            pool: pool_id(),
            drift: false,
            since,
        };
        let summary = summary((0..runs).map(open).collect());
        let (key, id) = (keys::summary(&summary.stack), self.ids.next());
        let write = |_: Option<&Summary>| Ok(Change::Write(summary.clone(), ()));
        at_once(cas::update(&*self.docs, &key, &id, write)).expect("stored");
    }
    fn record(&self, machine: &InstanceId) -> Option<Instance> {
        let key = keys::instance(&pool_id(), machine);
        at_once(cas::load::<Instance>(&*self.docs, &key)).expect("read").map(|found| found.value)
    }
    fn asked_to_stop(&self, machine: &InstanceId) -> bool {
        let Some(record) = self.record(machine) else { return false };
        let asked = |job| at_once(self.docs.get(&keys::job_control(job))).expect("read").is_some();
        record.jobs().any(asked)
    }
    fn register(&self, machine: &InstanceId, slots: usize) -> Result<(), Refused> {
        let now = self.clock.now();
        self.swap(machine, |before| {
            Instance::register(before, machine, &pool_id(), slots, "t", None, now)
        })
    }
    fn take(&self, machine: &InstanceId) -> Result<(), Refused> {
        let job = job(&format!("run-{}", self.ids.next()));
        self.own(machine, |record| record.take(record.epoch, &job))
    }
    fn finish(&self, machine: &InstanceId) -> Result<(), Refused> {
        let now = self.clock.now();
        self.own(machine, |record| {
            let job = record.jobs().next().ok_or(Refused::NotHeld)?;
            record.release(record.epoch, job, now)
        })
    }
    fn renew(&self, machine: &InstanceId) -> Result<(), Refused> {
        self.own(machine, |record| record.renew(record.epoch))
    }
    fn void(&self, machine: &InstanceId) -> Result<(), Refused> {
        self.own(machine, |record| record.void(record.epoch))
    }
    fn operate(&self, machine: &InstanceId, drains: bool) -> Result<(), Refused> {
        let (by, now) = (DrainedBy::Operator("ann".into()), self.clock.now());
        self.own(
            machine,
            |record| {
                if drains { record.drain(by.clone(), now) } else { record.undrain(&by) }
            },
        )
    }
    fn remove(&self, machine: &InstanceId) {
        let key = keys::instance(&pool_id(), machine);
        if let Some(found) = at_once(self.docs.get(&key)).expect("read") {
            at_once(self.docs.delete(&key, &found.version)).expect("deleted");
        }
    }
    /// A machine's end leaves its record as it was: nobody is there to take it away.
    fn bury(&self, _: &InstanceId) {}
}

#[async_trait]
impl Pool for Records {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        self.pool.look(now).await
    }
    async fn drain(&self, victim: &Victim, if_busy: IfBusy, now: UnixMs) -> Result<Drained, Fault> {
        self.pool.drain(victim, if_busy, now).await
    }
    async fn doom(&self, victim: &Victim, now: UnixMs) -> Result<Drained, Fault> {
        self.pool.doom(victim, now).await
    }
    async fn undrain(&self, on: &InstanceId, workers: &[String], op: &OpId) -> Result<bool, Fault> {
        self.pool.undrain(on, workers, op).await
    }
    async fn tombstone(&self, on: &InstanceId, op: &OpId, now: UnixMs) -> Result<bool, Fault> {
        self.pool.tombstone(on, op, now).await
    }
    async fn holder(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.pool.holder(instance, now).await
    }
    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.pool.close(instance, now).await
    }
    async fn ask_to_stop(&self, instance: &InstanceId, now: UnixMs) -> Result<bool, Fault> {
        self.pool.ask_to_stop(instance, now).await
    }
}
