//! One machine: `windlass up`, its data folder and its workers.
use crate::binary::windlass;
use crate::http::Api;
use crate::place::{Death, Place, Stage};
use crate::process::{kill_jobs, send, tail};
use crate::up::Up;
use crate::wait::{LONG, SHORT, until};
use crate::world::World;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A data folder.
pub(crate) struct Machine {
    pub(crate) data: PathBuf,
}

impl Place for Machine {
    #[track_caller]
    fn start(&self, world: &World, workers: u16) -> Up {
        let mut command = world.windlass();
        command.args(world.up_words(workers));
        Server::spawn(world, command, |_| self.data.clone())
    }
    fn program(&self) -> &'static Path {
        windlass()
    }
    fn point(&self, command: &mut Command) {
        command.env("WINDLASS_DATA", &self.data);
    }
    fn state(&self, stack: &str) -> Option<PathBuf> {
        let file = self.data.join("state").join(stack).join("terraform.tfstate");
        file.exists().then_some(file)
    }
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let mut folders = vec![self.data.clone()];
        let mut kept = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                let kind = entry.file_type().expect("a kind of file");
                let meant = path.ends_with("state") || path.ends_with("blobs/private/outputs");
                if kind.is_dir() && !meant {
                    folders.push(path);
                } else if kind.is_file() {
                    let body = fs::read(&path).unwrap_or_default();
                    kept.push((path.display().to_string(), body));
                }
            }
        }
        kept
    }
    fn cause(&self, death: Death) -> &'static str {
        match death {
            Death::WorkerAlone => "killed by signal 9",
            Death::Everybody => "ended while the server was away",
        }
    }
}

/// What only stories of one machine ask for.
impl World {
    /// The words of `up` for this world.
    pub fn up_words(&self, workers: u16) -> Vec<OsString> {
        let words = ["up", "--port", "0", "--workers", &workers.to_string(), "--data"];
        let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
        words.extend([self.data.clone().into(), "--repo".into(), self.repo.folder.clone().into()]);
        words
    }

    /// A command that becomes the program, with the data folder on a file system of its own:
    /// mounted by `mount` words, seen by that process alone. None where users may not do that.
    pub fn mounted(&self, options: &str, workers: u16) -> Option<Command> {
        let enter = ["--user", "--map-root-user", "--mount"];
        let may = Command::new("unshare").args(enter).arg("true").output();
        if !may.is_ok_and(|answer| answer.status.success()) {
            println!("left out: this system gives no mount namespace to its users");
            return None;
        }
        fs::create_dir_all(&self.data).expect("a folder to mount on");
        let words = self.windlass();
        let start = "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(enter).args(["sh", "-c", start, "sh", options]).arg(&self.data);
        command.arg(windlass()).args(self.up_words(workers));
        for (name, value) in words.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        Some(command)
    }
}

/// A process of `windlass up`.
pub struct Server {
    child: Child,
    data: PathBuf,
    out: PathBuf,
    err: PathBuf,
    /// It is over, and the folder may be another server's by now.
    over: bool,
}

impl Server {
    /// Starts a command that becomes the server, and waits until it answers; `data` tells where its
    /// data folder can be seen from here, by its process.
    #[track_caller]
    pub fn spawn(world: &World, mut command: Command, data: impl Fn(u32) -> PathBuf) -> Up {
        let (out, err) = (world.folder().join("up.out"), world.folder().join("up.err"));
        let file = |path: &Path| File::create(path).expect("a file for what the server says");
        let spawned = command.stdout(file(&out)).stderr(file(&err)).spawn();
        let child = spawned.expect("the program can be started");
        let data = data(child.id());
        let mut server = Self { child, data, out, err, over: false };
        let api = until("the server to answer", SHORT, || server.found());
        Up::new(api, Box::new(server))
    }

    fn found(&mut self) -> Result<Api, String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            let said = fs::read_to_string(&self.err).unwrap_or_default();
            panic!("the server ended with {status}: {said}");
        }
        let text = fs::read(self.data.join("server.json")).map_err(|e| e.to_string())?;
        let file: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        if file["pid"] != self.child.id() {
            return Err("an earlier server's address".to_owned());
        }
        let word = |name: &str| file[name].as_str().unwrap_or_default();
        let api = Api::new(word("address"), word("token"));
        api.get("/health").map_err(|refusal| format!("{refusal:?}"))?;
        Ok(api)
    }

    pub fn signal(&self, signal: Signal) {
        let _ = send(self.child.id(), signal);
    }
    /// Waits for the server's end by itself.
    #[track_caller]
    pub fn ended(&mut self, patience: Duration) -> ExitStatus {
        let status = until("the server's end", patience, || {
            self.child.try_wait().ok().flatten().ok_or_else(|| "it runs".to_owned())
        });
        self.over = true;
        status
    }
    /// The data folder as it is seen from here.
    pub fn data(&self) -> &Path {
        &self.data
    }
}

impl Stage for Server {
    #[track_caller]
    fn login_link(&self) -> String {
        until("the login link", SHORT, || {
            let text = fs::read_to_string(&self.out).unwrap_or_default();
            let link = text.split_whitespace().find(|word| word.contains("/login"));
            link.map(str::to_owned).ok_or(text)
        })
    }
    fn processes(&self) -> BTreeMap<String, u32> {
        BTreeMap::from([("server".to_owned(), self.child.id())])
    }
    fn workers(&self) -> BTreeMap<String, u32> {
        let text = fs::read(self.data.join("workers.json")).unwrap_or_default();
        let all: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap_or_default();
        let alive = all.into_iter().filter(|(_, worker)| worker["fate"] == "alive");
        alive
            .filter_map(|(name, worker)| Some((name, u32::try_from(worker["pid"].as_u64()?).ok()?)))
            .collect()
    }
    #[track_caller]
    fn kill_worker(&self, name: &str) {
        let workers = self.workers();
        let pid = workers.get(name).unwrap_or_else(|| panic!("no worker {name} in {workers:?}"));
        send(*pid, Signal::SIGKILL).expect("the worker was alive");
    }
    fn strike(&self) {
        self.signal(Signal::SIGKILL);
    }
    fn kill(&mut self) {
        self.strike();
        let _ = self.child.wait();
        self.over = true;
    }
    fn kill_all(&mut self) {
        let workers = self.workers();
        self.strike();
        for pid in workers.values() {
            let _ = send(*pid, Signal::SIGKILL);
        }
        let _ = self.child.wait();
        self.over = true;
    }
    fn kill_tools(&self) {
        kill_jobs(&self.data.join("work"));
    }
    #[track_caller]
    fn stop(&mut self) {
        self.signal(Signal::SIGINT);
        assert_eq!(self.ended(LONG).code(), Some(0));
    }
    fn said(&self) -> String {
        let mut text = tail(&self.out, 20) + &tail(&self.err, 20);
        text += &tail(&self.data.join("logs/server.log"), 60);
        for log in fs::read_dir(self.data.join("logs")).into_iter().flatten().flatten() {
            if log.file_name() != "server.log" {
                text += &tail(&log.path(), 20);
            }
        }
        text
    }
    fn server(&mut self) -> Option<&mut Server> {
        Some(self)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers without a server end by themselves.
        if self.over {
            return;
        }
        self.kill_all();
        // Workers that the dead server was just replacing, and what they started.
        for pid in self.workers().values() {
            let _ = send(*pid, Signal::SIGKILL);
        }
        self.kill_tools();
    }
}
