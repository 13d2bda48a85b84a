//! Secrets by name. A value goes in and never comes out here, not even in an error.
use super::{App, Error, event_id};
use crate::v1::{Asked, SecretList, SecretRequest};
use windlass_core::audit::AuditEntry;
use windlass_ports::secrets::SECRET_CHARS_MIN;

const NAME_CHARS_MAX: usize = 200;
const VALUE_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn secrets(app: &App) -> Result<SecretList, Error> {
    Ok(SecretList { secrets: app.deps.secrets.names().await? })
}

/// `cluster/token`: words of letters, digits, `.`, `_`, `-`, between slashes.
fn check(name: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let word =
        |word: &str| !word.is_empty() && word != "." && word != ".." && word.bytes().all(allowed);
    if name.len() <= NAME_CHARS_MAX && name.split('/').all(word) {
        return Ok(());
    }
    let why = "a secret's name has letters, digits, . _ - and single slashes, at most 200 in all";
    Err(Error::Invalid(why.to_owned()))
}

pub(crate) async fn set_secret(
    app: &App,
    actor: &str,
    name: &str,
    request: SecretRequest,
) -> Result<Asked, Error> {
    check(name)?;
    let value = request.value;
    if value.chars().count() < SECRET_CHARS_MIN {
        let why = format!(
            "a secret has at least {SECRET_CHARS_MIN} characters: a shorter one can't be masked"
        );
        return Err(Error::Invalid(why));
    }
    if value.len() > VALUE_BYTES_MAX {
        let why = format!("a secret has at most {} KiB", VALUE_BYTES_MAX / 1024);
        return Err(Error::Invalid(why));
    }
    app.deps.secrets.set(name, &value).await?;
    recorded(app, actor, "secret_set", name).await
}

pub(crate) async fn remove_secret(app: &App, actor: &str, name: &str) -> Result<Asked, Error> {
    check(name)?;
    if !app.deps.secrets.remove(name).await? {
        return Err(Error::NotFound(format!("there is no secret {name}")));
    }
    recorded(app, actor, "secret_remove", name).await
}

async fn recorded(app: &App, actor: &str, action: &str, name: &str) -> Result<Asked, Error> {
    let event = event_id()?;
    let entry = AuditEntry {
        id: event.clone(),
        at: app.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        stack: None,
        run: None,
        from: None,
        to: None,
        note: Some(name.to_owned()),
    };
    super::fleet::record(app, entry).await?;
    Ok(Asked { event: event.0, run: None, changed: true, note: None })
}
