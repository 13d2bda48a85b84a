//! One run: what it is, what it would change, what it says, and the buttons its state allows.
use super::changes::changes;
use super::layout::{Live, Page, Place, page, token};
use super::log::{Grown, grown, tail};
use super::parts::{
    ago, badge, because, between, capital, clock, delta, encode, exact, first_line, kind, sha,
    span, subject, words,
};
use super::{By, Here, Shown, fingerprint};
use crate::auth::Visitor;
use crate::http::Json;
use crate::ops;
use crate::v1::{ChangesView, RunDetail, TransitionView, Verb};
use axum::extract::{Extension, Path, Query, State};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use windlass_core::run::StateName;
use windlass_core::time::UnixMs;

/// Of the page; the log has the other half.
const CHANGES_BYTES: usize = ops::ANSWER_BYTES / 2;

pub(super) async fn show(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
) -> Shown<Markup> {
    let detail = ops::run_detail(&app, &visitor.who, &id).await?;
    let (doc, _) = ops::fresh(&app, &visitor.who, &id).await?;
    let changed = match detail.has_changes {
        true => Some(ops::changes(&app, &visitor.who, &id, None, CHANGES_BYTES).await?),
        false => None,
    };
    let log = tail(&app, &doc).await?;
    let why = ops::why(&app, &visitor.who, &id).await?;
    let (run, now) = (&detail.run, app.now());
    let live = Live { url: format!("/runs/{}/poll", run.id), version: version(&detail) };
    let live = (!run.terminal).then_some(live);
    let body = html! {
        p.crumbs { a href={ "/stacks/" (run.stack) } { "← " (run.stack) } }
        div #head data-part { (head(&detail, now)) }
        div #banner data-part role="status" aria-live="polite" { (banner(&detail)) }
        div #why data-part { (because(&why.lines, now)) }
        div.stay #actions data-part { (actions(&visitor, &detail)) }
        div.with-side.right {
            div.column {
                section #changes data-part aria-labelledby="changes-title" {
                    @if let Some(view) = &changed {
                        (changes_title(&detail))
                        (changes(view))
                        @if detail.can.contains(&Verb::Replan) { (replan(&visitor, &detail, view)) }
                    }
                }
                section aria-labelledby="log-title" {
                    div.headline {
                        h2 #log-title { "Log" }
                        a.muted href={ "/runs/" (run.id) "/log" } { "All of it" }
                        @if !run.terminal { a.muted.no-script href={ "/runs/" (run.id) } { "Refresh" } }
                    }
                    (log)
                }
            }
            aside.side aria-label="Details" {
                div #timeline data-part { (timeline(&detail)) }
                div #facts data-part { (facts(&detail, now)) }
            }
        }
    };
    let title = format!("{} · {}", words(run.state.as_str()), run.stack);
    Ok(page(&visitor, Page { title: &title, place: Place::Runs, live, body }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Since {
    after: String,
}

#[derive(Serialize)]
pub(super) struct News {
    version: String,
    live: bool,
    log: Vec<Grown>,
    next: String,
}

/// What the page asks while its run is live and somebody looks at it.
pub(super) async fn poll(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Shown<Json<News>> {
    let detail = ops::run_detail(&app, &visitor.who, &id).await?;
    let (doc, _) = ops::fresh(&app, &visitor.who, &id).await?;
    let (log, next, done) = grown(&app, &doc, &since.after).await?;
    let live = !detail.run.terminal || !done;
    Ok(Json(News { version: version(&detail), live, log, next }))
}

fn version(detail: &RunDetail) -> String {
    fingerprint(&serde_json::to_string(detail).unwrap_or_default())
}

fn head(detail: &RunDetail, now: UnixMs) -> Markup {
    let run = &detail.run;
    html! {
        div.title { (badge(run.state.as_str())) h1 { (subject(&run.commit)) } }
        p.meta {
            span { (kind(run.kind)) @if run.drift { " for drift" } }
            span { a href={ "/stacks/" (run.stack) } { (run.stack) } }
            span { (sha(&run.commit)) " on " (run.branch) }
            @if !run.commit.author.is_empty() { span { (run.commit.author) } }
            span { "since " (ago(now, &run.since)) }
        }
    }
}

/// The one thing to know about its state.
fn banner(detail: &RunDetail) -> Markup {
    let run = &detail.run;
    let tone = match run.state {
        StateName::Failed => "bad",
        StateName::Unconfirmed | StateName::PendingReview => "ask",
        _ if detail.silent_since.is_some() => "bad",
        _ => "calm",
    };
    html! {
        @if let Some(note) = &run.note {
            div class={ "banner " (tone) } {
                @if note.contains('\n') {
                    @let (first, rest) = note.split_once('\n').unwrap_or((note, ""));
                    p { strong { (first_line(first)) } } pre { (rest) }
                } @else { p { (capital(note)) } }
            }
        }
        @for warning in &detail.warnings { div.banner.ask { p { "Warning: " (warning) } } }
        @if let Some(newer) = &run.superseded_by {
            div.banner.calm { p { "A newer try took its place: " a href={ "/runs/" (newer) } { (newer) } } }
        }
    }
}

fn button(visitor: &Visitor, run: &str, verb: Verb, class: &str, label: &str) -> Markup {
    html! {
        form method="post" action={ "/runs/" (run) "/" (verb.as_str()) } {
            (token(visitor))
            button class=(class) type="submit" { (label) }
        }
    }
}

/// Exactly what the state allows; a confirmation carries what was looked at.
fn actions(visitor: &Visitor, detail: &RunDetail) -> Markup {
    let (run, can) = (&detail.run, |verb| detail.can.contains(&verb));
    let id = run.id.as_str();
    html! {
        @if !detail.can.is_empty() {
            div.actions role="group" aria-label="Actions" {
                @if can(Verb::Confirm) { (confirm(visitor, detail)) }
                @if can(Verb::Approve) { (button(visitor, id, Verb::Approve, "primary", "Approve")) }
                @if can(Verb::Retry) { (button(visitor, id, Verb::Retry, "primary", "Retry")) }
                @if can(Verb::Discard) { (button(visitor, id, Verb::Discard, "", "Discard")) }
                @if can(Verb::Stop) { (button(visitor, id, Verb::Stop, "danger", "Stop")) }
                @if can(Verb::Cancel) { (button(visitor, id, Verb::Cancel, "", "Cancel")) }
                @if can(Verb::Prioritize) { (prioritize(visitor, id, run.prioritized)) }
            }
        }
    }
}

fn confirm(visitor: &Visitor, detail: &RunDetail) -> Markup {
    let run = &detail.run;
    let digest = detail.plan_digest.as_deref().unwrap_or_default();
    html! {
        form method="post" action={ "/runs/" (run.id) "/confirm" } {
            (token(visitor))
            input type="hidden" name="plan_digest" value=(digest);
            input type="hidden" name="version" value=(run.version);
            button.primary type="submit" { "Confirm and apply " (delta(run.delta)) }
        }
    }
}

fn prioritize(visitor: &Visitor, id: &str, on: bool) -> Markup {
    let (value, label) = if on { ("no", "No longer first") } else { ("yes", "Run first") };
    html! {
        form method="post" action={ "/runs/" (id) "/prioritize" } {
            (token(visitor))
            input type="hidden" name="on" value=(value);
            button type="submit" { (label) }
        }
    }
}

fn replan(visitor: &Visitor, detail: &RunDetail, view: &ChangesView) -> Markup {
    let addresses: Vec<&str> = view.resources.iter().map(|r| r.address.as_str()).collect();
    let rows = addresses.len().clamp(2, 8);
    html! {
        details.form {
            summary { "Plan again with only some of these" }
            form method="post" action={ "/runs/" (detail.run.id) "/replan" } {
                (token(visitor))
                label for="targets" { "Addresses, one per line" }
                textarea #targets name="targets" rows=(rows) spellcheck="false" { (addresses.join("\n")) }
                button type="submit" { "Plan again" }
            }
        }
    }
}

fn changes_title(detail: &RunDetail) -> Markup {
    html! {
        div.headline {
            h2 #changes-title { "Changes" } (delta(detail.run.delta))
            @if let Some(digest) = &detail.plan_digest {
                span.muted { "plan " code title=(digest) { (digest.get(..12).unwrap_or(digest)) } }
            }
        }
    }
}

fn timeline(detail: &RunDetail) -> Markup {
    let lines = &detail.history;
    let last = lines.len().saturating_sub(1);
    let day = |at: usize| lines.get(at).and_then(|line| line.at.get(..10));
    let before = |at: usize| at.checked_sub(1).and_then(|at| lines.get(at));
    html! {
        h2 { "Timeline" }
        ol.timeline {
            @for (at, line) in lines.iter().enumerate() {
                @let repeated = before(at).is_some_and(|before| before.note == line.note);
                li {
                    @if at == last { (badge(line.state.as_str())) }
                    @else { span.past { (words(line.state.as_str())) } }
                    span.took { (took(line, lines.get(at + 1))) }
                    div.sub {
                        time datetime=(line.at) title=(exact(&line.at)) {
                            @if at == 0 || day(at) != day(at - 1) { (exact(&line.at)) } @else { (clock(&line.at)) }
                        }
                        @if let Some(by) = &line.by { " · " (by) }
                        @if let Some(note) = line.note.as_ref().filter(|_| !repeated) {
                            " · " (first_line(note))
                        }
                    }
                }
            }
        }
    }
}

/// How long a state lasted, once it is over.
fn took(line: &TransitionView, next: Option<&TransitionView>) -> String {
    next.and_then(|next| between(&line.at, &next.at)).map(span).unwrap_or_default()
}

fn facts(detail: &RunDetail, now: UnixMs) -> Markup {
    let run = &detail.run;
    html! {
        h2 { "Details" }
        dl.facts {
            @if !run.because.is_empty() { dt { "Because" } dd { (run.because) } }
            @if let Some(by) = &run.triggered_by { dt { "Triggered by" } dd { (by) } }
            dt { "Created" } dd { (ago(now, &run.created_at)) }
            @if let Some(worker) = &detail.worker { dt { "Worker" } dd { (worker) } }
            @if let Some(tool) = &detail.tool_version { dt { "Tool" } dd { (tool) } }
            @if detail.tool_ms > 0 { dt { "Time in the tool" } dd { (span(detail.tool_ms)) } }
            @if let Some(command) = &detail.command { dt { "Command" } dd { pre { (command) } } }
            @if !detail.targets.is_empty() { dt { "Targets" } dd { @for t in &detail.targets { code { (t) } br; } } }
            @if let Some(rollout) = &run.rollout {
                dt { "Rollout" } dd { a href={ "/commits/" (run.commit.sha) } { (rollout_name(rollout)) } }
            }
            @if run.try_no > 1 {
                dt { "Try" } dd { "no. " (run.try_no) ", the first was " a href={ "/runs/" (detail.origin) } { (detail.origin) } }
            }
            @if !detail.waits.is_empty() {
                dt { "Waits for" }
                dd { @for wait in &detail.waits {
                    a href={ "/runs/" (encode(&wait.run)) } { (wait.stack) } " "
                    span.muted { (outcome(wait.outcome.as_deref())) }
                    br;
                } }
            }
            @if !detail.children.is_empty() {
                dt { "Then" } dd { @for child in &detail.children { a href={ "/runs/" (encode(&child.id)) } { (child.stack) } br; } }
            }
            @if !detail.inputs.is_empty() {
                dt { "Inputs" }
                dd { @for input in &detail.inputs { code { (input.name) } " from " (input.from) "." (input.output) br; } }
            }
            @if !detail.changed_outputs.is_empty() {
                dt { "Changed outputs" } dd { @for name in &detail.changed_outputs { code { (name) } br; } }
            }
            dt { "Run" } dd { code.id { (run.id) } }
        }
    }
}

fn outcome(word: Option<&str>) -> &'static str {
    match word {
        None => "has not ended",
        Some("good") => "ended well",
        Some("unneeded") => "had nothing to do",
        Some("never") => "will not run",
        Some(_) => "did not end well",
    }
}

/// `<repository>/<sha>-<n>…`, shorter.
fn rollout_name(id: &str) -> String {
    let (repo, rest) = id.rsplit_once('/').unwrap_or(("", id));
    let mut parts = rest.split('-');
    let (sha, n) = (parts.next().unwrap_or(rest), parts.next().unwrap_or("1"));
    let times = if n == "1" { String::new() } else { format!(", no. {n}") };
    format!("{repo} at {}{times}", super::parts::short(sha))
}
