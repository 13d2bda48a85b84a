//! `/api/v1`: each handler reads its request, calls one operation, and answers one document.
use super::{Json, parse, problem};
use crate::auth::Caller;
use crate::ops::{self, App, Error};
use crate::v1::{
    self, Asked, ConfirmRequest, HealthView, LockRequest, NoteRequest, PrioritizeRequest,
    ReplanRequest, SecretRequest, TaskRequest, TriggerRequest, UnlockRequest, Verb,
};
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Router, extract::rejection::QueryRejection};
use serde::Deserialize;
use std::sync::Arc;

type Here = State<Arc<App>>;
type By = Extension<Caller>;
type Answer<T> = Result<Json<T>, Error>;
type Asking<T> = Result<Query<T>, QueryRejection>;

/// Needs no token: it says nothing about anybody.
pub(super) fn open_routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/health", get(health))
}

pub(super) fn routes() -> Router<Arc<App>> {
    let v1 = Router::new()
        .route("/stacks", get(stacks))
        .route("/stacks/{slug}", get(stack))
        .route("/stacks/{slug}/runs", get(stack_runs))
        .route("/stacks/{slug}/resources", get(resources))
        .route("/stacks/{slug}/outputs", get(outputs))
        .route("/stacks/{slug}/state", get(state))
        .route("/stacks/{slug}/lock", post(lock))
        .route("/stacks/{slug}/unlock", post(unlock))
        .route("/stacks/{slug}/trigger", post(trigger))
        .route("/stacks/{slug}/task", post(task))
        .route("/runs", get(runs))
        .route("/runs/{id}", get(run))
        .route("/runs/{id}/logs", get(logs))
        .route("/runs/{id}/changes", get(changes))
        .route("/runs/{id}/{verb}", post(command))
        .route("/commits/{sha}", get(commit))
        .route("/rollouts", get(rollouts))
        .route("/workers", get(workers))
        .route("/workers/{id}/drain", post(drain))
        .route("/workers/{id}/undrain", post(undrain))
        .route("/audit", get(audit))
        .route("/secrets", get(secrets))
        .route("/secrets/{*name}", put(set_secret).delete(remove_secret))
        .route("/why/{what}", get(why))
        .route("/quarantine", get(quarantine))
        .route("/login-links", post(login_link));
    Router::new().nest("/api/v1", v1.layer(map_response(in_our_words)))
}

/// What the router itself refused, before a handler saw it, is a problem like any other.
async fn in_our_words(response: Response) -> Response {
    super::refused_early(&response).map_or(response, |error| problem(&error))
}

fn asking<T>(query: Asking<T>) -> Result<T, Error> {
    query.map(|Query(query)| query).map_err(|_| Error::Invalid("the query does not parse".into()))
}

async fn health(State(app): Here) -> Json<HealthView> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(HealthView { status: "ok".to_owned(), version, now: app.now().rfc3339() })
}

async fn stacks(State(app): Here, query: Asking<ops::StackQuery>) -> Answer<v1::StackList> {
    ops::stacks(&app, &asking(query)?).await.map(Json)
}

async fn stack(State(app): Here, Path(slug): Path<String>) -> Answer<v1::StackDetail> {
    ops::stack(&app, &slug).await.map(Json)
}

