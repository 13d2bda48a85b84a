//! The smaller listings: workers, the audit trail, secrets' names; and how ids are shortened.
use super::{Grid, Look, Word, ago, plain, span};
use crate::term::Tone;
use api::v1::{AuditList, KeyList, QuarantineDetail, QuarantineList, SecretList, WorkerList};

/// The end of a run's id: the part that tells it from others. The commands take it as it is.
#[must_use]
pub(crate) fn short_run(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// A commit's first eight digits.
#[must_use]
pub(crate) fn short_sha(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

#[must_use]
pub(crate) fn worker_list(list: &WorkerList, look: &Look) -> String {
    if list.workers.is_empty() {
        return "No worker is registered; `windlass up` starts two.".to_owned();
    }
    let mut grid = Grid::new(&["WORKER", "POOL", "STATE", "RUNS", "SEEN", "PID", "MARKED BY"]);
    for worker in &list.workers {
        let tone = match worker.state.as_str() {
            "busy" => Tone::Busy,
            "draining" | "drained" => Tone::Waits,
            "silent" => Tone::Bad,
            _ => Tone::Good,
        };
        let runs = worker.slots.iter().filter_map(|slot| slot.run.as_deref()).map(short_run);
        grid.row(vec![
            worker.id.as_str().into(),
            worker.pool.as_str().into(),
            Word::toned(tone, &worker.state),
            runs.collect::<Vec<_>>().join(" ").into(),
            Word::quiet(format!("{} ago", span(worker.seen_ms_ago))),
            worker.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            worker.draining_by.clone().unwrap_or_default().into(),
        ]);
    }
    grid.render(look)
}

#[must_use]
pub(crate) fn audit_list(list: &AuditList, look: &Look) -> String {
    if list.entries.is_empty() {
        return "Nothing has been asked of this server yet.".to_owned();
    }
    let mut grid = Grid::new(&["WHEN", "WHO", "DID", "STACK", "RUN", "FROM", "TO", "NOTE"]);
    for entry in &list.entries {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        grid.row(vec![
            Word::quiet(ago(&entry.at, look.now)),
            entry.actor.as_str().into(),
            entry.action.as_str().into(),
            text(&entry.stack).into(),
            entry.run.as_deref().map(short_run).unwrap_or_default().into(),
            text(&entry.from).into(),
            text(&entry.to).into(),
            Word::quiet(text(&entry.note)),
        ]);
    }
    let mut shown = grid.render(look);
    if list.next.is_some() {
        shown.push_str(&look.quiet("\nOlder entries exist: --limit shows more."));
    }
    shown
}

#[must_use]
pub(crate) fn secret_list(list: &SecretList, _: &Look) -> String {
    if list.secrets.is_empty() {
        return "No secret is stored; `windlass secret set NAME` stores one.".to_owned();
    }
    list.secrets.join("\n")
}
#[must_use]
pub(crate) fn key_list(list: &KeyList, look: &Look) -> String {
    if list.keys.is_empty() {
        return "There is no API key; `windlass key create NAME --role ROLE` makes one.".to_owned();
    }
    let mut grid = Grid::new(&["ID", "NAME", "ROLE", "SPACE", "MADE", "BY", "USED", "STATE"]);
    for key in &list.keys {
        let used = key.last_used.as_ref().map(|at| ago(at, look.now));
        let state = key.revoked_by.as_ref().map(|by| format!("revoked by {by}"));
        grid.row(vec![
            key.id.as_str().into(),
            key.name.as_str().into(),
            key.role.as_str().into(),
            key.space.as_str().into(),
            Word::quiet(ago(&key.created_at, look.now)),
            key.created_by.as_str().into(),
            Word::quiet(used.unwrap_or_else(|| "never".to_owned())),
            state.unwrap_or_default().into(),
        ]);
    }
    grid.render(look)
}

#[must_use]
pub(crate) fn quarantine_list(list: &QuarantineList, look: &Look) -> String {
    if list.messages.is_empty() {
        return "Nothing is set aside: every message could be handled.".to_owned();
    }
    let mut grid = Grid::new(&["ID", "WHEN", "QUEUE", "REASON"]);
    for message in &list.messages {
        grid.row(vec![
            message.id.as_str().into(),
            Word::quiet(ago(&message.at, look.now)),
            message.queue.as_str().into(),
            message.reason.as_str().into(),
        ]);
    }
    let mut shown = grid.render(look);
    if list.next.is_some() {
        shown.push_str(&look.quiet("\nMore exist: --limit shows more."));
    }
    shown
}

/// What it says may hold anything: controls are not for a terminal.
#[must_use]
pub(crate) fn quarantined(found: &QuarantineDetail, look: &Look) -> String {
    let message = &found.message;
    let group = found.group.as_deref().map(|group| format!(", of {}", plain(group)));
    let left_out = found.bytes.saturating_sub(found.body.len() as u64);
    let rest = match left_out {
        0 => String::new(),
        n => look.quiet(&format!("\nand {n} bytes more")),
    };
    format!(
        "{} from {}{}, set aside {}\n{}\n\n{}{rest}\n",
        look.strong(&message.id),
        plain(&message.queue),
        group.unwrap_or_default(),
        ago(&message.at, look.now),
        plain(&message.reason),
        plain(&found.body),
    )
}
