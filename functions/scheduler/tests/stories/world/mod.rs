//! A small installation in memory: the real handlers, working fakes, and workers that obey the
//! claim protocol but whose tool is a table.
//!
//! Three processes can die apart from each other: the server ([`World::restart`]), a worker
//! ([`World::kill`]) and a worker's tool. Two clocks can part: the steady one that stores and
//! queues go by, and the wall clock that handlers read.
mod ask;
mod gate;
mod hook;
mod look;
mod tool;
mod work;

pub(crate) use ask::one;
pub(crate) use hook::{NOBODY, Sent};
pub(crate) use work::{Stage, Worker};

use scheduler::{Deps, Fate, Repository, WriteIds};
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::id::{Digest, PoolId, StackId};
use windlass_core::job::{Claim, JobId};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::fake::{
    FakeClock, FakeForge, FakePresence, FakeSource, Faults, Faulty, MemBlobs, MemDocs, MemQueues,
    MemSecrets,
};
use windlass_ports::forge::NoArchive;
use windlass_ports::{Clock, Delivery, Queues};

pub(crate) const REPO: &str = "infra";
/// Where people reach the console.
pub(crate) const LINKS: &str = "https://windlass.example.com";
const START: UnixMs = UnixMs(1_800_000_000_000);
const VISIBILITY_MS: u64 = 30_000;

pub(crate) struct World {
    pub(crate) deps: Deps,
    /// The same ports without faults, for looking.
    pub(crate) docs: Arc<MemDocs>,
    pub(crate) queues: Arc<MemQueues>,
    pub(crate) blobs: Arc<MemBlobs>,
    /// What stores and queues go by: it never jumps back.
    pub(crate) clock: FakeClock,
    /// What the handlers read.
    pub(crate) wall: FakeClock,
    pub(crate) source: Arc<FakeSource>,
    pub(crate) presence: Arc<FakePresence>,
    pub(crate) forge: Arc<FakeForge>,
    /// The server's; each worker has its own.
    pub(crate) faults: Faults,
    pub(crate) workers: BTreeMap<String, Worker>,
    /// Workers that [`World::settle`] lets work; who is killed is replaced.
    pub(crate) crew: Vec<String>,
    /// What each stack's tool answers; default: one resource to add, no outputs.
    pub(crate) tools: BTreeMap<StackId, Tool>,
    /// Every apply that a tool executed: (stack, plan digest).
    pub(crate) applied: Vec<(StackId, Digest)>,
    /// Every attempt that a tool was started for, and by whom.
    pub(crate) started: Vec<(JobId, String)>,
    /// Tools that run right now.
    pub(crate) running: Vec<Running>,
    /// Handle every message twice, and deliver every effect twice.
    pub(crate) twice: bool,
    events: u64,
    processes: u64,
}

/// What one stack's tool does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tool {
    pub(crate) plan_fails: Option<String>,
    pub(crate) apply_fails: Option<String>,
    pub(crate) no_changes: bool,
    pub(crate) outputs: BTreeMap<String, String>,
    /// What a preview finds to differ.
    pub(crate) drifted: Vec<String>,
}

/// The fakes that a world is made of.
struct Parts {
    docs: Arc<MemDocs>,
    queues: Arc<MemQueues>,
    blobs: Arc<MemBlobs>,
    source: Arc<FakeSource>,
    presence: Arc<FakePresence>,
    forge: Arc<FakeForge>,
    clock: FakeClock,
    wall: FakeClock,
}

