//! The schema and the reference say what the parser does, and the parser what they say.
use crate::example::EXAMPLE;
use crate::{file, read};
use serde_json::{Value, json};
use windlass_definitions::{World, includes, reference, schema};

/// Enough of JSON Schema for a schema of ours; panics at what it does not know.
fn faults(schema: &Value, root: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                found.extend(faults(root.pointer(pointer).unwrap(), root, value, path));
            }
            "allOf" => {
                for one in rule.as_array().unwrap() {
                    found.extend(faults(one, root, value, path));
                }
            }
            "oneOf" => {
                let fits = |one: &&Value| faults(one, root, value, path).is_empty();
                if rule.as_array().unwrap().iter().filter(fits).count() != 1 {
                    found.push(format!("{path}: oneOf"));
                }
            }
            "type" => {
                let kind = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::Null => "null",
                };
                let fits = |name: &Value| name == kind || (name == "number" && kind == "integer");
                if !(fits(rule) || rule.as_array().is_some_and(|kinds| kinds.iter().any(fits))) {
                    found.push(format!("{path}: type"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                found.push(format!("{path}: enum"));
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{path}: required {name}"));
                    }
                }
            }
            "additionalProperties" => {
                for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    if schema["properties"].get(key).is_none() {
                        found.push(format!("{path}: unknown {key}"));
                    }
                }
            }
            "properties" => {
                for (key, inner) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(faults(inner, root, value, &format!("{path}.{key}")));
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(rule, root, item, &format!("{path}[{index}]")));
                }
            }
            "enum" | "description" | "pattern" | "$schema" | "title" | "definitions" => {}
            other => panic!("the schema uses {other}"),
        }
    }
    found
}

/// The example as an editor's YAML reader sees it.
fn example() -> Value {
    json!({
        "version": 1,
        "include": ["stacks/**/windlass.yaml"],
        "spaces": [{ "name": "platform", "parent": "root" }],
        "worker_pools": [{ "name": "default", "space": "root" }],
        "contexts": [{
            "name": "common", "labels": ["autoattach:aws"], "priority": 0,
            "env": [{ "name": "TF_VAR_owner", "value": "platform" }]
        }],
        "stacks": [{
            "name": "cluster", "space": "platform", "repository": "infra", "branch": "main",
            "project_root": "stacks/cluster", "additional_project_globs": ["modules/eks/**"],
            "labels": ["aws"], "tool": "auto", "version": ">= 1.6, < 2", "workspace": "default",
            "worker_pool": "default", "autodeploy": false, "protect_from_deletion": true,
            "on_delete": "keep", "timeouts": { "run": "70m", "silence": "7m" },
            "env": [
                { "name": "TF_VAR_size", "value": "3" },
                { "name": "ro_TOKEN", "secret": "cluster/token" }
            ],
            "files": [{ "path": "conf/a.tfvars", "source": "shared/a.tfvars" }],
            "hooks": { "before_plan": ["tflint"], "after_apply": ["./notify"] },
            "drift": { "schedule": ["0 7 * * 1-5"], "timezone": "Europe/Berlin", "reconcile": false },
            "depends_on": [{
                "stack": "network",
                "references": [{ "output": "vpc_id", "input": "TF_VAR_vpc_id", "trigger_always": false }]
            }]
        }]
    })
}

#[test]
fn the_example_is_valid() {
    let schema = schema();
    // JSON is YAML, so the parser can say that this is the very same example.
    let world = crate::example::world();
    assert_eq!(read(&example().to_string(), &world), read(EXAMPLE, &world));
    assert_eq!(faults(&schema, &schema, &example(), ""), [""; 0]);
    let mut wrong = example();
    wrong["stacks"][0]["brnach"] = json!("x");
    wrong["stacks"][0]["autodeploy"] = json!("yes");
    wrong["stacks"][0]["tool"] = json!("make");
    wrong["stacks"][0]["env"][0] = json!({ "name": "X" });
    wrong["stacks"][0]["depends_on"][0] = json!({});
    let expect = [
        ".stacks[0].autodeploy: type",
        ".stacks[0].depends_on[0]: required \"stack\"",
        ".stacks[0].env[0]: oneOf",
        ".stacks[0].tool: enum",
        ".stacks[0]: unknown brnach",
    ];
    let mut seen = faults(&schema, &schema, &wrong, "");
    seen.sort();
    assert_eq!(seen, expect);
}

