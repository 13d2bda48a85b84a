//! `/api/v1`: each handler reads its request, calls one operation, and answers one document.
use super::{Json, Routes, parse, problem};
use crate::auth::Who;
use crate::ops::{self, App, Error};
use crate::v1::{
    self, Asked, ConfirmRequest, HealthView, KeyRequest, LockRequest, NoteRequest,
    PrioritizeRequest, ReplanRequest, SecretRequest, TaskRequest, TokenRequest, TriggerRequest,
    UnlockRequest, Verb,
};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

type Here = State<Arc<App>>;
type By = Extension<Who>;
type Answer<T> = Result<Json<T>, Error>;
type Asking<T> = Result<Query<T>, QueryRejection>;

/// Needs no token: health says nothing about anybody, and a key is exchanged for one here.
pub(super) fn open_routes() -> Routes {
    Routes::new().get("/api/v1/health", health).post("/api/v1/tokens", token)
}

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/stacks", stacks)
        .get("/api/v1/stacks/{slug}", stack)
        .get("/api/v1/stacks/{slug}/runs", stack_runs)
        .get("/api/v1/stacks/{slug}/resources", resources)
        .get("/api/v1/stacks/{slug}/outputs", outputs)
        .get("/api/v1/stacks/{slug}/state", state)
        .post("/api/v1/stacks/{slug}/lock", lock)
        .post("/api/v1/stacks/{slug}/unlock", unlock)
        .post("/api/v1/stacks/{slug}/trigger", trigger)
        .post("/api/v1/stacks/{slug}/task", task)
        .get("/api/v1/runs", runs)
        .get("/api/v1/runs/{id}", run)
        .get("/api/v1/runs/{id}/logs", logs)
        .get("/api/v1/runs/{id}/changes", changes)
        .post("/api/v1/runs/{id}/{verb}", command)
        .get("/api/v1/commits/{sha}", commit)
        .get("/api/v1/rollouts", rollouts)
        .get("/api/v1/workers", workers)
        .post("/api/v1/workers/{id}/drain", drain)
        .post("/api/v1/workers/{id}/undrain", undrain)
        .get("/api/v1/audit", audit)
        .post("/api/v1/deliveries", deliver)
        .get("/api/v1/deliveries/{id}", delivery)
        .get("/api/v1/secrets", secrets)
        .put("/api/v1/secrets/{*name}", set_secret)
        .delete("/api/v1/secrets/{*name}", remove_secret)
        .get("/api/v1/why/{what}", why)
        .get("/api/v1/quarantine", quarantine)
        .get("/api/v1/quarantine/{id}", quarantined)
        .post("/api/v1/quarantine/{id}/retry", retry_message)
        .delete("/api/v1/quarantine/{id}", drop_message)
        .get("/api/v1/keys", keys)
        .post("/api/v1/keys", create_key)
        .delete("/api/v1/keys/{id}", revoke_key)
        .post("/api/v1/login-links", login_link)
}

/// What the router itself refused, before a handler saw it, is a problem like any other.
pub(super) async fn in_our_words(response: Response) -> Response {
    super::refused_early(&response).map_or(response, |error| problem(&error))
}

fn asking<T>(query: Asking<T>) -> Result<T, Error> {
    query.map(|Query(query)| query).map_err(|_| Error::Invalid("the query does not parse".into()))
}

async fn health(State(app): Here) -> Answer<HealthView> {
    ops::health(&app).await.map(Json)
}

async fn token(State(app): Here, body: Bytes) -> Answer<v1::TokenView> {
    let TokenRequest { id, secret } = parse(&body)?;
    app.deps.auth.exchange(&app, &id, &secret).await.map(Json)
}

async fn stacks(
    State(app): Here,
    Extension(by): By,
    query: Asking<ops::StackQuery>,
) -> Answer<v1::StackList> {
    ops::stacks(&app, &by, &asking(query)?).await.map(Json)
}

async fn stack(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
) -> Answer<v1::StackDetail> {
    ops::stack(&app, &by, &slug).await.map(Json)
}

