//! API keys as documents. A secret is told once, to whoever made the key; its digest is kept.
use crate::ops::{Error, random_id, tell};
use crate::v1::{KeyRequest, KeyView, NewKeyView};
use windlass_core::access::{ApiKey, Grant, ROOT_SPACE};
use windlass_core::audit::AuditEntry;
use windlass_core::definition::slug;
use windlass_core::id::{Digest, EventId, SpaceId};
use windlass_core::keys;
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::{Change, Docs, Fault, cas};

const NAME_CHARS_MAX: usize = 80;
/// Of a key's name that its id begins with.
const SLUG_CHARS_MAX: usize = 40;
/// `last_used` is as exact as this, so that using a key hardly writes.
const USED_MS: u64 = 60 * MINUTE_MS;

/// What may stand in the key of a document.
pub(crate) fn is_key_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(allowed)
}

/// As audit entries and locks name whoever comes with a key: no login can be called that.
pub(super) fn actor_of(id: &str) -> String {
    format!("api::{id}")
}

pub(crate) async fn find_key(docs: &dyn Docs, id: &str) -> Result<Option<ApiKey>, Fault> {
    Ok(cas::load::<ApiKey>(docs, &keys::api_key(id)).await?.map(|found| found.value))
}

pub(crate) async fn new_key(
    docs: &dyn Docs,
    now: UnixMs,
    by: &str,
    name: &str,
    grant: Grant,
) -> Result<NewKeyView, Error> {
    let name = name.trim();
    let begins: String = slug(name).chars().take(SLUG_CHARS_MAX).collect();
    let plain = !name.chars().any(char::is_control);
    if begins.is_empty() || name.chars().count() > NAME_CHARS_MAX || !plain {
        let why =
            format!("a key's name has letters or digits, at most {NAME_CHARS_MAX} characters");
        return Err(Error::Invalid(why));
    }
    let random = random_id()?;
    let id = format!("{}-{}", begins.trim_end_matches('-'), random.get(..10).unwrap_or(&random));
    let secret = format!("{}{}", random_id()?, random_id()?);
    let key = ApiKey {
        id,
        name: name.to_owned(),
        secret: Digest::of(secret.as_bytes()),
        grant,
        created_by: by.to_owned(),
        created_at: now,
        revoked_by: None,
        revoked_at: None,
        last_used: None,
    };
    let event = random_id()?;
    let entry = AuditEntry {
        id: EventId(format!("api-{event}")),
        at: now,
        actor: by.to_owned(),
        action: "key_create".to_owned(),
        stack: None,
        run: None,
        from: None,
        to: Some(format!("{} on {}", key.grant.role.as_str(), key.grant.space)),
        note: Some(format!("key {}", key.id)),
    };
    tell(docs, entry, async {
        match cas::create(docs, &keys::api_key(&key.id), &event, &key).await? {
            None => Ok(None),
            Some(_) => Err(Fault::retryable("this key's id is taken").into()),
        }
    })
    .await?;
    Ok(NewKeyView { key: key_view(key), secret })
}

/// The first key, for whom there is no API yet to ask: whoever may write the store may make one.
pub async fn bootstrap_key(
    docs: &dyn Docs,
    now: UnixMs,
    by: &str,
    request: KeyRequest,
) -> Result<NewKeyView, Error> {
    let space = request.space.map_or_else(|| ROOT_SPACE.into(), SpaceId);
    let grant = Grant { role: request.role, space };
    new_key(docs, now, by, &request.name, grant).await
}

pub(crate) fn key_view(key: ApiKey) -> KeyView {
    KeyView {
        id: key.id,
        name: key.name,
        role: key.grant.role,
        space: key.grant.space.0,
        created_by: key.created_by,
        created_at: key.created_at.rfc3339(),
        last_used: key.last_used.map(|at| at.rfc3339()),
        revoked_by: key.revoked_by,
        revoked_at: key.revoked_at.map(|at| at.rfc3339()),
    }
}

/// Not worth failing for.
pub(super) async fn mark_used(docs: &dyn Docs, key: &ApiKey, now: UnixMs) {
    let recent = |at: UnixMs| now < at.plus_ms(USED_MS);
    if key.last_used.is_some_and(recent) {
        return;
    }
    let marked = async {
        cas::update(docs, &keys::api_key(&key.id), &random_id()?, |key: Option<&ApiKey>| {
            Ok(match key {
                Some(key) => Change::Write(ApiKey { last_used: Some(now), ..key.clone() }, ()),
                None => Change::Keep(()),
            })
        })
        .await
    };
    if let Err(fault) = marked.await {
        tracing::warn!(key = key.id, why = %fault.chain(), "when this key was used is not kept");
    }
}
