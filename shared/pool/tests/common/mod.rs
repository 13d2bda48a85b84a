//! A pool over a store in memory, and the workers' side of it, by the worker's own transitions.
#![allow(dead_code, reason = "each test uses its part")]
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::fleet::{Because, OpId, SeenWorker, Victim};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::{DrainedBy, Instance, Refused};
use windlass_core::job::{Attempt, JobId, Phase};
use windlass_core::keys;
use windlass_core::summary::{OpenJob, Summary};
use windlass_core::time::UnixMs;
use windlass_pool::{OpenRuns, WindlassPool};
use windlass_ports::contract::pool::Crew;
use windlass_ports::fake::{FakeClock, Faults, Faulty, MemDocs};
use windlass_ports::{Change, Clock as _, Docs, Fault, Pool, WriteIds, cas};

pub(crate) const NOON: UnixMs = UnixMs(1_795_435_200_000);

/// The store's clock, and this machine's two: a test may let them differ.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: FakeClock,
    pub(crate) wall: FakeClock,
    pub(crate) steady: FakeClock,
    pub(crate) docs: Arc<MemDocs>,
    /// Counts the pool's own calls.
    pub(crate) calls: Faults,
    pub(crate) pool: Arc<WindlassPool>,
    ids: Arc<WriteIds>,
}

pub(crate) fn pool_id() -> PoolId {
    "p".into()
}
pub(crate) fn machine(n: usize) -> InstanceId {
    InstanceId(format!("i-{n}"))
}

impl World {
    pub(crate) fn new() -> Self {
        let [store, wall, steady] = [FakeClock::at(NOON), FakeClock::at(NOON), FakeClock::at(NOON)];
        let docs = Arc::new(MemDocs::new(store.shared()));
        let calls = Faults::none();
        let ids = Arc::new(WriteIds::new("test"));
        let pool = Arc::new(cold(&docs, &calls, &steady, &ids));
        Self { store, wall, steady, docs, calls, pool, ids }
    }
    /// As a process that has only just started sees it.
    pub(crate) fn cold(&self) -> WindlassPool {
        cold(&self.docs, &self.calls, &self.steady, &self.ids)
    }
    pub(crate) fn pass(&self, ms: u64) {
        for clock in [&self.store, &self.wall, &self.steady] {
            clock.advance(ms);
        }
    }
    pub(crate) async fn record(&self, machine: &InstanceId) -> Option<Instance> {
        let key = keys::instance(&pool_id(), machine);
        cas::load::<Instance>(&*self.docs, &key).await.expect("done").map(|found| found.value)
    }
    /// Swaps a machine's record from outside of the pool.
    pub(crate) async fn swap(
        &self,
        machine: &InstanceId,
        change: impl Fn(Option<&Instance>) -> Result<Instance, Refused> + Send + Sync,
    ) -> Result<(), Refused> {
        let key = keys::instance(&pool_id(), machine);
        cas::update(&*self.docs, &key, &self.ids.next(), |record: Option<&Instance>| {
            Ok(match change(record) {
                Ok(next) => Change::Write(next, Ok(())),
                Err(refused) => Change::Keep(Err(refused)),
            })
        })
        .await
        .expect("done")
    }
    pub(crate) async fn register(&self, machine: &InstanceId, slots: usize) -> Result<(), Refused> {
        let now = self.store.now();
        self.swap(machine, |before| {
            Instance::register(before, machine, &pool_id(), slots, "test", None, now)
        })
        .await
    }
    pub(crate) async fn claim(&self, machine: &InstanceId, run: &str) -> Result<(), Refused> {
        let job = job(run);
        self.swap(machine, |record| {
            record.map_or(Err(Refused::OtherEpoch), |record| record.take(record.epoch, &job))
        })
        .await
    }
    pub(crate) async fn end_run(&self, machine: &InstanceId) {
        let now = self.store.now();
        let ended = self.swap(machine, |record| {
            let record = record.ok_or(Refused::OtherEpoch)?;
            let job = record.jobs().next().ok_or(Refused::NotHeld)?.clone();
            record.release(record.epoch, &job, now)
        });
        ended.await.expect("done");
    }
    pub(crate) async fn renew(&self, machine: &InstanceId) {
        self.swap(machine, |record| record.map(Clone::clone).ok_or(Refused::OtherEpoch))
            .await
            .expect("done");
    }
    pub(crate) async fn void(&self, machine: &InstanceId) {
        self.swap(machine, |r| r.map_or(Err(Refused::OtherEpoch), |r| r.void(r.epoch)))
            .await
            .expect("done");
    }
    pub(crate) async fn operate(&self, machine: &InstanceId, drains: bool) -> Result<(), Refused> {
        let by = DrainedBy::Operator("ann".into());
        self.swap(machine, |record| {
            let record = record.ok_or(Refused::OtherEpoch)?;
            if drains { record.drain(by.clone(), UnixMs(1)) } else { record.undrain(&by) }
        })
        .await
    }
    /// A stack's summary says that these of its runs have jobs.
    pub(crate) async fn summary(&self, stack: &str, jobs: Vec<OpenJob>) {
        let key = keys::summary(&stack.into());
        let summary = summary(stack, jobs);
        let write = |_: Option<&Summary>| Ok(Change::Write(summary.clone(), ()));
        cas::update(&*self.docs, &key, &self.ids.next(), write).await.expect("done");
    }
    pub(crate) async fn workers(&self) -> Vec<SeenWorker> {
        self.pool.look(self.wall.now()).await.expect("done").workers
    }
    pub(crate) fn victim(&self, machine: &InstanceId, op: &str) -> Victim {
        Victim {
            instance: machine.clone(),
            workers: vec![machine.0.clone()],
            op: OpId(op.into()),
            decrement: true,
            because: Because::Surplus,
        }
    }
}

