//! The JSON API over a small installation: golden documents (`REGEN=1` rewrites them), and what
//! each command comes to.

use crate::common::{Tool, World};
use axum::http::Method;
use serde_json::{Value, json};
use std::path::Path;
use windlass_core::fleet::OpId;
use windlass_core::instance::{DrainedBy, Instance};
use windlass_core::job::Step;
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Change, cas};

/// Random ids are the only thing that differs from run to run.
fn settled(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("api-") => *text = "api-…".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(settled),
        Value::Object(fields) => fields.values_mut().for_each(settled),
        _ => {}
    }
}

fn golden(name: &str, mut value: Value) {
    settled(&mut value);
    let got = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    if std::env::var_os("REGEN").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let expect = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == expect, "{name} differs; REGEN=1 rewrites it. Now:\n{got}");
}

/// Deployed, waiting, failed, skipped, previewed, locked.
async fn story() -> World {
    let mut world = World::demo().await;
    let fails = Some((Step::Planning, "terraform plan failed\nError: no such thing".to_owned()));
    let before = world.tools["cluster"].clone();
    world.tools.insert("cluster".into(), Tool { fails, ..before });
    world.push("main", &[("stacks/cluster/main.tf", "2")]).await;
    world.settle().await;
    world.push("feature", &[("stacks/app-a/main.tf", "3")]).await;
    world.settle().await;
    world.clock.advance(1_000);
    let lock = json!({"note": "moving the database", "for_ms": 3_600_000});
    assert_eq!(world.post("/stacks/network/lock", lock).await.status, 200);
    world
}

#[tokio::test]
async fn documents_stay_as_they_are() {
    let mut world = story().await;
    world.secrets_for_test().await;
    let (waits, failed) = (world.last("app-b").await, world.last("cluster").await);
    let previews: api::v1::RunList = world.get("/runs?type=PROPOSED").await.to();
    let commit = previews.runs[0].commit.sha.clone();
    #[rustfmt::skip]
    let table = [
        ("stacks",            "/stacks".to_owned()),
        ("stacks-filtered",   "/stacks?label=core&q=CLU".to_owned()),
        ("stack",             "/stacks/network".to_owned()),
        ("stack-waiting",     "/stacks/app-b".to_owned()),
        ("stack-runs",        "/stacks/app-a/runs".to_owned()),
        ("resources",         "/stacks/network/resources".to_owned()),
        ("outputs",           "/stacks/network/outputs".to_owned()),
        ("runs",              "/runs?limit=3".to_owned()),
        ("run-unconfirmed",   format!("/runs/{waits}")),
        ("run-failed",        format!("/runs/{failed}")),
        ("logs",              format!("/runs/{waits}/logs")),
        ("changes",           format!("/runs/{waits}/changes")),
        ("commit",            format!("/commits/{}", &commit[..8])),
        ("rollouts",          "/rollouts?limit=2".to_owned()),
        ("workers",           "/workers".to_owned()),
        ("audit",             "/audit".to_owned()),
        ("secrets",           "/secrets".to_owned()),
        ("quarantine",        "/quarantine".to_owned()),
        ("why-run",           format!("/why/{waits}")),
        ("why-stack",         "/why/cluster".to_owned()),
        ("why-commit",        format!("/why/{}", &commit[..10])),
        ("health",            "/health".to_owned()),
        ("problem",           "/stacks/netwrok".to_owned()),
    ];
    for (name, path) in table {
        let answer = world.get(&path).await;
        assert!(answer.body.len() < 1_000_000, "{name}");
        assert!(!answer.body.contains("hunter2"), "{name} tells a secret");
        golden(name, answer.json());
    }
}