async fn stack_runs(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    query: Asking<ops::RunQuery>,
) -> Answer<v1::RunList> {
    let query = ops::RunQuery { stack: Some(slug), ..asking(query)? };
    ops::runs(&app, &by, &query).await.map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct After {
    after: Option<String>,
}

async fn resources(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    query: Asking<After>,
) -> Answer<v1::ResourceList> {
    ops::resources(&app, &by, &slug, asking(query)?.after.as_deref()).await.map(Json)
}

async fn outputs(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
) -> Answer<v1::OutputList> {
    ops::outputs(&app, &by, &slug).await.map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AfterByte {
    after: usize,
}

async fn state(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    query: Asking<AfterByte>,
) -> Answer<v1::StatePart> {
    ops::state_part(&app, &by, &slug, asking(query)?.after).await.map(Json)
}

async fn lock(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::lock(&app, &by, &slug, parse::<LockRequest>(&body)?).await.map(Json)
}

async fn unlock(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::unlock(&app, &by, &slug, parse::<UnlockRequest>(&body)?).await.map(Json)
}

async fn trigger(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::trigger(&app, &by, &slug, parse::<TriggerRequest>(&body)?).await.map(Json)
}

async fn task(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::task(&app, &by, &slug, parse::<TaskRequest>(&body)?).await.map(Json)
}

async fn runs(
    State(app): Here,
    Extension(by): By,
    query: Asking<ops::RunQuery>,
) -> Answer<v1::RunList> {
    ops::runs(&app, &by, &asking(query)?).await.map(Json)
}

async fn run(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<v1::RunDetail> {
    ops::run_detail(&app, &by, &id).await.map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Following {
    after: String,
    wait_ms: u64,
}

async fn logs(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
    query: Asking<Following>,
) -> Answer<v1::LogPage> {
    let Following { after, wait_ms } = asking(query)?;
    ops::log_wait(&app, &by, &id, &after, wait_ms).await.map(Json)
}

async fn changes(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
    query: Asking<After>,
) -> Answer<v1::ChangesView> {
    let after = asking(query)?.after;
    ops::changes(&app, &by, &id, after.as_deref(), ops::ANSWER_BYTES).await.map(Json)
}

async fn command(
    State(app): Here,
    Extension(by): By,
    Path((id, verb)): Path<(String, String)>,
    body: Bytes,
) -> Answer<Asked> {
    let Some(verb) = Verb::ALL.into_iter().find(|known| known.as_str() == verb) else {
        return Err(Error::NotFound(format!("a run can't be asked to {verb}")));
    };
    let (app, id) = (&*app, id.as_str());
    let asked = match verb {
        Verb::Confirm => ops::confirm(app, &by, id, parse::<ConfirmRequest>(&body)?).await,
        Verb::Approve | Verb::Retry => {
            parse::<v1::ApproveRequest>(&body)?;
            ops::simple(app, &by, id, verb).await
        }
        Verb::Discard | Verb::Cancel | Verb::Stop => {
            let note = parse::<NoteRequest>(&body)?.note;
            ops::note_command(app, &by, id, verb, note).await
        }
        Verb::Replan => ops::replan(app, &by, id, parse::<ReplanRequest>(&body)?.targets).await,
        Verb::Prioritize => {
            ops::prioritize(app, &by, id, parse::<PrioritizeRequest>(&body)?.on).await
        }
    };
    asked.map(Json)
}

async fn commit(
    State(app): Here,
    Extension(by): By,
    Path(sha): Path<String>,
) -> Answer<v1::CommitDetail> {
    ops::commit(&app, &by, &sha).await.map(Json)
}

async fn rollouts(
    State(app): Here,
    Extension(by): By,
    query: Asking<ops::RolloutQuery>,
) -> Answer<v1::RolloutList> {
    ops::rollouts(&app, &by, &asking(query)?).await.map(Json)
}

async fn workers(State(app): Here, Extension(by): By) -> Answer<v1::WorkerList> {
    ops::workers(&app, &by).await.map(Json)
}

async fn drain(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<Asked> {
    ops::drain(&app, &by, &id).await.map(Json)
}

async fn undrain(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<Asked> {
    ops::undrain(&app, &by, &id).await.map(Json)
}

async fn audit(
    State(app): Here,
    Extension(by): By,
    query: Asking<ops::AuditQuery>,
) -> Answer<v1::AuditList> {
    ops::audit_list(&app, &by, &asking(query)?).await.map(Json)
}

async fn deliver(State(app): Here, Extension(by): By, body: Bytes) -> Answer<v1::DeliveryView> {
    ops::deliver(&app, &by, parse::<v1::DeliveryRequest>(&body)?).await.map(Json)
}

async fn delivery(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<v1::DeliveryView> {
    ops::delivery(&app, &by, &id).await.map(Json)
}

async fn secrets(State(app): Here, Extension(by): By) -> Answer<v1::SecretList> {
    ops::secrets(&app, &by).await.map(Json)
}

async fn set_secret(
    State(app): Here,
    Extension(by): By,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::set_secret(&app, &by, &name, parse::<SecretRequest>(&body)?).await.map(Json)
}

async fn remove_secret(
    State(app): Here,
    Extension(by): By,
    Path(name): Path<String>,
) -> Answer<Asked> {
    ops::remove_secret(&app, &by, &name).await.map(Json)
}

async fn why(State(app): Here, Extension(by): By, Path(what): Path<String>) -> Answer<v1::WhyView> {
    ops::why(&app, &by, &what).await.map(Json)
}

async fn quarantine(
    State(app): Here,
    Extension(by): By,
    query: Asking<ops::QuarantineQuery>,
) -> Answer<v1::QuarantineList> {
    ops::quarantine(&app, &by, &asking(query)?).await.map(Json)
}

async fn quarantined(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<v1::QuarantineDetail> {
    ops::quarantined(&app, &by, &id).await.map(Json)
}

async fn retry_message(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<Asked> {
    ops::retry_message(&app, &by, &id).await.map(Json)
}

async fn drop_message(
    State(app): Here,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<Asked> {
    ops::drop_message(&app, &by, &id).await.map(Json)
}

async fn keys(State(app): Here, Extension(by): By) -> Answer<v1::KeyList> {
    ops::list_keys(&app, &by).await.map(Json)
}

async fn create_key(State(app): Here, Extension(by): By, body: Bytes) -> Answer<v1::NewKeyView> {
    ops::create_key(&app, &by, parse::<KeyRequest>(&body)?).await.map(Json)
}

async fn revoke_key(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<Asked> {
    ops::revoke_key(&app, &by, &id).await.map(Json)
}

async fn login_link(State(app): Here, Extension(by): By) -> Answer<v1::LoginLink> {
    app.deps.auth.mint(&app, &by).await.map(Json)
}
