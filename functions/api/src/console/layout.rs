//! The frame of every page.
use super::assets::url;
use crate::auth::Visitor;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// Which entry of the navigation a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stacks,
    Runs,
    Commits,
    Workers,
    Audit,
}

const NAV: [(Place, &str, &str); 5] = [
    (Place::Stacks, "/", "Stacks"),
    (Place::Runs, "/runs", "Runs"),
    (Place::Commits, "/commits", "Commits"),
    (Place::Workers, "/workers", "Workers"),
    (Place::Audit, "/audit", "Audit"),
];

/// What a page is asked again with, while something on it may still move.
pub(super) struct Live {
    pub(super) url: String,
    pub(super) version: String,
}

pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) place: Place,
    pub(super) live: Option<Live>,
    pub(super) body: Markup,
}

pub(super) fn page(visitor: &Visitor, page: Page<'_>) -> Markup {
    let Page { title, place, live, body } = page;
    let live_url = live.as_ref().map(|live| live.url.as_str());
    let version = live.as_ref().map(|live| live.version.as_str());
    shell(
        title,
        html! {
            a.skip href="#main" { "Skip to content" }
            header.top {
                a.brand href="/" { img src=(url("icon.svg")) alt="" width="22" height="22"; "Windlass" }
                nav aria-label="Main" {
                    @for (entry, href, name) in NAV {
                        a href=(href) aria-current=[(entry == place).then_some("page")] { (name) }
                    }
                }
                form.who method="post" action="/logout" {
                    (token(visitor))
                    span { (visitor.who.actor) }
                    button.link type="submit" { "Log out" }
                }
            }
            main #main tabindex="-1" data-live=[live_url] data-version=[version] { (body) }
        },
    )
}

/// A page for somebody who is not logged in, or may not be.
pub(super) fn bare(status: StatusCode, title: &str, body: Markup) -> Response {
    let page = shell(
        title,
        html! {
            header.top { a.brand href="/" {
                img src=(url("icon.svg")) alt="" width="22" height="22"; "Windlass"
            } }
            main #main.bare { (body) }
        },
    );
    (status, page).into_response()
}

fn shell(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Windlass" }
                link rel="icon" href=(url("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(url("app.css"));
                script src=(url("app.js")) defer {}
            }
            body { (body) }
        }
    }
}

/// Proof that a form is one of ours; every form that changes something has it.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="token" value=(visitor.form_token); }
}
