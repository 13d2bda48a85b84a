//! What new definitions would change: the plan of an administrative run.
//!
//! Additions and changes apply by themselves. A stack with state that would go waits for a
//! person; a protected one, or one that others wait for, does not go at all.
use crate::model::{Definitions, World};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::changes::{Action, AttributeChange, Changes, ResourceChange};
use windlass_core::definition::{EnvValue, OnDelete, Reference, StackDef};
use windlass_core::id::StackId;
use windlass_core::time::{MINUTE_MS, SECOND_MS};

const STACK: &str = "windlass_stack";
const SPACE: &str = "windlass_space";
const POOL: &str = "windlass_worker_pool";
const VALUE_SHOWN_MAX: usize = 80;

/// Stacks in the order of their slugs; spaces and pools as they appear in a plan. Contexts are
/// part of the stacks that have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DefinitionsDiff {
    pub added: Vec<StackDef>,
    pub changed: Vec<StackChange>,
    pub removed: Vec<StackDef>,
    pub others: Vec<ResourceChange>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackChange {
    pub before: StackDef,
    pub after: StackDef,
    /// What differs, by path: `branch`, `env.TF_VAR_size.value`.
    pub fields: Vec<AttributeChange>,
}

/// What applying `after` over `before` would do.
#[must_use]
pub fn diff(before: &Definitions, after: &Definitions) -> DefinitionsDiff {
    let old: BTreeMap<&StackId, &StackDef> =
        before.stacks.iter().map(|stack| (&stack.slug, stack)).collect();
    let new: BTreeMap<&StackId, &StackDef> =
        after.stacks.iter().map(|stack| (&stack.slug, stack)).collect();
    let mut diff = DefinitionsDiff::default();
    for (slug, stack) in &new {
        match old.get(slug) {
            None => diff.added.push((*stack).clone()),
            Some(was) if was != stack => diff.changed.push(StackChange {
                before: (*was).clone(),
                after: (*stack).clone(),
                fields: stack_differences(was, stack),
            }),
            Some(_) => {}
        }
    }
    diff.removed = old
        .into_iter()
        .filter(|(slug, _)| !new.contains_key(slug))
        .map(|(_, s)| s.clone())
        .collect();
    let spaces = |definitions: &Definitions| -> Objects {
        definitions.spaces.iter().map(|one| (one.slug.0.clone(), object(one))).collect()
    };
    let pools = |definitions: &Definitions| -> Objects {
        definitions.worker_pools.iter().map(|one| (one.slug.0.clone(), object(one))).collect()
    };
    diff.others.extend(plain_changes(SPACE, &spaces(before), &spaces(after)));
    diff.others.extend(plain_changes(POOL, &pools(before), &pools(after)));
    diff
}

/// One sentence for each stack whose removal a person must confirm, because it has state.
#[must_use]
pub fn needs_person(diff: &DefinitionsDiff, has_state: &BTreeSet<StackId>) -> Vec<String> {
    let with_state = diff.removed.iter().filter(|stack| has_state.contains(&stack.slug));
    with_state
        .map(|stack| match stack.on_delete {
            OnDelete::Keep => format!(
                "stack `{0}` would go; its resources stay and nobody would manage them",
                stack.slug
            ),
            OnDelete::Destroy => {
                format!("stack `{}` would go, and all its resources be destroyed", stack.slug)
            }
        })
        .collect()
}

/// One sentence for each removal that must not happen; with any, nothing is applied.
#[must_use]
pub fn refused(diff: &DefinitionsDiff, world: &World) -> Vec<String> {
    let removed: BTreeSet<&StackId> = diff.removed.iter().map(|stack| &stack.slug).collect();
    let protected = diff.removed.iter().filter(|stack| stack.protect_from_deletion).map(|stack| {
        format!(
            "stack `{}` is protected from deletion: first commit `protect_from_deletion: false`",
            stack.slug
        )
    });
    let waited_for = world.stacks.iter().flat_map(|(slug, other)| {
        other.depends_on.iter().filter(|parent| removed.contains(parent)).map(move |parent| {
            let owner = &other.repository;
            format!("stack `{slug}` of repository `{owner}` depends on `{parent}`")
        })
    });
    protected.chain(waited_for).collect()
}

impl DefinitionsDiff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.others.is_empty()
    }

    /// As the console shows any plan.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let added = self.added.iter().map(|stack| {
            let fields = differences(None, Some(&view(stack)));
            change(STACK, stack.slug.as_str(), Action::Create, fields)
        });
        let changed = self.changed.iter().map(|stack| {
            change(STACK, stack.after.slug.as_str(), Action::Update, stack.fields.clone())
        });
        let removed = self.removed.iter().map(|stack| {
            let fields = differences(Some(&view(stack)), None);
            change(STACK, stack.slug.as_str(), Action::Delete, fields)
        });
        let mut resources: Vec<ResourceChange> =
            self.others.iter().cloned().chain(added).chain(changed).chain(removed).collect();
        resources.sort_by(|a, b| (&a.kind, &a.address).cmp(&(&b.kind, &b.address)));
        Changes { resources, outputs: Vec::new() }
    }

    /// As the log of the administrative run shows it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["No changes: the definitions are as this commit has them.".to_owned()];
        }
        let mut lines = Vec::new();
        let (mut add, mut alter, mut remove) = (0_usize, 0_usize, 0_usize);
        for resource in self.changes().resources {
            let sign = match resource.action {
                Action::Create => '+',
                Action::Delete => '-',
                _ => '~',
            };
            *match sign {
                '+' => &mut add,
                '-' => &mut remove,
                _ => &mut alter,
            } += 1;
            lines.push(format!("  {sign} {}", resource.address));
            if resource.action != Action::Delete {
                lines.extend(resource.attributes.iter().map(attribute_line));
            }
        }
        lines.push(String::new());
        lines.push(format!("Plan: {add} to add, {alter} to change, {remove} to remove."));
        lines
    }
}

