//! Secrets by name. A value goes in and never comes out here, not even in an error. They belong to
//! the installation; which repository's definitions may name one, its name says.
use super::audit::{entry, tell};
use super::{App, Error, event_id};
use crate::auth::{Admin, Who};
use crate::v1::{Asked, SecretList, SecretRequest};
use std::future::Future;
use windlass_ports::secrets::SECRET_CHARS_MIN;

const NAME_CHARS_MAX: usize = 200;
const VALUE_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn secrets(app: &App, who: &Who) -> Result<SecretList, Error> {
    who.reader_of_all()?;
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
    who: &Who,
    name: &str,
    request: SecretRequest,
) -> Result<Asked, Error> {
    let by = who.admin_of_all()?;
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
    told(app, &by, "secret_set", name, async {
        app.deps.secrets.set(name, &value).await?;
        Ok(None)
    })
    .await
}

pub(crate) async fn remove_secret(app: &App, who: &Who, name: &str) -> Result<Asked, Error> {
    let by = who.admin_of_all()?;
    check(name)?;
    let unknown = || Error::NotFound(format!("there is no secret {name}"));
    if !app.deps.secrets.names().await?.iter().any(|known| known == name) {
        return Err(unknown());
    }
    told(app, &by, "secret_remove", name, async {
        if app.deps.secrets.remove(name).await? { Ok(None) } else { Err(unknown()) }
    })
    .await
}

async fn told(
    app: &App,
    by: &Admin,
    action: &str,
    name: &str,
    act: impl Future<Output = Result<Option<String>, Error>>,
) -> Result<Asked, Error> {
    let event = event_id()?;
    let entry = entry(app, event.clone(), by.actor(), action, Some(name.to_owned()));
    let note = tell(&*app.deps.docs, entry, act).await?;
    Ok(Asked { event: event.0, run: None, changed: note.is_none(), note })
}
