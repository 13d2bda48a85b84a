//! A world for one worker: fake ports, a real repository, the real tool behind a wrapper that logs.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_core::definition::{Timeouts, Tool};
use windlass_core::id::{RepoName, Sha};
use windlass_core::instance::Instance;
use windlass_core::job::{
    Attempt, Claim, Class, Control, JobId, JobResult, JobSpec, News, Phase, Pointer, Report, Step,
    Verdict,
};
use windlass_core::keys;
use windlass_core::run::RunType;
use windlass_core::time::UnixMs;
use windlass_ports::clock::SystemClock;
use windlass_ports::fake::{
    FakeNotices, Faults, Faulty, MemBlobs, MemDocs, MemQueues, MemSecrets, Strike,
};
use windlass_ports::queues::Outgoing;
use windlass_ports::{Fault, Queues, cas};
use windlass_worker::{Checkout, Config, Deps, Shutdown, StateHome, WorkerError};

/// `git clone` of the world's one repository.
struct Clone(PathBuf);

#[async_trait::async_trait]
impl Checkout for Clone {
    async fn checkout(&self, _: &RepoName, sha: &Sha, dest: &Path) -> Result<(), Fault> {
        let (repo, sha, dest) = (self.0.clone(), sha.0.clone(), dest.to_owned());
        let clone = move || {
            git(&repo, &["clone", "-q", "--shared", "--no-checkout", ".", &dest.to_string_lossy()]);
            let ok = Command::new("git")
                .current_dir(&dest)
                .args(["checkout", "-q", "--detach", &sha])
                .status()
                .is_ok_and(|status| status.success());
            if ok { Ok(()) } else { Err(Fault::poison(format!("no commit {sha}"))) }
        };
        tokio::task::spawn_blocking(clone).await.unwrap()
    }
}

