//! The router: `/api/v1` for programs, everything else for people.
mod api;
mod body;
mod routes;

pub(crate) use body::{Json, parse};
pub(crate) use routes::Routes;

use crate::auth::{api_guard, console_guard, host_guard, security_headers};
use crate::console;
use crate::ops::{App, Deps, Error};
use crate::v1::ProblemCode;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// No request needs more.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Everything under one roof; mounted by `up`, and behind API Gateway.
pub fn router(deps: Deps) -> Router {
    let app = Arc::new(App::new(deps));
    let guarded_api = api::routes().router.layer(map_response(api::in_our_words));
    let guarded_api = guarded_api.layer(from_fn_with_state(app.clone(), api_guard));
    let pages = console::routes().router.layer(map_response(page_in_our_words));
    let pages = pages.layer(from_fn_with_state(app.clone(), console_guard));
    Router::new()
        .merge(api::open_routes().router)
        .merge(guarded_api)
        .merge(console::open_routes().router)
        .merge(pages)
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), host_guard))
        .layer(from_fn(security_headers))
        .with_state(app)
}

/// Method and path of everything that the router answers, for tests that go through all of it.
#[doc(hidden)]
#[must_use]
pub fn routes() -> Vec<(&'static str, &'static str)> {
    let all = [api::open_routes(), api::routes(), console::open_routes(), console::routes()];
    all.into_iter().flat_map(|routes| routes.names).collect()
}

/// In our own words, what the framework refuses in its own.
fn refused_early(response: &Response) -> Option<Error> {
    let why = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "a request has at most 1 MiB",
        StatusCode::BAD_REQUEST => "the address does not parse",
        _ => return None,
    };
    Some(Error::Invalid(why.to_owned()))
}

async fn page_in_our_words(response: Response) -> Response {
    refused_early(&response).map_or(response, |error| console::plain_error(&error))
}

async fn nowhere(uri: Uri) -> Response {
    let error = Error::NotFound("there is nothing at this address".to_owned());
    if uri.path().starts_with("/api/") { problem(&error) } else { console::plain_error(&error) }
}

async fn wrong_method(uri: Uri) -> Response {
    let error = Error::Invalid("this address does not take that method".to_owned());
    let mut response = if uri.path().starts_with("/api/") {
        problem(&error)
    } else {
        console::plain_error(&error)
    };
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// An error as the JSON API tells it.
pub(crate) fn problem(error: &Error) -> Response {
    error.log();
    let problem = error.problem();
    let code = problem.code;
    let mut response = Json(problem).into_response();
    *response.status_mut() =
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    match code {
        ProblemCode::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        ProblemCode::Unavailable => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        problem(&self)
    }
}
