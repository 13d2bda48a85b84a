//! The agent: claims jobs, runs the tool, reports how it went.
//!
//! It speaks to ports only, so the same code serves a child process of `windlass up` and an
//! instance of a fleet. [`run`] is the whole of it: register, then claim and execute until told to
//! stop. [`proc`] is for whoever has to know whether a job's processes are gone.
//!
//! - `inbox`, `claim`, `record`, `lease`: who may start a job, and for how long (rules B1–B9).
//! - `code`, `fetch`, `state`, `environment`, `script`, `exec`: the work tree, where its state lies,
//!   what the tool sees, what it runs.
//! - `logs`, `mask`, `upload`: what it says, without secrets, on its way to the store.
//! - `plan`, `outputs`, `archive`: what comes of it.
//! - `report`, `deliver`, `spool`, `salvage`, `locks`, `errored`: how it is told, even when the store
//!   is away, and what a job left whose worker died.
//! - `notice`: what follows when the machine itself is to go.
//!
//! What a worker touches is written down twice: for a socket in `adapter-socket`, which decides
//! each call, and for AWS in docs/security.md, which its IAM policy is made from.
mod agent;
mod archive;
mod backoff;
mod claim;
mod code;
mod deliver;
mod environment;
mod errored;
mod exec;
mod fetch;
mod folder;
mod inbox;
mod job;
mod lease;
mod locks;
mod logs;
mod mask;
mod notice;
mod outputs;
mod phases;
mod plan;
mod prepare;
pub mod proc;
mod reason;
mod record;
mod report;
mod salvage;
mod script;
mod spool;
mod state;
pub mod tool;
mod until;
mod upload;

pub use agent::run;
pub use code::BlobCheckout;
pub use environment::Env;
pub use mask::{MASK, Masks};
pub use outputs::{OutputValue, Values};
pub use script::tool::PLAN_FILE;
pub use state::{Bucket, OVERRIDE_FILE, StateHome, kept_state};

use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_core::definition::KILL_GRACE_MS;
use windlass_core::id::{InstanceId, PoolId, RepoName, Sha};
use windlass_core::job::{CONTROL_POLL_MS, LEASE_MS, RENEW_BUSY_MS, RENEW_IDLE_MS};
use windlass_ports::{Blobs, Clock, Docs, Fault, Notices, Queues, Secrets};

/// Writes the files of a commit into an absent or empty folder.
#[async_trait]
pub trait Checkout: Send + Sync {
    async fn checkout(&self, repo: &RepoName, sha: &Sha, dest: &Path) -> Result<(), Fault>;
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: InstanceId,
    pub pool: PoolId,
    /// Jobs at once. One on a person's machine.
    pub slots: usize,
    /// This worker's own folder: run folders, undelivered results, a lock.
    pub work_dir: PathBuf,
    /// Where Windlass keeps the stacks' states.
    pub state: StateHome,
    /// The control plane can't see this machine's processes: the next worker on it says in the
    /// store what became of a dead one's tool, and ends what has had its time (rule E1).
    pub witness: bool,
    /// Providers, shared by all runs of this machine.
    pub plugin_cache: Option<PathBuf>,
    /// Windlass's own, for the record.
    pub version: String,
    /// What `TF_VAR_spacelift_account_name` says.
    pub account: String,
    /// The environment that this worker was started with; little of it reaches a job.
    pub env: Env,
    pub timing: Timing,
}

impl Config {
    /// A worker with the usual settings and this process's environment.
    #[must_use]
    pub fn new(worker: InstanceId, pool: PoolId, work_dir: PathBuf, state: StateHome) -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            worker,
            pool,
            slots: 1,
            work_dir,
            state,
            witness: false,
            plugin_cache: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            account: "local".to_owned(),
            env: env.collect(),
            timing: Timing::default(),
        }
    }
}

/// Intervals, in milliseconds. Only tests have reason to change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub renew_busy_ms: u64,
    pub renew_idle_ms: u64,
    pub lease_ms: u64,
    pub control_poll_ms: u64,
    /// From the interrupt to the kill.
    pub grace_ms: u64,
    /// One long poll of a queue.
    pub poll_ms: u64,
    /// A pointer is ours for this long, and extended with every renewal.
    pub visibility_ms: u64,
    /// How long blobs may delay the end of a job before they go to the spool.
    pub patience_ms: u64,
    /// From one question about the machine's end to the next.
    pub notice_poll_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            renew_busy_ms: RENEW_BUSY_MS,
            renew_idle_ms: RENEW_IDLE_MS,
            lease_ms: LEASE_MS,
            control_poll_ms: CONTROL_POLL_MS,
            grace_ms: KILL_GRACE_MS,
            poll_ms: 20_000,
            visibility_ms: 2 * RENEW_BUSY_MS,
            patience_ms: 10_000,
            notice_poll_ms: 5_000,
        }
    }
}

/// What the worker may touch.
#[derive(Clone)]
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub blobs: Arc<dyn Blobs>,
    pub secrets: Arc<dyn Secrets>,
    pub clock: Arc<dyn Clock>,
    pub checkout: Arc<dyn Checkout>,
    /// Who says when this machine is to go, where there is somebody to ask.
    pub notices: Option<Arc<dyn Notices>>,
}

/// What is wanted of a running worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    #[default]
    Run,
    /// Take no more jobs; end when the running ones have ended.
    Drain,
    /// The same, but plans are interrupted (they are made again). An apply, a destroy or a task is
    /// never cut short: the worker ends with it.
    Now,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the worker's folder {path} can't be used")]
    Folder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the worker can't register")]
    Register(#[source] Fault),
    /// There is no use in trying again.
    #[error("the worker does not start: {0}")]
    Refused(windlass_core::instance::Refused),
}