fn attribute_line(attribute: &AttributeChange) -> String {
    let path = &attribute.path;
    match (&attribute.before, &attribute.after) {
        (Some(before), Some(after)) => {
            format!("      {path}: {} → {}", short(before), short(after))
        }
        (Some(before), None) => format!("      {path}: {} → (none)", short(before)),
        (None, Some(after)) => format!("      {path}: {}", short(after)),
        (None, None) => format!("      {path}"),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

type Objects = BTreeMap<String, Value>;

fn plain_changes(kind: &str, before: &Objects, after: &Objects) -> Vec<ResourceChange> {
    let slugs: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    slugs
        .into_iter()
        .filter_map(|slug| {
            let (old, new) = (before.get(slug), after.get(slug));
            let action = match (old, new) {
                (None, _) => Action::Create,
                (_, None) => Action::Delete,
                (Some(old), Some(new)) if old != new => Action::Update,
                _ => return None,
            };
            Some(change(kind, slug, action, differences(old, new)))
        })
        .collect()
}

fn change(
    kind: &str,
    slug: &str,
    action: Action,
    attributes: Vec<AttributeChange>,
) -> ResourceChange {
    ResourceChange {
        address: format!("{kind}.{slug}"),
        kind: kind.to_owned(),
        provider: "windlass".to_owned(),
        action,
        reason: None,
        previous_address: None,
        attributes,
    }
}

fn object(value: &impl Serialize) -> Value {
    // The model has only text keys, so there is nothing that could fail.
    serde_json::to_value(value).unwrap_or_default()
}

/// A stack as a person reads it: variables, files and edges by name, durations in words.
fn view(stack: &StackDef) -> Value {
    let env = stack.env.iter().map(|variable| {
        let value = match &variable.value {
            EnvValue::Value(text) => json!(text),
            EnvValue::Secret(name) => json!(format!("(secret {name})")),
        };
        (variable.name.clone(), value)
    });
    let files = stack.files.iter().map(|mount| (mount.path.clone(), json!(mount.source)));
    let edges = stack.depends_on.iter().map(|edge| {
        let references: Vec<String> = edge.references.iter().map(reference).collect();
        let value = if references.is_empty() { json!("always") } else { json!(references) };
        (edge.stack.0.clone(), value)
    });
    let (run, silence) = (stack.timeouts.run_ms, stack.timeouts.silence_ms);
    let mut value = object(stack);
    value["timeouts"] = json!({ "run": duration(run), "silence": duration(silence) });
    value["env"] = Value::Object(env.collect());
    value["files"] = Value::Object(files.collect());
    value["depends_on"] = Value::Object(edges.collect());
    value
}

fn reference(reference: &Reference) -> String {
    let always = if reference.trigger_always { ", always" } else { "" };
    format!("{} → {}{always}", reference.output, reference.input)
}

fn stack_differences(before: &StackDef, after: &StackDef) -> Vec<AttributeChange> {
    let mut found = differences(Some(&view(before)), Some(&view(after)));
    if found.is_empty() && before.env != after.env {
        // Only the order differs; of `X` and `ro_X` it decides which one counts.
        let value = |stack: &StackDef| Some(object(&stack.env));
        found.push(attribute("env", value(before), value(after)));
    }
    found
}

fn duration(ms: u64) -> String {
    let seconds = ms / SECOND_MS;
    if ms >= MINUTE_MS && seconds.is_multiple_of(60) {
        return format!("{}m", seconds / 60);
    }
    format!("{seconds}s")
}

/// What differs between two objects, by path. What is empty or false counts as absent where the
/// whole object comes or goes, so that a new stack shows only what it says.
fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<AttributeChange> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    for (value, paths) in [(before, &mut old), (after, &mut new)] {
        if let Some(Value::Object(fields)) = value {
            flatten("", fields, paths);
        }
    }
    let whole = before.is_none() || after.is_none();
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter(|path| *path != "slug" && old.get(*path) != new.get(*path))
        .map(|path| (path, old.get(path).cloned(), new.get(path).cloned()))
        .filter(|(_, was, is)| !whole || ![was, is].into_iter().flatten().all(is_nothing))
        .map(|(path, before, after)| attribute(path, before, after))
        .collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn attribute(path: &str, before: Option<Value>, after: Option<Value>) -> AttributeChange {
    AttributeChange {
        path: path.to_owned(),
        before,
        after,
        sensitive: false,
        known_after_apply: false,
        forces_replacement: false,
    }
}

fn flatten(prefix: &str, fields: &Map<String, Value>, paths: &mut BTreeMap<String, Value>) {
    for (key, value) in fields {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Null => {}
            Value::Object(inner) => flatten(&path, inner, paths),
            _ => {
                paths.insert(path, value.clone());
            }
        }
    }
}
