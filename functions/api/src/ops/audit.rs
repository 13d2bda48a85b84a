//! The audit trail: who asked for what, and what became of it.
use super::list::{AT_ONCE, load_many, newest};
use super::sight::Sight;
use super::{App, Error, event_id};
use crate::auth::{Who, Writer};
use crate::v1::{AuditList, AuditView};
use serde::Deserialize;
use std::future::Future;
use windlass_core::audit::AuditEntry;
use windlass_core::id::{EventId, StackId};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Docs, Fault, cas};

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;
/// Somebody of whose stacks it tells little gets what was found among so many, and a cursor.
const LOOKED_AT_MAX: usize = 1_000;

/// Writes down what is about to be done without an actor's decision, and then does it: nothing is
/// done that the trail does not tell of. `act` says why it changed nothing, if so; then, and when it
/// fails, a second line tells that.
pub(crate) async fn tell(
    docs: &dyn Docs,
    entry: AuditEntry,
    act: impl Future<Output = Result<Option<String>, Error>>,
) -> Result<Option<String>, Error> {
    record(docs, &entry).await?;
    let outcome = act.await;
    let why = match &outcome {
        Ok(None) => return outcome,
        Ok(Some(why)) => why.clone(),
        Err(error) => error.to_string(),
    };
    let target = entry.note.as_deref().unwrap_or_default();
    let note = Some(format!("{target}: nothing is known to have changed: {why}"));
    let id = EventId(format!("{}-after", entry.id.0));
    // The first line stands; this one only says more.
    if let Err(fault) = record(docs, &AuditEntry { id, note, ..entry }).await {
        tracing::warn!(error = fault.chain(), "the trail does not say that this came to nothing");
    }
    outcome
}

pub(super) async fn record(docs: &dyn Docs, entry: &AuditEntry) -> Result<(), Fault> {
    let key = keys::audit(entry.at, &entry.id);
    cas::create(docs, &key, &entry.id.0, entry).await?;
    Ok(())
}

/// Writes down that somebody read what holds secrets.
pub(super) async fn record_read(
    app: &App,
    by: &Writer,
    stack: &StackId,
    action: &str,
) -> Result<(), Error> {
    let entry = AuditEntry {
        stack: Some(stack.clone()),
        ..entry(app, event_id()?, by.actor(), action, None)
    };
    Ok(record(&*app.deps.docs, &entry).await?)
}

/// An entry about no stack; the note names its target.
pub(super) fn entry(
    app: &App,
    id: EventId,
    actor: &str,
    action: &str,
    note: Option<String>,
) -> AuditEntry {
    AuditEntry {
        id,
        at: app.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        stack: None,
        run: None,
        from: None,
        to: None,
        note,
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

/// Newest first. What is about no stack is for those who may see everything.
pub(crate) async fn audit_list(
    app: &App,
    who: &Who,
    query: &AuditQuery,
) -> Result<AuditList, Error> {
    let sight = Sight::of(app, who).await?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let before = query.after.as_ref().map(|name| format!("{}{name}", keys::AUDIT));
    let key_at = |at: UnixMs| keys::audit(at, &EventId::default());
    let docs = &*app.deps.docs;
    let look_at = if sight.is_everything() { limit + 1 } else { LOOKED_AT_MAX };
    let found = newest(docs, keys::AUDIT, before.as_deref(), look_at, app.now(), key_at).await?;
    let looked_at_all = found.len() < look_at;
    let (mut entries, mut last, mut more) = (Vec::new(), None, false);
    'pages: for keys in found.chunks(limit.min(AT_ONCE)) {
        let page = load_many::<AuditEntry>(docs, keys).await?;
        for (key, entry) in keys.iter().zip(page) {
            if entries.len() == limit {
                more = true;
                break 'pages;
            }
            last = Some(key);
            let Some(entry) = entry else { continue };
            let of_theirs = |stack: &StackId| sight.sees(stack);
            if sight.is_everything() || entry.value.stack.as_ref().is_some_and(of_theirs) {
                entries.push(audit_view(entry.value));
            }
        }
    }
    let next = last.filter(|_| more || !looked_at_all);
    let next = next.and_then(|key| key.strip_prefix(keys::AUDIT)).map(str::to_owned);
    Ok(AuditList { entries, next })
}

fn audit_view(entry: AuditEntry) -> AuditView {
    AuditView {
        id: entry.id.0,
        at: entry.at.rfc3339(),
        actor: entry.actor,
        action: entry.action,
        stack: entry.stack.map(|stack| stack.0),
        run: entry.run.map(|run| run.0),
        from: entry.from,
        to: entry.to,
        note: entry.note,
    }
}
