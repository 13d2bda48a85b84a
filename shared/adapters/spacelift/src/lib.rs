//! A pool of workers that Spacelift keeps, over its GraphQL API.
//!
//! Such a pool stores less than ours, and what it lacks is made up for here as far as it can be:
//!
//! - **No owner of a drain.** Which drains are ours is told by what this process did, and by the ops
//!   that a tick stored ([`Spacelift::remember`]). Only a drain that this very process made, and has
//!   not doomed, is taken back. A stored op alone says that the machine's end may have been asked
//!   for already: it counts as doomed, so it is finished and never reopened (rules C2 and C3).
//! - **No mark of doom.** Instead, all workers on the machine are read again just before its end,
//!   and every one of them must be drained and idle.
//! - **No swap of claim and drain.** The answer to a drain says whether a run came first; then
//!   whatever was drained for it is taken back.
//! - **No fence.** Nothing keeps a worker from registering on a machine that has none.
//! - **No lease.** A worker is listed until Spacelift forgets it, so each counts as heard of.
mod client;
mod drain;
mod marks;
mod pool;
mod quiet;
mod tokens;
mod wire;

use client::Client;
use marks::Marks;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use windlass_core::fleet::Op;
use windlass_core::id::InstanceId;
use windlass_ports::{Fault, Secrets};

/// How long an answer may take, if nothing else is said.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where a setting usually comes from: errors name it, so that a person knows what to check.
pub(crate) mod variable {
    pub(crate) const ENDPOINT: &str = "SPACELIFT_API_KEY_ENDPOINT";
    pub(crate) const KEY_ID: &str = "SPACELIFT_API_KEY_ID";
    pub(crate) const KEY_SECRET: &str = "SPACELIFT_API_KEY_SECRET_NAME";
    pub(crate) const POOL: &str = "SPACELIFT_WORKER_POOL_ID";
    pub(crate) const CA_BUNDLE: &str = "SPACELIFT_CA_BUNDLE";
}

/// What an installation says about its Spacelift. Proxies are taken from `HTTPS_PROXY`,
/// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
#[derive(Clone)]
pub struct Config {
    /// `https://ACCOUNT.app.spacelift.io`; `/graphql` may be there or not.
    pub endpoint: String,
    pub key_id: String,
    /// What the key's secret is called in `secrets`. It is read when a token is needed, and past
    /// any cache when Spacelift refuses it.
    pub key_secret_name: String,
    pub secrets: Arc<dyn Secrets>,
    pub worker_pool: String,
    /// The Auto Scaling group's name. A worker that names another as its `asg_id` is set up wrongly.
    pub group: String,
    /// Certificates of authorities to trust besides the system's: PEM, or that in Base64.
    pub ca_bundle: Option<String>,
    /// From connecting to the answer's last byte.
    pub answer_max: Duration,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Config");
        shown.field("endpoint", &self.endpoint).field("key_id", &self.key_id);
        shown.field("worker_pool", &self.worker_pool).field("group", &self.group);
        shown.finish_non_exhaustive()
    }
}

/// One pool. Clones share connections, tokens, silence, and what is known of drains.
#[derive(Clone)]
pub struct Spacelift(Arc<Shared>);

struct Shared {
    client: Client,
    worker_pool: String,
    group: String,
    marks: Marks,
    /// This server does not know since when a worker is idle.
    legacy: AtomicBool,
}

impl fmt::Debug for Spacelift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spacelift").field(&self.0.worker_pool).finish()
    }
}

impl Spacelift {
    /// Asks nothing yet, and reads no secret.
    ///
    /// # Errors
    /// `Poison` when no TLS client can be made: the bundle holds no certificate, or there is none on
    /// this machine.
    pub fn new(config: Config) -> Result<Self, Fault> {
        let (worker_pool, group) = (config.worker_pool.clone(), config.group.clone());
        let (client, marks) = (Client::new(config)?, Marks::default());
        Ok(Self(Arc::new(Shared { client, worker_pool, group, marks, legacy: false.into() })))
    }

    /// Tells which removals earlier ticks began, as [`windlass_core::fleet::Memory`] holds them:
    /// before each look, all of them. Without it (no store) a drain of ours that another process
    /// made is somebody else's; once idle, such a machine is ended all the same.
    pub fn remember(&self, ops: &BTreeMap<InstanceId, Op>) {
        self.0.marks.remember(ops);
    }
}
