//! docs/fleet.md and docs/spacelift.md against the code and the module.
use crate::pool_module::folder;
use crate::root;
use infra::terraform::Module;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::fleet::Policy;

fn doc(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

#[test]
fn settings_are_told_with_their_defaults() {
    let text = doc("fleet.md");
    let part = text.split("\n## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), cells.get(2)?.to_string()))
    };
    let told: BTreeMap<String, String> = part.lines().filter_map(row).collect();
    let Value::Object(fields) = serde_json::to_value(Policy::default()).unwrap() else { panic!() };
    let plain = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let real: BTreeMap<String, String> =
        fields.into_iter().map(|(name, value)| (name, plain(value))).collect();
    assert_eq!(told, real);
}

/// Variants of an enum, as they are written in JSON.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap();
    let body = body.split("\n}").next().unwrap();
    let head = |line: &str| {
        let line = line.strip_prefix("    ")?;
        line.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>())
    };
    body.lines().filter_map(head).map(|name| snake(&name)).collect()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[test]
fn every_reason_is_explained() {
    let source = std::fs::read_to_string(root().join("shared/core/src/fleet/plan.rs")).unwrap();
    let text = doc("fleet.md");
    let part = text.split("\n## Reasons").nth(1).unwrap().split("\n## ").next().unwrap();
    for name in ["Why", "Cause", "Alarm"] {
        let all = variants(&source, name);
        assert!(all.len() > 5, "{name}: {all:?}");
        let untold: Vec<&String> =
            all.iter().filter(|one| !part.contains(&format!("`{one}`"))).collect();
        assert!(untold.is_empty(), "{name}: {untold:?}");
    }
}

/// Inputs that the table for users of Spacelift's module calls ours are ours.
#[test]
fn inputs_that_are_called_the_same_are_there() {
    let text = doc("spacelift.md");
    let part =
        text.split("### Inputs, name for name").nth(1).unwrap().split("\n## ").next().unwrap();
    let variables = Module::read(&folder()).unwrap().variables();
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    let mut named = 0;
    for line in rows {
        let first = line.split('|').nth(1).unwrap();
        for name in first.split('`').skip(1).step_by(2) {
            assert!(variables.contains_key(name), "{name}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}
