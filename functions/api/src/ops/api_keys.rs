//! API keys: made, listed and revoked by an admin of the space that they are for.
use super::audit::{entry, tell};
use super::list::{all, load_many};
use super::{App, Error, event_id};
use crate::auth::{Who, find_key, is_key_id, key_view, new_key};
use crate::v1::{Asked, KeyList, KeyRequest, NewKeyView};
use windlass_core::access::{ApiKey, Grant, ROOT_SPACE, Role};
use windlass_core::id::SpaceId;
use windlass_core::keys;
use windlass_ports::{Change, cas};

/// Only what lies in a space of the caller's: nobody gives away more than they have.
pub(crate) async fn create_key(
    app: &App,
    who: &Who,
    request: KeyRequest,
) -> Result<NewKeyView, Error> {
    let space = SpaceId(request.space.unwrap_or_else(|| ROOT_SPACE.to_owned()));
    let by = who.admin(&space)?;
    let tree = app.spaces.tree(app).await?;
    if space.0 != ROOT_SPACE && !tree.spaces.parents.contains_key(&space) {
        return Err(Error::Invalid(format!("there is no space {space}")));
    }
    let grant = Grant { role: request.role, space };
    let docs = &*app.deps.docs;
    new_key(docs, app.now(), by.actor(), &request.name, grant).await
}

/// By id. Those of spaces that the caller does not administer are left out.
pub(crate) async fn list_keys(app: &App, who: &Who) -> Result<KeyList, Error> {
    let docs = &*app.deps.docs;
    let listed = all(docs, keys::API_KEYS, None).await?;
    let found = load_many::<ApiKey>(docs, &listed).await?.into_iter().flatten();
    let theirs = found.filter(|key| who.may(Role::Admin, &key.value.grant.space));
    let keys = theirs.map(|key| key_view(key.value)).collect();
    Ok(KeyList { keys })
}

/// Its tokens and sessions end with it: here at once, in other processes within a minute.
pub(crate) async fn revoke_key(app: &App, who: &Who, id: &str) -> Result<Asked, Error> {
    let docs = &*app.deps.docs;
    let found = if is_key_id(id) { find_key(docs, id).await? } else { None };
    let theirs = found.filter(|key| who.may(Role::Reader, &key.grant.space));
    let key = theirs.ok_or_else(|| {
        let shown: String = id.chars().take(80).collect();
        Error::NotFound(format!("there is no key {shown}"))
    })?;
    let (by, event, now) = (who.admin(&key.grant.space)?, event_id()?, app.now());
    let already = |before: &str| format!("it was revoked already, by {before}");
    if let Some(before) = &key.revoked_by {
        let note = Some(already(before));
        return Ok(Asked { event: event.0, run: None, changed: false, note });
    }
    let mut entry = entry(app, event.clone(), by.actor(), "key_revoke", Some(format!("key {id}")));
    entry.from = Some(format!("{} on {}", key.grant.role.as_str(), key.grant.space));
    let stored = keys::api_key(id);
    let note = tell(docs, entry, async {
        let revoked = cas::update(docs, &stored, &event.0, |key: Option<&ApiKey>| {
            let Some(key) = key else { return Ok(Change::Keep(Some("it is gone".to_owned()))) };
            Ok(match &key.revoked_by {
                Some(before) => Change::Keep(Some(already(before))),
                None => {
                    let (revoked_by, revoked_at) = (Some(by.actor().to_owned()), Some(now));
                    Change::Write(ApiKey { revoked_by, revoked_at, ..key.clone() }, None)
                }
            })
        });
        Ok(revoked.await?)
    })
    .await?;
    app.deps.auth.forget_key(id);
    Ok(Asked { event: event.0, run: None, changed: note.is_none(), note })
}
