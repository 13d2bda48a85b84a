//! Messages that can't be handled: looked at, put back on their queue, or dropped. They are the
//! installation's, and what they say may be of any space.
use super::audit::{entry, tell};
use super::list::load_many;
use super::size::prefix;
use super::{App, Error, event_id};
use crate::auth::{Admin, Who};
use crate::v1::{Asked, QuarantineDetail, QuarantineList, QuarantineView};
use serde::Deserialize;
use std::future::Future;
use windlass_core::id::EventId;
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::cas::Loaded;
use windlass_ports::docs::{LIST_MAX, PutError};
use windlass_ports::{Outgoing, cas};

const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;
const BODY_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QuarantineQuery {
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

/// As it was set aside.
#[derive(Clone, Deserialize)]
struct SetAside {
    queue: String,
    #[serde(default)]
    group: Option<String>,
    body: String,
    reason: String,
    at: UnixMs,
}

fn view(id: &str, message: &SetAside) -> QuarantineView {
    QuarantineView {
        id: id.to_owned(),
        queue: message.queue.clone(),
        at: message.at.rfc3339(),
        reason: message.reason.clone(),
    }
}

/// A page of them, by id: with thousands, only a page is read.
pub(crate) async fn quarantine(
    app: &App,
    who: &Who,
    query: &QuarantineQuery,
) -> Result<QuarantineList, Error> {
    who.reader_of_all()?;
    let (docs, all) = (&*app.deps.docs, keys::quarantine(""));
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let after = query.after.as_ref().map(|id| keys::quarantine(id));
    let listed = docs.list(&all, after.as_deref(), (limit + 1).min(LIST_MAX)).await?;
    let id_of = |key: &str| key.get(all.len()..).unwrap_or_default().to_owned();
    let page: Vec<String> = listed.iter().take(limit).map(|listed| listed.key.clone()).collect();
    let found = load_many::<SetAside>(docs, &page).await?;
    // Gone between the list and the read: somebody dealt with it.
    let found = page.iter().zip(found).filter_map(|(key, found)| Some((key, found?)));
    let mut messages: Vec<_> = found.map(|(key, found)| view(&id_of(key), &found.value)).collect();
    let last = listed.get(limit).and_then(|_| listed.get(limit - 1));
    messages.sort_by(|a, b| b.at.cmp(&a.at));
    Ok(QuarantineList { messages, next: last.map(|last| id_of(&last.key)) })
}

async fn find(app: &App, id: &str) -> Result<Loaded<SetAside>, Error> {
    let unknown = || {
        let shown: String = id.chars().take(80).collect();
        Error::NotFound(format!("there is no message {shown} in quarantine"))
    };
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if id.is_empty() || id.len() > 200 || !id.bytes().all(usual) {
        return Err(unknown());
    }
    let found = cas::load::<SetAside>(&*app.deps.docs, &keys::quarantine(id)).await?;
    found.ok_or_else(unknown)
}

/// What it says may hold anything, so only an admin reads it.
pub(crate) async fn quarantined(app: &App, who: &Who, id: &str) -> Result<QuarantineDetail, Error> {
    who.admin_of_all()?;
    let message = find(app, id).await?.value;
    let fits = prefix(message.body.as_bytes(), BODY_BYTES);
    let shown = message.body.get(..message.body.floor_char_boundary(fits)).unwrap_or_default();
    Ok(QuarantineDetail {
        message: view(id, &message),
        group: message.group,
        body: shown.to_owned(),
        bytes: message.body.len() as u64,
    })
}

/// Back to its queue and group, as a message that the queue has not seen. Sent before it leaves
/// here: twice does nothing, for what it asks is known by the id in its body.
pub(crate) async fn retry_message(app: &App, who: &Who, id: &str) -> Result<Asked, Error> {
    let by = who.admin_of_all()?;
    let found = find(app, id).await?;
    let event = event_id()?;
    let SetAside { queue, group, body, .. } = found.value.clone();
    let dedup = queue.ends_with(".fifo").then(|| event.0.clone());
    let message = Outgoing { body: body.into_bytes(), group, dedup, delay_ms: 0 };
    told(app, &by, "quarantine_retry", (id, &found), event, async {
        app.deps.queues.send(&queue, message).await?;
        settled(app, id, &found).await
    })
    .await
}

pub(crate) async fn drop_message(app: &App, who: &Who, id: &str) -> Result<Asked, Error> {
    let by = who.admin_of_all()?;
    let found = find(app, id).await?;
    let event = event_id()?;
    told(app, &by, "quarantine_drop", (id, &found), event, settled(app, id, &found)).await
}

/// It leaves. If it has left already: who was faster saw to it.
async fn settled(app: &App, id: &str, found: &Loaded<SetAside>) -> Result<Option<String>, Error> {
    match app.deps.docs.delete(&keys::quarantine(id), &found.version).await {
        Ok(()) => Ok(None),
        Err(PutError::Conflict) => Ok(Some("somebody else dealt with it just now".to_owned())),
        Err(PutError::Fault(fault)) => Err(fault.into()),
    }
}

/// The trail tells who saw to it and what it was.
async fn told(
    app: &App,
    by: &Admin,
    action: &str,
    (id, found): (&str, &Loaded<SetAside>),
    event: EventId,
    act: impl Future<Output = Result<Option<String>, Error>>,
) -> Result<Asked, Error> {
    let SetAside { queue, reason, .. } = &found.value;
    let target = format!("message {id} of {queue}: {reason}");
    let entry = entry(app, event.clone(), by.actor(), action, Some(target));
    let note = tell(&*app.deps.docs, entry, act).await?;
    Ok(Asked { event: event.0, run: None, changed: note.is_none(), note })
}
