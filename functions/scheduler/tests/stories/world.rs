//! A small installation in memory: the real handlers, working fakes, and a worker that obeys the
//! claim protocol but whose tool is a closure.
use scheduler::{Deps, Fate, Repository, WriteIds};
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::event::{
    Command, Intent, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent, Trigger,
};
use windlass_core::id::{Digest, EventId, InstanceId, PoolId, RunId, StackId};
use windlass_core::instance::Instance;
use windlass_core::job::{
    Claim, Delta, JobResult, JobSpec, News, OutputInfo, Outputs, Phase, PlanRef, Pointer, Report,
    Step, Verdict,
};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::run::{Run, RunType, State};
use windlass_core::stack::{Answer, StackHead};
use windlass_core::time::UnixMs;
use windlass_ports::fake::{
    FakeClock, FakePresence, FakeSource, Faults, Faulty, MemBlobs, MemDocs, MemQueues, MemSecrets,
};
use windlass_ports::{Change, Clock, Docs, Outgoing, Queues, cas};

pub(crate) const REPO: &str = "infra";

pub(crate) struct World {
    pub(crate) deps: Deps,
    /// The same ports without faults, for looking.
    pub(crate) docs: Arc<MemDocs>,
    pub(crate) queues: Arc<MemQueues>,
    pub(crate) clock: FakeClock,
    pub(crate) source: Arc<FakeSource>,
    pub(crate) presence: Arc<FakePresence>,
    pub(crate) faults: Faults,
    /// What each stack's tool answers; default: one resource to add, no outputs.
    pub(crate) tools: BTreeMap<StackId, Tool>,
    /// Every apply that a tool executed: (stack, plan digest).
    pub(crate) applied: Vec<(StackId, Digest)>,
    events: u64,
}

