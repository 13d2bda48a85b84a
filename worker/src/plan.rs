//! What `show -json` says, as people may see it: the changes with everything sensitive taken out,
//! the numbers, and whether an apply would change anything.
//!
//! Sensitive is what the tool's own `*_sensitive` maps mark. A provider may copy such a value into
//! an attribute that it does not mark (`terraform_data.output` does); so every string that is
//! marked anywhere in a plan is blanked everywhere in it, and so are the job's secrets.
use crate::mask::Masks;
use crate::outputs::{OutputValue, Values};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use windlass_core::changes::{
    Action, AttributeChange, Changes, OutputChange, Resource, ResourceChange, SENSITIVE, UNKNOWN,
};
use windlass_core::job::Delta;

/// A longer string is cut: a page shows it, and a document carries it.
pub(crate) const STRING_BYTES_MAX: usize = 16 * 1024;

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub changes: Changes,
    pub delta: Delta,
    /// A resource or an output would change.
    pub changed: bool,
    pub tool_version: String,
    /// What would be in the state after the apply.
    pub resources: Vec<Resource>,
    /// Outputs after the apply, as far as they are known before it.
    pub outputs: Values,
}

#[derive(Debug, thiserror::Error)]
#[error("the plan's JSON can't be read")]
pub(crate) struct Unreadable(#[from] serde_json::Error);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Plan {
    terraform_version: String,
    resource_changes: Vec<Resourced>,
    output_changes: Map<String, Value>,
    planned_values: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resourced {
    address: String,
    previous_address: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    provider_name: String,
    deposed: Option<String>,
    change: Change,
    action_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Change {
    actions: Vec<String>,
    before: Value,
    after: Value,
    after_unknown: Value,
    before_sensitive: Value,
    after_sensitive: Value,
    replace_paths: Vec<Vec<Value>>,
    importing: Option<Value>,
}

/// Reads a plan; `masks` holds the job's secrets.
pub(crate) fn read(json: &[u8], masks: &Masks) -> Result<Read, Unreadable> {
    let plan: Plan = serde_json::from_slice(json)?;
    let outputs: Vec<(String, Change)> = plan
        .output_changes
        .into_iter()
        .map(|(name, change)| Ok((name, serde_json::from_value(change)?)))
        .collect::<Result<_, serde_json::Error>>()?;

    let mut marked = BTreeSet::new();
    for change in
        plan.resource_changes.iter().map(|r| &r.change).chain(outputs.iter().map(|o| &o.1))
    {
        collect(&change.before, &change.before_sensitive, &mut marked);
        collect(&change.after, &change.after_sensitive, &mut marked);
    }
    let mut masks = masks.clone();
    masks.add(marked.iter().map(String::as_str));

    let delta = delta(&plan.resource_changes);
    let resources: Vec<ResourceChange> =
        plan.resource_changes.iter().filter(|r| shown(r)).map(|r| resource(r, &masks)).collect();
    let outputs: Vec<OutputChange> = outputs
        .iter()
        .map(|(name, change)| output(name, change, &masks))
        .filter(|output| output.action != Action::NoOp)
        .collect();
    let changed = plan.resource_changes.iter().any(moves) || !outputs.is_empty();
    Ok(Read {
        changes: Changes { resources, outputs },
        delta,
        changed,
        tool_version: plan.terraform_version,
        resources: planned(&plan.planned_values),
        outputs: known_outputs(&plan.planned_values),
    })
}

fn action(actions: &[String]) -> Action {
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    match actions.as_slice() {
        ["create"] => Action::Create,
        ["read"] => Action::Read,
        ["update"] => Action::Update,
        ["delete"] => Action::Delete,
        ["forget"] => Action::Forget,
        ["delete", "create"] => Action::Replace,
        ["create", "delete" | "forget"] => Action::ReplaceCreateFirst,
        _ => Action::NoOp,
    }
}

fn delta(resources: &[Resourced]) -> Delta {
    let mut delta = Delta::default();
    for resource in resources.iter().filter(|r| r.mode == "managed") {
        match action(&resource.change.actions) {
            Action::Create => delta.add += 1,
            Action::Update => delta.change += 1,
            Action::Delete => delta.delete += 1,
            Action::Replace | Action::ReplaceCreateFirst => {
                delta.add += 1;
                delta.delete += 1;
            }
            Action::Read | Action::Forget | Action::NoOp => {}
        }
    }
    delta
}

/// The state or the world differs after the apply.
fn moves(resource: &Resourced) -> bool {
    let quiet = matches!(action(&resource.change.actions), Action::NoOp | Action::Read);
    !quiet || resource.previous_address.is_some() || resource.change.importing.is_some()
}

fn shown(resource: &Resourced) -> bool {
    moves(resource) || action(&resource.change.actions) == Action::Read
}

fn resource(resource: &Resourced, masks: &Masks) -> ResourceChange {
    let Change { before, after, after_unknown, before_sensitive, after_sensitive, .. } =
        &resource.change;
    let mut walk = Walk { forced: &resource.change.replace_paths, masks, found: Vec::new() };
    let node = Node {
        before: present(before),
        after: present(after),
        unknown: after_unknown,
        before_sensitive,
        after_sensitive,
    };
    walk.node(&mut Vec::new(), node);
    let deposed = resource.deposed.as_ref().map(|key| format!(" (deposed {key})"));
    ResourceChange {
        address: format!("{}{}", resource.address, deposed.unwrap_or_default()),
        kind: resource.kind.clone(),
        provider: resource.provider_name.clone(),
        action: action(&resource.change.actions),
        reason: resource.action_reason.clone(),
        previous_address: resource.previous_address.clone(),
        attributes: walk.found,
    }
}

fn output(name: &str, change: &Change, masks: &Masks) -> OutputChange {
    let sensitive = any_true(&change.before_sensitive) || any_true(&change.after_sensitive);
    let unknown = any_true(&change.after_unknown);
    let show = |value: &Value| {
        present(value).map(|value| if sensitive { SENSITIVE.into() } else { clean(value, masks) })
    };
    let after = if unknown && !sensitive { Some(UNKNOWN.into()) } else { show(&change.after) };
    OutputChange {
        name: name.to_owned(),
        action: action(&change.actions),
        before: show(&change.before),
        after,
        sensitive,
    }
}

/// One place of the two values and of their three maps.
#[derive(Clone, Copy)]
struct Node<'a> {
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    unknown: &'a Value,
    before_sensitive: &'a Value,
    after_sensitive: &'a Value,
}

struct Walk<'a> {
    forced: &'a [Vec<Value>],
    masks: &'a Masks,
    found: Vec<AttributeChange>,
}

