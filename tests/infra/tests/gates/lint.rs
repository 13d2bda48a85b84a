//! Linters. SAM's own shape hides most of a template from them, so they see what AWS makes of it.
use crate::{root, translated};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn tool(name: &str) -> Command {
    let mut command =
        Command::new(emulator::venv::ensure("requirements-gates.txt").unwrap().join(name));
    command.env("AWS_DEFAULT_REGION", "eu-central-1");
    command
}

#[test]
fn cfn_lint_finds_nothing_in_what_aws_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.json");
    std::fs::write(&path, translated().to_string()).unwrap();
    let output = tool("cfn-lint").arg(&path).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}");
    for file in ["infra/pool.yaml", "infra/worker-pool.yaml"] {
        let pool = tool("cfn-lint").arg(root().join(file)).output().unwrap();
        assert!(pool.status.success(), "{}", String::from_utf8_lossy(&pool.stdout));
    }
}

/// A file of exceptions: a check, and the reason why it does not hold here.
fn exceptions(file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (check, reason) = line.split_once(' ').expect("a check and its reason");
            (check.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

/// What checkov finds: a check and a resource each.
fn checkov(framework: &str, option: &str, path: &str) -> BTreeSet<String> {
    let output = tool("checkov")
        .args(["--framework", framework, "--skip-download", "--quiet", "-o", "json", option])
        .arg(root().join(path))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).expect(&words);
    let failed = report["results"]["failed_checks"].as_array().expect("a list of findings");
    assert!(report["summary"]["passed"].as_u64().unwrap() > 0, "it looked at {path}");
    assert_eq!(report["summary"]["parsing_errors"], 0, "{path}");
    let told = |one: &Value| {
        format!("{} {}", one["check_id"].as_str().unwrap(), one["resource"].as_str().unwrap())
    };
    failed.iter().map(told).collect()
}

/// Everything found is excepted with a reason, and everything excepted is found.
fn hold(found: &BTreeSet<String>, file: &str) {
    let excepted = exceptions(file);
    let check = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let surprising: Vec<&String> =
        found.iter().filter(|line| !excepted.contains_key(&check(line))).collect();
    assert!(surprising.is_empty(), "no reason is given for: {surprising:#?}");
    let checks: BTreeSet<String> = found.iter().map(|line| check(line)).collect();
    let idle: Vec<&String> = excepted.keys().filter(|known| !checks.contains(*known)).collect();
    assert!(idle.is_empty(), "excepted, and not found any more: {idle:?}");
    assert!(excepted.values().all(|reason| reason.len() > 20), "a reason is a sentence");
}

#[test]
fn checkov_finds_what_is_excepted_with_a_reason_and_nothing_else() {
    let mut found = BTreeSet::new();
    for file in ["infra/template.yaml", "infra/pool.yaml", "infra/worker-pool.yaml"] {
        found.extend(checkov("cloudformation", "-f", file));
    }
    hold(&found, "infra/exceptions.txt");
}

/// With the examples, which call the module: a finding in it counts once.
#[test]
fn checkov_finds_in_the_module_what_is_excepted_with_a_reason_and_nothing_else() {
    let found = checkov("terraform", "-d", "infra/terraform/worker-pool");
    let seen = |part: &str| found.iter().any(|line| line.contains(part));
    assert!(seen("aws_lambda_function.this"), "it looks into modules: {found:#?}");
    hold(&found, "infra/terraform/exceptions.txt");
}
