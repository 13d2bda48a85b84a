//! A bucket, three queues and one machine.
use e2e::cloud::aws::Aws;
use e2e::cloud::{fresh_name, threads};
use e2e::{binary, process, until};
use emulator::Emulator;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const QUEUES: [&str; 3] = ["jobs-default-first", "jobs-default-rest", "reports.fifo"];

/// An apply that waits until it may go on.
pub(crate) const SLOW: &str = r#"
resource "terraform_data" "slow" {
  triggers_replace = timestamp()
  provisioner "local-exec" { command = "while [ -e \"$HOLD\" ]; do sleep 0.1; done" }
}
"#;

pub(crate) struct Site {
    aws: Aws,
    /// Bucket, and what queues' names begin with.
    name: String,
    folder: tempfile::TempDir,
    worker: Option<Child>,
    runs: Cell<u32>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.let_go();
        self.kill(true);
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        let aws = Aws::new(Emulator::shared());
        let name = fresh_name();
        threads().block_on(async {
            aws.s3.create_bucket().bucket(&name).send().await.expect("a bucket");
            for queue in QUEUES {
                let made = aws.sqs.create_queue().queue_name(format!("{name}-{queue}"));
                let made = match queue.ends_with(".fifo") {
                    true => made.attributes("FifoQueue".into(), "true"),
                    false => made,
                };
                made.send().await.expect("a queue");
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("repo")).expect("a repository");
        let site = Self { aws, name, folder, worker: None, runs: Cell::new(0) };
        site.git(&["init", "-q", "-b", "main"]);
        site
    }

    fn git(&self, words: &[&str]) -> Vec<u8> {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut git = Command::new("git");
        git.current_dir(self.folder.path().join("repo")).args(who).args(words);
        let answer = git.output().expect("git");
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        answer.stdout
    }

    /// A commit of this one file, with its archive where the control plane would put it.
    pub(crate) fn commit(&self, main: &str) -> String {
        fs::write(self.folder.path().join("repo/main.tf"), main).expect("a file");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "x"]);
        let sha = String::from_utf8(self.git(&["rev-parse", "HEAD"])).expect("a SHA");
        let sha = sha.trim().to_owned();
        let archive = self.git(&["archive", "--format=tar.gz", "--prefix=o-infra-1234/", "HEAD"]);
        self.put(&format!("archives/infra/{sha}.tar.gz"), &archive);
        sha
    }

    /// The spec and the pointer of a job of a new run; returns its id.
    pub(crate) fn submit(&self, phase: &str, sha: &str, workspace: &str, plan: Value) -> String {
        self.runs.set(self.runs.get() + 1);
        let run = format!("R{}", self.runs.get());
        let id = json!({"run": run, "phase": phase, "round": 0, "attempt": 1});
        let hold = json!({"name": "HOLD", "value": self.hold_file()});
        let spec = json!({
            "id": id, "stack": "app", "run_type": "TRACKED", "pool": "default", "class": "blocking",
            "repository": "infra", "commit": sha, "branch": "main", "stack_branch": "main",
            "space": "root", "labels": [], "triggered_by": "ann", "project_root": "",
            "tool": "auto", "version": null, "workspace": workspace, "manage_state": true,
            "lock": true, "env": [hold], "files": [], "hooks": {},
            "timeouts": {"run_ms": 600_000, "silence_ms": 600_000}, "inputs": [], "targets": [],
            "command": null, "plan": plan, "created_at": 0,
        });
        let name = format!("{run}-{phase}-1");
        let stored = json!({"schema": 1, "revision": 1, "write_id": name, "value": spec});
        self.put(&format!("jobs/{name}/spec"), stored.to_string().as_bytes());
        let pointer = json!({"job": id, "stack": "app"}).to_string();
        let url = self.aws.queue_url(&format!("{}-jobs-default-first", self.name));
        let sent = self.aws.sqs.send_message().queue_url(url).message_body(pointer).send();
        threads().block_on(sent).expect("a pointer");
        name
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().append(true).create(true).open(self.log_file()).expect("a log");
        let mut command = Command::new(binary::windlass_on_aws());
        command
            .args(["worker", "--id", "w1", "--data"])
            .arg(self.data())
            .envs(self.aws.emulator.env("worker"))
            .env("WINDLASS_BUCKET", &self.name)
            .env("WINDLASS_QUEUE_URL_PREFIX", self.aws.queue_url(&format!("{}-", self.name)))
            .env("WINDLASS_SECRETS_PREFIX", format!("/{}/secrets/", self.name))
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.worker = Some(command.spawn().expect("a worker"));
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.name
    }

    /// What an operator types.
    pub(crate) fn windlass(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary::windlass_on_aws());
        command.args(words).envs(self.aws.emulator.env("operator")).env_remove("AWS_PROFILE");
        command.stdin(Stdio::null()).output().expect("the program can be started")
    }

    pub(crate) fn kill(&mut self, tool_too: bool) {
        if let Some(mut worker) = self.worker.take() {
            let _ = worker.kill();
            let _ = worker.wait();
        }
        if tool_too {
            self.kill_jobs();
        }
    }

    pub(crate) fn kill_jobs(&self) {
        process::kill_jobs(&self.data().join("work"));
    }

    /// As its machine tells it to go: it finishes first.
    pub(crate) fn stop(&mut self) {
        let Some(mut worker) = self.worker.take() else { return };
        process::send(worker.id(), nix::sys::signal::Signal::SIGTERM).expect("it lives");
        until("the worker to go", Duration::from_secs(30), || match worker.try_wait() {
            Ok(Some(status)) => {
                assert!(status.success(), "{status}: {}", self.log());
                Ok(())
            }
            other => Err(format!("{other:?}")),
        });
    }

    /// From now on applies wait.
    pub(crate) fn hold(&self) {
        fs::write(self.hold_file(), "").expect("a file");
    }
    pub(crate) fn let_go(&self) {
        let _ = fs::remove_file(self.hold_file());
    }
    fn hold_file(&self) -> PathBuf {
        self.folder.path().join("hold")
    }
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
    fn log_file(&self) -> PathBuf {
        self.folder.path().join("worker.log")
    }
    pub(crate) fn log(&self) -> String {
        process::tail(&self.log_file(), 30)
    }

    pub(crate) fn put(&self, key: &str, body: &[u8]) {
        let put = self.aws.s3.put_object().bucket(&self.name).key(key).body(body.to_vec().into());
        threads().block_on(put.send()).expect("an object is kept");
    }
    pub(crate) fn remove(&self, key: &str) {
        let remove = self.aws.s3.delete_object().bucket(&self.name).key(key);
        threads().block_on(remove.send()).expect("an object is removed");
    }
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        let get = self.aws.s3.get_object().bucket(&self.name).key(key);
        threads()
            .block_on(async { Some(get.send().await.ok()?.body.collect().await.ok()?.to_vec()) })
    }
    pub(crate) fn json(&self, key: &str) -> Option<Value> {
        serde_json::from_slice(&self.object(key)?).ok()
    }
    pub(crate) fn keys(&self) -> Vec<String> {
        let list = self.aws.s3.list_objects_v2().bucket(&self.name).send();
        let page = threads().block_on(list).expect("a list");
        page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// The value of the job's result, once it is there.
    #[track_caller]
    pub(crate) fn result(&self, job: &str) -> Value {
        let key = format!("jobs/{job}/result");
        until(&key, Duration::from_secs(90), || {
            self.json(&key).map(|stored| stored["value"].clone()).ok_or_else(|| self.log())
        })
    }

    /// Whether a worker reported this; what it reported before is taken from the queue.
    pub(crate) fn heard(&self, job: &str, news: &str) -> bool {
        let url = self.aws.queue_url(&format!("{}-reports.fifo", self.name));
        let asked = self.aws.sqs.receive_message().queue_url(&url).max_number_of_messages(10);
        let messages = threads().block_on(asked.send()).expect("messages").messages;
        let mut heard = false;
        for message in messages.unwrap_or_default() {
            let report: Value =
                serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
            let id = &report["job"];
            let name = format!(
                "{}-{}-1",
                id["run"].as_str().unwrap_or_default(),
                id["phase"].as_str().unwrap_or_default()
            );
            heard |= name == job && report["news"] == news;
            let receipt = message.receipt_handle.unwrap_or_default();
            let done = self.aws.sqs.delete_message().queue_url(&url).receipt_handle(receipt);
            let _ = threads().block_on(done.send());
        }
        heard
    }
}
