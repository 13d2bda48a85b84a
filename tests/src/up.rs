//! A running `windlass up` and its workers: asked over the API, killed by signals, started again.
use crate::http::{Answer, Api};
use crate::wait::{LONG, SHORT, until};
use crate::world::World;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

pub struct Up {
    child: Child,
    pub api: Api,
    data: PathBuf,
    out: PathBuf,
    err: PathBuf,
    /// It is over, and the folder may be another server's by now.
    over: bool,
}

impl Up {
    /// Starts the server and waits until it answers.
    #[track_caller]
    pub fn start(world: &World, workers: u16) -> Self {
        let mut command = world.windlass();
        command.args(world.up_words(workers));
        Self::spawn(world, command, |_| world.data.clone())
    }

    /// The same by a command that becomes the server; `data` tells where its data folder can be
    /// seen from here, by its process.
    #[track_caller]
    pub fn spawn(world: &World, mut command: Command, data: impl Fn(u32) -> PathBuf) -> Self {
        let (out, err) = (world.folder().join("up.out"), world.folder().join("up.err"));
        let file = |path: &Path| File::create(path).expect("a file for what the server says");
        let spawned = command.stdout(file(&out)).stderr(file(&err)).spawn();
        let child = spawned.expect("the program can be started");
        let data = data(child.id());
        let mut up = Self { child, api: Api::new("127.0.0.1:9", ""), data, out, err, over: false };
        up.api = until("the server to answer", SHORT, || up.found());
        up
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

    /// The one-time link that was printed.
    #[track_caller]
    pub fn login_link(&self) -> String {
        until("the login link", SHORT, || {
            let text = fs::read_to_string(&self.out).unwrap_or_default();
            let link = text.split_whitespace().find(|word| word.contains("/login"));
            link.map(str::to_owned).ok_or(text)
        })
    }

    // --- its processes

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn signal(&self, signal: Signal) {
        let _ = send(self.child.id(), signal);
    }
    /// `kill -9` of the server alone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        self.over = true;
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

    /// Workers' processes by name.
    pub fn workers(&self) -> BTreeMap<String, u32> {
        let text = fs::read(self.data.join("workers.json")).unwrap_or_default();
        let all: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap_or_default();
        let alive = all.into_iter().filter(|(_, worker)| worker["fate"] == "alive");
        alive
            .filter_map(|(name, worker)| Some((name, u32::try_from(worker["pid"].as_u64()?).ok()?)))
            .collect()
    }
    /// `kill -9` of one worker.
    #[track_caller]
    pub fn kill_worker(&self, name: &str) {
        let workers = self.workers();
        let pid = workers.get(name).unwrap_or_else(|| panic!("no worker {name} in {workers:?}"));
        send(*pid, Signal::SIGKILL).expect("the worker was alive");
    }
    /// `kill -9` of the worker that has the run's job.
    #[track_caller]
    pub fn kill_worker_of(&self, run: &str) -> String {
        let worker = until("a worker with the run", SHORT, || {
            let run = self.run(run);
            run["worker"].as_str().map(str::to_owned).ok_or_else(|| brief(&run))
        });
        self.kill_worker(&worker);
        worker
    }
    /// `kill -9` of the server and all workers, at once.
    pub fn kill_all(&mut self) {
        let workers = self.workers();
        self.signal(Signal::SIGKILL);
        for pid in workers.values() {
            let _ = send(*pid, Signal::SIGKILL);
        }
        let _ = self.child.wait();
        self.over = true;
    }
    /// `kill -9` of every tool that a worker started, as a power cut would.
    pub fn kill_tools(&self) {
        for leader in leaders(&self.data) {
            let _ = killpg(pid(leader), Signal::SIGKILL);
        }
    }

    // --- what it tells

    #[track_caller]
    pub fn ask(&self, path: &str) -> Value {
        self.api.get(path).unwrap_or_else(|refusal| panic!("GET {path}: {refusal:?}"))
    }
    #[track_caller]
    pub fn run(&self, id: &str) -> Value {
        self.ask(&format!("/runs/{id}"))
    }
    #[track_caller]
    pub fn stack(&self, slug: &str) -> Value {
        self.ask(&format!("/stacks/{slug}"))
    }
    /// Every run, newest first.
    #[track_caller]
    pub fn runs(&self) -> Vec<Value> {
        let list = self.ask("/runs?limit=200");
        assert_eq!(list["next"], Value::Null, "a story has at most 200 runs");
        list["runs"].as_array().cloned().unwrap_or_default()
    }

    /// The newest run of a stack for a commit, of this type.
    pub fn find(&self, stack: &str, sha: &str, kind: &str) -> Result<Value, String> {
        let list = self.api.get(&format!("/stacks/{stack}/runs?limit=200"));
        let list = list.map_err(|refusal| format!("{refusal:?}"))?;
        let runs = list["runs"].as_array().cloned().unwrap_or_default();
        let found = runs.iter().find(|run| run["commit"]["sha"] == sha && run["type"] == kind);
        let found = found.ok_or_else(|| {
            format!("no {kind} run of {stack} for {sha} among {} runs", runs.len())
        })?;
        let id = found["id"].as_str().unwrap_or_default();
        self.api.get(&format!("/runs/{id}")).map_err(|refusal| format!("{refusal:?}"))
    }

    /// Waits until the stack has a tracked run for the commit in this state; the run.
    #[track_caller]
    pub fn reaches(&self, stack: &str, sha: &str, state: &str) -> Value {
        self.reaches_as(stack, sha, "TRACKED", state)
    }
    #[track_caller]
    pub fn reaches_as(&self, stack: &str, sha: &str, kind: &str, state: &str) -> Value {
        until(&format!("{stack} to be {state}"), LONG, || {
            let run = self.find(stack, sha, kind)?;
            arrived(&run, state)
        })
    }
    /// Waits until this very run is in this state.
    #[track_caller]
    pub fn becomes(&self, run: &str, state: &str) -> Value {
        until(&format!("the run {run} to be {state}"), LONG, || arrived(&self.run(run), state))
    }

    /// The whole log of a run that has ended, or as far as there is one.
    #[track_caller]
    pub fn log(&self, run: &str) -> String {
        let (mut text, mut after) = (String::new(), String::new());
        loop {
            let page = self.ask(&format!("/runs/{run}/logs?after={after}"));
            let parts = page["parts"].as_array().cloned().unwrap_or_default();
            for part in &parts {
                text.push_str(part["text"].as_str().unwrap_or_default());
            }
            if parts.is_empty() {
                return text;
            }
            after = page["next"].as_str().unwrap_or_default().to_owned();
        }
    }

    // --- what people do

    /// Confirms the plan as it stands.
    pub fn confirm_as(&self, actor: &str, run: &Value) -> Answer {
        let (id, body) =
            (id(run), json!({ "plan_digest": run["plan_digest"], "version": run["version"] }));
        self.api.acting_as(actor).post(&format!("/runs/{id}/confirm"), &body)
    }
    #[track_caller]
    pub fn confirm(&self, run: &Value) {
        self.confirm_as("ada", run).unwrap_or_else(|refusal| panic!("not confirmed: {refusal:?}"));
    }
    pub fn verb(&self, run: &str, verb: &str) -> Answer {
        self.api.acting_as("ada").post(&format!("/runs/{run}/{verb}"), &json!({}))
    }
    /// Retries a run; the new run's id.
    #[track_caller]
    pub fn retry(&self, run: &str) -> String {
        let asked = self.verb(run, "retry").unwrap_or_else(|r| panic!("not retried: {r:?}"));
        asked["run"].as_str().expect("a retry names its run").to_owned()
    }

    fn tell_all(&self) {
        let tail = |path: &Path, lines: usize| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            let last = all[all.len().saturating_sub(lines)..].join("\n");
            format!("--- {}\n{last}\n", path.display())
        };
        let mut text = tail(&self.out, 20) + &tail(&self.err, 20);
        text += &tail(&self.data.join("logs/server.log"), 60);
        for log in fs::read_dir(self.data.join("logs")).into_iter().flatten().flatten() {
            if log.file_name() != "server.log" {
                text += &tail(&log.path(), 20);
            }
        }
        let runs = self.api.get("/runs?limit=50").unwrap_or_default();
        for run in runs["runs"].as_array().into_iter().flatten() {
            text += &format!("--- run {}\n", brief(run));
            let logs = self.api.get(&format!("/runs/{}/logs", id(run))).unwrap_or_default();
            for part in logs["parts"].as_array().into_iter().flatten() {
                let said = part["text"].as_str().unwrap_or_default();
                text.extend(said.chars().take(2_000));
            }
        }
        eprintln!("{text}");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_all();
        }
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

pub fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap_or_default()
}

