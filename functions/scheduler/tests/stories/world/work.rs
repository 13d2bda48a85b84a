//! A worker that obeys rule B3, one port call or so at a time, so that it can stop anywhere.
//!
//! Every step may be tried again when its call failed: the record is swapped to what it already
//! is, and claim and result are created under the write id of the first try.
use super::World;
use super::tool::began;
use std::sync::Arc;
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::{DrainedBy, Instance, Refused};
use windlass_core::job::{
    Claim, Control, JobResult, JobSpec, News, Pointer, ProcessGroup, Report, Verdict,
};
use windlass_core::keys;
use windlass_ports::fake::{Faults, Faulty};
use windlass_ports::{Change, Delivery, Docs, Fault, Outgoing, Queues, cas};

const VISIBILITY_MS: u64 = 60_000;

/// One worker process with one slot.
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) faults: Faults,
    docs: Arc<dyn Docs>,
    queues: Arc<dyn Queues>,
    /// None: not registered yet, or voided.
    epoch: Option<u64>,
    pub(crate) held: Option<Held>,
    write_ids: u32,
}

/// A pointer in its hands, and how far it has come with it.
#[derive(Clone)]
pub(crate) struct Held {
    queue: String,
    receipt: String,
    pub(crate) pointer: Pointer,
    spec: Option<JobSpec>,
    claim: Option<Claim>,
    write_id: String,
    pub(crate) stage: Stage,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// A pointer was received.
    Pointed,
    /// Its record says busy.
    Busy,
    /// The claim is its own.
    Claimed,
    /// The record was renewed and no result was seen: the tool may start.
    Checked,
    Running,
    /// The tool ended.
    Ended(Box<JobResult>),
    /// The result is stored: its own, or another's was there.
    Stored,
    /// The report was sent.
    Told,
    /// The pointer is deleted.
    Dropped,
    /// Not for us: the slot becomes idle again; then the pointer goes too, if so said.
    Leave {
        drop: bool,
    },
}

/// What a step came to.
enum Next {
    At(Stage),
    /// Nothing is held any more.
    Free,
}

impl Worker {
    fn new(id: &str, world: &World) -> Self {
        let faults = Faults::none();
        Worker {
            id: id.to_owned(),
            docs: Arc::new(Faulty::new(world.docs.clone(), &faults)),
            queues: Arc::new(Faulty::new(world.queues.clone(), &faults)),
            faults,
            epoch: None,
            held: None,
            write_ids: 0,
        }
    }

    /// The same process in another world.
    pub(super) fn fork(&self, world: &World) -> Self {
        let (epoch, held, write_ids) = (self.epoch, self.held.clone(), self.write_ids);
        Worker { epoch, held, write_ids, ..Worker::new(&self.id, world) }
    }

    fn write_id(&mut self) -> String {
        self.write_ids += 1;
        format!("{}-{}", self.id, self.write_ids)
    }

    fn key(&self) -> String {
        keys::instance(&"default".into(), &InstanceId::from(self.id.as_str()))
    }

    /// True while it holds a job whose tool may be running.
    pub(crate) fn stage(&self) -> Option<&Stage> {
        self.held.as_ref().map(|held| &held.stage)
    }

    async fn register(&mut self, world: &World) -> Result<(), Fault> {
        let (id, pool) = (InstanceId::from(self.id.as_str()), PoolId::from("default"));
        let (write_id, now) = (self.write_id(), world.now());
        let epoch =
            cas::update(&*self.docs, &self.key(), &write_id, |before: Option<&Instance>| {
                let record = Instance::register(before, &id, &pool, 1, "test", None, now)
                    .map_err(|refused| Fault::poison(refused.to_string()))?;
                let epoch = record.epoch;
                Ok(Change::Write(record, epoch))
            })
            .await?;
        self.epoch = Some(epoch);
        Ok(())
    }

    /// Swaps its own record; a refusal is an answer, not a fault.
    async fn swap(
        &mut self,
        change: impl Fn(&Instance, u64) -> Result<Instance, Refused> + Send + Sync,
    ) -> Result<Result<(), Refused>, Fault> {
        let (key, write_id) = (self.key(), self.write_id());
        let Some(epoch) = self.epoch else { return Ok(Err(Refused::OtherEpoch)) };
        let swapped = cas::update(&*self.docs, &key, &write_id, |record: Option<&Instance>| {
            let next = record.map_or(Err(Refused::OtherEpoch), |record| change(record, epoch));
            Ok(match next {
                Ok(next) => Change::Write(next, Ok(())),
                Err(refused) => Change::Keep(Err(refused)),
            })
        })
        .await?;
        if swapped == Err(Refused::OtherEpoch) {
            self.epoch = None;
        }
        Ok(swapped)
    }

