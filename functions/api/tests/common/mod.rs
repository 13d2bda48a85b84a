//! A small installation in memory for the router: the real scheduler over working fakes, and a
//! worker whose tool is a table. Whatever a page shows here was made by the code that makes it in
//! earnest.
#![allow(dead_code, reason = "each test file uses its part")]
mod client;
mod tools;
mod work;

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use client::{Answer, Browser};
#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use tools::demo_tools;
pub(crate) use work::Tool;

// Whoever includes this says how requests reach the router.
use super::mount;
pub(crate) use super::mount::HOST;
use api::{Deps, StateStore};
use async_trait::async_trait;
use axum::Router;
use scheduler::{Repository, WriteIds};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use windlass_core::id::{PoolId, StackId};
use windlass_core::keys;
use windlass_core::stack::StackHead;
use windlass_core::time::UnixMs;
use windlass_ports::fake::{
    FakeClock, FakePresence, FakeSource, MemBlobs, MemDocs, MemQueues, MemSecrets,
};
use windlass_ports::forge::{NoArchive, NoForge};
use windlass_ports::{Clock, Docs, Fault, Queues, cas};

pub(crate) const REPO: &str = "infra";
/// 2026-11-22T10:15:00Z.
pub(crate) const START: UnixMs = UnixMs(1_795_342_500_000);

/// network → cluster → app-a, app-b; app-b waits for a person.
pub(crate) const DEFINITIONS: &str = r"
version: 1
stacks:
  - { name: network, project_root: stacks/network, autodeploy: true, labels: [core, prod] }
  - name: cluster
    project_root: stacks/cluster
    autodeploy: true
    labels: [core]
    depends_on: [{ stack: network, references: [{ output: vpc_id, input: TF_VAR_vpc_id }] }]
  - name: app-a
    project_root: stacks/app-a
    autodeploy: true
    labels: [prod]
    depends_on: [{ stack: cluster }]
  - name: app-b
    project_root: stacks/app-b
    description: Where the orders go
    depends_on: [{ stack: cluster }]
";

pub(crate) struct World {
    pub(crate) sched: scheduler::Deps,
    pub(crate) docs: Arc<MemDocs>,
    pub(crate) queues: Arc<MemQueues>,
    pub(crate) blobs: Arc<MemBlobs>,
    pub(crate) secrets: Arc<MemSecrets>,
    pub(crate) source: Arc<FakeSource>,
    pub(crate) clock: FakeClock,
    pub(crate) states: Arc<States>,
    pub(crate) router: Router,
    /// What each stack's tool says and does.
    pub(crate) tools: BTreeMap<String, Tool>,
    /// Jobs that were begun and not ended.
    pub(crate) held: Vec<work::Held>,
    /// False: no worker takes a job.
    pub(crate) working: bool,
    /// What a key was exchanged for, and when.
    token: Option<(String, UnixMs)>,
}

/// State files by stack and workspace.
#[derive(Default)]
pub(crate) struct States(Mutex<BTreeMap<(StackId, String), Vec<u8>>>);

impl States {
    pub(crate) fn put(&self, stack: &str, text: &str) {
        self.put_of(stack, "default", text);
    }
    pub(crate) fn put_of(&self, stack: &str, workspace: &str, text: &str) {
        let place = (stack.into(), workspace.to_owned());
        self.0.lock().expect("unpoisoned").insert(place, text.as_bytes().to_vec());
    }
}

