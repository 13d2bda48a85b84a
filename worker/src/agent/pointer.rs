//! One pointer, from its receipt to its acknowledgement: the claim, the job, the report.
use super::{After, Shared};
use crate::backoff::Backoff;
use crate::claim::Not;
use crate::deliver::Delivered;
use crate::exec::Leader;
use crate::inbox::{self, Received};
use crate::job::{self, Start};
use crate::lease::Guard;
use crate::report::{About, acknowledge};
use crate::until::until;
use crate::{Shutdown, folder};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_core::job::{JobSpec, Pointer};
use windlass_ports::Fault;

/// A pointer that could not be looked at comes back after this.
const LATER_MS: u64 = 2_000;
/// A pointer to another worker's job comes back after this, to be dropped once it is over.
const THEIRS_MS: u64 = 600_000;
/// A commit that can't be had for the moment is asked for this often.
const CHECKOUTS_MAX: u32 = 3;
/// On the way out, the store may keep us waiting for this long.
const PARTING: Duration = Duration::from_secs(2);
/// A job that is ours, before its "go".
struct Held {
    spec: JobSpec,
    run: PathBuf,
    leader: Leader,
    fetched: JoinHandle<Result<(), Fault>>,
    init_lock: Option<File>,
}

impl Shared {
    /// A pointer, to its end.
    pub(super) async fn handle(&self, received: Received) -> After {
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
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let guard = tokio::spawn(guard.watch(health, shutdown, self.outlook.clone()));
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