/// A tool's process group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) stack: StackId,
    pub(crate) job: JobId,
    pub(crate) claim: Claim,
    pub(crate) worker: String,
    /// By the steady clock.
    pub(crate) since: UnixMs,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = FakeClock::at(START);
        let parts = Parts {
            docs: Arc::new(MemDocs::new(clock.shared())),
            queues: Arc::new(MemQueues::new(clock.shared())),
            blobs: Arc::new(MemBlobs::new()),
            source: Arc::new(FakeSource::new()),
            presence: Arc::new(FakePresence::new()),
            forge: Arc::new(FakeForge::new()),
            wall: FakeClock::at(START),
            clock,
        };
        Self::of(parts)
    }

    /// An independent copy, with faults of its own.
    pub(crate) fn fork(&self) -> Self {
        let clock = FakeClock::at(self.clock.now());
        let parts = Parts {
            docs: Arc::new(self.docs.fork_at(clock.shared())),
            queues: Arc::new(self.queues.fork_at(clock.shared())),
            blobs: Arc::new(self.blobs.fork()),
            source: Arc::new(self.source.fork()),
            presence: Arc::new(self.presence.fork()),
            forge: Arc::new(self.forge.fork()),
            wall: FakeClock::at(self.wall.now()),
            clock,
        };
        let mut fork = Self::of(parts);
        fork.workers =
            self.workers.iter().map(|(id, worker)| (id.clone(), worker.fork(&fork))).collect();
        fork.crew.clone_from(&self.crew);
        fork.tools.clone_from(&self.tools);
        fork.applied.clone_from(&self.applied);
        fork.started.clone_from(&self.started);
        fork.running.clone_from(&self.running);
        (fork.twice, fork.events) = (self.twice, self.events);
        fork.processes = self.processes + 1;
        fork.deps.write_ids = Arc::new(WriteIds::new(format!("process-{}", fork.processes)));
        fork
    }

    fn of(parts: Parts) -> Self {
        let Parts { docs, queues, blobs, source, presence, forge, clock, wall } = parts;
        let faults = Faults::none();
        let deps = Deps {
            docs: Arc::new(Faulty::new(docs.clone(), &faults)),
            queues: Arc::new(Faulty::new(queues.clone(), &faults)),
            blobs: Arc::new(Faulty::new(blobs.clone(), &faults)),
            secrets: Arc::new(MemSecrets::new()),
            presence: Arc::new(Faulty::new(presence.clone(), &faults)),
            source: Arc::new(Faulty::new(source.clone(), &faults)),
            forge: Arc::new(Faulty::new(forge.clone(), &faults)),
            links: Some(LINKS.to_owned()),
            archive: Arc::new(NoArchive),
            clock: wall.shared(),
            write_ids: Arc::new(WriteIds::new("process-1")),
            repositories: Arc::new(vec![Repository {
                name: REPO.into(),
                default_branch: "main".to_owned(),
            }]),
            wake: Arc::new(tokio::sync::Notify::new()),
            warm: Arc::default(),
        };
        World {
            deps,
            docs,
            queues,
            blobs,
            clock,
            wall,
            source,
            presence,
            forge,
            faults,
            workers: BTreeMap::new(),
            crew: vec!["w1".to_owned()],
            tools: BTreeMap::new(),
            applied: Vec::new(),
            started: Vec::new(),
            running: Vec::new(),
            twice: false,
            events: 0,
            processes: 1,
        }
    }

    /// Workers that a scenario held back go on.
    pub(crate) fn back_to_work(&mut self, before: &World) {
        if self.crew.is_empty() {
            self.crew.clone_from(&before.crew);
        }
    }

    /// Time passes, on both clocks.
    pub(crate) fn advance(&self, ms: u64) {
        self.clock.advance(ms);
        self.wall.advance(ms);
    }

    /// The server's process is there again: new write ids, no faults, and what it held of the
    /// control plane's own jobs is resumed.
    pub(crate) async fn restart(&mut self) {
        self.faults.revive();
        self.processes += 1;
        self.deps.write_ids = Arc::new(WriteIds::new(format!("process-{}", self.processes)));
        self.deps.wake = Arc::new(tokio::sync::Notify::new());
        self.deps.warm = Arc::default();
        scheduler::resume_control(&self.deps).await.expect("resumed");
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

    /// One message or one job. False when there was none, or the server is down.
    pub(crate) async fn step(&mut self) -> bool {
        if self.serve().await {
            return true;
        }
        for worker in self.crew.clone() {
            if self.work(&worker).await {
                return true;
            }
        }
        false
    }

    /// Handles messages only: no worker takes a job.
    pub(crate) async fn settle_messages(&mut self) {
        while self.serve().await {}
    }

    /// One turn of the server's loops.
    pub(crate) async fn serve(&mut self) -> bool {
        !self.faults.crashed()
            && (self.handle(keys::INTENTS).await
                || self.handle(keys::REPORTS).await
                || self.control().await)
    }

    /// The next message of a queue, as the server receives it.
    pub(crate) async fn receive(&self, queue: &str) -> Option<Delivery> {
        let batch = self.deps.queues.receive(queue, 1, 0, VISIBILITY_MS).await.ok()?;
        batch.into_iter().next()
    }

    /// The next message of this stack; what comes before it is handled.
    pub(crate) async fn receive_of(&mut self, stack: &str) -> Delivery {
        let group = keys::stack_group(&stack.into());
        loop {
            let delivery = self.receive(keys::INTENTS).await.expect("a message of the stack");
            if delivery.group.as_deref() == Some(&*group) {
                return delivery;
            }
            let fate = self.decide(keys::INTENTS, &delivery).await;
            self.settle_delivery(keys::INTENTS, &delivery, fate).await;
        }
    }

    /// Receives and handles one message; false if there was none.
    pub(crate) async fn handle(&mut self, queue: &str) -> bool {
        if self.queues.depth(queue).await.unwrap_or(0) == 0 {
            return false;
        }
        let calls = self.faults.calls();
        let Some(delivery) = self.receive(queue).await else {
            // Its group is in somebody's hands, or the call was struck.
            return self.faults.trace().len() as u64 > calls && self.struck_since(calls);
        };
        if self.twice {
            self.lose_strikes();
            let _ = self.decide(queue, &delivery).await;
            self.faults.revive();
            // By another process, which knows nothing of what this one delivered.
            self.deps.warm = Arc::default();
        }
        let fate = self.decide(queue, &delivery).await;
        self.settle_delivery(queue, &delivery, fate).await;
        true
    }

    fn struck_since(&self, calls: u64) -> bool {
        self.faults.trace().iter().any(|call| call.number > calls && call.strike.is_some())
    }

    pub(crate) async fn decide(&self, queue: &str, delivery: &Delivery) -> Fate {
        match queue {
            keys::REPORTS => scheduler::handle_report(&self.deps, delivery).await,
            _ => scheduler::handle_intent(&self.deps, delivery).await,
        }
    }

    pub(crate) async fn settle_delivery(&self, queue: &str, delivery: &Delivery, fate: Fate) {
        let _ = match fate {
            Fate::Done | Fate::Quarantined => {
                self.deps.queues.delete(queue, &delivery.receipt).await
            }
            Fate::Again => self.deps.queues.extend(queue, &delivery.receipt, 0).await,
        };
    }

    /// Until the next revival every head keeps its outbox: the swap that would strike delivered
    /// effects off is lost, so they are delivered again.
    fn lose_strikes(&self) {
        let mut puts = 0;
        self.faults.replan(move |_, name| {
            let head = name.starts_with("docs.put stacks/") || name.starts_with("docs.put repos/");
            puts += u32::from(head);
            (head && puts > 1).then_some(windlass_ports::fake::Strike::Before)
        });
    }

    /// The control plane's own jobs.
    async fn control(&mut self) -> bool {
        let queue = keys::first_queue(&PoolId::from(keys::CONTROL_POOL));
        if self.queues.depth(&queue).await.unwrap_or(0) == 0 {
            return false;
        }
        let registered = self.docs.dump().contains_key("pools/control/instances/control.json");
        if !registered {
            let _ = scheduler::resume_control(&self.deps).await;
        }
        let _ = scheduler::serve_control_once(&self.deps).await;
        true
    }

    /// Minutes pass, with the tick each minute, and everything that follows from it; no worker.
    pub(crate) async fn pass_minutes(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.advance(60_000);
            let _ = scheduler::tick(&self.deps).await;
            self.settle_messages().await;
        }
    }

    /// Minutes pass, with ticks and a worker, until nothing is left to do by itself.
    pub(crate) async fn quiet_down(&mut self) {
        self.settle().await;
        for _ in 0..240 {
            if self.quiet().await {
                return;
            }
            self.advance(60_000);
            scheduler::tick(&self.deps).await.expect("a healthy tick");
            self.settle().await;
        }
        panic!("it is never quiet: {:?}", self.unrest().await);
    }

    pub(crate) async fn quiet(&self) -> bool {
        self.unrest().await.is_empty()
    }

    /// What is still to come: messages anywhere, and wishes to be woken.
    pub(crate) async fn unrest(&self) -> Vec<String> {
        let mut unrest: Vec<String> = self.queues.busy();
        // Nobody is there to drop a pointer.
        unrest.retain(|queue| !queue.starts_with("jobs-default") || !self.crew.is_empty());
        let docs = self.docs.dump();
        unrest.extend(docs.into_keys().filter(|key| key.starts_with(keys::DUE)));
        unrest
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.wall.now()
    }
}
