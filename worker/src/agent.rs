//! The worker's life: register, take jobs, end.
use crate::backoff::Backoff;
use crate::claim::{Claiming, Not};
use crate::deliver::{Delivered, Postman};
use crate::environment::{self, Env};
use crate::exec::Leader;
use crate::folder::{self, WorkFolder};
use crate::inbox::{self, Inbox, Received, Waits};
use crate::job::{self, Start};
use crate::lease::{Guard, Health, Keeper};
use crate::record::{Record, SwapError, WriteIds};
use crate::report::{About, acknowledge};
use crate::salvage;
use crate::spool::Spool;
use crate::tool::{self, Versions};
use crate::until::until;
use crate::{Config, Deps, Shutdown, WorkerError};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use windlass_core::definition::Tool;
use windlass_core::job::{JobId, JobSpec, Pointer};
use windlass_ports::Fault;

/// A draining worker looks this often whether it still has to.
const DRAIN_LOOK: Duration = Duration::from_secs(5);
/// A pointer that could not be looked at comes back after this.
const LATER_MS: u64 = 2_000;
/// A pointer to another worker's job comes back after this, to be dropped once it is over.
const THEIRS_MS: u64 = 600_000;
/// A commit that can't be had for the moment is asked for this often.
const CHECKOUTS_MAX: u32 = 3;
/// On the way out, the store may keep us waiting for this long.
const PARTING: Duration = Duration::from_secs(2);

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
    let record = Arc::new(Record::new(config.worker.clone(), config.pool.clone()));
    let ids = Arc::new(WriteIds::new(&config.worker, deps.clock.now()));
    let (health, healthy) = watch::channel(Health::Good);
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
    let lived = Agent::new(shared, health).live().await;
    tending.abort();
    lived
}

struct Agent {
    shared: Arc<Shared>,
    health: watch::Sender<Health>,
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
    fn new(shared: Arc<Shared>, health: watch::Sender<Health>) -> Self {
        let (draining, busy) = (watch::Sender::new(false), watch::Sender::new(0));
        Self { shared, health, draining, busy, jobs: JoinSet::new() }
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
        self.serve(&mut shutdown).await?;
        while let Some(after) = self.jobs.join_next().await {
            self.ended(after);
        }
        keeper.abort();
        Ok(())
    }

