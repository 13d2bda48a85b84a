//! The main job as a newcomer sees it first: `windlass demo`, with real git and the real tool.
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the issue of this milestone promises, after the build.
const SECONDS_MAX: f64 = 45.0;
const FIRST_WORDS: Duration = Duration::from_secs(1);

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.args(["demo", "--headless", "--json", "--port", "0"]).stdin(Stdio::null());
    command
}

#[test]
fn every_step_is_as_expected_and_the_report_is_one_document() {
    let output = demo().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["data", "runs", "seconds", "steps"]);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7);
    for step in steps {
        assert_eq!(step["ok"], true, "{step}\n{told}");
    }
    assert!(report["seconds"].as_f64().unwrap() < SECONDS_MAX, "{}", report["seconds"]);

    let runs = report["runs"].as_array().unwrap();
    let fields = [
        "add",
        "change",
        "commit",
        "delete",
        "id",
        "reason",
        "stack",
        "state",
        "triggered_by",
        "type",
    ];
    for run in runs {
        let keys: Vec<&String> = run.as_object().unwrap().keys().collect();
        assert_eq!(keys, fields);
    }
    let count = |stack: &str, kind: &str, state: &str| {
        let like =
            |run: &&Value| run["stack"] == stack && run["type"] == kind && run["state"] == state;
        runs.iter().filter(like).count()
    };
    // Applied, changed, and planned again after the worker died.
    assert_eq!(count("network", "TRACKED", "FINISHED"), 2);
    assert_eq!(count("cluster", "TRACKED", "FINISHED"), 2);
    assert_eq!(count("cluster", "TRACKED", "FAILED"), 2);
    assert_eq!(count("app-a", "PROPOSED", "FINISHED"), 1);
    assert_eq!(count("app-b", "TRACKED", "FINISHED"), 2);
    let folder = report["data"].as_str().unwrap();
    assert!(!std::path::Path::new(folder).exists(), "{folder} was left behind");
}

#[test]
fn says_something_within_a_second_and_ends_when_interrupted() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let began = Instant::now();
    let mut child = demo().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut folder) = (String::new(), String::new());
    told.read_line(&mut line).unwrap();
    assert!(began.elapsed() < FIRST_WORDS, "{:?} for {line}", began.elapsed());
    told.read_line(&mut folder).unwrap();
    while !line.contains("first commit") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended before the story began");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let folder = folder.trim().rsplit(' ').next().unwrap();
    assert!(folder.contains("windlass-demo-"), "{folder}");
    assert!(!std::path::Path::new(folder).exists(), "{folder} was left behind");
}