impl World {
    async fn secrets_for_test(&mut self) {
        self.clock.advance(1_000);
        let body = Some(json!({"value": "hunter2-in-a-secret"}));
        let answer = self.call(Method::PUT, "/secrets/cluster/token", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!answer.body.contains("hunter2"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let mut world = World::demo().await;
    #[rustfmt::skip]
    let table = [
        ("/stacks/netwrok",                      "there is no stack netwrok; did you mean network?"),
        ("/stacks/zzz",                          "there is no stack zzz"),
        ("/stacks/..%2F..%2Fruns",               "there is no stack ../../runs"),
        ("/stacks/zzz/outputs",                  "there is no stack zzz"),
        ("/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV",     "there is no run 01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("/runs/x%2F..",                         "there is no run x/.."),
        ("/runs/x/logs",                         "there is no run x"),
        ("/commits/abcdef12",                    "no commit abcdef12 has been seen here"),
        ("/commits/abc",                         "no commit abc has been seen here"),
        ("/why/nothing-like-that",               "nothing-like-that is no commit, stack or run that is known here"),
        ("/stacks/network/state",                "network has no state yet"),
    ];
    for (path, expect) in table {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json(), json!({"code": "not_found", "message": expect}), "{path}");
    }
}

#[tokio::test]
async fn commands_take_effect_or_say_why_not() {
    let mut world = World::demo().await;
    let run = world.last("app-b").await;
    let detail: api::v1::RunDetail = world.get(&format!("/runs/{run}")).await.to();
    let (digest, version) = (detail.plan_digest.unwrap(), detail.run.version);
    let done = world.last("network").await;
    let confirm = |digest: &str, version: u32| json!({"plan_digest": digest, "version": version});
    let changed = "this changed since you looked: look at the plan again";
    #[rustfmt::skip]
    let table = [
        // path                              body                                        status  message
        (format!("/runs/{run}/confirm"),     json!({}),                                  422, "the body is not what this address takes (line 1, column 2)"),
        (format!("/runs/{run}/confirm"),     confirm("0000", version),                   409, changed),
        (format!("/runs/{run}/confirm"),     confirm(&digest, version + 1),              409, changed),
        (format!("/runs/{run}/stop"),        json!({}),                                  409, "the run is UNCONFIRMED: stop is not possible"),
        (format!("/runs/{run}/retry"),       json!({}),                                  409, "the run is UNCONFIRMED: only an ended run is retried"),
        (format!("/runs/{run}/replan"),      json!({"targets": []}),                     422, "a targeted replan names 1 to 500 resource addresses"),
        (format!("/runs/{run}/dance"),       json!({}),                                  404, "a run can't be asked to dance"),
        (format!("/runs/{done}/retry"),      json!({}),                                  409, "the run is FINISHED: trigger a new one"),
        (format!("/runs/{done}/cancel"),     json!({}),                                  409, "the run is FINISHED: it has ended"),
        ("/stacks/network/unlock".into(),    json!({}),                                  409, "the stack is not locked"),
        ("/stacks/network/task".into(),      json!({"command": " "}),                    422, "a task's command has 1 to 16384 bytes and no NUL"),
        ("/stacks/network/trigger".into(),   json!({"commit": "nowhere"}),               404, "infra has no commit \"nowhere\""),
        ("/stacks/network/trigger".into(),   json!({"type": "TASK"}),                    422, "a task needs a command: use task"),
        ("/stacks/infra-definitions/task".into(), json!({"command": "true"}),            409, "an administrative stack runs no tasks"),
        ("/workers/w9/drain".into(),         json!({}),                                  404, "there is no worker w9"),
    ];
    for (path, body, status, message) in table {
        let answer = world.post(&path, body.clone()).await;
        let what = format!("{path} {body}");
        assert_eq!(
            (answer.status.as_u16(), answer.json()["message"].as_str()),
            (status, Some(message)),
            "{what}"
        );
    }
    // What was looked at is applied, once.
    let path = format!("/runs/{run}/confirm");
    let first = world.post(&path, confirm(&digest, version)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    world.settle().await;
    let detail: api::v1::RunDetail = world.get(&format!("/runs/{run}")).await.to();
    assert_eq!(detail.run.state.as_str(), "FINISHED");
    let second = world.post(&path, confirm(&digest, version)).await;
    assert_eq!(second.status, 409);
    assert_eq!(second.json()["message"], "the run is FINISHED: already confirmed, by ada");
    assert_eq!(detail.confirmed_by.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_run_goes_by_a_beginning_or_an_end_that_means_it_alone() {
    let mut world = World::demo().await;
    let runs: api::v1::RunList = world.get("/runs").await.to();
    let all: Vec<&str> = runs.runs.iter().map(|run| run.id.as_str()).collect();
    let run = world.last("app-b").await;
    // As much of it as no other has.
    let beginning = (4..26).map(|n| &run[..n]).find(|part| {
        all.iter().filter(|id| id.starts_with(part) || id.ends_with(part)).count() == 1
    });
    let (beginning, end) = (beginning.unwrap(), &run[18..]);
    let lower = end.to_ascii_lowercase();
    for name in [beginning, end, &lower, &run[18..24], &run] {
        let shown: api::v1::RunDetail = world.get(&format!("/runs/{name}")).await.to();
        assert_eq!(shown.run.id, run, "{name}");
        let log: api::v1::LogPage = world.get(&format!("/runs/{name}/logs")).await.to();
        assert_eq!(log.run, run, "{name}");
        let why: api::v1::WhyView = world.get(&format!("/why/{name}")).await.to();
        assert_eq!((why.kind.as_str(), why.what.as_str()), ("run", run.as_str()), "{name}");
    }
    // All were made within the same days.
    let short = &run[..4];
    for path in [format!("/runs/{short}"), format!("/why/{short}")] {
        let answer = world.get(&path).await;
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 422, "{path}: {message}");
        let start = format!("`{short}` is short for several runs: ");
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(message.matches(" of ").count(), all.len().min(5), "{message}");
        assert!(message.contains(&format!("{end} (UNCONFIRMED of app-b)")), "{message}");
    }
    let digest = world.get(&format!("/runs/{end}")).await.json();
    let body = json!({"plan_digest": digest["plan_digest"], "version": digest["version"]});
    assert_eq!(world.post(&format!("/runs/{end}/confirm"), body).await.status, 200);
}

/// A stack that never ran may well have a run that waits: here for a parent that waits for a person.
#[tokio::test]
async fn why_says_of_a_stack_whose_first_run_waits_no_more_than_that() {
    let mut world = World::demo().await;
    let late = "  - { name: late, project_root: stacks/late, depends_on: [{ stack: app-b }] }\n";
    let definitions = format!("{}{late}", crate::common::DEFINITIONS);
    let files = [
        ("windlass.yaml", definitions.as_str()),
        ("stacks/app-b/main.tf", "2"),
        ("stacks/late/main.tf", "1"),
    ];
    world.push("main", &files).await;
    world.settle().await;
    let why: api::v1::WhyView = world.get("/why/late").await.to();
    let lines: Vec<String> = why.lines.into_iter().map(|line| line.text).collect();
    assert_eq!(lines[0], "late is defined in infra and has not run yet.", "{lines:?}");
    assert!(lines[1].starts_with("Queued: run "), "{lines:?}");
}

/// Nothing that a definition brought is known while it fails: the failure is the answer.
#[tokio::test]
async fn why_says_that_the_definitions_failed_and_where() {
    let mut world = World::demo().await;
    let faulty = crate::common::DEFINITIONS.replace("stack: network", "stack: netwrk");
    let faulty = format!("{faulty}  - {{ name: queue, project_root: stacks/queue }}\n");
    let files = [("windlass.yaml", faulty.as_str()), ("stacks/queue/main.tf", "1")];
    world.push("main", &files).await;
    world.settle().await;
    let place = "windlass.yaml:9:27: unknown stack `netwrk` — did you mean `network`?";
    let run = world.last("infra-definitions").await;
    let failed: api::v1::RunDetail = world.get(&format!("/runs/{run}")).await.to();
    let commit = failed.run.commit.sha;
    let lines = async |world: &mut World, what: &str| -> Vec<String> {
        let why: api::v1::WhyView = world.get(&format!("/why/{what}")).await.to();
        why.lines.into_iter().map(|line| line.text).collect()
    };
    let expect = [
        format!("Its definitions are not applied, the last good ones stay: {place}"),
        "It was pushed to main of infra.".to_owned(),
        "No stack ran: its definitions failed, and in the last good ones no stack's root or glob \
         covers what changed."
            .to_owned(),
    ];
    assert_eq!(lines(&mut world, &commit).await, expect);
    // No sentence ends twice.
    let first = format!("The run of infra-definitions is FAILED: {place}");
    assert_eq!(lines(&mut world, &run).await[0], first);
    let unknown = world.get("/why/queue").await;
    let message = format!(
        "queue is no commit, stack or run that is known here; the newest definitions of infra \
         failed: {place}"
    );
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["message"].as_str()),
        (404, Some(&*message))
    );
}

#[tokio::test]
async fn runs_can_be_asked_for() {
    let mut world = World::demo().await;
    #[rustfmt::skip]
    let table = [
        // stack     what       body                           type        then
        ("network",  "trigger", json!({}),                     "TRACKED",  "FINISHED"),
        ("network",  "trigger", json!({"type": "PROPOSED"}),   "PROPOSED", "FINISHED"),
        ("network",  "trigger", json!({"commit": "main"}),     "TRACKED",  "FINISHED"),
        ("network",  "task",    json!({"command": "echo hi"}), "TASK",     "FINISHED"),
        ("app-a",    "trigger", json!({"type": "DESTROY"}),    "DESTROY",  "FINISHED"),
    ];
    for (stack, what, body, kind, then) in table {
        let name = format!("{stack} {what} {body}");
        world.clock.advance(1_000);
        let answer = world.post(&format!("/stacks/{stack}/{what}"), body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        let asked: api::v1::Asked = answer.to();
        let id = asked.run.expect("a run");
        let run = world.get(&format!("/runs/{id}")).await;
        assert_eq!(run.status, 200, "{name}: it can be looked at at once");
        world.settle().await;
        let run: api::v1::RunDetail = world.get(&format!("/runs/{id}")).await.to();
        assert_eq!((run.run.kind.as_str(), run.run.state.as_str()), (kind, then), "{name}");
        assert_eq!(run.run.triggered_by.as_deref(), Some("ada"), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_said_so() {
    let mut world = World::demo().await;
    // Nobody serves the queue: the router is asked on its own.
    let request = axum::http::Request::builder()
        .method(Method::POST)
        .uri("/api/v1/stacks/network/lock")
        .header("host", crate::common::HOST)
        .header("authorization", format!("Bearer {}", world.bearer().await))
        .body(axum::body::Body::empty())
        .unwrap();
    let router = world.router.clone();
    let (status, _, body) = crate::mount::call(router, request).await;
    assert_eq!(status, 503);
    let problem: api::v1::Problem = serde_json::from_str(&body).unwrap();
    assert_eq!(problem.message, "asked, not answered yet: look again in a moment");
    assert!(problem.event.is_some());
    world.settle().await;
    assert!(world.head("network").await.lock.is_some(), "it was asked all the same");
}

#[tokio::test]
async fn logs_are_followed_by_cursor() {
    let mut world = World::demo().await;
    let tool = world.tools.get_mut("network").unwrap();
    tool.hangs_in = Some(Step::Planning);
    tool.plan_log = "one\ntwo".to_owned();
    world.push("main", &[("stacks/network/main.tf", "9")]).await;
    world.settle().await;
    let run = world.last("network").await;
    let text = |page: &api::v1::LogPage| -> String {
        page.parts.iter().map(|part| part.text.as_str()).collect()
    };
    let path = format!("/runs/{run}/logs");
    let first: api::v1::LogPage = world.get(&path).await.to();
    assert!(text(&first).ends_with("one\n"), "an unfinished line waits: {:?}", text(&first));
    let next = format!("{path}?after={}", first.next);
    let none: api::v1::LogPage = world.get(&format!("{next}&wait_ms=300")).await.to();
    assert_eq!(
        (text(&none).as_str(), none.next.as_str(), none.done),
        ("", first.next.as_str(), false)
    );
    let spec = world.held[0].spec.clone();
    world.say(&spec, Step::Planning, " and a half\nthree\n").await;
    let second: api::v1::LogPage = world.get(&next).await.to();
    assert_eq!(text(&second), "two and a half\nthree\n");
    world.go_on().await;
    let last: api::v1::LogPage = world.get(&format!("{path}?after={}", second.next)).await.to();
    assert!(last.done && text(&last).starts_with("\u{1b}[1mterraform_data.queue: Creating"));
    let wrong = world.get(&format!("{path}?after=nonsense")).await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn long_logs_come_in_pages_of_whole_lines() {
    let mut world = World::demo().await;
    let line = "a line of words, ü and ✓, that is a good deal long\n";
    let tool = world.tools.get_mut("app-a").unwrap();
    tool.plan_log = line.repeat(40_000);
    world.push("main", &[("stacks/app-a/main.tf", "9")]).await;
    world.settle().await;
    let run = world.last("app-a").await;
    let (mut after, mut all, mut pages) = (String::new(), String::new(), 0);
    loop {
        let answer = world.get(&format!("/runs/{run}/logs?after={after}")).await;
        assert!(answer.body.len() < 1_000_000);
        let page: api::v1::LogPage = answer.to();
        all.extend(page.parts.iter().filter(|p| p.step == Step::Planning).map(|p| p.text.as_str()));
        (after, pages) = (page.next, pages + 1);
        if page.done {
            break;
        }
        assert!(pages < 100);
    }
    assert!(all == line.repeat(40_000) && pages > 4, "{} bytes in {pages} pages", all.len());
}

#[tokio::test]
async fn a_state_is_pulled_in_parts_and_audited() {
    let mut world = World::demo().await;
    let state = format!("{{\"big\": \"{}\"}}", "ü".repeat(400_000));
    world.states.put("network", &state);
    let (mut text, mut after) = (String::new(), Some(0));
    while let Some(from) = after {
        let answer = world.get(&format!("/stacks/network/state?after={from}")).await;
        assert!(answer.body.len() < 1_000_000);
        let part: api::v1::StatePart = answer.to();
        assert_eq!(part.digest, windlass_core::id::Digest::of(state.as_bytes()).0);
        text.push_str(&part.text);
        after = part.next;
    }
    assert!(text == state);
    let audit: api::v1::AuditList = world.get("/audit").await.to();
    let pulls: Vec<_> = audit.entries.iter().filter(|e| e.action == "pull_state").collect();
    assert_eq!(pulls.len(), 1, "once, not once per part");
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let mut world = World::demo().await;
    #[rustfmt::skip]
    let table = [
        // method        name                   value              status
        (Method::PUT,    "cluster/token",       Some("hunter2-x"), 200),
        (Method::PUT,    "short",               Some("1234"),      422),
        (Method::PUT,    "..%2Fup",             Some("hunter2-x"), 422),
        (Method::PUT,    "a%20b",               Some("hunter2-x"), 422),
        (Method::DELETE, "cluster/token",       None,              200),
        (Method::DELETE, "cluster/token",       None,              404),
    ];
    for (method, name, value, status) in table {
        let body = value.map(|value| json!({ "value": value }));
        let answer = world.call(method.clone(), &format!("/secrets/{name}"), body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {name}: {}", answer.body);
        assert!(!answer.body.contains("hunter2") && !answer.body.contains("1234"));
    }
    // A body that does not parse is not quoted either.
    let answer = world.call(Method::PUT, "/secrets/x", Some(json!({"vlaue": "hunter2-x"}))).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    for (key, body) in world.docs.dump() {
        assert!(!String::from_utf8_lossy(&body).contains("hunter2-x"), "{key}");
    }
}

#[tokio::test]
async fn workers_are_drained_and_taken_back() {
    let mut world = World::demo().await;
    #[rustfmt::skip]
    let table = [
        ("drain",   true,  None,                                       "drained"),
        ("drain",   false, Some("it drains already, marked by ada"),   "drained"),
        ("undrain", true,  None,                                       "idle"),
        ("undrain", false, Some("it does not drain"),                  "idle"),
    ];
    for (verb, changed, note, state) in table {
        let answer: api::v1::Asked =
            world.post(&format!("/workers/worker-1/{verb}"), json!({})).await.to();
        assert_eq!((answer.changed, answer.note.as_deref()), (changed, note), "{verb}");
        let workers: api::v1::WorkerList = world.get("/workers").await.to();
        assert_eq!(workers.workers[0].state, state, "{verb}");
    }
}

/// Rule C3: only whoever drains a machine takes that back (story c7 of the protocol).
#[tokio::test]
async fn nobody_takes_back_what_the_fleet_drains() {
    let mut world = World::demo().await;
    let op = OpId("op-1".into());
    let tick = DrainedBy::Tick { op: op.clone() };
    let autoscaler = "it is drained by the autoscaler, and nobody else may take that back";
    let hook = "it is drained by the group's lifecycle hook, and nobody else may take that back";
    let (docs, key) = (world.docs.clone(), keys::instance(&"default".into(), &"worker-1".into()));
    let stored = async || cas::load::<Instance>(&*docs, &key).await.unwrap().unwrap().value;
    let drained = stored().await.drain(tick, UnixMs(1)).unwrap();
    let table = [
        (drained.clone(), autoscaler),
        (drained.doom(&op).unwrap(), "its machine is about to be ended by the autoscaler"),
        (drained.drain(DrainedBy::Hook {}, UnixMs(2)).unwrap(), hook),
    ];
    for (record, note) in table {
        let write = |_: Option<&Instance>| Ok(Change::Write(record.clone(), ()));
        cas::update(&*docs, &key, note, write).await.unwrap();
        for verb in ["undrain", "drain"] {
            let answer: api::v1::Asked =
                world.post(&format!("/workers/worker-1/{verb}"), json!({})).await.to();
            assert!(!answer.changed, "{verb}: {note}");
            if verb == "undrain" {
                assert_eq!(answer.note.as_deref(), Some(note));
            }
        }
        assert_eq!(stored().await, record);
    }
}

#[tokio::test]
async fn a_look_for_drift_is_shown_where_people_look() {
    let mut world = World::demo().await;
    let drift = json!({"drift": true});
    let refused = world.post("/stacks/app-b/trigger", drift.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.json());
    let tracked = json!({"drift": true, "type": "TRACKED"});
    assert_eq!(world.post("/stacks/network/trigger", tracked).await.status, 422);
    assert_eq!(world.get("/stacks/network").await.json()["drift"], Value::Null);

    // The world still is as it was applied.
    let shown = std::mem::take(&mut world.tools.get_mut("network").unwrap().changes);
    let asked = world.post("/stacks/network/trigger", drift.clone()).await;
    assert_eq!(asked.status, 200, "{}", asked.json());
    world.settle().await;
    let stack = world.get("/stacks/network").await.json();
    assert_eq!(
        (&stack["drifted"], &stack["drift"]["last"]["outcome"]),
        (&Value::Null, &json!("clean"))
    );

    world.tools.get_mut("network").unwrap().changes = shown;
    world.post("/stacks/network/trigger", drift).await;
    world.settle().await;
    let stack = world.get("/stacks/network").await.json();
    let addresses = stack["drift"]["addresses"].as_array().unwrap();
    assert!(!addresses.is_empty());
    assert_eq!(stack["drifted"]["count"], addresses.len());
    assert_eq!(stack["state"], "FINISHED", "a look is not the stack's state");
    let list = world.get("/stacks?q=network").await.json();
    assert_eq!(list["stacks"][0]["drifted"], stack["drifted"]);
    let resources = world.get("/stacks/network/resources").await.json();
    for resource in resources["resources"].as_array().unwrap() {
        let known = addresses.contains(&resource["address"]);
        assert_eq!(resource["drifted"].is_string(), known, "{resource}");
    }
    let why = world.get("/why/network").await.json();
    let said = |words: &str| {
        why["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["text"].as_str().unwrap().contains(words))
    };
    assert!(said("It has drifted: "), "{why}");
    let browser = world.browser().await;
    let page = browser.get(&mut world, "/stacks/network").await.body;
    let first = addresses[0].as_str().unwrap().replace('"', "&quot;");
    assert!(page.contains("differ") && page.contains(&first), "{first}");
    assert!(browser.get(&mut world, "/").await.body.contains(">drifted<"));
}

/// Another workspace is another state.
#[tokio::test]
async fn the_state_is_that_of_the_stacks_workspace() {
    let mut world = World::new();
    let defined = "version: 1\nstacks:\n  - { name: net, project_root: net, workspace: prod }\n";
    world.push("main", &[("windlass.yaml", defined), ("net/main.tf", "1")]).await;
    world.settle().await;
    world.states.put("net", "{\"of\": \"default\"}");
    let none = world.get("/stacks/net/state").await;
    assert_eq!(none.status, 404, "{}", none.body);
    assert!(none.body.contains("net has no state in its workspace prod yet"), "{}", none.body);
    world.states.put_of("net", "prod", "{\"of\": \"prod\"}");
    let state: api::v1::StatePart = world.get("/stacks/net/state").await.to();
    assert_eq!(state.text, "{\"of\": \"prod\"}");
}
