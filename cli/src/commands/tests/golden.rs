//! What commands print, for scripts and for people.
use super::stage::{Stage, Tool, World};
use serde_json::{Value, json};
use std::path::Path;
use windlass_core::job::Step;

/// Random ids are the only thing that differs from run to run.
fn settled(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("api-") => *text = "api-…".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(settled),
        Value::Object(fields) => fields.values_mut().for_each(settled),
        _ => {}
    }
}

fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("REGEN").is_some() {
        std::fs::write(&path, got).unwrap();
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
    let lock = json!({"note": "moving the database", "for_ms": 3_600_000});
    assert_eq!(world.post("/stacks/network/lock", lock).await.status, 200);
    world.states.put("network", "{\"version\":4}\n");
    world.clock.advance(90_000);
    world
}

#[test]
fn listings_stay_as_they_are() {
    let stage = Stage::of(false, story);
    let run_of = |stack: &str, state: &str| {
        let line = ["run", "list", stack, "--type", "tracked", "--state", state, "--json"];
        let listed = stage.types(&line);
        let list: Value = serde_json::from_str(&listed.stdout).unwrap();
        list["runs"][0]["id"].as_str().unwrap().to_owned()
    };
    let (waits, failed) = (run_of("app-b", "unconfirmed"), run_of("cluster", "failed"));
    let short = &waits[18..];
    #[rustfmt::skip]
    let table: [(&str, &[&str]); 17] = [
        ("stack-list",        &["stack", "list"]),
        ("stack-list-none",   &["stack", "list", "--search", "nowhere"]),
        ("stack-show",        &["stack", "show", "network"]),
        ("stack-show-waits",  &["stack", "show", "app-b"]),
        ("run-list",          &["run", "list"]),
        ("run-list-stack",    &["run", "list", "app-a", "--state", "finished", "--limit", "2"]),
        ("run-show-waits",    &["run", "show", short]),
        ("run-show-failed",   &["run", "show", &failed]),
        ("run-logs",          &["run", "logs", &waits]),
        ("resource-list",     &["resource", "list"]),
        ("resource-list-one", &["resource", "list", "network"]),
        ("state-list",        &["state", "list", "network"]),
        ("state-pull",        &["state", "pull", "network"]),
        ("worker-list",       &["worker", "list"]),
        ("secret-list",       &["secret", "list"]),
        ("audit",             &["audit"]),
        ("not-found",         &["stack", "show", "netwrok"]),
    ];
    for (name, line) in table {
        let people = stage.types(line);
        golden(&format!("{name}.txt"), &format!("{}{}", people.stdout, people.stderr));
        let scripts = stage.types(&[line, &["--json"]].concat());
        let mut document: Value = serde_json::from_str(&scripts.stdout)
            .unwrap_or_else(|e| panic!("{name} prints one document, not {}: {e}", scripts.stdout));
        snake_case(name, &document);
        settled(&mut document);
        let json = serde_json::to_string_pretty(&document).unwrap();
        golden(&format!("{name}.json"), &format!("{json}\n"));
        assert_eq!(people.exit, scripts.exit, "{name}");
    }
}

/// Field names; where the fields are names themselves (facets), anything goes.
fn snake_case(name: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| snake_case(name, item)),
        Value::Object(fields) => {
            for (field, inner) in fields {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                assert!(field.bytes().all(plain), "{name}: {field}");
                if field != "facets" {
                    snake_case(name, inner);
                }
            }
        }
        _ => {}
    }
}
