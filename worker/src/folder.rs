//! The worker's folder: one process at a time, one folder per job, what earlier ones left.
use crate::proc::group_gone;
use crate::until::until;
use crate::{Config, Shutdown, WorkerError};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use windlass_core::job::{JobId, ProcessGroup};

/// Held while the worker lives; the lock dies with the process.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    pub spool: PathBuf,
    runs: PathBuf,
    _lock: File,
}

const GROUP: &str = "group.json";

impl WorkFolder {
    /// Opens the folder, once an earlier worker process that still ends its job is done with it.
    /// None if a shutdown came first.
    pub(crate) async fn open(
        config: &Config,
        shutdown: &mut watch::Receiver<Shutdown>,
    ) -> Result<Option<Self>, WorkerError> {
        let root = &config.work_dir;
        let failed = |source| WorkerError::Folder { path: root.display().to_string(), source };
        let (runs, spool) = (root.join("runs"), root.join("spool"));
        for folder in [&runs, &spool, &config.state_dir] {
            private(folder).map_err(failed)?;
        }
        if let Some(cache) = &config.plugin_cache {
            fs::create_dir_all(cache).map_err(failed)?;
        }
        let lock = File::create(root.join("lock")).map_err(failed)?;
        let mut told = false;
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::Error(source) => return Err(failed(source)),
                TryLockError::WouldBlock if !told => {
                    tracing::info!(worker = %config.worker, "an earlier process ends its job first");
                    told = true;
                }
                TryLockError::WouldBlock => {}
            }
            let changed = tokio::time::timeout(
                Duration::from_millis(200),
                until(shutdown, |wanted| *wanted != Shutdown::Run),
            );
            if changed.await.is_ok() {
                return Ok(None);
            }
        }
        Ok(Some(Self { spool, runs, _lock: lock }))
    }

    /// A folder for one try at a job; no other try ever has the same.
    pub(crate) fn job(&self, job: &JobId, unique: &str) -> io::Result<PathBuf> {
        let folder = self.runs.join(format!("{job}.{unique}"));
        private(&folder)?;
        // Links in the way would make the tool's idea of its paths another than ours.
        folder.canonicalize()
    }

    /// Removes what earlier processes left, but for jobs whose tool still runs.
    pub(crate) fn clean(&self) {
        let Ok(entries) = fs::read_dir(&self.runs) else { return };
        for entry in entries.flatten() {
            let group = fs::read(entry.path().join(GROUP))
                .ok()
                .and_then(|json| serde_json::from_slice::<ProcessGroup>(&json).ok());
            if group.is_none_or(|group| group_gone(&group)) {
                remove(&entry.path());
            }
        }
    }
}

/// Says whose processes work in this folder.
pub(crate) fn mark(folder: &Path, group: &ProcessGroup) -> io::Result<()> {
    fs::write(folder.join(GROUP), serde_json::to_vec(group)?)
}

/// Gone, or at least told.
pub(crate) fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "a run's folder stays");
    }
}

fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
