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
    assert!(again.stderr.contains("FINISHED"), "{again:?}");
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
fn a_run_that_waits_for_a_person_is_six() {
    let stage = Stage::of(true, World::demo);
    let waits = newest(&stage, "app-b");
    let discarded =
        stage.types(&["run", "discard", waits["id"].as_str().unwrap(), "--note", "not today"]);
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
