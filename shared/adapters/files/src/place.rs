//! Folders and files that only this user can read, replaced in one step.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use windlass_ports::Fault;

/// Why a folder of ours can't be used, as a sentence that a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} may be read or written by others (mode {mode:04o}), so what it holds may be \
         known; make it private with: chmod 600 '{path}'", path = path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} is damaged: {why}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, why: &'static str },
    #[error(
        "the secrets in {sealed} were sealed with the key in {key}, which is gone; restore it, or \
         delete the secrets and set them again", sealed = sealed.display(), key = key.display()
    )]
    KeyGone { sealed: PathBuf, key: PathBuf },
}

impl OpenError {
    pub(crate) fn io(what: &str, path: &Path, source: io::Error) -> Self {
        Self::Io { what: format!("{} can't be {what}", path.display()), source }
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        match error {
            // A full disk, a folder that is not mounted yet.
            OpenError::Io { what, source } => Fault::retryable_from(what, source),
            other => Fault::poison(other.to_string()),
        }
    }
}

/// Makes the folder and those above it, for this user only; one that is there is made private.
pub(crate) fn private_folder(path: &Path) -> Result<(), OpenError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path).and_then(|()| {
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    });
    made.map_err(|e| OpenError::io("made", path, e))
}

/// The bytes of a file that nobody else may read. None when there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    let mode = match fs::metadata(path) {
        Ok(about) => about.permissions().mode() & 0o7777,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(OpenError::io("read", path, e)),
    };
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path: path.to_path_buf(), mode });
    }
    fs::read(path).map(Some).map_err(|e| OpenError::io("read", path, e))
}

/// Whether a write must be on the disk before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    /// It may be lost, or be found cut short, after the machine lost its power.
    No,
}

/// Writes a file of its own in `temporaries` and renames it to `path`: readers see the old file or
/// the new one. `NotFound` when a folder is missing.
pub(crate) fn replace(
    temporaries: &Path,
    path: &Path,
    bytes: &[u8],
    durable: Durable,
) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = temporaries.join(format!(".tmp-{}-{count}", std::process::id()));
    let result = write_new(&temporary, bytes, durable).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result?;
    match (durable, path.parent()) {
        (Durable::Yes, Some(folder)) => sync_folder(folder),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    // What a process of the same number left behind is of no use.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    match durable {
        Durable::Yes => file.sync_all(),
        Durable::No => Ok(()),
    }
}

/// Makes names in a folder (new, changed or gone) survive a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(e) => Err(Fault::retryable_from("a file operation did not end", e)),
    }
}
