//! A small Spacelift with one pool, and the adapter before it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses its own part of this; tests may panic"
)]
use adapter_spacelift::{ANSWER_MAX, Config, Spacelift};
use async_trait::async_trait;
use spacelift_server::{KEY_ID, KEY_SECRET, Options, POOL, SpaceliftServer, Worker};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use windlass_core::fleet::{Because, Op, OpId, Victim};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::{Fault, Secrets};

pub const GROUP: &str = "fleet-asg";
pub const NOW: UnixMs = UnixMs(1_800_000_000_000);

/// A key's secret that is rotated: a cache gives what it had until it is asked past it.
pub struct Rotating {
    pub cached: Mutex<Option<String>>,
    pub stored: Mutex<Option<String>>,
    pub fresh_reads: AtomicUsize,
}

impl Rotating {
    pub fn new(value: Option<&str>) -> Arc<Self> {
        let value = || Mutex::new(value.map(str::to_owned));
        Arc::new(Self { cached: value(), stored: value(), fresh_reads: AtomicUsize::new(0) })
    }
    pub fn rotate(&self, value: &str) {
        *self.stored.lock().unwrap() = Some(value.to_owned());
    }
}

#[async_trait]
impl Secrets for Rotating {
    async fn get(&self, _: &str) -> Result<Option<String>, Fault> {
        Ok(self.cached.lock().unwrap().clone())
    }
    async fn fresh(&self, _: &str) -> Result<Option<String>, Fault> {
        self.fresh_reads.fetch_add(1, Ordering::SeqCst);
        let stored = self.stored.lock().unwrap().clone();
        self.cached.lock().unwrap().clone_from(&stored);
        Ok(stored)
    }
    async fn set(&self, _: &str, _: &str) -> Result<(), Fault> {
        Ok(())
    }
    async fn remove(&self, _: &str) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn names(&self) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }
}

pub fn config(url: &str) -> Config {
    Config {
        endpoint: url.to_owned(),
        key_id: KEY_ID.to_owned(),
        key_secret_name: "spacelift/key".to_owned(),
        secrets: Rotating::new(Some(KEY_SECRET)),
        worker_pool: POOL.to_owned(),
        group: GROUP.to_owned(),
        ca_bundle: None,
        answer_max: ANSWER_MAX,
    }
}

pub struct Bench {
    pub server: SpaceliftServer,
    pub spacelift: Spacelift,
}

impl Bench {
    /// These workers, each with the machine that it is on.
    pub fn with(workers: &[Worker]) -> Self {
        Self::of(&Options::default(), workers)
    }

    pub fn of(options: &Options, workers: &[Worker]) -> Self {
        let server = SpaceliftServer::start_as(options);
        server.pool(|pool| pool.workers = workers.to_vec());
        let spacelift = Spacelift::new(config(server.url())).unwrap();
        Self { server, spacelift }
    }

    /// Another process: it remembers nothing.
    pub fn another(&self) -> Spacelift {
        Spacelift::new(config(self.server.url())).unwrap()
    }

    /// Which workers are drained, in order.
    pub fn drained(&self) -> Vec<String> {
        self.server.pool(|pool| {
            let drained = pool.workers.iter().filter(|worker| worker.drained);
            drained.map(|worker| worker.id.clone()).collect()
        })
    }
}

pub fn on(worker: &str, instance: &str) -> Worker {
    Worker::on(worker, instance, GROUP)
}

pub fn i(n: u32) -> InstanceId {
    InstanceId(format!("i-{n}"))
}

pub fn op(name: &str) -> OpId {
    OpId(name.to_owned())
}

pub fn victim(instance: u32, op_name: &str) -> Victim {
    let (decrement, because) = (true, Because::Surplus);
    Victim { instance: i(instance), workers: vec![], op: op(op_name), decrement, because }
}

/// As a tick stored it.
pub fn ops(instance: u32, op_name: &str) -> BTreeMap<InstanceId, Op> {
    let (decrement, because) = (true, Because::Surplus);
    BTreeMap::from([(i(instance), Op { id: op(op_name), decrement, because, at: NOW })])
}