/// Every key of the schema, with a value that fits it and is not its default.
const FULL: &str = r#"{
    "version": 1,
    "include": ["a.yaml"],
    "spaces": [{ "name": "s", "description": "d-space", "parent": "root", "repositories": ["other"],
                 "shared_with": ["third"] }],
    "worker_pools": [{ "name": "p", "description": "d-pool", "space": "s", "drift_budget": 5 }],
    "contexts": [{
        "name": "c", "description": "d-context", "labels": ["l-context"], "priority": 77, "space": "s",
        "env": [{ "name": "E1", "value": "v1" }, { "name": "E2", "secret": "sec" }],
        "files": [{ "path": "p1", "source": "s1" }],
        "hooks": { "after_run": ["h-context"] }
    }],
    "stacks": [{ "name": "up" }, {
        "name": "n", "description": "d-stack", "space": "s", "repository": "elsewhere",
        "branch": "br", "project_root": "root-folder", "additional_project_globs": ["gl/**"],
        "labels": ["l-stack"], "contexts": ["c"], "tool": "opentofu", "version": "1.9.9",
        "workspace": "ws", "worker_pool": "p", "manage_state": false, "autodeploy": true,
        "protect_from_deletion": true, "on_delete": "destroy",
        "timeouts": { "run": "11s", "silence": "13s" },
        "env": [{ "name": "E3", "value": "v3" }], "files": [{ "path": "p2", "source": "s2" }],
        "hooks": {
            "before_init": ["h1"], "after_init": ["h2"], "before_plan": ["h3"],
            "after_plan": ["h4"], "before_apply": ["h5"], "after_apply": ["h6"],
            "before_perform": ["h7"], "after_perform": ["h8"], "before_destroy": ["h9"],
            "after_destroy": ["h10"], "after_run": ["h11"]
        },
        "drift": { "schedule": ["1 2 3 4 5"], "timezone": "Asia/Tokyo", "reconcile": true, "ignore_state": true },
        "depends_on": [{ "stack": "up", "references": [{ "output": "o1", "input": "I1", "trigger_always": true }] }]
    }]
}"#;

/// The parser must know all of them, and each must leave a trace in the outcome.
#[test]
fn the_parser_reads_every_key_of_the_schema() {
    let schema = schema();
    let full: Value = serde_json::from_str(FULL).unwrap();
    assert_eq!(faults(&schema, &schema, &full, ""), [""; 0]);
    let with = |value: &Value| read(&value.to_string(), &World::default());
    let whole = with(&full).unwrap();
    // Whatever key the schema knows is in `full`, and without it the outcome is another.
    let mut unread = Vec::new();
    let mut missing = Vec::new();
    visit(&schema, &schema, &full, "", &mut |pointer, keys| {
        for key in keys {
            let mut less = full.clone();
            let object = less.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            if object.remove(key).is_none() {
                missing.push(format!("{pointer}/{key}"));
            } else if with(&less).is_ok_and(|less| less == whole) && key != "include" {
                unread.push(format!("{pointer}/{key}"));
            }
        }
    });
    // A variable has a value or a secret, and the two are there in two variables.
    // `up` only says its name, and a context's hooks are those of a stack.
    let seen_elsewhere = ["/env/", "/stacks/0/", "/contexts/0/hooks/"];
    missing.retain(|path| !seen_elsewhere.iter().any(|part| path.contains(part)));
    assert_eq!(missing, [""; 0]);
    assert_eq!(unread, ["/spaces/0/parent"], "`root` is its default, so it leaves no trace");
    assert!(includes(&file("windlass.yaml", &full.to_string())).unwrap().matches("a.yaml"));
}

/// Calls back with each object of `value` and the keys that the schema has for it.
fn visit(
    schema: &Value,
    root: &Value,
    value: &Value,
    pointer: &str,
    found: &mut dyn FnMut(&str, Vec<&str>),
) {
    if let Some(target) = schema.get("$ref") {
        let target = target.as_str().unwrap().trim_start_matches('#');
        return visit(root.pointer(target).unwrap(), root, value, pointer, found);
    }
    if let Some(all) = schema.get("allOf") {
        return visit(&all[0], root, value, pointer, found);
    }
    if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
        found(pointer, keys.keys().map(String::as_str).collect());
        for (key, inner) in keys {
            if let Some(value) = value.get(key) {
                visit(inner, root, value, &format!("{pointer}/{key}"), found);
            }
        }
    }
    if let Some(items) = schema.get("items") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            visit(items, root, item, &format!("{pointer}/{index}"), found);
        }
    }
}

const PAGE: &str = include_str!("../../../../docs/definitions.md");
const BEGIN: &str =
    "<!-- keys: made from the parser's table; REGEN=1 cargo test rewrites it -->\n\n";

#[test]
fn the_reference_page_is_the_table() {
    let (head, old) = PAGE.split_once(BEGIN).expect("docs/definitions.md has the marker");
    let keys = reference();
    if old != keys && std::env::var_os("REGEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/definitions.md");
        #[expect(clippy::disallowed_methods, reason = "only to rewrite the page when asked")]
        std::fs::write(path, format!("{head}{BEGIN}{keys}")).unwrap();
        return;
    }
    assert_eq!(old, keys, "REGEN=1 cargo test -p windlass-definitions rewrites it");
    assert!(head.contains(EXAMPLE.trim_end()), "the page shows the canonical file");
}
