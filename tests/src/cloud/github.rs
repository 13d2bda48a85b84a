//! GitHub, for a story's repository: what is committed is pushed there, and GitHub tells the
//! control plane by a signed webhook.
//!
//! The repository that the control plane sees is GitHub's own. It keeps what a story throws away.
use super::runtime::lock;
use crate::repo::Repo;
use forge_server::{ForgeServer, TOKEN};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

pub const OWNER: &str = "acme";
pub const WEBHOOK_SECRET: &str = "the webhook's secret";
const LOOK: Duration = Duration::from_millis(50);
/// GitHub does not send again what was not taken; somebody clicks on "Redeliver".
const REDELIVER: Duration = Duration::from_millis(500);

/// `acme/infra`, and whoever pushes to it.
pub struct Github {
    pub forge: Arc<ForgeServer>,
    work: PathBuf,
    there: PathBuf,
    name: String,
    over: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<String>>>,
    pusher: Mutex<Option<JoinHandle<()>>>,
}

/// The thread that notices commits.
struct Pusher {
    forge: Arc<ForgeServer>,
    work: PathBuf,
    there: Repo,
    name: String,
    webhook: String,
    /// What GitHub has told, by branch.
    told: BTreeMap<String, String>,
    over: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Github {
    /// GitHub with an empty repository, kept in `folder`, for what will be committed in `work`.
    pub fn start(work: &Repo, folder: &Path) -> Self {
        let name = work.folder.file_name().expect("a name").to_string_lossy().into_owned();
        let name = format!("{OWNER}/{name}");
        let forge = Arc::new(ForgeServer::start());
        Repo::create_bare(folder);
        forge.add(&name, folder);
        Self {
            forge,
            work: work.folder.clone(),
            there: folder.to_owned(),
            name,
            over: Arc::default(),
            said: Arc::default(),
            pusher: Mutex::default(),
        }
    }

    /// Pushes whatever is committed, from now on, and delivers each push to this address.
    pub fn deliver_to(&self, webhook: &str) {
        let pusher = Pusher {
            forge: self.forge.clone(),
            work: self.work.clone(),
            there: Repo { folder: self.there.clone() },
            name: self.name.clone(),
            webhook: webhook.to_owned(),
            told: BTreeMap::new(),
            over: self.over.clone(),
            said: self.said.clone(),
        };
        let thread = std::thread::spawn(move || pusher.run());
        *lock(&self.pusher) = Some(thread);
    }

    /// The token with which the control plane may ask.
    pub fn token() -> &'static str {
        TOKEN
    }

    /// What became of deliveries, one line each.
    pub fn said(&self) -> String {
        lock(&self.said).join("\n")
    }
}

impl Drop for Github {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(pusher) = lock(&self.pusher).take() {
            let _ = pusher.join();
        }
    }
}

impl Pusher {
    fn run(mut self) {
        let mut seen = BTreeSet::new();
        while !self.over.load(Ordering::SeqCst) {
            let now = refs(&self.work);
            if now != seen {
                self.push();
                seen = now;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Brings everything there, and tells of every branch that moved.
    fn push(&mut self) {
        let from = self.work.display().to_string();
        // As `git push --mirror` does, but for whoever has no remote: the branches, also rewritten
        // ones, and their deletion.
        self.there.git(&["fetch", "--quiet", "--prune", &from, "+refs/heads/*:refs/heads/*"]);
        let listed = self.there.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let branches = listed.lines().filter_map(|line| {
            let (name, sha) = line.split_once(' ')?;
            Some((name.strip_prefix("refs/heads/")?.to_owned(), sha.to_owned()))
        });
        let now: BTreeMap<String, String> = branches.collect();
        let before = std::mem::replace(&mut self.told, now.clone());
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            let (before, after) = (before.get(name), now.get(name));
            if before != after {
                self.tell(name, before.map(String::as_str), after.map(String::as_str));
            }
        }
    }

    fn tell(&self, branch: &str, before: Option<&str>, after: Option<&str>) {
        let url = &self.webhook;
        let mut sent =
            self.forge.deliver_push(&self.name, branch, before, after, url, WEBHOOK_SECRET);
        loop {
            let line = format!("{branch} at {after:?}: {} {}", sent.status, sent.body);
            lock(&self.said).push(line);
            if (200..300).contains(&sent.status) || self.over.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(REDELIVER);
            sent = self.forge.redeliver(&sent.id);
        }
    }
}

/// Every branch's file and when it was written: a look that starts no process.
fn refs(work: &Path) -> BTreeSet<(PathBuf, Option<SystemTime>, Vec<u8>)> {
    let git = work.join(".git");
    let mut found = BTreeSet::new();
    let mut folders = vec![git.join("refs/heads")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                _ if path.extension().is_some_and(|end| end == "lock") => {}
                _ => {
                    let text = std::fs::read(&path).unwrap_or_default();
                    found.insert((path, None, text));
                }
            }
        }
    }
    let packed = git.join("packed-refs");
    if let Ok(meta) = std::fs::metadata(&packed) {
        found.insert((packed, meta.modified().ok(), Vec::new()));
    }
    found
}
