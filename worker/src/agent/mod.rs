//! The worker's life: register, take jobs, end.
mod pointer;

use crate::backoff::Backoff;
use crate::claim::Claiming;
use crate::deliver::{Delivered, Postman};
use crate::environment::{self, Env};
use crate::folder::WorkFolder;
use crate::inbox::{Inbox, Received, Waits};
use crate::lease::{Health, Keeper};
use crate::notice::{Outlook, Watcher};
use crate::record::{Record, SwapError, WriteIds};
use crate::salvage;
use crate::spool::Spool;
use crate::tool::{self, Versions};
use crate::until::until;
use crate::{Config, Deps, Shutdown, WorkerError};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_core::definition::Tool;
use windlass_core::job::JobId;

/// A draining worker looks this often whether it still has to.
const DRAIN_LOOK: Duration = Duration::from_secs(5);

/// What all jobs of a worker share.
pub(crate) struct Shared {
    pub config: Config,
    pub deps: Arc<Deps>,
    pub record: Arc<Record>,
    pub ids: Arc<WriteIds>,
    pub versions: Arc<Versions>,
    /// The environment that every process of a job gets.
    pub base: Env,
    folder: WorkFolder,
    spool: Spool,
    health: watch::Receiver<Health>,
    shutdown: watch::Receiver<Shutdown>,
    pub outlook: watch::Receiver<Outlook>,
    /// Jobs that a task of ours is at: a second pointer to one must not touch its slot.
    handled: Mutex<BTreeSet<JobId>>,
}

/// Serves a pool until the shutdown. Returns when no job of ours runs any more.
pub async fn run(
    config: Config,
    deps: Deps,
    mut shutdown: watch::Receiver<Shutdown>,
) -> Result<(), WorkerError> {
    let Some(folder) = WorkFolder::open(&config, &mut shutdown).await? else { return Ok(()) };
    let leftovers = folder.clean(config.witness);
    let failed = |source| WorkerError::Folder { path: folder.spool.display().to_string(), source };
    let spool = Spool::open(folder.spool.clone()).map_err(failed)?;
    let deps = Arc::new(deps);
    let left = leftovers.iter().map(|leftover| leftover.spec.id.clone());
    let record = Record::new(config.worker.clone(), config.pool.clone()).with_leftovers(left);
    let record = Arc::new(record);
    let ids = Arc::new(WriteIds::new(&config.worker, deps.clock.now()));
    let (health, healthy) = watch::channel(Health::Good);
    let (outlook, seen) = watch::channel(Outlook::Stays);
    let mut base = environment::base(&config.env, |file| Path::new(file).exists());
    let own_cache = config.env.get("TF_PLUGIN_CACHE_DIR").cloned();
    let cache = config.plugin_cache.as_ref().map(|cache| cache.display().to_string());
    base.extend(cache.or(own_cache).map(|cache| ("TF_PLUGIN_CACHE_DIR".to_owned(), cache)));
    let shared = Arc::new(Shared {
        config,
        deps,
        record,
        ids,
        versions: Arc::default(),
        base,
        folder,
        spool,
        health: healthy,
        shutdown,
        outlook: seen,
        handled: Mutex::default(),
    });
    let mut leaving = shared.shutdown.clone();
    let orphans = tokio::select! {
        orphans = salvage::gather(&shared, leftovers) => orphans,
        () = until(&mut leaving, |wanted| *wanted != Shutdown::Run) => return Ok(()),
    };
    // Before anything else: what an earlier process could not tell. Registering voids its claims.
    shared.deliver_spooled().await;
    let tending = tokio::spawn(salvage::tend(shared.clone(), orphans));
    let lived = Agent::new(shared, health, outlook).live().await;
    tending.abort();
    lived
}

struct Agent {
    shared: Arc<Shared>,
    health: watch::Sender<Health>,
    outlook: watch::Sender<Outlook>,
    draining: watch::Sender<bool>,
    busy: watch::Sender<usize>,
    jobs: JoinSet<After>,
}

/// What a handled pointer leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// The record says that we drain.
    Draining,
    /// The record is of another epoch.
    Void,
}

impl Agent {
    fn new(
        shared: Arc<Shared>,
        health: watch::Sender<Health>,
        outlook: watch::Sender<Outlook>,
    ) -> Self {
        let (draining, busy) = (watch::Sender::new(false), watch::Sender::new(0));
        Self { shared, health, outlook, draining, busy, jobs: JoinSet::new() }
    }

    async fn live(mut self) -> Result<(), WorkerError> {
        let shared = self.shared.clone();
        let mut shutdown = shared.shutdown.clone();
        if !self.register().await? {
            return Ok(());
        }
        self.learn_version();
        let keeper = Keeper {
            deps: shared.deps.clone(),
            record: shared.record.clone(),
            ids: shared.ids.clone(),
            timing: shared.config.timing,
            health: self.health.clone(),
            draining: self.draining.clone(),
        };
        let keeper = tokio::spawn(keeper.keep(self.busy.subscribe()));
        let watcher = self.watcher().map(|watcher| tokio::spawn(watcher.watch()));
        self.serve(&mut shutdown).await?;
        while let Some(after) = self.jobs.join_next().await {
            self.ended(after);
        }
        keeper.abort();
        watcher.inspect(tokio::task::JoinHandle::abort);
        Ok(())
    }

