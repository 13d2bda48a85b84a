//! A running control plane with its workers, wherever it is: asked over the API, killed, and started
//! again by its world.
use crate::http::{Answer, Api};
use crate::local::Server;
use crate::place::Stage;
use crate::wait::{LONG, SHORT, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub struct Up {
    pub api: Api,
    stage: Box<dyn Stage>,
}

impl Up {
    pub fn new(api: Api, stage: Box<dyn Stage>) -> Self {
        Self { api, stage }
    }

    /// A console link that works once.
    #[track_caller]
    pub fn login_link(&self) -> String {
        self.stage.login_link()
    }

    // --- its processes

    /// The control plane's own processes by name; workers are not among them.
    pub fn processes(&self) -> BTreeMap<String, u32> {
        self.stage.processes()
    }
    /// `kill -9` of the control plane, whatever it is doing. What starts by itself again starts.
    pub fn strike(&self) {
        self.stage.strike();
    }
    /// The same, and it stays away until its world starts it again. Workers live on.
    pub fn kill(&mut self) {
        self.stage.kill();
    }
    /// `kill -9` of the control plane and all workers, at once.
    pub fn kill_all(&mut self) {
        self.stage.kill_all();
    }
    /// `kill -9` of every tool that a worker started, as a power cut would.
    pub fn kill_tools(&self) {
        self.stage.kill_tools();
    }
    /// An orderly end: what runs is finished, nothing new is taken.
    #[track_caller]
    pub fn stop(&mut self) {
        self.stage.stop();
    }

    /// Workers' processes by name.
    pub fn workers(&self) -> BTreeMap<String, u32> {
        self.stage.workers()
    }
    /// `kill -9` of one worker. Whoever keeps workers alive there starts another in its place.
    #[track_caller]
    pub fn kill_worker(&self, name: &str) {
        self.stage.kill_worker(name);
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

    /// The server, for stories that are told of one machine only.
    #[track_caller]
    pub fn server(&mut self) -> &mut Server {
        self.stage.server().expect("a story of one machine")
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
        until(&format!("the run {run} to be {state}"), LONG, || {
            // A run that was just made is told of before it can be looked at.
            let seen = self.api.get(&format!("/runs/{run}")).map_err(|r| format!("{r:?}"))?;
            arrived(&seen, state)
        })
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
        let mut text = self.stage.said();
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