async fn stack_runs(
    State(app): Here,
    Path(slug): Path<String>,
    query: Asking<ops::RunQuery>,
) -> Answer<v1::RunList> {
    let query = ops::RunQuery { stack: Some(slug), ..asking(query)? };
    ops::runs(&app, &query).await.map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct After {
    after: Option<String>,
}

async fn resources(
    State(app): Here,
    Path(slug): Path<String>,
    query: Asking<After>,
) -> Answer<v1::ResourceList> {
    ops::resources(&app, &slug, asking(query)?.after.as_deref()).await.map(Json)
}

async fn outputs(State(app): Here, Path(slug): Path<String>) -> Answer<v1::OutputList> {
    ops::outputs(&app, &slug).await.map(Json)
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
    ops::state_part(&app, &by.actor, &slug, asking(query)?.after).await.map(Json)
}

async fn lock(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::lock(&app, &by.actor, &slug, parse::<LockRequest>(&body)?).await.map(Json)
}

async fn unlock(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::unlock(&app, &by.actor, &slug, parse::<UnlockRequest>(&body)?).await.map(Json)
}

async fn trigger(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::trigger(&app, &by.actor, &slug, parse::<TriggerRequest>(&body)?).await.map(Json)
}

async fn task(
    State(app): Here,
    Extension(by): By,
    Path(slug): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::task(&app, &by.actor, &slug, parse::<TaskRequest>(&body)?).await.map(Json)
}

async fn runs(State(app): Here, query: Asking<ops::RunQuery>) -> Answer<v1::RunList> {
    ops::runs(&app, &asking(query)?).await.map(Json)
}

async fn run(State(app): Here, Path(id): Path<String>) -> Answer<v1::RunDetail> {
    ops::run_detail(&app, &id).await.map(Json)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Following {
    after: String,
    wait_ms: u64,
}

async fn logs(
    State(app): Here,
    Path(id): Path<String>,
    query: Asking<Following>,
) -> Answer<v1::LogPage> {
    let Following { after, wait_ms } = asking(query)?;
    ops::log_wait(&app, &id, &after, wait_ms).await.map(Json)
}

async fn changes(
    State(app): Here,
    Path(id): Path<String>,
    query: Asking<After>,
) -> Answer<v1::ChangesView> {
    let after = asking(query)?.after;
    ops::changes(&app, &id, after.as_deref(), ops::ANSWER_BYTES).await.map(Json)
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
    let (app, actor, id) = (&*app, by.actor.as_str(), id.as_str());
    let asked = match verb {
        Verb::Confirm => ops::confirm(app, actor, id, parse::<ConfirmRequest>(&body)?).await,
        Verb::Approve | Verb::Retry => {
            parse::<v1::ApproveRequest>(&body)?;
            ops::simple(app, actor, id, verb).await
        }
        Verb::Discard | Verb::Cancel | Verb::Stop => {
            let note = parse::<NoteRequest>(&body)?.note;
            ops::note_command(app, actor, id, verb, note).await
        }
        Verb::Replan => ops::replan(app, actor, id, parse::<ReplanRequest>(&body)?.targets).await,
        Verb::Prioritize => {
            ops::prioritize(app, actor, id, parse::<PrioritizeRequest>(&body)?.on).await
        }
    };
    asked.map(Json)
}

async fn commit(State(app): Here, Path(sha): Path<String>) -> Answer<v1::CommitDetail> {
    ops::commit(&app, &sha).await.map(Json)
}

async fn rollouts(State(app): Here, query: Asking<ops::RolloutQuery>) -> Answer<v1::RolloutList> {
    ops::rollouts(&app, &asking(query)?).await.map(Json)
}

async fn workers(State(app): Here) -> Answer<v1::WorkerList> {
    ops::workers(&app).await.map(Json)
}

async fn drain(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<Asked> {
    ops::drain(&app, &by.actor, &id).await.map(Json)
}

async fn undrain(State(app): Here, Extension(by): By, Path(id): Path<String>) -> Answer<Asked> {
    ops::undrain(&app, &by.actor, &id).await.map(Json)
}

async fn audit(State(app): Here, query: Asking<ops::AuditQuery>) -> Answer<v1::AuditList> {
    ops::audit_list(&app, &asking(query)?).await.map(Json)
}

async fn secrets(State(app): Here) -> Answer<v1::SecretList> {
    ops::secrets(&app).await.map(Json)
}

async fn set_secret(
    State(app): Here,
    Extension(by): By,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer<Asked> {
    ops::set_secret(&app, &by.actor, &name, parse::<SecretRequest>(&body)?).await.map(Json)
}

async fn remove_secret(
    State(app): Here,
    Extension(by): By,
    Path(name): Path<String>,
) -> Answer<Asked> {
    ops::remove_secret(&app, &by.actor, &name).await.map(Json)
}

async fn why(State(app): Here, Path(what): Path<String>) -> Answer<v1::WhyView> {
    ops::why(&app, &what).await.map(Json)
}

async fn quarantine(State(app): Here) -> Answer<v1::QuarantineList> {
    ops::quarantine(&app).await.map(Json)
}

async fn login_link(State(app): Here, Extension(by): By) -> Answer<v1::LoginLink> {
    app.deps.auth.mint(&by.actor, app.now()).await.map(Json)
}
