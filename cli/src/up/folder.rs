//! The data folder: where it is, whether it can be used, and that only one server uses it.
use crate::exit::Failure;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use windlass_core::id::Digest;

/// What the folder's layout is called. Another one is refused, never migrated in silence.
const VERSION: &str = "windlass data 1\n";
const VERSION_FILE: &str = "version";
const LOCK_FILE: &str = "lock";
/// Room that must be free at the start: a few documents and log parts.
const PROBE_BYTES: usize = 256 * 1024;
/// A socket's path must fit into `sun_path`: 104 bytes on macOS, 108 on Linux, with its end.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// A data folder that this process holds. The lock dies with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

/// Paths inside a data folder, held or not.
#[derive(Clone, Debug)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    #[must_use]
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }
    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
    #[must_use]
    pub(crate) fn server_file(&self) -> PathBuf {
        self.0.join("server.json")
    }
    #[must_use]
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("windlass.db")
    }
    #[must_use]
    pub(crate) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }
    #[must_use]
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }
    #[must_use]
    pub(crate) fn mirrors(&self) -> PathBuf {
        self.0.join("mirrors")
    }
    /// States that Windlass keeps: `state/<slug>/terraform.tfstate`.
    #[must_use]
    pub(crate) fn states(&self) -> PathBuf {
        self.0.join("state")
    }
    /// Work trees of runs, and what a worker could not deliver yet.
    #[must_use]
    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }
    /// Providers, downloaded once for all runs.
    #[must_use]
    pub(crate) fn plugins(&self) -> PathBuf {
        self.0.join("plugins")
    }
    #[must_use]
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("logs").join("server.log")
    }
    /// Which worker processes were started, so that the next server knows them again.
    #[must_use]
    pub(crate) fn workers_file(&self) -> PathBuf {
        self.0.join("workers.json")
    }
    /// What workers' tokens are made from.
    #[must_use]
    pub(crate) fn worker_secret(&self) -> PathBuf {
        self.0.join("worker.secret")
    }
    /// Where workers reach the server: in the folder. Where such a path may be too long for a
    /// socket, it is in a private folder beside the system's short-lived files instead.
    #[must_use]
    pub(crate) fn socket(&self) -> PathBuf {
        let inside = self.0.join("socket");
        // On Linux the adapter has a way around the limit.
        if cfg!(target_os = "linux") || inside.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return inside;
        }
        let name = Digest::of(self.0.as_os_str().as_bytes());
        std::env::temp_dir().join(format!("windlass-{}", name.short())).join("socket")
    }
}

/// `--data`, else the user's data folder.
pub(crate) fn locate(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match asked {
        Some(path) => path.to_owned(),
        None => {
            default_folder(|name| std::env::var_os(name).map(PathBuf::from)).ok_or_else(|| {
                Failure::missing("there is no home folder; say where the data goes with --data DIR")
            })?
        }
    };
    std::path::absolute(&path).map_err(|e| {
        Failure::usage(format!("the path {} can't be made absolute", path.display())).because(e)
    })
}

fn default_folder(env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    if cfg!(target_os = "macos") {
        return Some(env("HOME").filter(absolute)?.join("Library/Application Support/windlass"));
    }
    if let Some(data) = env("XDG_DATA_HOME").filter(absolute) {
        return Some(data.join("windlass"));
    }
    Some(env("HOME").filter(absolute)?.join(".local/share/windlass"))
}

