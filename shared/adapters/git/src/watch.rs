//! Tells when the branches of a repository on this machine change, at no cost while they don't.
//!
//! The system notifies about the few files that hold references. A slow look at their metadata
//! (no process is started) covers what notifications miss: a network file system, a limit on
//! watches, a `.git` that was deleted and made again.
use crate::GitError;
use crate::mirrors::{blocking, home_of};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// One command moves several references; they count as one change.
const DEBOUNCE_MS: u64 = 50;
/// How often metadata is looked at beside notifications …
const POLL_MS: u64 = 15_000;
/// … and without them.
const POLL_UNAIDED_MS: u64 = 1_000;

/// What the reference files of a repository look like. Equal ones mean that no branch moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads(Vec<Look>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    inode: u64,
    bytes: u64,
    changed_at: (i64, i64),
}

/// Looks at the branches of the repository in this folder without fetching: compare with an
/// earlier answer.
pub async fn heads_fast(path: &Path) -> Result<Heads, GitError> {
    let home = home_of(path).await?;
    look(&home.common_dir).await
}

async fn look(git_dir: &Path) -> Result<Heads, GitError> {
    let what = format!("the branches in {} can't be looked at", git_dir.display());
    let git_dir = git_dir.to_path_buf();
    let walk = move || {
        let mut looks = Vec::new();
        for name in WATCHED {
            walk(&git_dir.join(name), &mut looks)?;
        }
        Ok(Heads(looks))
    };
    blocking(walk).await.map_err(|e| GitError::io(what, e))
}

/// Relative to the git directory: loose references, packed ones, and the newer format of both.
const WATCHED: [&str; 4] = ["HEAD", "packed-refs", "refs/heads", "reftable"];

fn walk(path: &Path, looks: &mut Vec<Look>) -> std::io::Result<()> {
    let absent = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(e) if absent(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    if about.is_dir() {
        let mut entries = match fs::read_dir(path) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>()?,
            Err(e) if absent(&e) => return Ok(()),
            Err(e) => return Err(e),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        return entries.iter().try_for_each(|entry| walk(&entry.path(), looks));
    }
    if path.extension().is_some_and(|extension| extension == "lock") {
        return Ok(());
    }
    looks.push(Look {
        path: path.to_path_buf(),
        inode: about.ino(),
        bytes: about.len(),
        changed_at: (about.ctime(), about.ctime_nsec()),
    });
    Ok(())
}

/// Watches one repository on this machine.
pub struct Watch {
    git_dir: PathBuf,
    seen: Heads,
    wake: Arc<Notify>,
    eyes: Option<Eyes>,
}

/// The system's watches, and which folders they sit on: a folder made anew needs new ones.
struct Eyes {
    _watcher: RecommendedWatcher,
    on: Vec<Option<u64>>,
}

impl Watch {
    /// Watches the repository that this folder is (or is a work tree of) from now on.
    pub async fn path(origin: &Path) -> Result<Self, GitError> {
        let git_dir = home_of(origin).await?.common_dir;
        let wake = Arc::new(Notify::new());
        // Watch first, then look: what changes between the two is seen twice rather than never.
        let eyes = open_eyes(&git_dir, &wake);
        let seen = look(&git_dir).await?;
        Ok(Self { git_dir, seen, wake, eyes })
    }

    /// Returns once a branch moved, appeared or went since the last return (or since the start).
    /// May be dropped at any point: nothing is forgotten.
    pub async fn changed(&mut self) {
        loop {
            // An error is a repository in the middle of being moved; the next look tells.
            if let Ok(now) = look(&self.git_dir).await
                && now != self.seen
            {
                self.seen = now;
                return;
            }
            self.open_eyes_again();
            let poll_ms = if self.eyes.is_some() { POLL_MS } else { POLL_UNAIDED_MS };
            let poll = Duration::from_millis(poll_ms);
            if tokio::time::timeout(poll, self.wake.notified()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(DEBOUNCE_MS)).await;
            }
        }
    }

    fn open_eyes_again(&mut self) {
        let on = folders(&self.git_dir).map(|folder| inode(&folder)).to_vec();
        if self.eyes.as_ref().is_none_or(|eyes| eyes.on != on) {
            self.eyes = open_eyes(&self.git_dir, &self.wake);
        }
    }
}

fn folders(git_dir: &Path) -> [PathBuf; 3] {
    [git_dir.to_path_buf(), git_dir.join("refs/heads"), git_dir.join("reftable")]
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|about| about.ino())
}

/// None when the system gives no watches; the poll then looks more often.
fn open_eyes(git_dir: &Path, wake: &Arc<Notify>) -> Option<Eyes> {
    let [home, heads, tables] = folders(git_dir);
    let on = [&home, &heads, &tables].map(|folder| inode(folder)).to_vec();
    let (wake, root) = (Arc::clone(wake), home.clone());
    let tell = move |event: Result<Event, notify::Error>| {
        if event.map_or(true, |event| concerns(&event, &root)) {
            wake.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    watcher.watch(&home, RecursiveMode::NonRecursive).ok()?;
    for folder in [heads, tables].iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::Recursive).ok()?;
    }
    Some(Eyes { _watcher: watcher, on })
}

/// True for what may have changed a reference. Reading (our own looks included), the index and
/// lock files are none of our business.
fn concerns(event: &Event, git_dir: &Path) -> bool {
    let changes = !matches!(event.kind, EventKind::Access(_));
    changes
        && event.paths.iter().any(|path| {
            let lock = path.extension().is_some_and(|extension| extension == "lock");
            let inside = path.strip_prefix(git_dir).ok();
            !lock && inside.is_some_and(|path| WATCHED.iter().any(|name| path.starts_with(name)))
        })
}