impl Walk<'_> {
    fn node(&mut self, path: &mut Vec<Value>, node: Node<'_>) {
        let sensitive = is_true(node.before_sensitive) || is_true(node.after_sensitive);
        let unknown = is_true(node.unknown);
        if sensitive || unknown {
            return self.leaf(path, node, sensitive, unknown);
        }
        for key in keys(&node) {
            let step = |value| child(value, &key);
            let inner = Node {
                before: node.before.and_then(|v| at(v, &key)).and_then(present),
                after: node.after.and_then(|v| at(v, &key)).and_then(present),
                unknown: step(node.unknown),
                before_sensitive: step(node.before_sensitive),
                after_sensitive: step(node.after_sensitive),
            };
            path.push(key);
            self.node(path, inner);
            path.pop();
        }
        if !branches(node.before) && !branches(node.after) && !branches(Some(node.unknown)) {
            self.leaf(path, node, false, false);
        }
    }

    fn leaf(&mut self, path: &[Value], node: Node<'_>, sensitive: bool, unknown: bool) {
        if node.before == node.after && !unknown {
            return;
        }
        let show = |value: Option<&Value>| {
            value.map(|value| if sensitive { SENSITIVE.into() } else { clean(value, self.masks) })
        };
        let after = if unknown { Some(UNKNOWN.into()) } else { show(node.after) };
        let forces = |forced: &Vec<Value>| forced.iter().zip(path).all(|(a, b)| a == b);
        self.found.push(AttributeChange {
            path: self.masks.text(&written(path)),
            before: show(node.before),
            after,
            sensitive,
            known_after_apply: unknown,
            forces_replacement: self.forced.iter().any(forces),
        });
    }
}

fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true))
}

fn any_true(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::Array(items) => items.iter().any(any_true),
        Value::Object(items) => items.values().any(any_true),
        _ => false,
    }
}

fn present(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn branches(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(items)) => !items.is_empty(),
        _ => false,
    }
}

fn at<'a>(value: &'a Value, key: &Value) -> Option<&'a Value> {
    match key {
        Value::String(name) => value.get(name),
        Value::Number(index) => value.get(usize::try_from(index.as_u64()?).ok()?),
        _ => None,
    }
}

fn child<'a>(value: &'a Value, key: &Value) -> &'a Value {
    at(value, key).unwrap_or(&Value::Null)
}

/// Everything that lies one step below, by name or by index.
fn keys(node: &Node<'_>) -> Vec<Value> {
    let (mut names, mut length) = (BTreeSet::new(), 0);
    for value in [node.before, node.after, Some(node.unknown)].into_iter().flatten() {
        match value {
            Value::Object(items) => names.extend(items.keys().cloned()),
            Value::Array(items) => length = length.max(items.len()),
            _ => {}
        }
    }
    names.into_iter().map(Value::from).chain((0..length).map(Value::from)).collect()
}

/// `rule[0].port`, `tags["a b"]`.
fn written(path: &[Value]) -> String {
    let mut text = String::new();
    for key in path {
        match key {
            Value::String(name) if plain(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            other => text.push_str(&format!("[{other}]")),
        }
    }
    text
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Every string that a map marks as sensitive.
fn collect(value: &Value, sensitive: &Value, found: &mut BTreeSet<String>) {
    match sensitive {
        Value::Bool(true) => strings(value, found),
        Value::Object(items) => {
            for (name, inner) in items {
                collect(&value[name.as_str()], inner, found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                collect(&value[index], inner, found);
            }
        }
        _ => {}
    }
}

/// Every string in a value.
pub(crate) fn strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(items) => items.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

fn clean(value: &Value, masks: &Masks) -> Value {
    match value {
        Value::String(text) => Value::String(shorten(masks.text(text))),
        Value::Array(items) => items.iter().map(|item| clean(item, masks)).collect(),
        Value::Object(items) => {
            items.iter().map(|(name, item)| (name.clone(), clean(item, masks))).collect()
        }
        other => other.clone(),
    }
}

fn shorten(text: String) -> String {
    if text.len() <= STRING_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(STRING_BYTES_MAX);
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

fn known_outputs(values: &Value) -> Values {
    let all = values["outputs"].as_object().into_iter().flatten();
    let known = all.filter(|(_, output)| output.get("value").is_some());
    let output = |output: &Value| OutputValue {
        value: output["value"].clone(),
        sensitive: output["sensitive"] == true,
    };
    known.map(|(name, it)| (name.clone(), output(it))).collect()
}

/// The managed resources of `planned_values`, with those of its modules.
fn planned(values: &Value) -> Vec<Resource> {
    fn walk(module: &Value, found: &mut Vec<Resource>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for resource in module["resources"].as_array().into_iter().flatten() {
            if resource["mode"] == "managed" {
                found.push(Resource {
                    address: text(&resource["address"]),
                    kind: text(&resource["type"]),
                    name: text(&resource["name"]),
                    provider: text(&resource["provider_name"]),
                    module: module["address"].as_str().map(str::to_owned),
                });
            }
        }
        for inner in module["child_modules"].as_array().into_iter().flatten() {
            walk(inner, found);
        }
    }
    let mut found = Vec::new();
    walk(&values["root_module"], &mut found);
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(plan: Value) -> Read {
        read(plan.to_string().as_bytes(), &Masks::default()).unwrap()
    }

    fn change(actions: &[&str], change: Value) -> Value {
        let mut change = change;
        change["actions"] = json!(actions);
        json!({"resource_changes": [{"address": "a.b", "mode": "managed", "type": "a",
            "provider_name": "p", "change": change}]})
    }

    #[test]
    fn numbers_and_whether_anything_changes() {
        #[rustfmt::skip]
        type Numbers = (u32, u32, u32);
        let table: [(&[&str], Action, Numbers, bool); 9] = [
            (&["no-op"], Action::NoOp, (0, 0, 0), false),
            (&["read"], Action::Read, (0, 0, 0), false),
            (&["create"], Action::Create, (1, 0, 0), true),
            (&["update"], Action::Update, (0, 1, 0), true),
            (&["delete"], Action::Delete, (0, 0, 1), true),
            (&["delete", "create"], Action::Replace, (1, 0, 1), true),
            (&["create", "delete"], Action::ReplaceCreateFirst, (1, 0, 1), true),
            (&["forget"], Action::Forget, (0, 0, 0), true),
            (&["create", "forget"], Action::ReplaceCreateFirst, (1, 0, 1), true),
        ];
        for (actions, expect, (add, change_, delete), changed) in table {
            let read = of(change(actions, json!({})));
            assert_eq!(read.delta, Delta { add, change: change_, delete }, "{actions:?}");
            assert_eq!(read.changed, changed, "{actions:?}");
            let shown = read.changes.resources.first().map(|r| r.action);
            assert_eq!(shown, (expect != Action::NoOp).then_some(expect));
        }
        let moved = json!({"resource_changes": [{"address": "a.c", "previous_address": "a.b",
            "mode": "managed", "change": {"actions": ["no-op"]}}]});
        assert!(of(moved).changed, "a move changes the state");
        let output =
            json!({"output_changes": {"o": {"actions": ["update"], "before": 1, "after": 2}}});
        assert!(of(output).changed, "an output alone is a change");
        let read_only =
            json!({"resource_changes": [{"mode": "data", "change": {"actions": ["read"]}}]});
        assert!(!of(read_only).changed);
    }

    #[test]
    fn attributes_that_differ() {
        #[rustfmt::skip]
        let table = [
            ("equal values are left out",
             json!({"before": {"a": 1, "t": {"x": 1}}, "after": {"a": 2, "t": {"x": 1}}}),
             json!([["a", 1, 2, ""]])),
            ("nested, by name and index",
             json!({"before": {"r": [{"p": 1}]}, "after": {"r": [{"p": 2}, {"p": 3}], "t": {"a b": "x"}}}),
             json!([["r[0].p", 1, 2, ""], ["r[1].p", null, 3, ""], ["t[\"a b\"]", null, "x", ""]])),
            ("null is absent, empty is not",
             json!({"before": {"a": null, "b": []}, "after": {"a": null, "b": null, "c": {}}}),
             json!([["b", [], null, ""], ["c", null, {}, ""]])),
            ("known after apply",
             json!({"before": {"id": "1", "o": "x"}, "after": {"id": "1"}, "after_unknown": {"o": true, "n": true}}),
             json!([["n", null, UNKNOWN, "known later"], ["o", "x", UNKNOWN, "known later"]])),
            ("unknown inside",
             json!({"before": null, "after": {"i": {"k": 1}}, "after_unknown": {"i": {"l": true}}}),
             json!([["i.k", null, 1, ""], ["i.l", null, UNKNOWN, "known later"]])),
            ("sensitive on either side hides both",
             json!({"before": {"p": "old", "q": "same"}, "after": {"p": "new", "q": "same"}, "after_sensitive": {"p": true, "q": true}}),
             json!([["p", SENSITIVE, SENSITIVE, "sensitive"]])),
            ("a sensitive object is one thing",
             json!({"before": null, "after": {"p": {"a": "1"}}, "before_sensitive": false, "after_sensitive": {"p": true}}),
             json!([["p", null, SENSITIVE, "sensitive"]])),
            ("everything sensitive",
             json!({"before": null, "after": {"p": 1}, "after_sensitive": true}),
             json!([["", null, SENSITIVE, "sensitive"]])),
            ("a marked value is hidden where it is not marked",
             json!({"before": null, "after": {"p": "hunter2", "q": "x hunter2 y"}, "after_sensitive": {"p": true}}),
             json!([["p", null, SENSITIVE, "sensitive"], ["q", null, "x *** y", ""]])),
            ("what forces the replacement",
             json!({"before": {"a": {"b": 1}, "c": 1}, "after": {"a": {"b": 2}, "c": 2}, "replace_paths": [["a"]]}),
             json!([["a.b", 1, 2, "forces"], ["c", 1, 2, ""]])),
        ];
        for (name, given, expect) in table {
            let read = of(change(&["update"], given));
            let seen: Vec<Value> = read.changes.resources[0]
                .attributes
                .iter()
                .map(|a| {
                    let mark = match a {
                        AttributeChange { sensitive: true, .. } => "sensitive",
                        AttributeChange { known_after_apply: true, .. } => "known later",
                        AttributeChange { forces_replacement: true, .. } => "forces",
                        _ => "",
                    };
                    json!([a.path, a.before, a.after, mark])
                })
                .collect();
            assert_eq!(Value::from(seen), expect, "{name}");
        }
    }

    #[test]
    fn outputs_and_planned_resources() {
        let read = of(json!({
            "terraform_version": "1.11.4",
            "output_changes": {
                "a": {"actions": ["create"], "before": null, "after": "v", "after_unknown": false},
                "b": {"actions": ["update"], "before": 1, "after_unknown": true},
                "c": {"actions": ["update"], "before": "o", "after": "n", "after_sensitive": true},
                "d": {"actions": ["delete"], "before": "o", "after": null},
                "e": {"actions": ["no-op"], "before": "o", "after": "o"},
            },
            "planned_values": {"root_module": {
                "resources": [
                    {"address": "x.a[0]", "mode": "managed", "type": "x", "name": "a", "provider_name": "p"},
                    {"address": "data.x.a", "mode": "data", "type": "x", "name": "a"}],
                "child_modules": [{"address": "module.m", "resources": [
                    {"address": "module.m.x.b", "mode": "managed", "type": "x", "name": "b", "provider_name": "p"}]}]}},
        }));
        let seen: Vec<Value> = read
            .changes
            .outputs
            .iter()
            .map(|o| json!([o.name, o.action, o.before, o.after, o.sensitive]))
            .collect();
        #[rustfmt::skip]
        assert_eq!(Value::from(seen), json!([
            ["a", "create", null,      "v",       false],
            ["b", "update", 1,         UNKNOWN,   false],
            ["c", "update", SENSITIVE, SENSITIVE, true],
            ["d", "delete", "o",       null,      false],
        ]));
        let resources: Vec<_> =
            read.resources.iter().map(|r| (r.address.as_str(), r.module.as_deref())).collect();
        assert_eq!(resources, [("module.m.x.b", Some("module.m")), ("x.a[0]", None)]);
        assert!(read.changed && read.tool_version == "1.11.4");
    }

    #[test]
    fn secrets_and_long_strings_and_rubbish() {
        let mut masks = Masks::default();
        masks.add(["hunter2"]);
        let long = "é".repeat(STRING_BYTES_MAX);
        let plan = change(&["create"], json!({"after": {"a": "my hunter2", "b": long}}));
        let read_plan = read(plan.to_string().as_bytes(), &masks).unwrap();
        let attributes = &read_plan.changes.resources[0].attributes;
        assert_eq!(attributes[0].after, Some("my ***".into()));
        let cut = attributes[1].after.as_ref().unwrap().as_str().unwrap();
        assert!(cut.len() < STRING_BYTES_MAX + 40 && cut.ends_with("(32768 bytes in all)"));
        assert!(read(b"Error: no plan", &masks).is_err());
    }
}
