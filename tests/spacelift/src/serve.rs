//! Requests in, answers out: faults first, then the schema.
use crate::schema::Asked;
use crate::tls::{Identity, Tls};
use crate::world::{Call, Failure, Shared};
use async_graphql::dynamic::Schema;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::Selection;
use async_graphql::{Request, Response as Told, Variables};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;

#[derive(Clone)]
struct Served {
    shared: Arc<Shared>,
    schema: Schema,
}

pub(crate) fn spawn(
    runtime: &Runtime,
    listener: TcpListener,
    identity: Option<Identity>,
    shared: Arc<Shared>,
    schema: Schema,
) {
    let _inside = runtime.enter();
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let served = Served { shared, schema };
    let router = Router::new().route("/graphql", post(answer)).with_state(served);
    match identity {
        Some(identity) => {
            let listener = Tls::new(listener, identity);
            runtime.spawn(async move { axum::serve(listener, router).await });
        }
        None => {
            runtime.spawn(async move { axum::serve(listener, router).await });
        }
    }
}

async fn answer(State(served): State<Served>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return respond(400, None, "a body that is not JSON".to_owned());
    };
    let document = asked["query"].as_str().unwrap_or_default().to_owned();
    let variables = asked.get("variables").cloned().unwrap_or_default();
    let fields = root_fields(&document);
    let due = served.shared.world().due(&fields);
    let mut call = Call {
        at: 0.0,
        fields,
        document,
        variables: redacted(&variables),
        status: 200,
        errors: Vec::new(),
    };
    if let Some((status, retry_after_s, body)) = due.as_ref().and_then(refusal) {
        call.status = status;
        served.shared.world().record(call);
        return respond(status, retry_after_s, body);
    }
    if let Some(Failure::Slow(time)) = due {
        tokio::time::sleep(time).await;
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let valid = Arc::new(AtomicBool::new(false));
    let request = Request::new(call.document.clone())
        .variables(Variables::from_json(variables))
        .data(Asked { bearer: bearer.to_owned(), valid: valid.clone() });
    let told = served.schema.execute(request).await;
    let mut world = served.shared.world();
    if !valid.load(Ordering::SeqCst) {
        let said = told.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>();
        world.mistakes.push(format!("{}: {}", said.join("; "), call.document));
    }
    call.errors = told.errors.iter().map(|error| error.message.clone()).collect();
    call.status = if matches!(due, Some(Failure::LostReply)) { 502 } else { 200 };
    let status = call.status;
    world.record(call);
    match status {
        200 => respond(200, None, text(&told)),
        _ => respond(status, None, "<html>502 Bad Gateway</html>".to_owned()),
    }
}

fn text(told: &Told) -> String {
    serde_json::to_string(told).unwrap_or_default()
}

/// Status, `Retry-After` and body of a failure that comes before anything is done.
fn refusal(failure: &Failure) -> Option<(u16, Option<u64>, String)> {
    match failure {
        Failure::Status(status, body) => Some((*status, None, (*body).to_owned())),
        Failure::TooMany { retry_after_s } => {
            Some((429, *retry_after_s, "too many requests".to_owned()))
        }
        Failure::Error(message) => {
            let body = json!({ "data": null, "errors": [{ "message": message }] });
            Some((200, None, body.to_string()))
        }
        Failure::Slow(_) | Failure::LostReply => None,
    }
}

fn redacted(variables: &Value) -> Value {
    let mut variables = variables.clone();
    if let Some(secret) = variables.get_mut("secret") {
        *secret = json!("***");
    }
    variables
}

fn root_fields(document: &str) -> Vec<String> {
    let Ok(parsed) = parse_query(document) else { return Vec::new() };
    let sets = parsed.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fields = sets.flat_map(|set| &set.items).filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(field.node.name.node.to_string()),
        _ => None,
    });
    fields.collect()
}

fn respond(status: u16, retry_after_s: Option<u64>, body: String) -> Response {
    let json = body.starts_with('{');
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kind = if json { "application/json" } else { "text/html" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
