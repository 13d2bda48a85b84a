//! What commands make happen.
use super::stage::{Stage, World};
use serde_json::Value;

fn document(stage: &Stage, line: &[&str], exit: u8) -> Value {
    let ended = stage.types(&[line, &["--json"]].concat());
    assert_eq!(ended.exit, exit, "{line:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn newest(stage: &Stage, stack: &str) -> Value {
    document(stage, &["run", "list", stack, "--limit", "1"], 0)["runs"][0].clone()
}

#[test]
fn a_confirmed_plan_is_applied_and_a_run_has_one_end() {
    let stage = Stage::of(true, World::demo);
    let waits = newest(&stage, "app-b");
    let id = waits["id"].as_str().unwrap();
    let confirmed = document(&stage, &["run", "confirm", id, "--yes", "--wait"], 0);
    assert_eq!(confirmed["state"], "FINISHED");
    // Twice is once too often.
    let again = stage.types(&["run", "confirm", id, "--yes"]);
    assert_eq!(again.exit, 5, "{again:?}");
    let said = format!("the run {} is FINISHED: already confirmed, by ada", &id[18..]);
    assert!(again.stderr.contains(&said), "{again:?}");
    // One that nobody will apply any more says what became of it.
    let planned = document(&stage, &["run", "trigger", "app-b", "--wait", "--timeout", "60s"], 6);
    let id = planned["id"].as_str().unwrap();
    assert_eq!(stage.types(&["run", "discard", id]).exit, 0);
    let gone = stage.types(&["run", "confirm", id, "--yes"]);
    assert_eq!(gone.exit, 5, "{gone:?}");
    assert!(gone.stderr.contains("is DISCARDED: it has ended"), "{gone:?}");
}

#[test]
fn a_reader_hears_that_confirming_needs_more() {
    let stage = Stage::of(true, World::demo);
    let waits = newest(&stage, "app-b");
    let mut detail = document(&stage, &["run", "show", waits["id"].as_str().unwrap()], 0);
    detail["can"] = serde_json::json!([]);
    let detail: api::v1::RunDetail = serde_json::from_value(detail).unwrap();
    let refused = crate::commands::plan::confirmable(&detail).unwrap_err();
    assert_eq!(refused.exit.code(), 7);
    assert!(refused.sentence.contains("needs the role writer"), "{refused}");
}

#[test]
fn waiting_names_its_reason_once() {
    let stage = Stage::of(true, World::demo);
    let id = newest(&stage, "app-b")["id"].as_str().unwrap().to_owned();
    let line = ["run", "trigger", "app-b", "--wait", "--timeout", "2s"];
    let ended = stage.types(&line);
    assert_eq!(ended.exit, 124, "{ended:?}");
    let reason = format!(": is next; run {id} has the stack and is UNCONFIRMED");
    assert_eq!(ended.stderr.matches(&reason).count(), 1, "{ended:?}");
}

#[test]
fn a_run_is_named_by_either_end_of_its_id() {
    let stage = Stage::of(false, World::demo);
    let list = document(&stage, &["run", "list"], 0);
    let ids: Vec<&str> =
        list["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    let id = ids[0];
    let alone = |part: &&str| ids.iter().filter(|id| id.starts_with(*part)).count() == 1;
    let beginning = (4..26).map(|n| &id[..n]).find(alone).unwrap();
    for name in [beginning, &id[20..], &id[20..].to_ascii_lowercase(), id] {
        let shown = document(&stage, &["run", "show", name], 0);
        assert_eq!(shown["id"], id, "{name}");
    }
    let several = stage.types(&["run", "show", &id[..4]]);
    assert_eq!(several.exit, 2, "{several:?}");
    assert!(several.stderr.contains("is short for several runs: "), "{several:?}");
    assert!(several.stderr.contains(&id[18..]), "{several:?}");
}

#[test]
fn what_was_shown_is_what_is_confirmed() {
    let stage = Stage::of(true, World::demo);
    let waits = newest(&stage, "app-b");
    let id = waits["id"].as_str().unwrap();
    let shown = document(&stage, &["run", "show", id], 0);
    let digest = shown["plan_digest"].as_str().unwrap();
    let version = shown["version"].as_u64().unwrap();
    let with = |version: u64| {
        let version = version.to_string();
        stage.types(&["run", "confirm", id, "--digest", digest, "--revision", &version])
    };
    let moved = with(version - 1);
    assert_eq!(moved.exit, 5, "{moved:?}");
    assert_eq!(with(version).exit, 0);
}

#[test]
fn waiting_tells_how_it_ended() {
    let stage = Stage::of(true, World::demo);
    #[rustfmt::skip]
    let table: [(&[&str], u8, &str); 6] = [
        (&["run", "trigger", "network", "--wait"],                       0, "FINISHED"),
        (&["run", "trigger", "network", "--type", "proposed", "--wait"], 0, "FINISHED"),
        (&["task", "network", "--wait", "--", "echo", "hi"],             0, "FINISHED"),
        (&["run", "trigger", "app-b", "--wait"],                         124, "still QUEUED"),
        (&["run", "trigger", "network", "--type", "destroy", "--yes", "--wait"], 0, "FINISHED"),
        (&["run", "trigger", "network", "--wait", "--force-apply"],      0, "FINISHED"),
    ];
    for (line, exit, words) in table {
        let place = line.iter().position(|word| *word == "--wait").unwrap() + 1;
        let mut line = line.to_vec();
        // An older run of app-b waits for a person: nothing behind it moves.
        let timeout = if exit == 124 { "300ms" } else { "20s" };
        line.splice(place..place, ["--timeout", timeout]);
        let ended = stage.types(&line);
        assert_eq!(ended.exit, exit, "{line:?}: {ended:?}");
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(words), "{line:?}: {ended:?}");
    }
}

#[test]
fn a_promised_run_that_cannot_be_read_yet_is_waited_for() {
    let stage = Stage::of(true, World::demo);
    stage.answer_of_runs(3, 404);
    let ended = stage.types(&["run", "trigger", "network", "--wait", "--timeout", "60s"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    // So is a server that is away for a moment.
    stage.answer_of_runs(2, 503);
    let ended = stage.types(&["run", "trigger", "network", "--wait", "--timeout", "60s"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    // "Not found" would say that no run was made.
    stage.answer_of_runs(usize::MAX, 404);
    let ended = stage.types(&["run", "trigger", "network", "--wait", "--timeout", "300ms"]);
    assert_eq!(ended.exit, 124, "{ended:?}");
    assert!(ended.stderr.contains("is not to be seen yet after"), "{ended:?}");
}

#[test]
fn a_rollback_shows_that_it_is_behind() {
    let stage = Stage::of(true, || async {
        let mut world = World::demo().await;
        world.push("main", &[("stacks/network/main.tf", "2")]).await;
        world.settle().await;
        world
    });
    let shown = stage.types(&["stack", "show", "network"]);
    assert!(!shown.stdout.contains("behind"), "{shown:?}");
    let runs = document(&stage, &["run", "list", "network"], 0);
    let first = runs["runs"].as_array().unwrap().last().unwrap();
    let old = first["commit"]["sha"].as_str().unwrap();
    let back = ["run", "trigger", "network", "--commit", old, "--wait", "--timeout", "60s"];
    assert_eq!(stage.types(&back).exit, 0);
    let shown = stage.types(&["stack", "show", "network"]);
    let words = format!("last ran {}; it tracks a newer commit", &old[..8]);
    assert!(shown.stdout.contains(&words), "{shown:?}");
}

#[test]
fn a_run_that_waits_for_a_person_is_six() {
    let stage = Stage::of(true, World::demo);
    let waits = newest(&stage, "app-b");
    let discarded =
        stage.types(&["run", "discard", waits["id"].as_str().unwrap(), "--yes", "--note", "no"]);
    assert_eq!(discarded.exit, 0, "{discarded:?}");
    let ended = stage.types(&["run", "trigger", "app-b", "--wait", "--timeout", "20s"]);
    assert_eq!(ended.exit, 6, "{ended:?}");
    assert!(ended.stderr.contains("windlass run confirm"), "{ended:?}");
    assert_eq!(newest(&stage, "app-b")["state"], "UNCONFIRMED");
}

#[test]
fn followed_logs_end_with_their_run() {
    let stage = Stage::of(true, World::demo);
    let made = document(&stage, &["run", "trigger", "network"], 0);
    let ended = stage.types(&["run", "logs", "-f", made["run"].as_str().unwrap()]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert!(ended.stdout.contains("── initializing ──"), "{ended:?}");
    assert!(!ended.stdout.contains('\u{1b}'), "no colours into a pipe: {ended:?}");
}

#[test]
fn locks_workers_and_secrets() {
    let stage = Stage::of(true, World::demo);
    #[rustfmt::skip]
    let table: [(&[&str], &str); 6] = [
        (&["stack", "lock", "network", "--note", "n", "--for", "2h"], "network is locked."),
        (&["stack", "unlock", "network"],                              "network is unlocked."),
        (&["worker", "drain", "worker"],                               "worker-1 takes no more jobs."),
        (&["worker", "drain", "worker-1"],                             "Nothing to do: it drains already"),
        (&["worker", "drain", "worker-1", "--undo"],                   "worker-1 takes jobs again."),
        (&["secret", "list"],                                          "No secret is stored"),
    ];
    for (line, words) in table {
        let ended = stage.types(line);
        assert_eq!(ended.exit, 0, "{line:?}: {ended:?}");
        assert!(ended.stdout.contains(words), "{line:?}: {ended:?}");
    }
}

#[test]
fn why_answers_for_stacks_runs_and_commits_by_any_part_of_their_ids() {
    let stage = Stage::of(false, World::demo);
    let waits = newest(&stage, "app-b");
    let id = waits["id"].as_str().unwrap();
    let commit = &waits["commit"]["sha"].as_str().unwrap()[..8];
    let table = [("app-b", "stack"), (id, "run"), (&id[18..], "run"), (commit, "commit")];
    for (what, kind) in table {
        let answer = document(&stage, &["why", what], 0);
        assert_eq!(answer["kind"], kind, "{what}");
        let first = answer["lines"][0]["text"].as_str().unwrap();
        let people = stage.types(&["why", what]);
        assert!(people.stdout.contains(first), "{people:?}");
    }
}

#[test]
fn a_recorded_delivery_is_handed_in_and_its_outcome_told() {
    let stage = Stage::of(true, World::demo);
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");
    let push = format!("{events}/github/push.json");
    #[rustfmt::skip]
    let table: [(String, &str); 5] = [
        // It does not follow on what is known, and the repository says that nothing moved.
        (push.clone(),                                  "known"),
        (format!("{events}/github/push-tag.json"),      "ignored"),
        (format!("{events}/github/pull-request.json"),  "ignored"),
        // Its own delivery id: the second time nothing happens.
        (format!("{events}/apigw/webhook.json"),        "known"),
        (format!("{events}/apigw/webhook-base64.json"), "known"),
    ];
    for (file, became) in &table {
        let told = document(&stage, &["replay", file], 0);
        assert_eq!(told["became"], *became, "{file}: {told}");
    }
    #[rustfmt::skip]
    let turned_away: [(&str, &[&str], u8, &str); 5] = [
        ("github/ping.json",    &[],                        2, "a ping"),
        ("sqs/intents.json",    &[],                        2, "event of AWS"),
        ("github/nothing.json", &[],                        2, "can't be read"),
        ("github/push.json",    &["--event", "star"],       2, "no use for star"),
        ("github/push.json",    &["--repository", "other"], 4, "no repository other"),
    ];
    for (file, more, exit, words) in turned_away {
        let file = format!("{events}/{file}");
        let ended = stage.types(&[&["replay", file.as_str()], more].concat());
        assert_eq!((ended.exit, ended.stderr.contains(words)), (exit, true), "{ended:?}");
    }
    let shown = stage.types(&["replay", &push]);
    assert!(shown.stdout.contains(" known: main is known to be "), "{shown:?}");
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let stage = Stage::of(false, World::demo);
    let made = stage.types(&["key", "create", "CI", "--role", "writer"]);
    assert_eq!(made.exit, 0, "{made:?}");
    let lines: Vec<&str> = made.stdout.lines().collect();
    let id = lines[0].strip_prefix("WINDLASS_API_KEY_ID=").unwrap().to_owned();
    let secret = lines[1].strip_prefix("WINDLASS_API_KEY_SECRET=").unwrap();
    assert!(made.stderr.contains("the role writer on root"), "{made:?}");
    assert!(!made.stderr.contains(secret), "the secret goes to stdout only: {made:?}");
    let listed = stage.types(&["key", "list"]);
    assert!(listed.stdout.contains(&id) && !listed.stdout.contains(secret), "{listed:?}");
    let refused = stage.types(&["key", "revoke", &id]);
    assert_eq!(refused.exit, 2, "it asks, and nobody is there: {refused:?}");
    #[rustfmt::skip]
    let table: [(&[&str], u8, &str); 5] = [
        (&["key", "revoke", &id, "--yes"],                     0, "is revoked"),
        (&["key", "revoke", &id, "--yes"],                     0, "Nothing to do: it was revoked already, by ada."),
        (&["key", "revoke", "nobody", "--yes"],                4, "there is no key nobody"),
        (&["key", "create", "x", "--role", "writer", "--space", "nowhere"], 2, "there is no space nowhere"),
        (&["key", "create", "x", "--role", "king"],            2, "invalid value 'king'"),
    ];
    for (line, exit, words) in table {
        let ended = stage.types(line);
        assert_eq!(ended.exit, exit, "{line:?}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains(words), "{line:?}: {ended:?}");
    }
    let list = document(&stage, &["key", "list"], 0);
    assert_eq!(list["keys"][0]["revoked_by"], "ada");
}

async fn full_quarantine() -> World {
    use windlass_ports::{Docs as _, Expect};
    let world = World::demo().await;
    for n in 0..1_234 {
        let message = serde_json::json!({"schema": 1, "revision": 1, "write_id": "w", "value": {
            "queue": "intents.fifo", "group": "stack:network", "body": "\u{1b}[2Jno intent",
            "reason": "this intent does not parse", "at": world.now().0 + n }});
        let key = windlass_core::keys::quarantine(&format!("m-{n:04}"));
        world.docs.put(&key, Expect::Absent, message.to_string().into_bytes()).await.unwrap();
    }
    world
}

#[test]
fn quarantine_is_seen_to_message_by_message() {
    let stage = Stage::of(false, full_quarantine);
    let all = document(&stage, &["quarantine", "list", "--limit", "5000"], 0);
    assert_eq!(all["messages"].as_array().unwrap().len(), 1_234);
    let some = stage.types(&["quarantine", "list"]);
    assert!(some.stdout.contains("More exist"), "{some:?}");
    let shown = stage.types(&["quarantine", "show", "m-0007"]);
    assert!(shown.stdout.contains("this intent does not parse"), "{shown:?}");
    assert!(!shown.stdout.contains('\u{1b}'), "nothing steers the terminal: {shown:?}");
    #[rustfmt::skip]
    let table: [(&[&str], u8, &str); 6] = [
        (&["quarantine", "retry", "m-0007"],          0, "is back on its queue"),
        (&["quarantine", "retry", "m-0007"],          4, "there is no message m-0007"),
        (&["quarantine", "drop", "m-0008"],           2, "--yes"),
        (&["quarantine", "drop", "m-0008", "--yes"],  0, "is dropped"),
        (&["quarantine", "show", "m-0008"],           4, "there is no message m-0008"),
        (&["quarantine", "show", "../keys/x"],        4, "there is no message ../keys/x"),
    ];
    for (line, exit, words) in table {
        let ended = stage.types(line);
        assert_eq!(ended.exit, exit, "{line:?}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains(words), "{line:?}: {ended:?}");
    }
    let audit = document(&stage, &["audit"], 0);
    let mut actions: Vec<&str> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].as_str().unwrap())
        .collect();
    // Both at the same moment of this clock: their ids order them, and those are random.
    actions.sort_unstable();
    assert_eq!(actions, ["quarantine_drop", "quarantine_retry"]);
}

#[test]
fn a_server_elsewhere_is_asked_with_a_key() {
    let stage = Stage::of(false, World::demo);
    let made = document(&stage, &["key", "create", "laptop", "--role", "reader"], 0);
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let cache = tempfile::tempdir().unwrap();
    let env = |secret: &str, name: &str| match name {
        crate::remote::KEY_ID => Some(id.to_owned()),
        crate::remote::KEY_SECRET => Some(secret.to_owned()),
        "HOME" | "XDG_CACHE_HOME" => cache.path().to_str().map(str::to_owned),
        _ => None,
    };
    let base = stage.client.url("");
    let client = |secret: &str| {
        let key = crate::remote::Key::from_env(&base, |name| env(secret, name)).unwrap();
        crate::client::Client::remote(base.clone(), key)
    };
    let wrong = client("another").get::<Value>("/stacks").unwrap_err();
    assert_eq!(
        (wrong.exit.code(), wrong.sentence.as_str()),
        (7, "this id and this secret are no key that works")
    );
    assert_eq!(client(secret).get::<Value>("/stacks").unwrap()["total"], 5);
    let folder = match cfg!(target_os = "macos") {
        true => cache.path().join("Library/Caches/windlass/tokens"),
        false => cache.path().join("windlass/tokens"),
    };
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    // The server's clock stands still, some time ago.
    kept["expires_at"] = "2999-01-01T00:00:00.000Z".into();
    std::fs::write(&file, kept.to_string()).unwrap();
    // Another process finds the token, and needs no secret for it …
    assert_eq!(client("another").get::<Value>("/stacks").unwrap()["total"], 5);
    // … until the server does not know it any more: then the key makes another.
    kept["token"] = "0.0".into();
    std::fs::write(&file, kept.to_string()).unwrap();
    assert_eq!(client(secret).get::<Value>("/stacks").unwrap()["total"], 5);
    let denied =
        client(secret).post::<Value>("/stacks/network/lock", &serde_json::json!({})).unwrap_err();
    assert_eq!(denied.exit.code(), 7, "{denied}");
    assert!(denied.sentence.contains("needs the role writer on the space root"), "{denied}");
    stage.types(&["key", "revoke", id, "--yes"]);
    assert_eq!(client(secret).get::<Value>("/stacks").unwrap_err().exit.code(), 7);
}
