//! What people and schedules do beside the main job, each of it once: so that every role is seen to
//! be enough, and not more than enough.
use e2e::cloud::place::InABox;
use e2e::cloud::threads;
use e2e::proofs::Times;
use e2e::{LONG, Up, World, until};
use serde_json::{Value, json};

/// A command line that is expected to succeed; what it printed.
#[track_caller]
fn done(world: &World, words: &[&str]) -> String {
    let output = world.cli(words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "windlass {words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn one_stack(keys: &str) -> (World, InABox, Up, String) {
    let (world, cloud) = World::cloud_alone("terraform");
    let sha = world.define(&[("one", keys)]).code("one", "first").repo.commit("One stack");
    let up = world.up(1);
    up.reaches("one", &sha, "FINISHED");
    (world, cloud, up, sha)
}

#[test]
fn an_operator_looks_around_rolls_back_and_reads_the_state() {
    let (world, _cloud, up, first) = one_stack("autodeploy: true");
    let second = world.code("one", "second").repo.commit("Another value");
    up.reaches("one", &second, "FINISHED");
    done(&world, &["run", "trigger", "one", "--commit", &first, "--wait"]);
    let state: Value =
        serde_json::from_str(&done(&world, &["state", "pull", "one"])).expect("JSON");
    assert_eq!(state["outputs"]["it"]["value"], "first", "rolled back");
    for about in ["one", &second] {
        done(&world, &["why", about]);
    }
    up.api.put("/secrets/one/token", &json!({ "value": "hush-hush" })).expect("a secret is kept");
    assert!(done(&world, &["secret", "list"]).contains("one/token"));
    done(&world, &["secret", "rm", "one/token", "--yes"]);
    assert!(!done(&world, &["secret", "list"]).contains("one/token"));
    let made = done(&world, &["key", "create", "another", "--role", "reader", "--json"]);
    assert!(made.contains("secret"), "{made}");
    done(&world, &["key", "list"]);
    done(&world, &["audit"]);
    done(&world, &["worker", "list"]);
    world.prove(&up, Times::Peaceful);
}

#[test]
fn a_recorded_delivery_is_replayed_and_one_that_makes_no_sense_is_set_aside() {
    let (world, cloud, up, _) = one_stack("autodeploy: true");
    let sha = world.code("one", "second").repo.commit("Another value");
    up.reaches("one", &sha, "FINISHED");
    let forge = &cloud.deployed().github.forge;
    let payload = forge.push_payload("acme/infra", "refs/heads/main", None, Some(&sha));
    let file = world.folder().join("push.json");
    std::fs::write(&file, payload.to_string()).expect("a file");
    let replay = ["replay", file.to_str().expect("a path"), "--event", "push", "--json"];
    let became: Value = serde_json::from_str(&done(&world, &replay)).expect("JSON");
    assert!(became["delivery"].is_string(), "{became}");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn messages_that_nobody_understands_are_set_aside_and_hold_up_nothing() {
    let (world, cloud, up, _) = one_stack("autodeploy: true");
    let deployed = cloud.deployed();
    let send = |queue: &str, group: Option<&str>, body: &str| {
        let (aws, name) = (&deployed.cloud.aws, &deployed.cloud.name);
        let asked = aws.sqs.send_message().queue_url(aws.queue_url(&format!("{name}-{queue}")));
        let asked = asked.set_message_group_id(group.map(str::to_owned)).message_body(body);
        let id = group.map(|group| format!("{queue}-{group}"));
        let sent = asked.set_message_deduplication_id(id).send();
        threads().block_on(sent).expect("a message is taken");
    };
    send("intents.fifo", Some("stack:one"), "no intent");
    send("reports.fifo", Some("stack:one"), "no report");
    send("jobs-control-first", None, "no job");
    let aside = || -> Result<Vec<Value>, String> {
        let list = up.api.get("/quarantine").map_err(|refusal| format!("{refusal:?}"))?;
        let all = list["messages"].as_array().cloned().unwrap_or_default();
        if all.len() == 3 { Ok(all) } else { Err(list.to_string()) }
    };
    let first = until("three messages to be set aside", LONG, aside);
    let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
    for one in &first {
        let shown = done(&world, &["quarantine", "show", &id(one)]);
        assert!(shown.contains("no "), "its words are shown: {shown}");
        done(&world, &["quarantine", "retry", &id(one)]);
    }
    // They are as bad as they were.
    for one in until("three messages to be set aside again", LONG, aside) {
        done(&world, &["quarantine", "drop", &id(&one), "--yes"]);
    }
    // The stack has not noticed.
    let sha = world.code("one", "second").repo.commit("Another value");
    up.reaches("one", &sha, "FINISHED");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn drift_is_looked_for_by_the_clock() {
    let keys = "autodeploy: true\ndrift: { schedule: [\"* * * * *\"] }";
    let (world, _cloud, up, sha) = one_stack(keys);
    let found = until("a drift detection to end", 2 * LONG, || {
        let run = up.find("one", &sha, "PROPOSED")?;
        if run["terminal"] == true { Ok(run) } else { Err(e2e::up::brief(&run)) }
    });
    assert_eq!(found["state"], "FINISHED", "{found}");
    drop((world, up));
}