/// What one stack's tool does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tool {
    pub(crate) plan_fails: Option<String>,
    pub(crate) apply_fails: Option<String>,
    pub(crate) no_changes: bool,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = FakeClock::at(UnixMs(1_800_000_000_000));
        let docs = Arc::new(MemDocs::new(clock.shared()));
        let queues = Arc::new(MemQueues::new(clock.shared()));
        let source = Arc::new(FakeSource::new());
        let presence = Arc::new(FakePresence::new());
        let faults = Faults::none();
        let deps = Deps {
            docs: Arc::new(Faulty::new(docs.clone(), &faults)),
            queues: Arc::new(Faulty::new(queues.clone(), &faults)),
            blobs: Arc::new(MemBlobs::new()),
            secrets: Arc::new(MemSecrets::new()),
            presence: presence.clone(),
            source: source.clone(),
            clock: clock.shared(),
            write_ids: Arc::new(WriteIds::new("t")),
            repositories: Arc::new(vec![Repository {
                name: REPO.into(),
                default_branch: "main".to_owned(),
            }]),
            wake: Arc::new(tokio::sync::Notify::new()),
        };
        let (tools, applied) = (BTreeMap::new(), Vec::new());
        World { deps, docs, queues, clock, source, presence, faults, tools, applied, events: 0 }
    }

    /// Pushes files to a branch and lets the repository be looked at.
    pub(crate) async fn push(&mut self, branch: &str, files: &[(&str, &str)]) {
        self.clock.advance(1_000);
        self.source.push(REPO, branch, files);
        let repository = self.deps.repositories[0].clone();
        scheduler::observe(&self.deps, &repository).await.expect("observed");
    }

    /// Handles messages and jobs until nothing moves.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.step().await {
                return;
            }
        }
        panic!("it never settles");
    }

    /// One message or one job. False when there was none.
    pub(crate) async fn step(&mut self) -> bool {
        self.handle(keys::INTENTS).await
            || self.handle(keys::REPORTS).await
            || self.control().await
            || self.work("w1").await
    }

    /// Handles messages only: no worker takes a job.
    pub(crate) async fn settle_messages(&mut self) {
        while self.handle(keys::INTENTS).await
            || self.handle(keys::REPORTS).await
            || self.control().await
        {}
    }

    async fn handle(&mut self, queue: &str) -> bool {
        let Ok(batch) = self.deps.queues.receive(queue, 1, 0, 30_000).await else { return true };
        let Some(delivery) = batch.first() else { return false };
        let fate = match queue {
            keys::REPORTS => scheduler::handle_report(&self.deps, delivery).await,
            _ => scheduler::handle_intent(&self.deps, delivery).await,
        };
        match fate {
            Fate::Done | Fate::Quarantined => {
                let _ = self.deps.queues.delete(queue, &delivery.receipt).await;
            }
            Fate::Again => {
                let _ = self.deps.queues.extend(queue, &delivery.receipt, 0).await;
            }
        }
        true
    }

    async fn control(&mut self) -> bool {
        let pool = PoolId::from(keys::CONTROL_POOL);
        let queue = keys::first_queue(&pool);
        if self.queues.depth(&queue).await.unwrap_or(0) == 0 {
            return false;
        }
        let _ = scheduler::resume_control(&self.deps).await;
        let _ = scheduler::serve_control_once(&self.deps).await;
        true
    }

    pub(crate) async fn take_pointer(&self) -> Option<(String, windlass_ports::Delivery)> {
        let pool = PoolId::from("default");
        for queue in [keys::first_queue(&pool), keys::rest_queue(&pool)] {
            let batch = self.deps.queues.receive(&queue, 1, 0, 60_000).await.ok()?;
            if let Some(delivery) = batch.into_iter().next() {
                return Some((queue, delivery));
            }
        }
        None
    }

    /// A worker takes one job and carries it out, in the order of rule B3.
    pub(crate) async fn work(&mut self, worker: &str) -> bool {
        let Some((queue, delivery)) = self.take_pointer().await else { return false };
        let pointer: Pointer = serde_json::from_slice(&delivery.body).expect("a pointer");
        if let Some(spec) = self.claim(worker, &pointer).await {
            self.began(worker, &spec).await;
            let result = self.execute(&spec);
            self.finish(worker, &spec, result).await;
        }
        let _ = self.queues.delete(&queue, &delivery.receipt).await;
        true
    }

    /// Up to the claim. None: somebody else has it, or it is withdrawn.
    pub(crate) async fn claim(&mut self, worker: &str, pointer: &Pointer) -> Option<JobSpec> {
        let job = &pointer.job;
        let docs = &*self.docs;
        let spec = cas::load::<JobSpec>(docs, &keys::job_spec(job)).await.ok()??.value;
        if cas::load::<JobResult>(docs, &keys::job_result(job)).await.ok()?.is_some() {
            self.report(worker, &spec, News::Ended).await;
            return None;
        }
        let epoch = self.take_slot(worker, &spec).await;
        let claim = Claim::Held {
            pool: spec.pool.clone(),
            worker: worker.into(),
            epoch,
            group: None,
            at: self.clock.now(),
        };
        let write_id = self.deps.write_ids.next();
        let known = cas::create(docs, &keys::job_claim(job), &write_id, &claim).await.ok()?;
        if known.is_some() {
            self.release(worker, &spec).await;
            return None;
        }
        Some(spec)
    }

    async fn take_slot(&self, worker: &str, spec: &JobSpec) -> u64 {
        let id = InstanceId::from(worker);
        let key = keys::instance(&spec.pool, &id);
        let now = self.clock.now();
        cas::update(&*self.docs, &key, &self.deps.write_ids.next(), |record: Option<&Instance>| {
            let fresh = Instance::register(record, &id, &spec.pool, 1, "test", None, now);
            let record = record.filter(|r| !r.busy()).cloned().unwrap_or(fresh);
            let epoch = record.epoch;
            let taken = record.take(epoch, &spec.id).or_else(|_| {
                let again =
                    Instance::register(Some(&record), &id, &spec.pool, 1, "test", None, now);
                again.take(again.epoch, &spec.id)
            });
            let taken = taken.expect("a free slot");
            let epoch = taken.epoch;
            Ok(Change::Write(taken, epoch))
        })
        .await
        .expect("a slot")
    }

    async fn release(&self, worker: &str, spec: &JobSpec) {
        let key = keys::instance(&spec.pool, &worker.into());
        let _ =
            cas::update(&*self.docs, &key, &self.deps.write_ids.next(), |r: Option<&Instance>| {
                Ok(match r.and_then(|r| r.release(r.epoch, &spec.id).ok()) {
                    Some(next) => Change::Write(next, ()),
                    None => Change::Keep(()),
                })
            })
            .await;
    }

    pub(crate) async fn began(&self, worker: &str, spec: &JobSpec) {
        let step = match spec.id.phase {
            Phase::Plan => Step::Planning,
            Phase::Apply => Step::Applying,
            Phase::Destroy => Step::Destroying,
            Phase::Task => Step::Performing,
        };
        self.report(worker, spec, News::Began(step)).await;
    }

    /// The tool's part: what a real worker would put into its result.
    pub(crate) fn execute(&mut self, spec: &JobSpec) -> JobResult {
        let tool = self.tools.get(&spec.stack).cloned().unwrap_or_default();
        let now = self.clock.now();
        let fails = match spec.id.phase {
            Phase::Plan => tool.plan_fails.clone(),
            _ => tool.apply_fails.clone(),
        };
        let step = if spec.id.phase == Phase::Plan { Step::Planning } else { Step::Applying };
        let verdict = match fails {
            Some(reason) => Verdict::Failed { step, reason },
            None => Verdict::Ok,
        };
        let digest = Digest::of(format!("{} {}", spec.id, spec.commit).as_bytes());
        let values = tool.outputs.iter().map(|(name, value)| {
            let digest = Digest::of(value.as_bytes());
            (name.clone(), OutputInfo { digest, sensitive: false })
        });
        if let (Phase::Apply, Some(plan)) = (spec.id.phase, &spec.plan) {
            self.applied.push((spec.stack.clone(), plan.digest.clone()));
        }
        JobResult {
            job: spec.id.clone(),
            stack: spec.stack.clone(),
            verdict,
            worker: Some("w1".into()),
            delta: Some(Delta { add: u32::from(!tool.no_changes), change: 0, delete: 0 }),
            changes: !tool.no_changes,
            plan: (spec.id.phase == Phase::Plan)
                .then(|| PlanRef { key: keys::plan_archive(&spec.id), digest }),
            changes_key: None,
            outputs: (spec.id.phase == Phase::Apply).then(|| Outputs {
                key: keys::output_values(&spec.stack, &spec.id),
                values: values.collect(),
            }),
            resources_key: None,
            warnings: vec![],
            started_at: now,
            ended_at: now,
            tool_ms: 1,
            tool_version: None,
        }
    }

    pub(crate) async fn finish(&self, worker: &str, spec: &JobSpec, result: JobResult) {
        let write_id = self.deps.write_ids.next();
        let key = keys::job_result(&spec.id);
        cas::create(&*self.docs, &key, &write_id, &result).await.expect("a result");
        self.report(worker, spec, News::Ended).await;
        self.release(worker, spec).await;
    }

    pub(crate) async fn report(&self, worker: &str, spec: &JobSpec, news: News) {
        let report = Report {
            job: spec.id.clone(),
            stack: spec.stack.clone(),
            worker: worker.into(),
            at: self.clock.now(),
            news,
        };
        let message = Outgoing {
            body: serde_json::to_vec(&report).expect("json"),
            group: Some(keys::stack_group(&spec.stack)),
            dedup: Some(self.deps.write_ids.next()),
            delay_ms: 0,
        };
        self.queues.send(keys::REPORTS, message).await.expect("sent");
    }

    /// Asks a stack for something, as the API does, and returns the event's id.
    pub(crate) async fn command(&mut self, stack: &str, command: Command) -> EventId {
        let event = StackEvent::Command { actor: "ann".to_owned(), command };
        self.tell(stack, event).await
    }

    pub(crate) async fn tell(&mut self, stack: &str, event: StackEvent) -> EventId {
        self.clock.advance(1_000);
        self.events += 1;
        let id = EventId(format!("event-{}", self.events));
        let (stack, at) = (StackId::from(stack), self.clock.now());
        self.send(Intent::Stack(StackEnvelope { id: id.clone(), stack, at, hops: 0, event })).await;
        id
    }

    pub(crate) async fn trigger(&mut self, stack: &str, kind: RunType) -> EventId {
        self.clock.advance(1_000);
        self.events += 1;
        let id = EventId(format!("event-{}", self.events));
        let trigger = Trigger {
            stack: stack.into(),
            kind,
            commit: None,
            actor: "ann".to_owned(),
            force_apply: false,
        };
        let event = RepoEvent::Trigger { trigger: Box::new(trigger) };
        let (repo, at) = (REPO.into(), self.clock.now());
        self.send(Intent::Repo(RepoEnvelope { id: id.clone(), repo, at, hops: 0, event })).await;
        id
    }

    pub(crate) async fn send(&self, intent: Intent) {
        let message = Outgoing {
            body: serde_json::to_vec(&intent).expect("json"),
            group: Some(intent.group()),
            dedup: Some(intent.id().0.clone()),
            delay_ms: 0,
        };
        self.queues.send(keys::INTENTS, message).await.expect("sent");
    }

    pub(crate) async fn head(&self, stack: &str) -> StackHead {
        let key = keys::head(&stack.into());
        let found = cas::load::<StackHead>(&*self.docs, &key).await.expect("head");
        found.map_or_else(|| StackHead::new(&stack.into()), |found| found.value)
    }

    pub(crate) async fn repo(&self) -> RepoHead {
        let found = cas::load::<RepoHead>(&*self.docs, &keys::repo(&REPO.into())).await;
        found.expect("repo").expect("known").value
    }

    pub(crate) async fn answer(&self, stack: &str, event: &EventId) -> Option<Answer> {
        self.head(stack).await.answer_to(event).cloned()
    }

    pub(crate) async fn run(&self, id: &RunId) -> Run {
        let found = cas::load::<Run>(&*self.docs, &keys::run(id)).await.expect("run");
        found.expect("a document").value
    }

    /// All runs of a stack, oldest first, from their documents.
    pub(crate) async fn runs(&self, stack: &str) -> Vec<Run> {
        let prefix = keys::stack_runs(&stack.into());
        let mut runs = Vec::new();
        for listed in self.docs.list(&prefix, None, 1_000).await.expect("list") {
            runs.push(self.run(&RunId::from(&listed.key[prefix.len()..])).await);
        }
        runs
    }

    /// The newest run's state, by its name.
    pub(crate) async fn state(&self, stack: &str) -> String {
        let runs = self.runs(stack).await;
        runs.last().map_or("NONE", |run| run.state.name().as_str()).to_owned()
    }

    pub(crate) async fn states(&self, stacks: &[&str]) -> Vec<String> {
        let mut states = Vec::new();
        for stack in stacks {
            states.push(self.state(stack).await);
        }
        states
    }

    /// Confirms the stack's unconfirmed run as it stands.
    pub(crate) async fn confirm(&mut self, stack: &str) -> EventId {
        let run = self.head(stack).await.active.expect("an active run");
        let State::Unconfirmed { planned } = &run.state else { panic!("{:?}", run.state) };
        let (digest, version) = (planned.plan.digest.clone(), run.version);
        let run = run.id().clone();
        self.command(stack, Command::Confirm { run, digest, version }).await
    }

    /// Minutes pass, with the tick each minute, and everything that follows from it.
    pub(crate) async fn pass_minutes(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.clock.advance(60_000);
            let _ = scheduler::tick(&self.deps).await;
            self.settle_messages().await;
        }
    }
}