impl Folder {
    /// Makes the folder if need be, and holds it.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let shown = root.display();
        let unusable = |what: &str, error: io::Error| {
            let why = plain(&error);
            Failure::missing(format!("the data folder {shown} {what}: {why}")).because(error)
        };
        let exists = root.exists();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(root).map_err(|e| unusable("can't be made", e))?;
        // Before anything is written: a folder that is not ours stays as it is.
        let version = read_version(root).map_err(|e| unusable("can't be read", e))?;
        match version.as_deref() {
            Some(VERSION) => {}
            Some(other) => {
                let other = other.trim();
                return Err(Failure::missing(format!(
                    "the data folder {shown} was written by another version of Windlass \
                     (`{other}`, this one writes `{}`); choose another with --data DIR",
                    VERSION.trim()
                )));
            }
            None if exists && holds_anything(root) => {
                return Err(Failure::missing(format!(
                    "{shown} is not empty and not a data folder of Windlass; choose another with \
                     --data DIR"
                )));
            }
            None => {}
        }
        let lock = take_lock(root, &unusable)?;
        fs::set_permissions(root, fs::Permissions::from_mode(0o700))
            .map_err(|e| unusable("can't be made private", e))?;
        probe(root).map_err(|e| unusable("can't be written", e))?;
        if version.is_none() {
            replace(&root.join(VERSION_FILE), VERSION.as_bytes())
                .map_err(|e| unusable("can't be written", e))?;
        }
        let folder = Self { root: root.to_owned(), _lock: lock };
        folder.make_inner().map_err(|e| unusable("can't be written", e))?;
        Ok(folder)
    }

    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    #[must_use]
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.root)
    }

    fn make_inner(&self) -> io::Result<()> {
        let layout = self.layout();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let socket = layout.socket();
        let mirrors = layout.mirrors();
        for folder in [layout.blobs(), layout.states(), layout.work(), mirrors, layout.plugins()] {
            builder.create(folder)?;
        }
        for parent in [layout.log(), socket].iter().filter_map(|path| path.parent()) {
            builder.create(parent)?;
            // Fails where another user made it first.
            fs::set_permissions(parent, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

fn take_lock(root: &Path, unusable: &impl Fn(&str, io::Error) -> Failure) -> Result<File, Failure> {
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(root.join(LOCK_FILE))
        .map_err(|e| unusable("can't be written", e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let holder = super::server_file::read(root).ok().flatten();
            let who = holder.map_or_else(String::new, |s| format!(" (process {})", s.pid));
            Err(Failure::missing(format!(
                "another windlass{who} uses the data folder {}; stop it, or choose another folder \
                 with --data DIR",
                root.display()
            )))
        }
        Err(TryLockError::Error(error)) => Err(unusable("can't be locked", error)),
    }
}

fn read_version(root: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(root.join(VERSION_FILE)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Anything but the lock file that an earlier start may have left before it failed.
fn holds_anything(root: &Path) -> bool {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name();
        name != LOCK_FILE && !name.as_bytes().starts_with(b".windlass-")
    })
}

/// A full or read-only disk is met now, with a sentence, and not by the first run.
fn probe(root: &Path) -> io::Result<()> {
    let path = root.join(".windlass-probe");
    let _ = fs::remove_file(&path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&vec![b'w'; PROBE_BYTES])?;
        file.sync_all()
    })();
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// Replaces a small private file in one step.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".windlass-new-");
    name.push(path.file_name().unwrap_or_default());
    let fresh = path.with_file_name(name);
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// An operating system's error in words.
fn plain(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "this user may not write there",
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "a file is in its place",
        ErrorKind::InvalidData => "what is there is not text",
        _ => "the system refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_folder_follows_the_system() {
        if cfg!(target_os = "macos") {
            return;
        }
        #[rustfmt::skip]
        let table = [
            // HOME       XDG_DATA_HOME  folder
            (Some("/h"),  None,          Some("/h/.local/share/windlass")),
            (Some("/h"),  Some("/d"),    Some("/d/windlass")),
            (Some("/h"),  Some("rel"),   Some("/h/.local/share/windlass")),
            (None,        Some("/d"),    Some("/d/windlass")),
            (None,        None,          None),
        ];
        for (home, xdg, expect) in table {
            let env = |name: &str| if name == "HOME" { home } else { xdg }.map(PathBuf::from);
            assert_eq!(default_folder(env), expect.map(PathBuf::from), "{home:?} {xdg:?}");
        }
    }

    #[test]
    fn one_holder_at_a_time_and_the_lock_goes_with_it() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        let first = Folder::open(&root).unwrap();
        let mode = fs::metadata(&root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let second = Folder::open(&root).unwrap_err();
        assert!(second.sentence.contains("another windlass"), "{second}");
        assert_eq!(second.exit, crate::exit::Exit::Missing);
        drop(first);
        Folder::open(&root).unwrap();
    }

    #[test]
    fn folders_that_are_not_ours_are_refused_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let table = [
            ("version", "windlass data 7\n", "another version"),
            ("letter.txt", "dear", "not empty"),
        ];
        for (file, text, expect) in table {
            let root = temp.path().join(file);
            fs::create_dir(&root).unwrap();
            fs::write(root.join(file), text).unwrap();
            let refused = Folder::open(&root).unwrap_err();
            assert!(refused.sentence.contains(expect), "{refused}");
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "{file}");
        }
        let file = temp.path().join("plain");
        fs::write(&file, "").unwrap();
        assert!(Folder::open(&file).unwrap_err().sentence.contains("a file is in its place"));
    }

    #[test]
    fn a_long_folder_gets_a_short_socket() {
        let near = Layout::new(Path::new("/data")).socket();
        assert_eq!(near, Path::new("/data/socket"));
        let far = Layout::new(&Path::new("/data").join("x".repeat(200))).socket();
        let fits = far.as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
        assert!(fits || cfg!(target_os = "linux"), "{}", far.display());
    }
}
