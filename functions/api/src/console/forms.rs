//! What buttons send. Each form carries its session's token; the answer is a redirect to where the
//! effect can be seen, or a page that says why there is none.
use super::errors::{changed_since, plain_error, refused};
use super::{By, Here};
use crate::auth::{Visitor, Who};
use crate::ops::{self, App, Error};
use crate::v1::{
    Asked, ConfirmRequest, LockRequest, TaskRequest, TriggerRequest, UnlockRequest, Verb,
};
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use windlass_core::id::Digest;
use windlass_core::run::RunType;
use windlass_core::time::MINUTE_MS;

/// The fields of all forms; each uses its own. Empty is absent.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    token: String,
    note: String,
    plan_digest: String,
    version: String,
    targets: String,
    on: String,
    force: String,
    hours: String,
    #[serde(rename = "type")]
    kind: String,
    commit: String,
    command: String,
    /// The stack's slug, typed by hand before something is destroyed.
    typed: String,
}

/// Compared by digest, so that time tells nothing.
pub(super) fn check_token(visitor: &Visitor, given: &str) -> Result<(), Error> {
    let digest = |text: &str| Digest::of(text.as_bytes());
    if !visitor.form_token.is_empty() && digest(given) == digest(&visitor.form_token) {
        return Ok(());
    }
    let why = "this form belongs to another session: load the page again";
    Err(Error::NotAllowed(why.to_owned()))
}

fn fields(visitor: &Visitor, form: Result<Form<Fields>, FormRejection>) -> Result<Fields, Error> {
    let Form(fields) = form.map_err(|_| Error::Invalid("the form does not parse".to_owned()))?;
    check_token(visitor, &fields.token)?;
    Ok(fields)
}

fn some(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Back to where the effect is, or the reason why there is none.
fn answer(asked: Result<Asked, Error>, back: &str) -> Response {
    match asked {
        Ok(Asked { run: Some(run), .. }) => Redirect::to(&format!("/runs/{run}")).into_response(),
        Ok(_) => Redirect::to(back).into_response(),
        Err(error) => refused(&error, back),
    }
}

pub(super) async fn stack(
    State(app): Here,
    Extension(visitor): By,
    Path((slug, verb)): Path<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let fields = match fields(&visitor, form) {
        Ok(fields) => fields,
        Err(error) => return plain_error(&error),
    };
    let back = format!("/stacks/{}", super::parts::encode(&slug));
    answer(ask_stack(&app, &visitor.who, &slug, &verb, fields).await, &back)
}

async fn ask_stack(
    app: &App,
    who: &Who,
    slug: &str,
    verb: &str,
    fields: Fields,
) -> Result<Asked, Error> {
    match verb {
        "lock" => {
            let for_ms = some(&fields.hours).map(|hours| {
                let hours = hours.parse::<u64>().ok().filter(|hours| (1..=10_000).contains(hours));
                hours.ok_or_else(|| Error::Invalid("hours is a whole number".to_owned()))
            });
            let for_ms = for_ms.transpose()?.map(|hours| hours * 60 * MINUTE_MS);
            ops::lock(app, who, slug, LockRequest { note: some(&fields.note), for_ms }).await
        }
        "unlock" => {
            let force = fields.force == "yes";
            ops::unlock(app, who, slug, UnlockRequest { force }).await
        }
        "task" => {
            let command = fields.command.replace("\r\n", "\n");
            ops::task(app, who, slug, TaskRequest { command }).await
        }
        "trigger" => {
            let drift = fields.kind == "DRIFT";
            let kind = match fields.kind.as_str() {
                "PROPOSED" | "DRIFT" => RunType::Proposed,
                "DESTROY" => RunType::Destroy,
                _ => RunType::Tracked,
            };
            if kind == RunType::Destroy && fields.typed.trim() != slug {
                let why = format!("to destroy everything in {slug}, type its name");
                return Err(Error::Invalid(why));
            }
            let commit = some(&fields.commit);
            let request = TriggerRequest { kind: Some(kind), commit, force_apply: false, drift };
            ops::trigger(app, who, slug, request).await
        }
        _ => Err(Error::NotFound("there is nothing at this address".to_owned())),
    }
}

pub(super) async fn run(
    State(app): Here,
    Extension(visitor): By,
    Path((id, verb)): Path<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let fields = match fields(&visitor, form) {
        Ok(fields) => fields,
        Err(error) => return plain_error(&error),
    };
    let verb = Verb::ALL.into_iter().find(|known| known.as_str() == verb);
    let Some(verb) = verb else {
        let error = Error::NotFound("there is nothing at this address".to_owned());
        return plain_error(&error);
    };
    match ask_run(&app, &visitor.who, &id, verb, fields).await {
        // A lock is somebody's word against it; anything else means that the run moved on.
        Err(Error::Refused(why)) if verb == Verb::Confirm && !why.contains("locked by") => {
            changed_since(&super::parts::encode(&id), &why)
        }
        asked => answer(asked, &format!("/runs/{}", super::parts::encode(&id))),
    }
}

async fn ask_run(
    app: &App,
    who: &Who,
    id: &str,
    verb: Verb,
    fields: Fields,
) -> Result<Asked, Error> {
    match verb {
        Verb::Confirm => {
            let version = fields.version.parse().map_err(|_| {
                Error::Invalid("the form does not say what was looked at".to_owned())
            })?;
            let plan_digest = fields.plan_digest;
            ops::confirm(app, who, id, ConfirmRequest { plan_digest, version }).await
        }
        Verb::Approve | Verb::Retry => ops::simple(app, who, id, verb).await,
        Verb::Discard | Verb::Cancel | Verb::Stop => {
            ops::note_command(app, who, id, verb, some(&fields.note)).await
        }
        Verb::Replan => {
            let targets = fields.targets.lines().filter_map(some).collect();
            ops::replan(app, who, id, targets).await
        }
        Verb::Prioritize => ops::prioritize(app, who, id, fields.on == "yes").await,
    }
}

pub(super) async fn worker(
    State(app): Here,
    Extension(visitor): By,
    Path((id, verb)): Path<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    if let Err(error) = fields(&visitor, form) {
        return plain_error(&error);
    }
    let asked = match verb.as_str() {
        "drain" => ops::drain(&app, &visitor.who, &id).await,
        "undrain" => ops::undrain(&app, &visitor.who, &id).await,
        _ => Err(Error::NotFound("there is nothing at this address".to_owned())),
    };
    answer(asked, "/workers")
}

pub(super) async fn quarantine(
    State(app): Here,
    Extension(visitor): By,
    Path((id, verb)): Path<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    if let Err(error) = fields(&visitor, form) {
        return plain_error(&error);
    }
    let asked = match verb.as_str() {
        "retry" => ops::retry_message(&app, &visitor.who, &id).await,
        "drop" => ops::drop_message(&app, &visitor.who, &id).await,
        _ => Err(Error::NotFound("there is nothing at this address".to_owned())),
    };
    answer(asked, "/quarantine")
}
