//! A worker's heir: a process under a dead worker's name that settles its affairs.
//!
//! In the dead worker's folder may lie a result that it could not deliver, and the log of a tool
//! that outlives it. Only a process of the same name may hand these in; it takes no job.
use super::Crew;
use super::after::Orphan;
use crate::up::folder::Layout;
use std::fs::File;
use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_worker::proc;

/// How often an orphaned tool is looked at, only while there is one.
const ORPHAN_LOOK: Duration = Duration::from_millis(200);
/// How often a job that has to be declared lost is looked at.
const OPEN_LOOK: Duration = Duration::from_secs(1);
/// How often, and how long at most, we wait for a folder to be emptied.
const FOLDER_LOOK: Duration = Duration::from_millis(100);
const FOLDER_PATIENCE: Duration = Duration::from_secs(15);
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The folders of one worker.
pub(super) struct Estate {
    /// Results that were not delivered.
    spool: PathBuf,
    /// Runs whose logs are not stored to their end.
    runs: PathBuf,
    /// Held by its process.
    lock: PathBuf,
}

impl Estate {
    pub(super) fn of(layout: &Layout, name: &InstanceId) -> Self {
        let own = layout.work().join(name.as_str());
        Self { spool: own.join("spool"), runs: own.join("runs"), lock: own.join("lock") }
    }

    /// A process of this worker lives. One that can't be looked for is taken for alive.
    pub(super) fn inhabited(&self) -> bool {
        match File::open(&self.lock) {
            Ok(lock) => lock.try_lock().is_err(),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

fn holds_anything(folder: &PathBuf) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

async fn emptied(folder: &PathBuf) {
    let empty = async {
        while holds_anything(folder) {
            tokio::time::sleep(FOLDER_LOOK).await;
        }
    };
    if tokio::time::timeout(FOLDER_PATIENCE, empty).await.is_err() {
        tracing::warn!(folder = %folder.display(), "what a dead worker left is still there");
    }
}

/// However long the store is away.
pub(super) async fn surely<T, F: Future<Output = Result<T, Fault>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(fault) => {
                tracing::warn!(fault = %fault.chain(), "a dead worker's affairs have to wait");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

impl Crew {
    /// Says that a worker is gone, tells the stacks whose jobs it had, again when their tools have
    /// ended, and frees its name when nothing of it is open any more.
    /// `claimed`: jobs of its that are known to be open, whatever its record says by now.
    pub(super) async fn settle(&self, name: InstanceId, cause: String, claimed: Vec<Orphan>) {
        let (after, pool) = (&self.shared.aftermath, &self.shared.pool);
        let estate = Estate::of(&self.shared.layout, &name);
        self.shared.roster.hold(&name);
        let mut orphans = surely(|| after.orphans(pool, &name)).await;
        orphans.retain(|orphan| claimed.iter().all(|known| known.job != orphan.job));
        orphans.extend(claimed);
        let undelivered = holds_anything(&estate.spool);
        if !undelivered {
            self.gone(&name, &cause);
        }
        let heir = match undelivered || holds_anything(&estate.runs) {
            true => self.heir(&name).await,
            false => None,
        };
        if undelivered {
            // It may be gone, but it has not had its last word.
            emptied(&estate.spool).await;
            self.gone(&name, &cause);
        }
        for orphan in &orphans {
            surely(|| after.wake(orphan)).await;
            let Some(group) = &orphan.group else { continue };
            while !proc::group_gone(group) {
                tokio::time::sleep(ORPHAN_LOOK).await;
            }
            surely(|| after.wake(orphan)).await;
        }
        for orphan in &orphans {
            while surely(|| after.is_open(&name, &orphan.job)).await {
                tokio::time::sleep(OPEN_LOOK).await;
            }
        }
        if let Some((told, heir)) = heir {
            emptied(&estate.runs).await;
            let _ = told.send(());
            let _ = heir.await;
        }
        surely(|| after.remove(pool, &name)).await;
        if let Err(error) = self.shared.roster.forget(&name) {
            tracing::error!(worker = %name, %error, "the list of workers can't be written");
        }
    }

    fn gone(&self, name: &InstanceId, cause: &str) {
        if let Err(error) = self.shared.roster.ended(name, cause.to_owned()) {
            tracing::error!(worker = %name, %error, "the list of workers can't be written");
        }
    }

    /// Starts the heir; it goes when told, or when the server does.
    async fn heir(&self, name: &InstanceId) -> Option<(oneshot::Sender<()>, JoinHandle<()>)> {
        let (after, pool) = (&self.shared.aftermath, &self.shared.pool);
        surely(|| after.mark(pool, name)).await;
        let (child, _) = self.launch(name).map_err(|error| self.complain(name, &error)).ok()?;
        let (told, done) = oneshot::channel();
        let (crew, name) = (self.clone(), name.clone());
        let living = tokio::spawn(async move {
            match crew.admit(&name, child).await {
                Ok((child, lifeline)) => {
                    let _ = crew.watch(child, lifeline, Some(done)).await;
                }
                Err(error) => crew.complain(&name, &error),
            }
        });
        Some((told, living))
    }
}
