//! Lists that need little more than a table: runs, commits, workers, the audit trail.
use super::commits::tally;
use super::layout::{Page, Place, page, token};
use super::parts::{ago, badge, delta, encode, first_line, kind, rough, sha, subject, words};
use super::{By, Here, Shown};
use crate::ops::{self, AuditQuery, RolloutQuery, RunQuery};
use crate::v1::{AuditView, RunView, WorkerView};
use axum::extract::{Extension, Query, State};
use maud::{Markup, html};
use windlass_core::access::Role;
use windlass_core::run::RunType;
use windlass_core::time::UnixMs;

pub(super) async fn runs(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<RunQuery>,
) -> Shown<Markup> {
    let query = RunQuery { limit: Some(50), ..query };
    let found = ops::runs(&app, &visitor.who, &query).await?;
    let now = app.now();
    let of = query.stack.as_deref();
    let body = html! {
        @if let Some(stack) = of { p.crumbs { a href={ "/stacks/" (encode(stack)) } { "← " (stack) } } }
        div.headline { h1 { "Runs" } @if let Some(stack) = of { span.muted { "of " (stack) } } }
        (run_tabs(&query))
        @if found.runs.is_empty() { div.empty { p.lead { "No such runs." } } }
        (run_rows(&found.runs, of.is_none(), now))
        @if let Some(next) = &found.next {
            p.more { a.button href=(run_link(&query, Some(next.as_str()))) { "Older runs" } }
        }
    };
    Ok(page(&visitor, Page { title: "Runs", place: Place::Runs, live: None, body }))
}

/// The same runs, asked for again.
fn run_link(query: &RunQuery, after: Option<&str>) -> String {
    let kind = query.kind.map(|kind| kind.as_str());
    let fields = [
        ("stack", query.stack.as_deref()),
        ("state", query.state.as_deref()),
        ("type", kind),
        ("after", after),
    ];
    let set = fields.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> = set.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { "/runs".to_owned() } else { format!("/runs?{}", pairs.join("&")) }
}

/// What people look for among many runs.
fn run_tabs(query: &RunQuery) -> Markup {
    let tabs = [
        ("All", None, None),
        ("Unconfirmed", Some("UNCONFIRMED"), None),
        ("Failed", Some("FAILED"), None),
        ("Previews", None, Some(RunType::Proposed)),
        ("Tasks", None, Some(RunType::Task)),
    ];
    html! {
        nav.tabs aria-label="Which runs" {
            @for (title, state, kind) in tabs {
                @let on = query.state.as_deref() == state && query.kind == kind;
                @let state = state.map(str::to_owned);
                @let to = RunQuery { stack: query.stack.clone(), state, kind, ..RunQuery::default() };
                a href=(run_link(&to, None)) aria-current=[on.then_some("true")] { (title) }
            }
        }
    }
}

/// Runs, newest first; with their stack where that is not said already.
pub(super) fn run_rows(runs: &[RunView], name_stack: bool, now: UnixMs) -> Markup {
    html! {
        ul.rows { @for run in runs {
            li {
                (badge(run.state.as_str()))
                div.what {
                    a.name href={ "/runs/" (run.id) } {
                        @if name_stack { (run.stack) } @else { (subject(&run.commit)) }
                    }
                    " " span.chip { (kind(run.kind)) @if run.drift { ", drift" } }
                    @if run.prioritized { " " span.chip { "first" } }
                    div.sub {
                        @if name_stack { (subject(&run.commit)) " · " }
                        @if let Some(note) = &run.note { (first_line(note)) }
                        @else { (run.because) }
                    }
                }
                div.last {
                    div { (sha(&run.commit)) " " (delta(run.delta)) }
                    div.sub { (ago(now, &run.since)) @if let Some(by) = &run.triggered_by { " · " (by) } }
                }
            }
        } }
    }
}

pub(super) async fn commits(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<RolloutQuery>,
) -> Shown<Markup> {
    let found = ops::rollouts(&app, &visitor.who, &query).await?;
    let now = app.now();
    let body = html! {
        div.headline { h1 { "Commits" } span.muted { "what each push and trigger became" } }
        @if found.rollouts.is_empty() { div.empty { p.lead { "Nothing was pushed yet." } } }
        ul.rows { @for rollout in &found.rollouts {
            li {
                (badge(worst(&rollout.runs)))
                div.what {
                    a.name href={ "/commits/" (rollout.commit.sha) } { (subject(&rollout.commit)) }
                    div.sub {
                        @if let Some(nothing) = &rollout.nothing { "No stack ran: " (nothing) }
                        @else { (tally(rollout)) }
                    }
                }
                div.last {
                    div { (sha(&rollout.commit)) " on " (rollout.branch) }
                    div.sub { (rollout.repository) " · " (ago(now, &rollout.at)) }
                }
            }
        } }
        @if let Some(next) = &found.next {
            p.more { a.button href={ "/commits?after=" (encode(next)) } { "Older" } }
        }
    };
    Ok(page(&visitor, Page { title: "Commits", place: Place::Commits, live: None, body }))
}

