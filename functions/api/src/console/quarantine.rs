//! Messages that can't be handled: what they are, why, and what to do about each.
use super::layout::{Page, Place, page, token};
use super::parts::{ago, capital, encode, first_line};
use super::{By, Here, Shown};
use crate::auth::Visitor;
use crate::ops::{self, QuarantineQuery};
use crate::v1::QuarantineDetail;
use axum::extract::{Extension, Path, Query, State};
use maud::{Markup, html};

pub(super) async fn list(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<QuarantineQuery>,
) -> Shown<Markup> {
    let found = ops::quarantine(&app, &visitor.who, &query).await?;
    let now = app.now();
    let body = html! {
        p.crumbs { a href="/audit" { "← Audit" } }
        div.headline { h1 { "Quarantine" } span.muted { "messages that can't be handled" } }
        @if found.messages.is_empty() {
            div.empty { p.lead { "Nothing is set aside." } p { "Every message could be handled." } }
        }
        ul.rows.audit { @for message in &found.messages {
            li {
                span.chip { (message.queue) }
                div.what {
                    a.name href={ "/quarantine/" (encode(&message.id)) } { (capital(first_line(&message.reason))) }
                    div.sub { code { (message.id) } }
                }
                div.last.sub { (ago(now, &message.at)) }
            }
        } }
        @if let Some(next) = &found.next {
            p.more { a.button href={ "/quarantine?after=" (encode(next)) } { "More" } }
        }
    };
    Ok(page(&visitor, Page { title: "Quarantine", place: Place::Audit, live: None, body }))
}

pub(super) async fn show(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
) -> Shown<Markup> {
    let found = ops::quarantined(&app, &visitor.who, &id).await?;
    let (message, now) = (&found.message, app.now());
    let left_out = found.bytes.saturating_sub(found.body.len() as u64);
    let body = html! {
        p.crumbs { a href="/quarantine" { "← Quarantine" } }
        h1 { "A message that can't be handled" }
        p.meta {
            span { (message.queue) }
            @if let Some(group) = &found.group { span { code { (group) } } }
            span { (ago(now, &message.at)) }
        }
        div.banner.bad { p { (capital(&message.reason)) } }
        div.column {
            (actions(&visitor, &found))
            section aria-labelledby="body-title" {
                div.headline { h2 #body-title { "What it says" } }
                pre.block { code { (found.body) } }
                @if left_out > 0 { p.muted { "and " (left_out) " bytes more" } }
            }
        }
    };
    Ok(page(&visitor, Page { title: "Quarantine", place: Place::Audit, live: None, body }))
}

fn actions(visitor: &Visitor, found: &QuarantineDetail) -> Markup {
    let to = |verb: &str| format!("/quarantine/{}/{verb}", encode(&found.message.id));
    html! {
        div.actions role="group" aria-label="Actions" {
            form method="post" action=(to("retry")) {
                (token(visitor))
                button.primary type="submit" { "Try it again" }
            }
            details.menu {
                summary.button { "Drop" }
                div.sheet {
                    form.stacked method="post" action=(to("drop")) {
                        (token(visitor))
                        p { "It will never be handled, and can't be brought back." }
                        button.danger type="submit" { "Drop this message" }
                    }
                }
            }
        }
    }
}
