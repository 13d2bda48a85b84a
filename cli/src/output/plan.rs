//! A plan in words: what it adds, changes and deletes, resource by resource.
use super::{Look, plain, span};
use crate::term::Tone;
use api::v1::{AttributeView, ChangesView, ResourceChangeView, RunDetail};
use serde_json::Value;
use windlass_core::changes::Action;

/// More lines than this hide what matters; the rest is counted.
const RESOURCES_SHOWN_MAX: usize = 50;
const ATTRIBUTES_SHOWN_MAX: usize = 12;
const VALUE_CHARS_MAX: usize = 80;

/// What somebody is asked to confirm.
#[must_use]
pub(crate) fn plan(detail: &RunDetail, changes: &ChangesView, look: &Look) -> String {
    let run = &detail.run;
    let title = format!("{} at {}", run.stack, super::short_sha(&run.commit.sha));
    let mut lines = vec![look.strong(&title)];
    for change in changes.resources.iter().take(RESOURCES_SHOWN_MAX) {
        lines.extend(resource(change, look));
    }
    let shown = changes.resources.len().min(RESOURCES_SHOWN_MAX) as u64;
    if shown < changes.total {
        lines.push(look.quiet(&format!("… and {} more resources", changes.total - shown)));
    }
    for output in &changes.outputs {
        let (sign, tone) = sign(output.action);
        let line = format!("{sign} output {}", output.name);
        lines.push(look.style.paint(tone, &line));
    }
    let warnings = detail.warnings.iter();
    lines.extend(warnings.map(|w| look.style.paint(Tone::Waits, &format!("! {}", plain(w)))));
    let delta = changes.delta.or(run.delta).unwrap_or_default();
    let age = super::ago(&run.since, look.now);
    let (add, change, delete) = (delta.add, delta.change, delta.delete);
    let sum = format!("{add} to add, {change} to change, {delete} to delete; planned {age}");
    lines.push(if detail.tool_ms > 0 { format!("{sum} in {}", span(detail.tool_ms)) } else { sum });
    lines.join("\n")
}

fn sign(action: Action) -> (&'static str, Tone) {
    match action {
        Action::Create => ("+", Tone::Good),
        Action::Update => ("~", Tone::Waits),
        Action::Delete => ("-", Tone::Bad),
        Action::Replace | Action::ReplaceCreateFirst => ("±", Tone::Bad),
        Action::Forget => ("×", Tone::Waits),
        Action::Read | Action::NoOp => (" ", Tone::Quiet),
    }
}

fn resource(change: &ResourceChangeView, look: &Look) -> Vec<String> {
    let (sign, tone) = sign(change.action);
    let reason = change.reason.as_deref().map(|r| format!("  ({})", r.replace('_', " ")));
    let title = format!("{sign} {}", change.address);
    let mut lines =
        vec![format!("{}{}", look.style.paint(tone, &title), reason.unwrap_or_default())];
    let differs = [Action::Update, Action::Replace, Action::ReplaceCreateFirst];
    if differs.contains(&change.action) {
        let shown = change.attributes.iter().take(ATTRIBUTES_SHOWN_MAX);
        lines.extend(shown.map(|one| format!("    {}", attribute(one, look))));
        let hidden = change.attributes.len().saturating_sub(ATTRIBUTES_SHOWN_MAX) as u64
            + change.attributes_left_out;
        if hidden > 0 {
            lines.push(look.quiet(&format!("    … and {hidden} more attributes")));
        }
    }
    lines
}

fn attribute(one: &AttributeView, look: &Look) -> String {
    let after = match (one.sensitive, one.known_after_apply) {
        (true, _) => "(sensitive)".to_owned(),
        (_, true) => "(known after apply)".to_owned(),
        _ => value(one.after.as_ref()),
    };
    let before = if one.sensitive { "(sensitive)".to_owned() } else { value(one.before.as_ref()) };
    let forces = if one.forces_replacement {
        look.style.paint(Tone::Bad, "  forces replacement")
    } else {
        String::new()
    };
    format!("{}: {before} → {after}{forces}", one.path)
}

fn value(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "(none)".to_owned(), Value::to_string);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