pub(crate) fn git(folder: &Path, words: &[&str]) -> String {
    let answer = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(words)
        .output()
        .expect("these tests need git on PATH");
    assert!(answer.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

/// The real tool.
pub(crate) fn tool() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    windlass_worker::tool::find(Tool::Auto, &path).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) struct World {
    pub(crate) dir: PathBuf,
    _own: Option<tempfile::TempDir>,
    pub(crate) docs: Arc<MemDocs>,
    pub(crate) queues: Arc<MemQueues>,
    pub(crate) blobs: Arc<MemBlobs>,
    pub(crate) secrets: Arc<MemSecrets>,
    pub(crate) notices: Arc<FakeNotices>,
    /// The store does not answer while this is set.
    pub(crate) away: Arc<AtomicBool>,
    /// What else happens to its calls.
    pub(crate) faults: Faults,
    pub(crate) config: Config,
    runs: std::cell::Cell<u32>,
}

pub(crate) struct Worker {
    pub(crate) shutdown: watch::Sender<Shutdown>,
    pub(crate) task: JoinHandle<Result<(), WorkerError>>,
}

impl Worker {
    pub(crate) async fn end(self, how: Shutdown) {
        self.shutdown.send_replace(how);
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        ended.expect("the worker ends").unwrap().unwrap();
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        let mut world = Self::at(own.path());
        world._own = Some(own);
        world
    }

    /// In a folder that outlives it.
    pub(crate) fn at(dir: &Path) -> Self {
        let dir = dir.canonicalize().unwrap();
        let real = tool();
        let bin = dir.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let wrapper = bin.join("terraform");
        let calls = dir.join("calls");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = version ] || echo \"$*\" >>'{}'\nexec '{}' \"$@\"\n",
            calls.display(),
            real.display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
        let repo = dir.join("repo");
        if !repo.exists() {
            fs::create_dir_all(&repo).unwrap();
            git(&repo, &["init", "-q", "-b", "main"]);
        }
        let mut config = Config::new(
            "w1".into(),
            "default".into(),
            dir.join("work"),
            StateHome::Folder(dir.join("state")),
        );
        let path = std::env::var("PATH").unwrap_or_default();
        config.env.insert("PATH".into(), format!("{}:{path}", bin.display()));
        config.plugin_cache = Some(dir.join("cache"));
        config.timing.control_poll_ms = 50;
        config.timing.grace_ms = 5_000;
        config.timing.notice_poll_ms = 50;
        let clock = Arc::new(SystemClock);
        Self {
            docs: Arc::new(MemDocs::new(clock.clone())),
            queues: Arc::new(MemQueues::waiting(clock)),
            blobs: Arc::new(MemBlobs::new()),
            secrets: Arc::new(MemSecrets::new()),
            notices: Arc::default(),
            away: Arc::default(),
            faults: Faults::none(),
            config,
            runs: std::cell::Cell::new(0),
            dir,
            _own: None,
        }
    }

    pub(crate) fn deps(&self) -> Deps {
        let away = self.away.clone();
        let faults = Faults::by(move |_, _| away.load(Ordering::SeqCst).then_some(Strike::Before));
        let more = &self.faults;
        let docs = Arc::new(Faulty::new(self.docs.clone(), more));
        let queues = Arc::new(Faulty::new(self.queues.clone(), more));
        let blobs = Arc::new(Faulty::new(self.blobs.clone(), more));
        Deps {
            docs: Arc::new(Faulty::new(docs, &faults)),
            queues: Arc::new(Faulty::new(queues, &faults)),
            blobs: Arc::new(Faulty::new(blobs, &faults)),
            secrets: Arc::new(Faulty::new(self.secrets.clone(), &faults)),
            clock: Arc::new(SystemClock),
            checkout: Arc::new(Clone(self.dir.join("repo"))),
            notices: Some(self.notices.clone()),
        }
    }

    pub(crate) fn start(&self) -> Worker {
        self.start_with(self.config.clone())
    }

    pub(crate) fn start_with(&self, config: Config) -> Worker {
        let (shutdown, wanted) = watch::channel(Shutdown::Run);
        let task = tokio::spawn(windlass_worker::run(config, self.deps(), wanted));
        Worker { shutdown, task }
    }

    /// Commits these files, and nothing else, and returns the commit.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> Sha {
        let repo = self.dir.join("repo");
        for entry in fs::read_dir(&repo).unwrap().flatten() {
            match entry.file_name() {
                name if name == ".git" => {}
                _ if entry.path().is_dir() => fs::remove_dir_all(entry.path()).unwrap(),
                _ => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for (name, text) in files {
            let file = repo.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => std::os::unix::fs::symlink(target, &file).unwrap(),
                None => fs::write(&file, text).unwrap(),
            }
        }
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "--allow-empty", "-m", "x"]);
        Sha(git(&repo, &["rev-parse", "HEAD"]))
    }

    /// A job of a new run.
    pub(crate) fn spec(&self, phase: Phase, commit: &Sha) -> JobSpec {
        self.runs.set(self.runs.get() + 1);
        let run = format!("R{:03}", self.runs.get());
        JobSpec {
            id: JobId { run: run.into(), phase, round: 0, attempt: Attempt::FIRST },
            stack: "app".into(),
            run_type: match phase {
                Phase::Plan | Phase::Apply => RunType::Tracked,
                Phase::Destroy => RunType::Destroy,
                Phase::Task => RunType::Task,
            },
            pool: "default".into(),
            class: Class::Blocking,
            repository: "infra".into(),
            commit: commit.clone(),
            branch: "main".into(),
            stack_branch: "main".into(),
            space: "root".into(),
            labels: vec!["aws".into(), "b".into()],
            triggered_by: "ann".into(),
            project_root: String::new(),
            tool: Tool::Auto,
            version: None,
            workspace: "default".into(),
            manage_state: true,
            lock: true,
            env: vec![],
            files: vec![],
            hooks: Default::default(),
            timeouts: Timeouts::default(),
            inputs: vec![],
            targets: vec![],
            command: None,
            plan: None,
            created_at: UnixMs(0),
        }
    }

    /// The apply of a plan that ended well.
    pub(crate) fn apply_of(&self, plan: &JobSpec, result: &JobResult) -> JobSpec {
        let id = JobId { phase: Phase::Apply, ..plan.id.clone() };
        JobSpec { id, plan: result.plan.clone(), ..plan.clone() }
    }

    pub(crate) async fn submit(&self, spec: &JobSpec) {
        let existing = cas::create(&*self.docs, &keys::job_spec(&spec.id), "spec", spec).await;
        assert!(existing.unwrap().is_none(), "a job's spec is written once");
        self.point(spec).await;
    }

    pub(crate) async fn point(&self, spec: &JobSpec) {
        let pointer = Pointer { job: spec.id.clone(), stack: spec.stack.clone() };
        let body = serde_json::to_vec(&pointer).unwrap();
        let message = Outgoing { body, ..Outgoing::default() };
        self.queues.send(&keys::first_queue(&spec.pool), message).await.unwrap();
    }

    pub(crate) async fn stop(&self, spec: &JobSpec) {
        let key = keys::job_control(&spec.id);
        cas::create(&*self.docs, &key, "stop", &Control::Stop).await.unwrap();
    }

    pub(crate) async fn result(&self, spec: &JobSpec) -> JobResult {
        let key = keys::job_result(&spec.id);
        self.doc(&key, Duration::from_secs(60)).await
    }

    pub(crate) async fn doc<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        patience: Duration,
    ) -> T {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(found) = cas::load::<T>(&*self.docs, key).await.unwrap() {
                return found.value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {key} after {patience:?}");
    }

    /// Submits and waits for the result.
    pub(crate) async fn run(&self, spec: &JobSpec) -> JobResult {
        self.submit(spec).await;
        self.result(spec).await
    }

    /// Waits until the worker's slots are idle and no pointer is left.
    pub(crate) async fn quiet(&self) {
        let key = keys::instance(&"default".into(), &"w1".into());
        until("the worker is idle", || {
            let dump = self.docs.dump();
            let record: serde_json::Value = serde_json::from_slice(&dump[&key]).unwrap();
            let pointers = self.queues.peek(&keys::first_queue(&"default".into()));
            !record.to_string().contains("busy") && pointers.is_empty()
        })
        .await;
    }

    pub(crate) async fn instance(&self) -> Instance {
        let key = keys::instance(&"default".into(), &"w1".into());
        self.doc(&key, Duration::from_secs(5)).await
    }

    pub(crate) async fn claim(&self, spec: &JobSpec) -> Claim {
        self.doc(&keys::job_claim(&spec.id), Duration::from_secs(10)).await
    }

    pub(crate) fn blob(&self, key: &str) -> Vec<u8> {
        self.blobs.dump().get(key).unwrap_or_else(|| panic!("no blob {key}")).clone()
    }

    /// A step's stored log; parts must be contiguous.
    pub(crate) fn log(&self, spec: &JobSpec, step: Step) -> String {
        let prefix = keys::log_parts(&spec.id, step);
        let mut log = String::new();
        for (key, body) in self.blobs.dump() {
            if let Some(offset) = key.strip_prefix(&prefix) {
                assert_eq!(offset.parse::<usize>().unwrap(), log.len(), "a gap in {key}");
                log.push_str(std::str::from_utf8(&body).unwrap());
            }
        }
        log
    }

    /// Everything that this run left in documents, blobs and messages.
    pub(crate) fn stored(&self) -> String {
        let mut all = String::new();
        let blobs = self.blobs.dump();
        let public = blobs
            .into_iter()
            .filter(|(key, _)| !key.starts_with("private/") && !key.starts_with("plans/"));
        for (key, body) in self.docs.dump().into_iter().chain(public) {
            all.push_str(&format!("{key}\n{}\n", String::from_utf8_lossy(&body)));
        }
        for (_, body) in self.queues.peek(keys::REPORTS) {
            all.push_str(&String::from_utf8_lossy(&body));
        }
        all
    }

    /// What was told of a job, but for its preparing: that is told where the machine is slow.
    pub(crate) fn reports(&self, spec: &JobSpec) -> Vec<News> {
        let reports = self.queues.peek(keys::REPORTS);
        reports
            .iter()
            .map(|(group, body)| {
                assert_eq!(group.as_deref(), Some("stack:app"));
                serde_json::from_slice::<Report>(body).unwrap()
            })
            .filter(|report| report.job == spec.id)
            .map(|report| report.news)
            .filter(|news| *news != News::Began(Step::Preparing))
            .collect()
    }

    /// The tool's calls so far: `init -input=false`, …
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    pub(crate) fn state(&self, file: &str) -> serde_json::Value {
        let text = fs::read(self.dir.join("state").join(file)).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came: {what}");
}

pub(crate) fn reason(result: &JobResult) -> &str {
    match &result.verdict {
        Verdict::Failed { reason, .. } => reason,
        other => panic!("not failed: {other:?}"),
    }
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).unwrap()
}

pub(crate) fn values(bytes: &[u8]) -> BTreeMap<String, windlass_worker::OutputValue> {
    json(bytes)
}

/// One resource and two outputs.
pub(crate) const MAIN: &str = r#"
variable "size" { default = "3" }
variable "password" {
  default   = "none-at-all"
  sensitive = true
}
resource "terraform_data" "a" {
  input = { size = var.size, password = var.password }
}
output "size" { value = terraform_data.a.output.size }
output "password" {
  value     = var.password
  sensitive = true
}
"#;