/// The state that most needs a look stands for a whole rollout.
fn worst(runs: &[crate::v1::RolloutRunView]) -> &'static str {
    let rank = |state: &str| match state {
        "FAILED" => 0,
        "UNCONFIRMED" | "PENDING_REVIEW" => 1,
        "FINISHED" => 4,
        "SKIPPED" => 5,
        "CANCELED" | "DISCARDED" | "STOPPED" => 3,
        _ => 2,
    };
    let states = runs.iter().map(|run| run.run.as_ref().map_or("QUEUED", |r| r.state.as_str()));
    states.min_by_key(|state| rank(state)).unwrap_or("NONE")
}

pub(super) async fn workers(State(app): Here, Extension(visitor): By) -> Shown<Markup> {
    let found = ops::workers(&app, &visitor.who).await?;
    let now = app.now();
    let body = html! {
        div.headline { h1 { "Workers" } }
        @if found.workers.is_empty() {
            div.empty { p.lead { "No worker is registered: runs wait until one is." } }
        }
        ul.rows { @for worker in &found.workers {
            li {
                (worker_badge(&worker.state))
                div.what {
                    span.name { (worker.id) } " " span.chip { "pool " (worker.pool) }
                    div.sub { (slots(worker)) }
                }
                div.last {
                    @if visitor.who.may(Role::Admin, &visitor.who.pool_space(&worker.pool.as_str().into())) {
                        @let verb = if worker.draining_by.is_some() { "undrain" } else { "drain" };
                        form method="post" action={ "/workers/" (encode(&worker.id)) "/" (verb) } {
                            (token(&visitor))
                            button.small type="submit" { @if verb == "drain" { "Drain" } @else { "Take jobs again" } }
                        }
                    }
                    div.sub {
                        "seen " (rough(worker.seen_ms_ago)) " ago · started " (ago(now, &worker.registered_at))
                        @if let Some(by) = &worker.draining_by { " · drained by " (by) }
                    }
                }
            }
        } }
    };
    Ok(page(&visitor, Page { title: "Workers", place: Place::Workers, live: None, body }))
}

fn worker_badge(state: &str) -> Markup {
    let (tone, sign) = match state {
        "busy" => ("busy", "●"),
        "idle" => ("good", "✓"),
        "silent" => ("bad", "✕"),
        _ => ("off", "⊘"),
    };
    html! { span class={ "badge " (tone) } { span aria-hidden="true" { (sign) } " " (words(state)) } }
}

fn slots(worker: &WorkerView) -> Markup {
    let busy: Vec<&str> = worker.slots.iter().filter_map(|slot| slot.run.as_deref()).collect();
    html! {
        @if busy.is_empty() { (worker.slots.len()) " free" }
        @for run in &busy { "runs " a href={ "/runs/" (run) } { (run) } " " }
        " · version " (worker.version)
    }
}

pub(super) async fn audit(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<AuditQuery>,
) -> Shown<Markup> {
    let found = ops::audit_list(&app, &visitor.who, &query).await?;
    let now = app.now();
    let body = html! {
        div.headline {
            h1 { "Audit" } span.muted { "who asked for what, and what became of it" }
            @if visitor.who.sees_everything() { a.muted href="/quarantine" { "Quarantine" } }
        }
        @if found.entries.is_empty() { div.empty { p.lead { "Nobody asked for anything yet." } } }
        ul.rows.audit { @for entry in &found.entries { (audit_row(entry, now)) } }
        @if let Some(next) = &found.next {
            p.more { a.button href={ "/audit?after=" (encode(next)) } { "Older" } }
        }
    };
    Ok(page(&visitor, Page { title: "Audit", place: Place::Audit, live: None, body }))
}

fn audit_row(entry: &AuditView, now: UnixMs) -> Markup {
    html! {
        li {
            span.chip { (words(&entry.action)) }
            div.what {
                strong { (entry.actor) }
                @if let Some(stack) = &entry.stack { " · " a href={ "/stacks/" (stack) } { (stack) } }
                @if let Some(run) = &entry.run { " · " a href={ "/runs/" (run) } { (run) } }
                div.sub {
                    @if let (Some(from), Some(to)) = (&entry.from, &entry.to) { (from) " → " (to) " " }
                    @if let Some(note) = &entry.note { (note) }
                }
            }
            div.last.sub { (ago(now, &entry.at)) }
        }
    }
}
