//! In by a link that works once, out by a button.
use super::Here;
use super::errors::{link_used, plain_error};
use super::forms::check_token;
use super::layout::bare;
use crate::auth::{Visitor, cookie};
use axum::extract::{Extension, Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    code: String,
}

/// A page of ours leads on, instead of a redirect: a browser that came here from elsewhere would
/// not send a strict cookie along with one.
pub(super) async fn enter(
    State(app): Here,
    method: Method,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Response {
    // Whoever only asks for the head (a preview of a link, a checker) must not use the link up.
    if link.code.is_empty() || method == Method::HEAD {
        return super::login_needed();
    }
    let value = match app.deps.auth.log_in(&link.code, app.now()).await {
        Ok(Some(value)) => value,
        Ok(None) => return link_used(),
        Err(error) => return plain_error(&error),
    };
    let set = app.deps.auth.set_cookie(&headers, Some(&value));
    let mut response = bare(
        StatusCode::OK,
        "Welcome",
        html! {
            meta http-equiv="refresh" content="0; url=/";
            h1 { "You are logged in" }
            p { a.button.primary href="/" { "To the stacks" } }
        },
    );
    match HeaderValue::from_str(&set) {
        Ok(set) => drop(response.headers_mut().insert(SET_COOKIE, set)),
        Err(_) => return link_used(),
    }
    response
}

#[derive(Deserialize)]
pub(super) struct Leaving {
    token: String,
}

pub(super) async fn leave(
    State(app): Here,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(form): Form<Leaving>,
) -> Response {
    if let Err(error) = check_token(&visitor, &form.token) {
        return plain_error(&error);
    }
    if let Some(cookie) = cookie(&app.deps.auth, &headers)
        && let Err(fault) = app.deps.auth.log_out(cookie).await
    {
        return plain_error(&fault.into());
    }
    let gone = app.deps.auth.set_cookie(&headers, None);
    let mut response = Redirect::to("/login").into_response();
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(SET_COOKIE, gone);
    }
    response
}