/// One line about a run.
pub fn brief(run: &Value) -> String {
    let word = |name: &str| run[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{} of {} ({}): {} — {}",
        word("id"),
        word("stack"),
        word("type"),
        word("state"),
        word("note")
    )
}

fn arrived(run: &Value, state: &str) -> Result<Value, String> {
    if run["state"] == state {
        return Ok(run.clone());
    }
    assert!(run["terminal"] != true, "it should be {state}: {}", brief(run));
    Err(brief(run))
}

fn send(to: u32, signal: Signal) -> nix::Result<()> {
    kill(pid(to), signal)
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a process number"))
}

/// Shells that lead jobs of this data folder and still run.
fn leaders(data: &Path) -> Vec<u32> {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let listed = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let workers = listed(data.join("work"));
    let jobs = workers.flat_map(|worker| listed(worker.path().join("runs")));
    let groups = jobs.filter_map(|job| {
        let text = fs::read(job.path().join("group.json")).ok()?;
        let group: Value = serde_json::from_slice(&text).ok()?;
        u32::try_from(group["pid"].as_u64()?).ok()
    });
    // The number may be another's by now.
    groups
        .filter(|pid| match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) => folder.starts_with(&data),
            Err(_) => !Path::new("/proc/self").exists(),
        })
        .collect()
}

/// Peak memory of a process in kilobytes, where the system tells it.
pub fn peak_kb(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