    async fn receive(&mut self) -> Result<bool, Fault> {
        let pool = PoolId::from("default");
        for queue in [keys::first_queue(&pool), keys::rest_queue(&pool)] {
            let batch = self.queues.receive(&queue, 1, 0, VISIBILITY_MS).await?;
            let Some(Delivery { body, receipt, .. }) = batch.into_iter().next() else { continue };
            let pointer = serde_json::from_slice(&body).expect("a pointer");
            let (write_id, stage) = (self.write_id(), Stage::Pointed);
            let held = Held { queue, receipt, pointer, spec: None, claim: None, write_id, stage };
            self.held = Some(held);
            return Ok(true);
        }
        Ok(false)
    }

    async fn report(&mut self, pointer: &Pointer, news: News, at: &World) -> Result<(), Fault> {
        let report = Report {
            job: pointer.job.clone(),
            stack: pointer.stack.clone(),
            worker: self.id.as_str().into(),
            at: at.now(),
            news,
        };
        let message = Outgoing {
            body: serde_json::to_vec(&report).expect("json"),
            group: Some(keys::stack_group(&pointer.stack)),
            dedup: Some(self.write_id()),
            delay_ms: 0,
        };
        self.queues.send(keys::REPORTS, message).await
    }

    /// One step with what it holds. A fault leaves it where it was.
    async fn advance(&mut self, mut held: Held, world: &mut World) -> Result<(), Fault> {
        let next = self.next(&mut held, world).await?;
        self.held = match next {
            Next::At(stage) => Some(Held { stage, ..held }),
            Next::Free => None,
        };
        Ok(())
    }

    async fn next(&mut self, held: &mut Held, world: &mut World) -> Result<Next, Fault> {
        let (job, now) = (held.pointer.job.clone(), world.now());
        Ok(Next::At(match held.stage.clone() {
            Stage::Pointed => return self.look(held).await,
            Stage::Busy => self.claim(held, world).await?,
            Stage::Claimed => {
                let renewed = self.swap(|record, epoch| match record.holds(epoch, &job) {
                    true => record.renew(epoch),
                    false => Err(Refused::NotHeld),
                });
                let renewed = renewed.await?.is_ok();
                let result = cas::load::<JobResult>(&*self.docs, &keys::job_result(&job)).await?;
                match renewed && result.is_none() {
                    true => Stage::Checked,
                    false => Stage::Leave { drop: false },
                }
            }
            Stage::Checked => {
                let spec = held.spec.as_ref().expect("a spec");
                world.start_tool(&self.id, spec, held.claim.as_ref().expect("a claim")).await;
                Stage::Running
            }
            Stage::Running => {
                self.report(&held.pointer, News::Began(began(job.phase)), world).await?;
                Stage::Ended(Box::new(self.tool_ends(held, world).await?))
            }
            Stage::Ended(result) => {
                let key = keys::job_result(&job);
                if cas::create(&*self.docs, &key, &held.write_id, &*result).await?.is_some() {
                    let late = keys::job_late_result(&job);
                    cas::create(&*self.docs, &late, &held.write_id, &*result).await?;
                }
                Stage::Stored
            }
            Stage::Stored => {
                self.report(&held.pointer, News::Ended, world).await?;
                Stage::Told
            }
            Stage::Told => {
                self.queues.delete(&held.queue, &held.receipt).await?;
                Stage::Dropped
            }
            Stage::Dropped => {
                let _ = self.swap(|record, epoch| record.release(epoch, &job, now)).await?;
                return Ok(Next::Free);
            }
            Stage::Leave { drop } => {
                let _ = self.swap(|record, epoch| record.release(epoch, &job, now)).await?;
                if drop {
                    self.queues.delete(&held.queue, &held.receipt).await?;
                }
                return Ok(Next::Free);
            }
        }))
    }

    /// The spec, no result yet, and the slot.
    async fn look(&mut self, held: &mut Held) -> Result<Next, Fault> {
        let job = held.pointer.job.clone();
        if cas::load::<JobResult>(&*self.docs, &keys::job_result(&job)).await?.is_some() {
            // Whoever finds a result sends its report again before it drops the pointer (B4).
            return Ok(Next::At(Stage::Stored));
        }
        let spec = cas::load::<JobSpec>(&*self.docs, &keys::job_spec(&job)).await?;
        let Some(spec) = spec else { return Ok(Next::Free) };
        held.spec = Some(spec.value);
        Ok(match self.swap(|record, epoch| record.take(epoch, &job)).await? {
            Ok(()) => Next::At(Stage::Busy),
            Err(_) => Next::Free,
        })
    }

    async fn claim(&mut self, held: &mut Held, world: &World) -> Result<Stage, Fault> {
        let claim = held.claim.clone().unwrap_or_else(|| Claim::Held {
            pool: "default".into(),
            worker: self.id.as_str().into(),
            epoch: self.epoch.unwrap_or(0),
            group: Some(ProcessGroup {
                pid: self.write_ids,
                started: self.id.clone(),
                boot: "this".to_owned(),
            }),
            at: world.now(),
        });
        held.claim = Some(claim.clone());
        if let Some(own) = self.held.as_mut() {
            own.claim = Some(claim.clone());
        }
        let key = keys::job_claim(&held.pointer.job);
        Ok(match cas::create(&*self.docs, &key, &held.write_id, &claim).await? {
            None => Stage::Claimed,
            Some(Claim::Tombstone { .. }) => Stage::Leave { drop: true },
            Some(Claim::Held { .. }) => Stage::Leave { drop: false },
        })
    }

