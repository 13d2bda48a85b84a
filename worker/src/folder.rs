//! The worker's folder: one process at a time, one folder per job, what earlier ones left.
use crate::proc::group_gone;
use crate::record::moment;
use crate::until::until;
use crate::{Config, Shutdown, StateHome, WorkerError};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use windlass_core::job::{JobId, JobSpec, ProcessGroup};

/// Held while the worker lives; the lock dies with the process.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    pub spool: PathBuf,
    runs: PathBuf,
    _lock: File,
}

const MARK: &str = "job.json";
/// The first log of every job.
const FIRST_LOG: &str = "init.log";

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
        let states = match &config.state {
            StateHome::Folder(folder) => Some(folder),
            StateHome::S3(_) => None,
        };
        for folder in [Some(&runs), Some(&spool), states].into_iter().flatten() {
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

    /// Removes what earlier processes left, but for jobs that had begun: their tool may still run,
    /// and what it says is stored nowhere else. With `all`, also those that only had a shell:
    /// somebody has to say that they are over.
    pub(crate) fn clean(&self, all: bool) -> Vec<Leftover> {
        let Ok(entries) = fs::read_dir(&self.runs) else { return Vec::new() };
        let mut left = Vec::new();
        for folder in entries.flatten().map(|entry| entry.path()) {
            let begun = folder.join(FIRST_LOG).exists();
            match fs::read(folder.join(MARK)).map(|json| serde_json::from_slice::<Mark>(&json)) {
                Ok(Ok(Mark { group, spec, since_boot_ms }))
                    if begun || all || !group_gone(&group) =>
                {
                    left.push(Leftover { folder, group, spec, since_boot_ms });
                }
                _ => remove(&folder),
            }
        }
        left
    }
}

/// A job's folder that an earlier process left.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    pub folder: PathBuf,
    pub group: ProcessGroup,
    pub spec: JobSpec,
    /// When its shell was started, by a clock that means something within one boot only.
    pub since_boot_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    group: ProcessGroup,
    spec: JobSpec,
    #[serde(default)]
    since_boot_ms: Option<u64>,
}

/// Says whose processes work in this folder, and at what.
pub(crate) fn mark(folder: &Path, group: &ProcessGroup, spec: &JobSpec) -> io::Result<()> {
    let since_boot_ms = u64::try_from(moment().as_millis()).ok();
    let mark = Mark { group: group.clone(), spec: spec.clone(), since_boot_ms };
    fs::write(folder.join(MARK), serde_json::to_vec(&mark)?)
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