/// network → cluster → app-a, app-b; app-b waits for a person.
pub(crate) const DEFINITIONS: &str = r"
version: 1
stacks:
  - { name: network, project_root: stacks/network, autodeploy: true }
  - name: cluster
    project_root: stacks/cluster
    autodeploy: true
    depends_on: [{ stack: network, references: [{ output: vpc_id, input: TF_VAR_vpc_id }] }]
  - name: app-a
    project_root: stacks/app-a
    autodeploy: true
    depends_on: [{ stack: cluster }]
  - name: app-b
    project_root: stacks/app-b
    depends_on: [{ stack: cluster }]
";

impl World {
    /// The demo's repository, all four stacks applied.
    pub(crate) async fn demo() -> Self {
        let mut world = World::new();
        let outputs = BTreeMap::from([("vpc_id".to_owned(), "vpc-1".to_owned())]);
        let network = Tool { outputs, ..Tool::default() };
        world.tools.insert("network".into(), network);
        world
            .push(
                "main",
                &[
                    ("windlass.yaml", DEFINITIONS),
                    ("stacks/network/main.tf", ""),
                    ("stacks/cluster/main.tf", ""),
                    ("stacks/app-a/main.tf", ""),
                    ("stacks/app-b/main.tf", ""),
                    ("README.md", ""),
                ],
            )
            .await;
        world.settle().await;
        world.confirm("app-b").await;
        world.settle().await;
        world
    }
}
