//! What a run's plan would change, by pages that fit an answer.
use super::runs::fresh;
use super::size::{cost, prefix};
use super::stacks::read_json;
use super::{App, Error};
use crate::auth::Who;
use crate::v1::{AttributeView, ChangesView, OutputChangeView, ResourceChangeView};
use serde_json::Value;
use windlass_core::changes::{Action, AttributeChange, Changes, OutputChange, ResourceChange};

/// A longer value is cut.
const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Attributes of one resource.
const ATTRIBUTES_MAX: usize = 200;
const RESOURCES_PER_PAGE: usize = 200;
/// What a page needs around one attribute, and around one resource.
const AROUND_ATTRIBUTE: usize = 400;
const AROUND_RESOURCE: usize = 800;

/// From the resource after `after` (a number of resources) on; what comes to at most `room` bytes.
pub(crate) async fn changes(
    app: &App,
    who: &Who,
    id: &str,
    after: Option<&str>,
    room: usize,
) -> Result<ChangesView, Error> {
    let (run, _) = fresh(app, who, id).await?;
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
    let mut room = Room(room);
    let outputs = if from == 0 { outputs(all.outputs, &mut room) } else { Vec::new() };
    let mut resources: Vec<ResourceChangeView> = Vec::new();
    for change in all.resources.into_iter().skip(from).take(RESOURCES_PER_PAGE) {
        let mut left = Room(room.0);
        let view = resource(change, &mut left);
        // What would have to be cut for want of room is whole on the next page.
        if left.0 == 0 && !resources.is_empty() {
            break;
        }
        room = left;
        resources.push(view);
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

/// What is left of an answer.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// The value, or as much of it as fits, which then says so.
    fn cut(&mut self, value: Value) -> Value {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => {
                serde_json::to_string_pretty(&value).unwrap_or_default()
            }
            _ => return value,
        };
        let most = text.len().min(VALUE_BYTES_MAX);
        let fits = prefix(text.as_bytes(), self.0).min(most);
        if fits == text.len() {
            self.take(cost(&text));
            return value;
        }
        let shown = text.get(..text.floor_char_boundary(fits)).unwrap_or_default();
        self.take(cost(shown));
        Value::String(format!("{shown}… ({} bytes in all)", text.len()))
    }
}

fn resource(change: ResourceChange, room: &mut Room) -> ResourceChangeView {
    room.take(AROUND_RESOURCE + 2 * cost(&change.address));
    let (mut shown, mut left_out) = (Vec::new(), 0);
    for change in change.attributes {
        if shown.len() >= ATTRIBUTES_MAX || room.0 == 0 {
            left_out += 1;
        } else {
            shown.push(attribute(change, room));
        }
    }
    ResourceChangeView {
        address: change.address,
        kind: change.kind,
        provider: change.provider,
        action: change.action,
        reason: change.reason,
        previous_address: change.previous_address,
        attributes: shown,
        attributes_left_out: left_out,
    }
}

fn attribute(change: AttributeChange, room: &mut Room) -> AttributeView {
    room.take(AROUND_ATTRIBUTE + cost(&change.path));
    AttributeView {
        path: change.path,
        before: change.before.map(|value| room.cut(value)),
        after: change.after.map(|value| room.cut(value)),
        sensitive: change.sensitive,
        known_after_apply: change.known_after_apply,
        forces_replacement: change.forces_replacement,
    }
}

/// At most half of the room: resources are what people came for.
fn outputs(changes: Vec<OutputChange>, room: &mut Room) -> Vec<OutputChangeView> {
    let half = room.0 / 2;
    let shown = changes.into_iter().map_while(|change| {
        (room.0 > half).then(|| {
            room.take(AROUND_ATTRIBUTE + cost(&change.name));
            OutputChangeView {
                name: change.name,
                action: change.action,
                before: change.before.map(|value| room.cut(value)),
                after: change.after.map(|value| room.cut(value)),
                sensitive: change.sensitive,
            }
        })
    });
    shown.collect()
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
            ("what grows costs more",json!("a<"),     100,     json!("a<"),      93),
        ];
        for (name, value, room, expect, left) in table {
            let mut room = Room(room);
            assert_eq!(room.cut(value), expect, "{name}");
            assert_eq!(room.0, left, "{name}");
        }
    }
}
