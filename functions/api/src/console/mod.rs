//! The console: pages made on the server, readable without a script, over the same operations as
//! the JSON API. The script only saves reloading: it asks for news while something moves and the
//! page is looked at, and swaps the parts that changed.
mod ansi;
mod assets;
mod changes;
mod commits;
mod errors;
mod forms;
mod layout;
mod lists;
mod log;
mod login;
mod parts;
mod run;
mod stack;
mod stacks;
mod value;

pub(crate) use errors::{login_needed, plain_error};

use crate::auth::Visitor;
use crate::ops::{App, Error};
use axum::Router;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;

type Here = State<Arc<App>>;
type By = Extension<Visitor>;

/// An operation's error, as a page.
pub(crate) struct Oops(Error);

impl<E: Into<Error>> From<E> for Oops {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        plain_error(&self.0)
    }
}

type Shown<T> = Result<T, Oops>;

/// What somebody without a session may see.
pub(crate) fn open_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/login", get(login::enter))
        .route("/assets/{digest}/{name}", get(assets::serve))
}

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(stacks::list))
        .route("/poll", get(stacks::poll))
        .route("/stacks/{slug}", get(stack::show))
        .route("/stacks/{slug}/poll", get(stack::poll))
        .route("/stacks/{slug}/{verb}", post(forms::stack))
        .route("/runs", get(lists::runs))
        .route("/runs/{id}", get(run::show))
        .route("/runs/{id}/poll", get(run::poll))
        .route("/runs/{id}/log", get(log::pages))
        .route("/runs/{id}/changes", get(changes::pages))
        .route("/runs/{id}/{verb}", post(forms::run))
        .route("/commits", get(lists::commits))
        .route("/commits/{sha}", get(commits::show))
        .route("/commits/{sha}/poll", get(commits::poll))
        .route("/workers", get(lists::workers))
        .route("/workers/{id}/{verb}", post(forms::worker))
        .route("/audit", get(lists::audit))
        .route("/logout", post(login::leave))
}

/// What a page's version is made of, so that it can ask whether anything moved.
fn fingerprint(words: &str) -> String {
    windlass_core::id::Digest::of(words.as_bytes()).short().to_owned()
}
