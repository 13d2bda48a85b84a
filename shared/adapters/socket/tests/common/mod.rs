//! A job, its documents, and a control plane in memory behind a socket.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses its own part of this; tests may panic"
)]
use adapter_socket::{Authority, Client, Gate, Ports, bind, serve};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use windlass_core::definition::{EnvValue, EnvVar, Hooks, Timeouts, Tool};
use windlass_core::id::{Digest, InstanceId, PoolId};
use windlass_core::instance::{Instance, Slot};
use windlass_core::job::{
    Attempt, Claim, Class, Input, JobId, JobResult, JobSpec, News, Phase, PlanRef, Report, Verdict,
};
use windlass_core::keys;
use windlass_core::run::RunType;
use windlass_core::time::UnixMs;
use windlass_ports::cas::Stored;
use windlass_ports::clock::SystemClock;
use windlass_ports::fake::{MemBlobs, MemDocs, MemQueues, MemSecrets};
use windlass_ports::{Docs, Expect};

pub const RUN: &str = "01J0000000000000000000000A";

pub fn job(phase: Phase) -> JobId {
    JobId { run: RUN.into(), phase, round: 0, attempt: Attempt::FIRST }
}

/// An apply of the stack `app` in the pool `blue`, with a plan, an input and a secret.
pub fn spec(id: &JobId) -> JobSpec {
    JobSpec {
        id: id.clone(),
        stack: "app".into(),
        run_type: RunType::Tracked,
        pool: "blue".into(),
        class: Class::Blocking,
        repository: "infra".into(),
        commit: "1".repeat(40).into(),
        branch: "main".into(),
        stack_branch: "main".into(),
        space: "root".into(),
        labels: vec![],
        triggered_by: String::new(),
        project_root: "app".into(),
        tool: Tool::Terraform,
        version: None,
        workspace: "default".into(),
        manage_state: true,
        lock: true,
        env: vec![
            EnvVar { name: "A".into(), value: EnvValue::Value("plain".into()) },
            EnvVar { name: "T".into(), value: EnvValue::Secret("cluster/token".into()) },
        ],
        files: vec![],
        hooks: Hooks::default(),
        timeouts: Timeouts::default(),
        inputs: vec![Input {
            name: "VPC".into(),
            from: "net".into(),
            output: "vpc".into(),
            outputs_key: "private/outputs/net/parent.json".into(),
        }],
        targets: vec![],
        command: None,
        plan: Some(PlanRef {
            key: keys::plan_archive(&job(Phase::Plan)),
            digest: Digest::of(b"plan"),
        }),
        created_at: UnixMs(1),
    }
}

pub fn claim(pool: &str, worker: &str) -> Claim {
    Claim::Held { pool: pool.into(), worker: worker.into(), epoch: 1, group: None, at: UnixMs(1) }
}

pub fn result(id: &JobId, worker: &str) -> JobResult {
    let blank = JobResult::blank(id, &"app".into(), Verdict::Ok, UnixMs(1));
    JobResult { worker: Some(worker.into()), ended_at: UnixMs(2), tool_ms: 1, ..blank }
}

pub fn report(id: &JobId, worker: &str, news: News) -> Report {
    Report { job: id.clone(), stack: "app".into(), worker: worker.into(), at: UnixMs(1), news }
}

pub fn record(worker: &str, pool: &str, busy: Option<&JobId>) -> Instance {
    let (id, pool): (InstanceId, PoolId) = (worker.into(), pool.into());
    let mut record = Instance::new(&id, &pool, 1, "0", None, UnixMs(1));
    if let Some(job) = busy {
        record.slots = vec![Slot::Busy { job: job.clone() }];
    }
    record
}

pub fn stored(value: &impl Serialize) -> Vec<u8> {
    let stored = Stored { schema: 1, revision: 1, write_id: "w".into(), value };
    serde_json::to_vec(&stored).unwrap()
}

/// The stores, which outlive any server in front of them.
pub struct Plane {
    pub folder: TempDir,
    pub docs: Arc<MemDocs>,
    pub queues: Arc<MemQueues>,
    pub blobs: Arc<MemBlobs>,
    pub secrets: Arc<MemSecrets>,
}

impl Plane {
    pub fn new() -> Self {
        let clock = Arc::new(SystemClock);
        Self::over(MemDocs::new(clock.clone()), MemQueues::waiting(clock))
    }
    pub fn over(docs: MemDocs, queues: MemQueues) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            docs: Arc::new(docs),
            queues: Arc::new(queues),
            blobs: Arc::new(MemBlobs::new()),
            secrets: Arc::new(MemSecrets::new()),
        }
    }
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("worker.sock")
    }
    pub fn serve(&self, gate: Arc<dyn Gate>) -> JoinHandle<()> {
        let ports = Ports {
            docs: self.docs.clone(),
            queues: self.queues.clone(),
            blobs: self.blobs.clone(),
            secrets: self.secrets.clone(),
        };
        let listener = bind(&self.path()).unwrap();
        tokio::spawn(serve(listener, ports, gate))
    }
    pub fn authority(&self) -> Arc<Authority> {
        Arc::new(Authority::new("the secret of this test".repeat(3), self.docs.clone()))
    }
    pub fn client(&self, worker: &str, pool: &str) -> Client {
        let (worker, pool): (InstanceId, PoolId) = (worker.into(), pool.into());
        let token = self.authority().token(&worker, &pool);
        Client::connect(&self.path(), worker, pool, token)
    }
    pub async fn put(&self, key: &str, value: &impl Serialize) {
        self.docs.put(key, Expect::Absent, stored(value)).await.unwrap();
    }
}