fn cold(
    docs: &Arc<MemDocs>,
    calls: &Faults,
    steady: &FakeClock,
    ids: &Arc<WriteIds>,
) -> WindlassPool {
    let docs: Arc<dyn Docs> = Arc::new(Faulty::new(docs.clone(), calls));
    let open = Arc::new(OpenRuns::new(docs.clone(), steady.shared()));
    WindlassPool::new(docs, ids.clone(), steady.shared(), pool_id(), open)
}

pub(crate) fn job(run: &str) -> JobId {
    JobId { run: run.into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST }
}

pub(crate) fn open(run: &str, drift: bool) -> OpenJob {
    OpenJob { run: run.into(), pool: pool_id(), drift, since: NOON }
}

fn summary(stack: &str, jobs: Vec<OpenJob>) -> Summary {
    Summary {
        stack: stack.into(),
        head_revision: 1,
        name: stack.to_owned(),
        description: String::new(),
        space: "root".into(),
        repository: "infra".into(),
        branch: "main".to_owned(),
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

#[async_trait]
impl Crew for World {
    async fn start(&self, machine: &InstanceId, slots: u32) -> bool {
        self.register(machine, usize::try_from(slots).expect("done")).await.is_ok()
    }
    async fn take(&self, machine: &InstanceId) -> bool {
        self.claim(machine, &self.ids.next()).await.is_ok()
    }
    async fn finish(&self, machine: &InstanceId) {
        self.end_run(machine).await;
    }
    async fn lose(&self, machine: &InstanceId) {
        self.void(machine).await;
    }
    async fn operate(&self, machine: &InstanceId, drains: bool) -> bool {
        World::operate(self, machine, drains).await.is_ok()
    }
    async fn queue(&self, runs: u32, drift: u32) {
        let jobs = (0..runs).map(|n| open(&format!("waits-{n}"), n < drift)).collect();
        self.summary("waits", jobs).await;
    }
}

/// All three clocks of it.
#[async_trait]
impl windlass_ports::contract::Time for World {
    async fn pass(&self, ms: u64) -> bool {
        World::pass(self, ms);
        true
    }
}

pub(crate) fn is_retryable<T>(outcome: &Result<T, Fault>) -> bool {
    outcome.as_ref().is_err_and(Fault::is_retryable)
}