    /// Listens for the machine's end, where there is somebody to ask.
    fn watcher(&self) -> Option<Watcher> {
        let Shared { deps, record, ids, config, .. } = &*self.shared;
        Some(Watcher {
            notices: deps.notices.clone()?,
            deps: deps.clone(),
            record: record.clone(),
            ids: ids.clone(),
            poll: Duration::from_millis(config.timing.notice_poll_ms),
            outlook: self.outlook.clone(),
            draining: self.draining.clone(),
        })
    }

    /// Takes jobs until the shutdown.
    async fn serve(&mut self, shutdown: &mut watch::Receiver<Shutdown>) -> Result<(), WorkerError> {
        let shared = self.shared.clone();
        let timing = shared.config.timing;
        let waits = Waits { poll_ms: timing.poll_ms, visibility_ms: timing.visibility_ms };
        let mut inbox = Inbox::new(shared.deps.queues.clone(), &shared.config.pool, waits);
        let (mut health, mut draining) = (shared.health.clone(), self.draining.subscribe());
        let mut outlook = shared.outlook.clone();
        loop {
            let void = *health.borrow_and_update() == Health::Void;
            if void && self.jobs.is_empty() && !self.register().await? {
                break;
            }
            let drains = *draining.borrow_and_update();
            // Also before the drain is written down, and should somebody take it back.
            let stays = *outlook.borrow_and_update() == Outlook::Stays;
            let open = self.jobs.len() < shared.config.slots && stays && !drains && !void;
            if !open {
                inbox.close().await;
            }
            tokio::select! {
                biased;
                () = until(shutdown, |wanted| *wanted != Shutdown::Run) => break,
                Some(after) = self.jobs.join_next() => self.ended(after),
                _ = health.changed() => {}
                _ = draining.changed() => {}
                _ = outlook.changed() => {}
                received = inbox.next(), if open => self.start(received),
                () = tokio::time::sleep(DRAIN_LOOK), if drains => self.look().await,
            }
        }
        inbox.close().await;
        Ok(())
    }

    fn start(&mut self, received: Received) {
        let shared = self.shared.clone();
        self.jobs.spawn(async move { shared.handle(received).await });
        self.busy.send_replace(self.jobs.len());
    }

    fn ended(&mut self, after: Result<After, tokio::task::JoinError>) {
        self.busy.send_replace(self.jobs.len());
        match after {
            Ok(After::Nothing) => {}
            Ok(After::Draining) => {
                self.draining.send_replace(true);
            }
            Ok(After::Void) => {
                self.health.send_replace(Health::Void);
            }
            Err(error) => {
                // Its claim stands and its slot is busy: under a new epoch the sweep sees it lost.
                tracing::error!(%error, "a job's task broke off");
                self.health.send_replace(Health::Void);
            }
        }
    }

    /// Is the drain over?
    async fn look(&self) {
        let Shared { deps, record, ids, .. } = &*self.shared;
        let renewed = record.swap(&*deps.docs, &ids.next(), |r, epoch| r.renew(epoch)).await;
        if let Ok(renewed) = renewed {
            self.draining.send_replace(renewed.drain.is_some());
        }
    }

    /// Registers under a new epoch, however long the store takes. False if a shutdown came first.
    /// Where the machine is about to be ended, or was given up, the worker ends too.
    async fn register(&mut self) -> Result<bool, WorkerError> {
        let Shared { deps, record, ids, config, .. } = &*self.shared;
        let mut shutdown = self.shared.shutdown.clone();
        let mut backoff = Backoff::default();
        loop {
            let facts = (config.slots, config.version.as_str(), deps.clock.now());
            match record.register(&*deps.docs, &ids.next(), facts).await {
                Ok(instance) => {
                    self.draining.send_replace(instance.drain.is_some());
                    self.health.send_replace(Health::Good);
                    tracing::info!(worker = %config.worker, epoch = instance.epoch, "registered");
                    return Ok(true);
                }
                Err(SwapError::Refused(refused)) => return Err(WorkerError::Refused(refused)),
                Err(SwapError::Fault(fault)) if !fault.is_retryable() => {
                    return Err(WorkerError::Register(fault));
                }
                Err(SwapError::Fault(fault)) => {
                    tracing::warn!(error = fault.chain(), "not registered");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = until(&mut shutdown, |wanted| *wanted != Shutdown::Run) => return Ok(false),
            }
        }
    }

    /// So that no run has to wait for the tool's answer.
    fn learn_version(&self) {
        let (versions, base) = (self.shared.versions.clone(), self.shared.base.clone());
        let path = base.get("PATH").cloned().unwrap_or_default();
        tokio::task::spawn_blocking(move || {
            if let Ok(program) = tool::find(Tool::Auto, OsStr::new(&path)) {
                let _ = versions.of(&program, &base);
            }
        });
    }
}

impl Shared {
    async fn deliver_spooled(&self) {
        for finished in self.spool.waiting().unwrap_or_default() {
            let delivered = self.postman().deliver(&finished, &mut self.shutdown.clone()).await;
            let job = &finished.result.job;
            tracing::info!(%job, delivered = delivered == Delivered::Yes, "from the spool");
        }
    }

    /// A result of this job waits on disk.
    pub(crate) fn spooled(&self, job: &JobId) -> bool {
        let waiting = self.spool.waiting().unwrap_or_default();
        waiting.iter().any(|finished| finished.result.job == *job)
    }

    fn postman(&self) -> Postman<'_> {
        Postman {
            deps: &self.deps,
            spool: &self.spool,
            ids: &self.ids,
            worker: &self.config.worker,
        }
    }

    fn claiming(&self) -> Claiming<'_> {
        Claiming { deps: &self.deps, record: &self.record, ids: &self.ids }
    }
}