#[async_trait]
impl StateStore for States {
    async fn pull(&self, stack: &StackId, workspace: &str) -> Result<Option<Vec<u8>>, Fault> {
        let place = (stack.clone(), workspace.to_owned());
        Ok(self.0.lock().expect("unpoisoned").get(&place).cloned())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = FakeClock::at(START);
        let docs = Arc::new(MemDocs::new(clock.shared()));
        let queues = Arc::new(MemQueues::new(clock.shared()));
        let blobs = Arc::new(MemBlobs::new());
        let secrets = Arc::new(MemSecrets::new());
        let source = Arc::new(FakeSource::new());
        let states = Arc::new(States::default());
        let wake = Arc::new(tokio::sync::Notify::new());
        let sched = scheduler::Deps {
            warm: Arc::default(),
            docs: docs.clone(),
            queues: queues.clone(),
            blobs: blobs.clone(),
            secrets: secrets.clone(),
            presence: Arc::new(FakePresence::new()),
            source: source.clone(),
            forge: Arc::new(NoForge),
            links: None,
            archive: Arc::new(NoArchive),
            clock: clock.shared(),
            write_ids: Arc::new(WriteIds::new("process-1")),
            repositories: Arc::new(vec![Repository {
                name: REPO.into(),
                default_branch: "main".to_owned(),
            }]),
            wake,
        };
        let mut world = World {
            sched,
            docs,
            queues,
            blobs,
            secrets,
            source,
            clock,
            states,
            router: Router::new(),
            tools: BTreeMap::new(),
            held: Vec::new(),
            working: true,
            token: None,
        };
        world.remount();
        world
    }

    /// Another process over the same store.
    pub(crate) fn remount(&mut self) {
        self.remount_over(self.docs.clone());
    }
    /// … seen through something.
    pub(crate) fn remount_over(&mut self, docs: Arc<dyn Docs>) {
        self.router = mount::router(Deps {
            docs: docs.clone(),
            queues: self.queues.clone(),
            blobs: self.blobs.clone(),
            secrets: self.secrets.clone(),
            source: self.source.clone(),
            state: self.states.clone(),
            clock: self.clock.shared(),
            wake: self.sched.wake.clone(),
            auth: mount::auth(docs, self.clock.shared()),
        });
    }

    /// The demo's repository: three stacks applied, app-b waits for a person.
    pub(crate) async fn demo() -> Self {
        let mut world = World::new();
        world.tools = tools::demo_tools();
        world
            .push(
                "main",
                &[
                    ("windlass.yaml", DEFINITIONS),
                    ("stacks/network/main.tf", "1"),
                    ("stacks/cluster/main.tf", "1"),
                    ("stacks/app-a/main.tf", "1"),
                    ("stacks/app-b/main.tf", "1"),
                ],
            )
            .await;
        world.settle().await;
        world
    }

    pub(crate) async fn push(&mut self, branch: &str, files: &[(&str, &str)]) {
        self.clock.advance(60_000);
        self.source.push(REPO, branch, files);
        let repository = self.sched.repositories[0].clone();
        scheduler::observe(&self.sched, &repository).await.expect("observed");
    }

    /// Everything that can happen by itself does.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.step().await {
                return;
            }
        }
        panic!("it never settles");
    }

    /// One message or one job; false when there is none.
    pub(crate) async fn step(&mut self) -> bool {
        if self.handle(keys::INTENTS).await || self.handle(keys::REPORTS).await {
            return true;
        }
        if self.control().await {
            return true;
        }
        self.working && self.work().await
    }

    async fn handle(&mut self, queue: &str) -> bool {
        let batch = self.queues.receive(queue, 1, 0, 30_000).await.expect("received");
        let Some(delivery) = batch.into_iter().next() else { return false };
        let fate = match queue {
            keys::REPORTS => scheduler::handle_report(&self.sched, &delivery).await,
            _ => scheduler::handle_intent(&self.sched, &delivery).await,
        };
        assert_eq!(fate, scheduler::Fate::Done, "{}", String::from_utf8_lossy(&delivery.body));
        self.queues.delete(queue, &delivery.receipt).await.expect("deleted");
        true
    }

    async fn control(&mut self) -> bool {
        let queue = keys::first_queue(&PoolId::from(keys::CONTROL_POOL));
        if self.queues.depth(&queue).await.expect("depth") == 0 {
            return false;
        }
        if !self.docs.dump().contains_key("pools/control/instances/control.json") {
            scheduler::resume_control(&self.sched).await.expect("resumed");
        }
        scheduler::serve_control_once(&self.sched).await.expect("served");
        true
    }

    pub(crate) async fn head(&self, stack: &str) -> StackHead {
        let found = cas::load::<StackHead>(&*self.docs, &keys::head(&stack.into())).await;
        found.expect("loaded").expect("a head").value
    }

    /// The stack's newest blocking run.
    pub(crate) async fn last(&self, stack: &str) -> String {
        self.head(stack).await.last.expect("a run").id.0
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }
}
