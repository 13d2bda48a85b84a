//! Refusals as pages: what happened, in one sentence, and where to go from there.
use super::layout::bare;
use crate::ops::Error;
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

/// An error where there is no session to speak of, and everywhere else too: it needs none.
pub(crate) fn plain_error(error: &Error) -> Response {
    error.log();
    let problem = error.problem();
    let status =
        StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::CONFLICT => "Not possible now",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::UNPROCESSABLE_ENTITY => "That can't be read",
        StatusCode::SERVICE_UNAVAILABLE => "Try again in a moment",
        _ => "Something went wrong here",
    };
    bare(
        status,
        title,
        html! {
            h1 { (title) }
            p.lead { (sentence(&problem.message)) }
            p { a href="/" { "To the stacks" } }
        },
    )
}

/// The plan or the run moved between a look and a click: nothing was applied.
pub(super) fn changed_since(run: &str, message: &str) -> Response {
    bare(
        StatusCode::CONFLICT,
        "This changed since you looked",
        html! {
            h1 { "This changed since you looked" }
            p.lead { "Nothing was applied. " (sentence(message)) }
            p { a.button.primary href={ "/runs/" (run) } { "Look at the run as it is now" } }
        },
    )
}

/// A command that the state did not allow, with the way back.
pub(super) fn refused(error: &Error, back: &str) -> Response {
    error.log();
    let problem = error.problem();
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::CONFLICT);
    let title = match status {
        StatusCode::SERVICE_UNAVAILABLE => "Asked, not answered yet",
        _ => "Not done",
    };
    bare(
        status,
        title,
        html! {
            h1 { (title) }
            p.lead { (sentence(&problem.message)) }
            p { a.button href=(back) { "Back" } }
        },
    )
}

pub(crate) fn login_needed() -> Response {
    bare(
        StatusCode::UNAUTHORIZED,
        "Log in",
        html! {
            h1 { "Log in" }
            p.lead { "The console opens with a link that works once, within a minute." }
            p { "On the machine where Windlass runs, or with " code { "--url" } " and an API key, ask for one:" }
            pre.block { code { "windlass login" } }
            p.muted { "Then open the address that it prints. " code { "windlass up" }
                " prints one when it starts, too." }
        },
    )
}

pub(super) fn link_used() -> Response {
    bare(
        StatusCode::FORBIDDEN,
        "This link does not work any more",
        html! {
            h1 { "This link does not work any more" }
            p.lead { "A login link works once, and only for a minute." }
            p { "Ask for a new one:" }
            pre.block { code { "windlass login" } }
        },
    )
}

/// A message of the core, as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str();
    let stop = if rest.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{rest}{stop}")
}
