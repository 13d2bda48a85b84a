//! What is on a group's machines: as soon as one serves, a real worker that learned of itself what
//! the template's user data tells it; when it goes, nothing any more.
use super::group::Group;
use super::metadata::Metadata;
use crate::cloud::iam;
use crate::cloud::runtime::lock;
use crate::cloud::workers::Workers;
use crate::process::tail;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(50);

pub struct Machines {
    yard: Arc<Yard>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

/// What the watcher and the stories share.
struct Yard {
    group: Arc<Group>,
    workers: Workers,
    boot: Boot,
    /// Machines that were ever seen to serve.
    seen: Mutex<BTreeMap<String, Metadata>>,
    /// Machines that went while a tool was at work there, and by whose hand.
    died_at_work: Mutex<Vec<String>>,
}

/// What a machine does when it boots.
struct Boot {
    program: std::ffi::OsString,
    env: Vec<(std::ffi::OsString, Option<std::ffi::OsString>)>,
    /// The function of the user data that tells the worker its settings.
    settings: String,
}

impl Machines {
    /// Watches the group until it is dropped.
    pub fn watch(world: &World, group: &Arc<Group>, user_data: &str, folder: &Path) -> Self {
        let base = world.windlass();
        let env = base.get_envs().map(|(name, value)| (name.into(), value.map(Into::into)));
        let boot = Boot {
            program: base.get_program().into(),
            env: env.collect(),
            settings: function(user_data, "settings").to_owned(),
        };
        let (workers, seen, died_at_work) =
            (Workers::new(folder), Mutex::default(), Mutex::default());
        let yard = Arc::new(Yard { group: group.clone(), workers, boot, seen, died_at_work });
        let over = Arc::new(AtomicBool::new(false));
        let (watched, end) = (yard.clone(), over.clone());
        let watcher = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                watched.look();
                std::thread::sleep(LOOK);
            }
        });
        Self { yard, over, watcher: Some(watcher) }
    }

    /// Processes of workers that live, by their machine.
    pub fn workers(&self) -> BTreeMap<String, u32> {
        self.yard.workers.pids()
    }

    /// `kill -9` of a worker: its machine's service manager starts another. Its tool goes on.
    #[track_caller]
    pub fn kill_worker(&self, machine: &str) {
        self.yard.workers.kill(machine);
    }

    /// The machine stands still, whatever its group believes.
    pub fn cut_power(&self, machine: &str) {
        self.yard.workers.cut_power(machine);
    }

    /// The machine learns that Spot takes it in so long.
    #[track_caller]
    pub fn taken_in(&self, machine: &str, left: Duration) {
        let seen = lock(&self.yard.seen);
        seen.get(machine).expect("a machine that serves").taken_in(left);
    }

    /// Machines that went, by their group's hand, while a tool was at work there.
    pub fn died_at_work(&self) -> Vec<String> {
        lock(&self.yard.died_at_work).clone()
    }

    /// The last words of every worker.
    pub fn said(&self) -> String {
        self.yard.workers.logs().iter().map(|log| tail(log, 25)).collect()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

impl Yard {
    fn look(&self) {
        // The server ends before we do where a story is over.
        let Ok(standing) = self.group.emulator.standing(&self.group.name) else { return };
        let mut seen = lock(&self.seen);
        for (machine, _) in standing.instances.iter().filter(|(_, at)| *at == "InService") {
            if seen.contains_key(machine) {
                continue;
            }
            let metadata = Metadata::start();
            self.workers.boot(machine, |machine, folder| {
                let mut worker = self.boot.worker(self, machine, folder);
                worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
                worker
            });
            seen.insert(machine.clone(), metadata);
        }
        let there: BTreeSet<String> = self.workers.pids().into_keys().collect();
        for machine in there.iter().filter(|machine| !standing.instances.contains_key(*machine)) {
            if self.workers.cut_power(machine) > 0 {
                lock(&self.died_at_work).push(machine.clone());
            }
        }
    }
}

impl Boot {
    fn worker(&self, yard: &Yard, machine: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("worker").env_remove("WINDLASS_SERVER").env_remove("WINDLASS_TOKEN_FILE");
        command.envs(yard.group.emulator.env(iam::WORKER));
        command.envs(self.told(machine)).env("WINDLASS_DATA", folder);
        command
    }

    /// What the user data exports on this machine, whose metadata service is played.
    fn told(&self, machine: &str) -> Vec<(String, String)> {
        let script = format!(
            "curl() {{\n  case \"$*\" in\n  *latest/api/token*) echo token ;;\n  \
             *X-aws-ec2-metadata-token:*latest/meta-data/instance-id*) echo {machine} ;;\n  \
             *) return 22 ;;\n  esac\n}}\nset -eo pipefail\n{}\nsettings\nenv -0\n",
            self.settings
        );
        let mut bash = Command::new("bash");
        let done = bash.env_clear().args(["-c", &script]).output().expect("bash can be started");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "the user data fails: {said}");
        let exported = String::from_utf8_lossy(&done.stdout).into_owned();
        let variables = exported.split('\0').filter_map(|line| line.split_once('='));
        let ours =
            variables.filter(|(name, _)| name.starts_with("WINDLASS_") || name.starts_with("AWS_"));
        ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// A function of a shell script, whole.
fn function<'a>(script: &'a str, name: &str) -> &'a str {
    let begin = script.find(&format!("{name}() {{")).expect("the script has the function");
    let rest = &script[begin..];
    let end = rest.find("\n}").expect("the function ends");
    &rest[..end + 2]
}
