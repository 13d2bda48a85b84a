//! What must be true of every world at its end, told by the wrapper's log and the real tool.
use crate::tool::Call;
use crate::up::{Up, brief, id};
use crate::wait::{LONG, until};
use crate::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Tool processes of one tracked run: init, plan, show; init, apply, output.
const PROCESSES_MAX: usize = 6;

/// How much was done to this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Nothing was killed: no step was done twice.
    Peaceful,
    /// Plans may have been repeated; applies never.
    Killed,
}

impl World {
    /// Every proof; call it when all runs have ended.
    #[track_caller]
    pub fn prove(&self, up: &Up, times: Times) {
        let runs = up.runs();
        let calls = self.tool.calls();
        assert!(!calls.is_empty(), "nothing was ever run");
        no_plan_applied_twice(&calls);
        let details: Vec<Value> = runs.iter().map(|run| up.run(id(run))).collect();
        // Definitions are the control plane's own work: no tool has a part in it.
        let own = self.administrative(up);
        let by_tool = |run: &&Value| run["type"] == "TRACKED" && !own.contains(&run["stack"]);
        for run in details.iter().filter(by_tool) {
            let of_run: Vec<&Call> = calls.iter().filter(|call| call.of_run(id(run))).collect();
            if run["state"] == "FINISHED" {
                one_apply_of_what_was_planned(run, &of_run);
            }
            if times == Times::Peaceful {
                let (about, count) = (brief(run), of_run.len());
                assert!(count <= PROCESSES_MAX, "{about}: {count} tool processes: {of_run:#?}");
            }
        }
        self.no_stack_is_taken(up);
        self.states_are_what_the_runs_said(up, &details);
    }

    #[track_caller]
    fn administrative(&self, up: &Up) -> Vec<Value> {
        let stacks = up.ask("/stacks?limit=200");
        let stacks = stacks["stacks"].as_array().into_iter().flatten();
        stacks.filter(|s| s["administrative"] == true).map(|s| s["slug"].clone()).collect()
    }

    #[track_caller]
    fn no_stack_is_taken(&self, up: &Up) {
        until("all stacks to be free", LONG, || {
            for stack in up.ask("/stacks?limit=200")["stacks"].as_array().into_iter().flatten() {
                let slug = stack["slug"].as_str().unwrap_or_default();
                let stack = up.stack(slug);
                let queued = stack["queue"].as_array().map_or(0, Vec::len);
                if stack["active"] != Value::Null || queued > 0 || stack["lock"] != Value::Null {
                    return Err(format!("{slug}: active {}, {queued} queued", stack["active"]));
                }
            }
            Ok(())
        });
    }

    /// The state file, read with the real tool in a folder of its own, against what the API tells
    /// of the last run that changed it.
    #[track_caller]
    pub fn states_are_what_the_runs_said(&self, up: &Up, details: &[Value]) {
        let finished = |run: &&Value| run["state"] == "FINISHED" && run["type"] == "TRACKED";
        let stacks = details.iter().filter(finished).filter_map(|run| run["stack"].as_str());
        let newest_finished = |stack: &str| {
            let mut blocking =
                details.iter().filter(|r| r["stack"] == stack && r["type"] != "PROPOSED");
            let worked = |r: &&Value| r["state"] != "SKIPPED" && r["state"] != "DISCARDED";
            blocking.find(worked).is_some_and(|run| run["state"] == "FINISHED")
        };
        for stack in stacks.collect::<BTreeSet<_>>() {
            if !newest_finished(stack) || self.state(stack).is_none() {
                continue;
            }
            let real = self.real_state(stack);
            let told: BTreeSet<String> = up.ask(&format!("/stacks/{stack}/resources"))["resources"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|resource| resource["address"].as_str().map(str::to_owned))
                .collect();
            let there: BTreeSet<String> = real["values"]["root_module"]["resources"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|resource| resource["address"].as_str().map(str::to_owned))
                .collect();
            assert_eq!(told, there, "resources of {stack}: told by the API, found by the tool");
            let real_outputs = real["values"]["outputs"].as_object().cloned().unwrap_or_default();
            let told = up.ask(&format!("/stacks/{stack}/outputs"));
            let told: BTreeMap<String, Value> = told["outputs"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|output| output["sensitive"] == false)
                .map(|o| (o["name"].as_str().unwrap_or_default().to_owned(), o["value"].clone()))
                .collect();
            let there: BTreeMap<String, Value> = real_outputs
                .into_iter()
                .filter(|(_, output)| output["sensitive"] == false)
                .map(|(name, output)| (name, output["value"].clone()))
                .collect();
            assert_eq!(told, there, "outputs of {stack}: told by the API, found by the tool");
        }
    }

    /// What the real tool reads from a stack's state file.
    #[track_caller]
    pub fn real_state(&self, stack: &str) -> Value {
        let scratch = tempfile::tempdir_in(self.folder()).expect("a scratch folder");
        let state = self.state(stack).unwrap_or_else(|| panic!("{stack} has no state"));
        let output = Command::new(&self.tool.real)
            .args(["show", "-json"])
            .arg(state)
            .current_dir(scratch.path())
            .env_remove("TF_CLI_CONFIG_FILE")
            .output()
            .expect("the real tool can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the state of {stack} can't be read: {said}");
        serde_json::from_slice(&output.stdout).expect("the tool prints JSON")
    }
}

/// Over the whole life of a world: the same plan never went through two applies.
#[track_caller]
pub fn no_plan_applied_twice(calls: &[Call]) {
    let mut applied = BTreeSet::new();
    for call in calls.iter().filter(|call| call.verb() == "apply") {
        let digest = call.digest.clone();
        let digest = digest.unwrap_or_else(|| panic!("an apply of no plan file: {call:?}"));
        assert!(applied.insert(digest), "a plan was applied twice: {call:?}");
    }
}

#[track_caller]
fn one_apply_of_what_was_planned(run: &Value, calls: &[&Call]) {
    let history = run["history"].as_array().cloned().unwrap_or_default();
    let applied = history.iter().any(|step| step["state"] == "APPLYING");
    let applies: Vec<&&Call> = calls.iter().filter(|call| call.verb() == "apply").collect();
    let about = brief(run);
    if !applied {
        assert!(applies.is_empty(), "{about}: nothing to apply, but {applies:#?}");
        return;
    }
    assert_eq!(applies.len(), 1, "{about}: {applies:#?}");
    assert_eq!(applies[0].code, Some(0), "{about}: {applies:#?}");
    let planned: Vec<Option<&str>> = calls
        .iter()
        .filter(|call| call.verb() == "plan" && call.code == Some(0))
        .map(|call| call.digest.as_deref())
        .collect();
    let digest = applies[0].digest.as_deref();
    assert!(planned.contains(&digest), "{about}: planned {planned:?}, applied {digest:?}");
}
