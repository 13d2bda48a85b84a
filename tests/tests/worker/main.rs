//! `windlass worker` itself, as the machine of a pool runs it: jobs from SQS, code and documents
//! from S3, states by the real tool's own S3 backend, and what becomes of a job whose worker is
//! killed. The story plays the control plane.
mod site;

use e2e::until;
use serde_json::{Value, json};
use site::{SLOW, Site};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
const LOCK: &str = "state/app/terraform.tfstate.tflock";

#[track_caller]
fn ok(site: &Site, job: &str) -> Value {
    let result = site.result(job);
    assert_eq!(result["verdict"], "ok", "{job}: {result:#}\n{}", site.log());
    result
}

#[test]
fn a_state_stays_plain_and_in_the_bucket() {
    let mut site = Site::new();
    let sha = site.commit("resource \"terraform_data\" \"a\" { input = \"x\" }\n");
    site.start();
    for (workspace, key) in [
        ("default", "state/app/terraform.tfstate"),
        ("blue", "state/app/workspaces/blue/state/app/terraform.tfstate"),
    ] {
        let plan = site.submit("plan", &sha, workspace, Value::Null);
        let planned = ok(&site, &plan);
        let apply = site.submit("apply", &sha, workspace, planned["plan"].clone());
        let applied = ok(&site, &apply);
        let state = site.json(key).unwrap_or_else(|| panic!("no state {key}: {:?}", site.keys()));
        assert_eq!(state["resources"][0]["type"], "terraform_data", "{workspace}");
        let list = site.json(applied["resources_key"].as_str().expect("a list")).expect("a blob");
        assert_eq!(list[0]["address"], "terraform_data.a", "{workspace}");
    }
    let locks: Vec<String> =
        site.keys().into_iter().filter(|key| key.ends_with(".tflock")).collect();
    assert_eq!(locks, Vec::<String>::new());
}

/// What the next worker of that machine makes of it.
struct Case {
    name: &'static str,
    tool_too: bool,
    /// Somebody else took the state meanwhile.
    others: bool,
    cause: &'static str,
}

#[test]
fn the_next_worker_tells_what_became_of_a_killed_ones_apply() {
    let mut site = Site::new();
    let sha = site.commit(SLOW);
    #[rustfmt::skip]
    let table = [
        Case { name: "both killed",       tool_too: true,  others: false, cause: "its tool was cut off; the state's lock" },
        Case { name: "another's by then", tool_too: true,  others: true,  cause: "its tool was cut off" },
        Case { name: "the tool went on",  tool_too: false, others: false, cause: "its tool ended with exit code 0" },
    ];
    for Case { name, tool_too, others, cause } in table {
        site.hold();
        site.start();
        let plan = site.submit("plan", &sha, "default", Value::Null);
        let planned = ok(&site, &plan);
        let apply = site.submit("apply", &sha, "default", planned["plan"].clone());
        let seen = until("the tool's lock to be seen", PATIENCE, || {
            site.json(&format!("jobs/{apply}/lock")).ok_or_else(|| site.log())
        });
        let lock = site.json(LOCK).expect("the tool holds it");
        assert_eq!(seen["value"]["ids"], serde_json::json!([lock["ID"]]), "{name}");
        assert!(site.object(&format!("jobs/{apply}/gone")).is_none(), "{name}: it lives");
        site.kill(tool_too);
        if others {
            site.put(
                LOCK,
                br#"{"ID":"other","Who":"ann@laptop","Created":"2026-11-25T08:00:00Z"}"#,
            );
        }
        site.start();
        if !tool_too {
            std::thread::sleep(Duration::from_millis(1_500));
            assert!(site.object(&format!("jobs/{apply}/gone")).is_none(), "{name}: its tool runs");
            assert!(site.object(LOCK).is_some(), "{name}: and holds the state");
        }
        site.let_go();
        let gone = until("proof that it is gone", PATIENCE, || {
            site.json(&format!("jobs/{apply}/gone")).ok_or_else(|| site.log())
        });
        let said = gone["value"]["cause"].as_str().unwrap_or_default();
        assert!(said.contains(cause), "{name}: {said}");
        assert_eq!(site.json(LOCK).map(|lock| lock["ID"].clone()), others.then(|| "other".into()));
        assert!(
            site.object(&format!("jobs/{apply}/result")).is_none(),
            "{name}: it judges nothing"
        );
        until("the news of it", PATIENCE, || {
            site.heard(&apply, "gone").then_some(()).ok_or_else(|| site.log())
        });
        site.remove(LOCK);
        site.stop();
    }
}

/// A run timeout kills the tool, which leaves its lock.
#[test]
fn a_tool_that_its_own_worker_kills_leaves_no_lock() {
    let mut site = Site::new();
    let sha = site.commit(SLOW);
    site.hold();
    site.start();
    let plan = site.submit("plan", &sha, "default", Value::Null);
    let planned = ok(&site, &plan);
    let apply = site.submit("apply", &sha, "default", planned["plan"].clone());
    until("the tool's lock", PATIENCE, || site.object(LOCK).ok_or_else(|| site.log()));
    site.kill_jobs();
    let result = site.result(&apply);
    assert_eq!(result["verdict"], "failed", "{result:#}");
    assert!(result["warnings"].to_string().contains("was removed"), "{result:#}");
    assert!(site.object(LOCK).is_none());
}

/// What an operator asks of an autoscaler's memory, straight from its bucket.
#[test]
fn an_operator_reads_why_a_fleet_is_as_it_is() {
    let site = Site::new();
    let why = ["fleet", "why", "default", "--bucket", site.bucket()];
    let none = site.windlass(&why);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(none.status.code(), Some(4), "{said}");
    let words = format!("there is no fleet/default/ledger.json in {}", site.bucket());
    assert!(said.contains(&words), "{said}");

    let explained = json!({
        "at": 1_795_435_200_000_u64, "due": 1_795_435_200_000_u64,
        "seen": {
            "group": "workers", "desired": 2, "min": 0, "max": 5, "machines_in_group": 2,
            "machines_booting": 2, "workers_live": 0, "slots_open": 0, "slots_busy": 0,
            "schedulable": 10, "oldest_ms": 90_000, "machines": [],
        },
        "actions": [], "why": {"why": "grown"}, "unmet": null, "alarms": [],
    });
    let ledger =
        json!({"schema": 1, "revision": 7, "write_id": "w", "value": {"explained": explained}});
    site.put("fleet/default/ledger.json", ledger.to_string().as_bytes());
    let told = site.windlass(&why);
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{out}{err}");
    assert!(out.contains("more is wanted than there is"), "{out}");
    assert!(out.contains("10 runs may start, the oldest for 1 min 30 s"), "{out}");
    let json = site.windlass(&[&why[..], &["--json"]].concat());
    let document: Value = serde_json::from_slice(&json.stdout).expect("one document");
    assert_eq!(document, explained);
}
