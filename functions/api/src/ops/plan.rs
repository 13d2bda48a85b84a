//! What a run's plan would change, by pages that fit an answer.
use super::runs::fresh;
use super::stacks::read_json;
use super::{App, Error};
use crate::v1::{AttributeView, ChangesView, OutputChangeView, ResourceChangeView};
use serde_json::Value;
use windlass_core::changes::{Action, AttributeChange, Changes, OutputChange, ResourceChange};

/// A longer value is cut.
const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Attributes of one resource.
const ATTRIBUTES_MAX: usize = 200;
/// Values of one page together.
const PAGE_BYTES: usize = 400 * 1024;
const RESOURCES_PER_PAGE: usize = 200;

/// From the resource after `after` (a number of resources) on.
pub(crate) async fn changes(
    app: &App,
    id: &str,
    after: Option<&str>,
) -> Result<ChangesView, Error> {
    let (run, _) = fresh(app, id).await?;
    let from = match after {
        None => 0,
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Error::Invalid("after is not a cursor of these changes".to_owned()))?,
    };
    let stored: Option<Changes> = match &run.changes_key {
        Some(key) => read_json(app, key).await?,
        None => None,
    };
    let mut all = stored.unwrap_or_default();
    all.resources.retain(|change| change.action != Action::NoOp);
    all.outputs.retain(|change| change.action != Action::NoOp);
    let total = all.resources.len();
    let mut room = PAGE_BYTES;
    let outputs: Vec<OutputChangeView> = match from {
        0 => all.outputs.into_iter().map(|change| output(change, &mut room)).collect(),
        _ => Vec::new(),
    };
    let mut resources = Vec::new();
    for change in all.resources.into_iter().skip(from).take(RESOURCES_PER_PAGE) {
        if room == 0 && !resources.is_empty() {
            break;
        }
        resources.push(resource(change, &mut room));
    }
    let shown = from + resources.len();
    Ok(ChangesView {
        run: run.id().0.clone(),
        delta: run.delta,
        total: total as u64,
        next: (shown < total).then(|| shown.to_string()),
        resources,
        outputs,
    })
}

fn resource(change: ResourceChange, room: &mut usize) -> ResourceChangeView {
    let left_out = change.attributes.len().saturating_sub(ATTRIBUTES_MAX);
    let shown = change.attributes.into_iter().take(ATTRIBUTES_MAX);
    ResourceChangeView {
        address: change.address,
        kind: change.kind,
        provider: change.provider,
        action: change.action,
        reason: change.reason,
        previous_address: change.previous_address,
        attributes: shown.map(|change| attribute(change, room)).collect(),
        attributes_left_out: left_out as u64,
    }
}

fn attribute(change: AttributeChange, room: &mut usize) -> AttributeView {
    AttributeView {
        path: change.path,
        before: change.before.map(|value| cut(value, room)),
        after: change.after.map(|value| cut(value, room)),
        sensitive: change.sensitive,
        known_after_apply: change.known_after_apply,
        forces_replacement: change.forces_replacement,
    }
}

fn output(change: OutputChange, room: &mut usize) -> OutputChangeView {
    OutputChangeView {
        name: change.name,
        action: change.action,
        before: change.before.map(|value| cut(value, room)),
        after: change.after.map(|value| cut(value, room)),
        sensitive: change.sensitive,
    }
}

/// The value, or as much of it as fits, which then says so.
fn cut(value: Value, room: &mut usize) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value,
    };
    let most = VALUE_BYTES_MAX.min(*room);
    if text.len() <= most {
        *room -= text.len();
        return value;
    }
    let end = text.floor_char_boundary(most);
    *room -= end;
    let shown = text.get(..end).unwrap_or_default();
    Value::String(format!("{shown}… ({} bytes in all)", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_values_are_cut_and_say_so() {
        let long = "ü".repeat(3_000);
        let shown = format!("{}… (6000 bytes in all)", "ü".repeat(2_048));
        #[rustfmt::skip]
        let table = [
            // name                  value            room     expect            left
            ("short",                json!("ab"),     1_000,   json!("ab"),      998),
            ("a number is free",     json!(5),        0,       json!(5),         0),
            ("cut at a character",   json!(long),     100_000, json!(shown),     100_000 - 4_096),
            ("no room",              json!("abc"),    2,       json!("ab… (3 bytes in all)"), 0),
            ("objects count too",    json!({"a": 1}), 1_000,   json!({"a": 1}),  993),
        ];
        for (name, value, mut room, expect, left) in table {
            assert_eq!(cut(value, &mut room), expect, "{name}");
            assert_eq!(room, left, "{name}");
        }
    }
}
