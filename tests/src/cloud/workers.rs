//! Worker processes, each kept alive as a machine's service manager would: when one dies, another
//! takes its place under the same id and in the same folder.
use super::runtime::lock;
use crate::process::{kill_jobs, send};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);
/// systemd's own `RestartSec` is 100 ms.
const RESTART: Duration = Duration::from_millis(100);

pub struct Workers {
    /// Their folders and logs lie here, one of each per worker.
    folder: PathBuf,
    crew: Arc<Mutex<BTreeMap<String, Place>>>,
    /// Who was killed, and comes back with its machine: nobody else can say what became of its job.
    killed: Mutex<BTreeSet<String>>,
}

/// One worker's place.
struct Place {
    child: Option<Child>,
    /// Whether somebody takes it when its worker is gone.
    kept: bool,
    keeper: Option<JoinHandle<()>>,
}

impl Workers {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), crew: Arc::default(), killed: Mutex::default() }
    }

    /// Has at least this many, `worker-1` and so on, and everybody who was killed. `command` makes what starts one, given its
    /// id and its data folder.
    pub fn keep(&self, count: u16, command: impl Fn(&str, &Path) -> Command) {
        let mut ids = std::mem::take(&mut *lock(&self.killed));
        ids.extend((1..=count).map(|n| format!("worker-{n}")));
        for id in ids {
            self.boot(&id, &command);
        }
    }

    /// Has this one from here on.
    pub fn boot(&self, id: &str, command: impl Fn(&str, &Path) -> Command) {
        let mut crew = lock(&self.crew);
        if crew.get(id).is_some_and(|place| place.kept) {
            return;
        }
        let folder = self.folder.join(id);
        std::fs::create_dir_all(&folder).expect("a worker's folder");
        let log = self.log(id);
        let words = words(&command(id, &folder));
        crew.insert(id.to_owned(), Place { child: None, kept: true, keeper: None });
        let all = self.crew.clone();
        let place = id.to_owned();
        let keeper = std::thread::spawn(move || keep(&all, &place, &words, &log));
        crew.get_mut(id).expect("a place").keeper = Some(keeper);
    }

    /// Its machine goes, with everything that runs there and for good. How many tools did.
    pub fn cut_power(&self, id: &str) -> usize {
        let place = lock(&self.crew).remove(id);
        let Some(mut place) = place else { return 0 };
        if let Some(mut child) = place.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(keeper) = place.keeper.take() {
            let _ = keeper.join();
        }
        kill_jobs(&self.folder.join(id).join("work"))
    }

    /// Processes by id, of those that live.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let mut crew = lock(&self.crew);
        let alive = crew.iter_mut().filter_map(|(id, place)| {
            let child = place.child.as_mut()?;
            matches!(child.try_wait(), Ok(None)).then(|| (id.clone(), child.id()))
        });
        alive.collect()
    }

    /// `kill -9` of one; another takes its place.
    #[track_caller]
    pub fn kill(&self, id: &str) {
        let pids = self.pids();
        let pid = pids.get(id).unwrap_or_else(|| panic!("no worker {id} in {pids:?}"));
        send(*pid, Signal::SIGKILL).expect("the worker was alive");
    }

    /// `kill -9` of all; they come back when workers are wanted again.
    pub fn kill_all(&self) {
        lock(&self.killed).extend(lock(&self.crew).keys().cloned());
        self.leave(Signal::SIGKILL, Duration::from_secs(5));
    }

    /// They finish what they do, and go.
    pub fn stop(&self, patience: Duration) {
        self.leave(Signal::SIGTERM, patience);
    }

    fn leave(&self, signal: Signal, patience: Duration) {
        for place in lock(&self.crew).values_mut() {
            place.kept = false;
        }
        for pid in self.pids().values() {
            let _ = send(*pid, signal);
        }
        let end = Instant::now() + patience;
        while !self.pids().is_empty() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        let left = std::mem::take(&mut *lock(&self.crew));
        for (_, mut place) in left {
            if let Some(mut child) = place.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            if let Some(keeper) = place.keeper.take() {
                let _ = keeper.join();
            }
        }
    }

    /// `kill -9` of every tool that one of them started.
    pub fn kill_tools(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            kill_jobs(&entry.path().join("work"));
        }
    }

    fn log(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.log"))
    }

    pub fn logs(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        all.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.kill_all();
        self.kill_tools();
    }
}

/// A command's words and environment, to make it again.
struct Words {
    program: std::ffi::OsString,
    arguments: Vec<std::ffi::OsString>,
    env: Vec<(std::ffi::OsString, Option<std::ffi::OsString>)>,
}

fn words(command: &Command) -> Words {
    let owned = |text: &std::ffi::OsStr| text.to_owned();
    Words {
        program: command.get_program().to_owned(),
        arguments: command.get_args().map(owned).collect(),
        env: command.get_envs().map(|(n, v)| (n.to_owned(), v.map(owned))).collect(),
    }
}

impl Words {
    fn spawn(&self, log: &Path) -> std::io::Result<Child> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.spawn()
    }
}

/// Starts it, and again whenever it has ended, until its place is given up.
fn keep(crew: &Mutex<BTreeMap<String, Place>>, id: &str, words: &Words, log: &Path) {
    loop {
        {
            let mut crew = lock(crew);
            let Some(place) = crew.get_mut(id).filter(|place| place.kept) else { return };
            place.child = Some(words.spawn(log).expect("a worker can be started"));
        }
        loop {
            std::thread::sleep(LOOK);
            let mut crew = lock(crew);
            let Some(place) = crew.get_mut(id).filter(|place| place.kept) else { return };
            let Some(child) = place.child.as_mut() else { return };
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
        }
        std::thread::sleep(RESTART);
    }
}
