//! One commit: each time it was routed, the runs that followed, and why each is as it is.
use super::layout::{Live, Page, Place, page};
use super::parts::{ago, badge, delta, first_line, short, subject};
use super::{By, Here, Shown, fingerprint};
use crate::http::Json;
use crate::ops;
use crate::v1::{CommitDetail, RolloutRunView, RolloutView};
use axum::extract::{Extension, Path, State};
use maud::{Markup, html};
use serde::Serialize;
use windlass_core::time::UnixMs;

/// Deeper rows are not moved further to the right.
const INDENT_MAX: u32 = 8;

pub(super) async fn show(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
) -> Shown<Markup> {
    let found = ops::commit(&app, &visitor.who, &id).await?;
    let (commit, now) = (&found.commit, app.now());
    let live = Live { url: format!("/commits/{}/poll", commit.sha), version: version(&found) };
    let live = moving(&found).then_some(live);
    let repository = found.rollouts.first().map(|r| r.repository.as_str()).unwrap_or_default();
    let body = html! {
        p.crumbs { a href="/commits" { "← Commits" } }
        div.title { h1 { (subject(commit)) } }
        p.meta {
            span { code { (commit.sha) } }
            span { (repository) }
            @if !commit.author.is_empty() { span { (commit.author) } }
        }
        div #rollouts data-part role="status" aria-live="off" {
            @for (at, found) in found.rollouts.iter().enumerate() {
                section.rollout aria-label={ "Rollout " (at + 1) } {
                    (rollout_head(found, now))
                    (tree(found, now))
                }
            }
        }
    };
    let title = format!("{} · {}", short(&commit.sha), subject(commit));
    Ok(page(&visitor, Page { title: &title, place: Place::Commits, live, body }))
}

#[derive(Serialize)]
pub(super) struct News {
    version: String,
    live: bool,
}

pub(super) async fn poll(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
) -> Shown<Json<News>> {
    let found = ops::commit(&app, &visitor.who, &id).await?;
    Ok(Json(News { version: version(&found), live: moving(&found) }))
}

fn version(found: &CommitDetail) -> String {
    fingerprint(&serde_json::to_string(found).unwrap_or_default())
}

fn moving(found: &CommitDetail) -> bool {
    found.rollouts.iter().any(|rollout| !rollout.done)
}

pub(super) fn rollout_head(rollout: &RolloutView, now: UnixMs) -> Markup {
    let came = match &rollout.triggered_by {
        Some(by) => html! { "triggered by " (by) },
        None => html! { "pushed" },
    };
    html! {
        div.headline {
            h2 { "On " (rollout.branch) }
            span.muted { (came) " " (ago(now, &rollout.at)) }
            span.muted { (tally(rollout)) }
        }
    }
}

/// `4 runs: 2 finished, 1 skipped, 1 queued`.
pub(super) fn tally(rollout: &RolloutView) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for run in &rollout.runs {
        let word = run.run.as_ref().map_or("to come".to_owned(), |run| {
            super::parts::words(run.state.as_str()).to_lowercase()
        });
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    counts.join(", ")
}

/// Parents first; what waits for them stands further right.
pub(super) fn tree(rollout: &RolloutView, now: UnixMs) -> Markup {
    html! {
        @if let Some(nothing) = &rollout.nothing { p.empty { "No stack ran: " (nothing) } }
        ol.tree { @for run in &rollout.runs { (row(run, now)) } }
    }
}

fn row(planned: &RolloutRunView, now: UnixMs) -> Markup {
    let depth = planned.depth.min(INDENT_MAX);
    let after = planned.after.join(", ");
    html! {
        li class={ "d" (depth) } {
            @match &planned.run {
                Some(run) => {
                    (badge(run.state.as_str()))
                    div.what {
                        a.name href={ "/runs/" (run.id) } { (planned.stack) }
                        @if run.try_no > 1 { " " span.chip { "try " (run.try_no) } }
                        " " (delta(run.delta))
                        @if !after.is_empty() { " " span.muted { "after " (after) } }
                        @if let Some(note) = &run.note { div.sub { (first_line(note)) } }
                        @else if !planned.because.is_empty() { div.sub { (planned.because) } }
                    }
                    div.last.sub { (ago(now, &run.since)) }
                }
                None => {
                    (badge("NONE"))
                    div.what { span.name { (planned.stack) }
                        @if !after.is_empty() { " " span.muted { "after " (after) } }
                        div.sub { "Its run is not there yet" } }
                    div.last {}
                }
            }
        }
    }
}
