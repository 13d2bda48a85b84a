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
mod quarantine;
mod run;
mod stack;
mod stacks;
mod value;

pub(crate) use errors::{login_needed, plain_error};

use crate::auth::Visitor;
use crate::http::Routes;
use crate::ops::{App, Error};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
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
pub(crate) fn open_routes() -> Routes {
    Routes::new().get("/login", login::enter).get("/assets/{digest}/{name}", assets::serve)
}

pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/", stacks::list)
        .get("/poll", stacks::poll)
        .get("/stacks/{slug}", stack::show)
        .get("/stacks/{slug}/poll", stack::poll)
        .post("/stacks/{slug}/{verb}", forms::stack)
        .get("/runs", lists::runs)
        .get("/runs/{id}", run::show)
        .get("/runs/{id}/poll", run::poll)
        .get("/runs/{id}/log", log::pages)
        .get("/runs/{id}/changes", changes::pages)
        .post("/runs/{id}/{verb}", forms::run)
        .get("/commits", lists::commits)
        .get("/commits/{sha}", commits::show)
        .get("/commits/{sha}/poll", commits::poll)
        .get("/workers", lists::workers)
        .post("/workers/{id}/{verb}", forms::worker)
        .get("/audit", lists::audit)
        .get("/quarantine", quarantine::list)
        .get("/quarantine/{id}", quarantine::show)
        .post("/quarantine/{id}/{verb}", forms::quarantine)
        .post("/logout", login::leave)
}

/// What a page's version is made of, so that it can ask whether anything moved.
fn fingerprint(words: &str) -> String {
    windlass_core::id::Digest::of(words.as_bytes()).short().to_owned()
}