    /// How the tool ended; a plan that was stopped or whose record was voided was interrupted.
    async fn tool_ends(&mut self, held: &Held, world: &mut World) -> Result<JobResult, Fault> {
        let job = &held.pointer.job;
        let control = cas::load::<Control>(&*self.docs, &keys::job_control(job)).await?;
        let spec = held.spec.as_ref().expect("a spec");
        let mut result = world.execute(spec);
        if control.is_some() && job.phase.repeatable() {
            result.verdict = Verdict::Interrupted;
        }
        result.worker = Some(self.id.as_str().into());
        world.end_tool(held.claim.as_ref().expect("a claim"));
        Ok(result)
    }
}

impl World {
    pub(crate) fn worker(&mut self, id: &str) -> &mut Worker {
        if !self.workers.contains_key(id) {
            let worker = Worker::new(id, self);
            self.workers.insert(id.to_owned(), worker);
        }
        self.workers.get_mut(id).expect("it was made")
    }

    /// One step of this worker (started if it is not). False: nothing to do, or it is dead.
    pub(crate) async fn work_step(&mut self, id: &str) -> bool {
        self.worker(id);
        let Some(mut worker) = self.workers.remove(id) else { return false };
        let moved = self.stepped(&mut worker).await;
        self.workers.insert(id.to_owned(), worker);
        moved
    }

    async fn stepped(&mut self, worker: &mut Worker) -> bool {
        if worker.faults.crashed() {
            return false;
        }
        if worker.epoch.is_none() && worker.held.is_none() {
            return worker.register(self).await.is_ok();
        }
        match worker.held.clone() {
            Some(held) => {
                let _ = worker.advance(held, self).await;
                true
            }
            None => worker.receive().await.unwrap_or(true),
        }
    }

    /// This worker takes one job to its end. False: there was none, or it is dead.
    pub(crate) async fn work(&mut self, id: &str) -> bool {
        let mut moved = false;
        for _ in 0..100 {
            let fresh = self.worker(id).epoch.is_none();
            if !self.work_step(id).await {
                break;
            }
            moved |= !fresh;
            if !fresh && self.worker(id).held.is_none() {
                break;
            }
        }
        moved
    }

    /// This worker goes on until it is at such a stage.
    pub(crate) async fn work_until(&mut self, id: &str, stage: impl Fn(&Stage) -> bool) {
        for _ in 0..100 {
            self.work_step(id).await;
            if self.worker(id).stage().is_some_and(&stage) {
                return;
            }
        }
        panic!("{id} never comes to that stage: {:?}", self.worker(id).stage());
    }

    /// The worker's report that its tool was started has arrived.
    pub(crate) async fn began(&mut self, id: &str) {
        let Some(mut worker) = self.workers.remove(id) else { return };
        let pointer = worker.held.as_ref().expect("a job").pointer.clone();
        let news = News::Began(began(pointer.job.phase));
        worker.report(&pointer, news, self).await.expect("sent");
        self.workers.insert(id.to_owned(), worker);
        self.settle_messages().await;
    }

    /// An operator marks a worker to drain, or takes the mark away.
    pub(crate) async fn drain(&self, id: &str, on: bool) {
        let ann = || DrainedBy::Operator("ann".into());
        let key = keys::instance(&"default".into(), &id.into());
        let write_id = self.deps.write_ids.next();
        let marked = cas::update(&*self.docs, &key, &write_id, |record: Option<&Instance>| {
            let marked = record.map(|record| match on {
                true => record.drain(ann(), self.now()),
                false => record.undrain(&ann()),
            });
            let marked = marked.and_then(Result::ok);
            Ok(marked.map_or(Change::Keep(()), |marked| Change::Write(marked, ())))
        });
        marked.await.expect("marked");
    }

    /// A living worker renews its lease.
    pub(crate) async fn renew(&mut self, id: &str) {
        let Some(mut worker) = self.workers.remove(id) else { return };
        let _ = worker.swap(|record, epoch| record.renew(epoch)).await;
        self.workers.insert(id.to_owned(), worker);
    }

    /// kill -9 of the worker's process; its tool lives on if there is one, unless `tool` too.
    pub(crate) fn kill(&mut self, id: &str, tool: bool) {
        let cause = format!("worker {id} was killed by signal 9");
        self.presence.worker_gone(&id.into(), &cause);
        let held = self.workers.remove(id).and_then(|worker| worker.held);
        if let Some(place) = self.crew.iter_mut().find(|member| *member == id) {
            *place = format!("{id}+");
        }
        let claim = held.and_then(|held| held.claim);
        let runs = |claim: &Claim| self.running.iter().any(|running| running.claim == *claim);
        if let Some(claim) = claim.filter(|claim| tool || !runs(claim)) {
            self.end_tool(&claim);
        }
    }
}