    /// Takes jobs until the shutdown.
    async fn serve(&mut self, shutdown: &mut watch::Receiver<Shutdown>) -> Result<(), WorkerError> {
        let shared = self.shared.clone();
        let timing = shared.config.timing;
        let waits = Waits { poll_ms: timing.poll_ms, visibility_ms: timing.visibility_ms };
        let mut inbox = Inbox::new(shared.deps.queues.clone(), &shared.config.pool, waits);
        let (mut health, mut draining) = (shared.health.clone(), self.draining.subscribe());
        loop {
            let void = *health.borrow_and_update() == Health::Void;
            if void && self.jobs.is_empty() && !self.register().await? {
                break;
            }
            let drains = *draining.borrow_and_update();
            let open = self.jobs.len() < shared.config.slots && !drains && !void;
            if !open {
                inbox.close().await;
            }
            tokio::select! {
                biased;
                () = until(shutdown, |wanted| *wanted != Shutdown::Run) => break,
                Some(after) = self.jobs.join_next() => self.ended(after),
                _ = health.changed() => {}
                _ = draining.changed() => {}
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

/// A job that is ours, before its "go".
struct Held {
    spec: JobSpec,
    run: PathBuf,
    leader: Leader,
    fetched: JoinHandle<Result<(), Fault>>,
    init_lock: Option<File>,
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

    /// A pointer, to its end.
    async fn handle(&self, received: Received) -> After {
        let Received { queue, delivery } = &received;
        let queues = &*self.deps.queues;
        let Ok(pointer) = serde_json::from_slice::<Pointer>(&delivery.body) else {
            tracing::error!(queue, id = delivery.message_id, "a message that is no pointer");
            acknowledge(queues, queue, &delivery.receipt).await;
            return After::Nothing;
        };
        let handled = || self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        if !handled().insert(pointer.job.clone()) {
            return After::Nothing;
        }
        let after = match self.claim(&pointer).await {
            Ok(held) => self.execute(held, queue, &delivery.receipt).await,
            Err(not) => self.not_ours(not, &pointer, &received).await,
        };
        handled().remove(&pointer.job);
        after
    }

    /// Claims it: everything that can be undone happens before, or beside, the writes.
    async fn claim(&self, pointer: &Pointer) -> Result<Held, Not> {
        let claiming = self.claiming();
        let spec = claiming.spec(pointer).await?;
        let job = &spec.id;
        let unable = |e| Not::Fault(Fault::retryable_from("the job's shell can't be started", e));
        let run = self.folder.job(job, &self.ids.next()).map_err(unable)?;
        let init_lock = self.init_lock().map_err(unable)?;
        let held = init_lock.as_ref().map(File::try_clone).transpose().map_err(unable)?;
        // Code and shell touch nothing but the run's own folder, so they need not wait.
        let fetched = self.fetch(&spec, &run);
        let (leader, taken) =
            tokio::join!(Leader::spawn(&run, &self.base, held), claiming.take(job));
        let ours = match (&leader, taken) {
            (_, Err(not)) => Err(not),
            (Err(_), Ok(())) => Ok(()),
            (Ok(leader), Ok(())) => {
                // Without the mark nobody could say what became of it.
                match folder::mark(&run, leader.group(), &spec) {
                    Ok(()) => claiming.hold(job, leader.group()).await,
                    Err(error) => Err(unable(error)),
                }
            }
        };
        match (leader, ours) {
            (Ok(leader), Ok(())) => Ok(Held { spec, run, leader, fetched, init_lock }),
            (leader, ours) => {
                fetched.abort();
                let _ = fetched.await;
                folder::remove(&run);
                let not = match (leader, ours) {
                    (Ok(leader), ours) => {
                        leader.end().await;
                        ours.err().unwrap_or(Not::Theirs)
                    }
                    (Err(error), ours) => ours.err().unwrap_or_else(|| unable(error)),
                };
                match not {
                    // The slot goes with the epoch, or was not taken.
                    Not::Void | Not::Draining => Err(not),
                    not => claiming.release(job).await.and(Err(not)),
                }
            }
        }
    }

    /// Starts the checkout: it touches nothing but the run's own folder.
    fn fetch(&self, spec: &JobSpec, run: &Path) -> JoinHandle<Result<(), Fault>> {
        let checkout = self.deps.checkout.clone();
        let (repo, sha) = (spec.repository.clone(), spec.commit.clone());
        let tree = run.join("tree");
        tokio::spawn(async move {
            let mut backoff = Backoff::default();
            for _ in 1..CHECKOUTS_MAX {
                match checkout.checkout(&repo, &sha, &tree).await {
                    Err(fault) if fault.is_retryable() => {
                        folder::remove(&tree);
                        tokio::time::sleep(backoff.next()).await;
                    }
                    known => return known,
                }
            }
            checkout.checkout(&repo, &sha, &tree).await
        })
    }

    fn init_lock(&self) -> std::io::Result<Option<File>> {
        let Some(cache) = &self.config.plugin_cache else { return Ok(None) };
        let name = cache.file_name().unwrap_or_default().to_string_lossy();
        let file = cache.with_file_name(format!(".{name}.init-lock"));
        File::options().append(true).create(true).open(file).map(Some)
    }

    async fn execute(&self, held: Held, queue: &str, receipt: &str) -> After {
        let Held { spec, run, leader, fetched, init_lock } = held;
        let (halt, halted) = watch::channel(None);
        let guard = Guard {
            deps: self.deps.clone(),
            timing: self.config.timing,
            job: spec.id.clone(),
            queue: queue.to_owned(),
            receipt: receipt.to_owned(),
            repeatable: spec.id.phase.repeatable(),
            halt,
        };
        let guard = tokio::spawn(guard.watch(self.health.clone(), self.shutdown.clone()));
        let start = Start {
            shared: self,
            spec: &spec,
            run: &run,
            leader,
            fetched,
            halt: halted,
            init_lock,
        };
        let finished = job::execute(start).await;
        let delivered = self.postman().deliver(&finished, &mut self.shutdown.clone()).await;
        guard.abort();
        let clean = tokio::task::spawn_blocking(move || folder::remove(&run));
        if delivered == Delivered::NotYet {
            let _ = clean.await;
            // The record must not go idle before result and report are there. If we live on, it
            // is under a new epoch, and the sweep says what became of this one.
            return After::Void;
        }
        let claiming = self.claiming();
        let release = claiming.release(&spec.id);
        let (_, released) = tokio::join!(
            acknowledge(&*self.deps.queues, queue, receipt),
            self.unless_parting(release)
        );
        let _ = clean.await;
        released
    }

    /// Waits for a release, but not for ever once we are to go.
    async fn unless_parting(&self, release: impl Future<Output = Result<(), Not>>) -> After {
        let mut shutdown = self.shutdown.clone();
        let parting = async {
            until(&mut shutdown, |wanted| *wanted != Shutdown::Run).await;
            tokio::time::sleep(PARTING).await;
        };
        tokio::select! {
            released = release => if released.is_ok() { After::Nothing } else { After::Void },
            () = parting => After::Nothing,
        }
    }

    async fn not_ours(&self, not: Not, pointer: &Pointer, received: &Received) -> After {
        let Received { queue, delivery } = received;
        let queues = &*self.deps.queues;
        tracing::debug!(job = %pointer.job, why = ?not, "not ours");
        match not {
            Not::Over => {
                let about = About {
                    job: pointer.job.clone(),
                    stack: pointer.stack.clone(),
                    worker: self.config.worker.clone(),
                };
                // The pointer goes only when the report is out.
                if self.postman().ended(&about).await.is_ok() {
                    acknowledge(queues, queue, &delivery.receipt).await;
                }
                After::Nothing
            }
            Not::Cancelled | Not::Unknown => {
                acknowledge(queues, queue, &delivery.receipt).await;
                After::Nothing
            }
            Not::Theirs => {
                let _ = queues.extend(queue, &delivery.receipt, THEIRS_MS).await;
                After::Nothing
            }
            Not::Draining => {
                inbox::hand_back(queues, received).await;
                After::Draining
            }
            Not::Void => {
                inbox::hand_back(queues, received).await;
                After::Void
            }
            Not::Fault(fault) => {
                tracing::warn!(job = %pointer.job, error = fault.chain(), "not claimed");
                let _ = queues.extend(queue, &delivery.receipt, LATER_MS).await;
                After::Nothing
            }
        }
    }
}
