//! One stack: what it is doing, its runs, what it depends on and what depends on it, what it has.
use super::layout::{Live, Page, Place, page, token};
use super::lists::run_rows;
use super::parts::{ago, badge, because, encode, sha, subject};
use super::value::plain;
use super::{By, Here, Shown, fingerprint};
use crate::auth::Visitor;
use crate::http::Json;
use crate::ops::{self, RunQuery};
use crate::v1::{
    DriftView, DriftedView, EdgeView, OutputList, ResourceList, RunList, RunView, StackDetail,
};
use axum::extract::{Extension, Path, State};
use maud::{Markup, html};
use serde::Serialize;
use windlass_core::access::Role;
use windlass_core::time::UnixMs;

const RUNS: usize = 12;

pub(super) async fn show(
    State(app): Here,
    Extension(visitor): By,
    Path(slug): Path<String>,
) -> Shown<Markup> {
    let detail = ops::stack(&app, &visitor.who, &slug).await?;
    let query = RunQuery { stack: Some(slug.clone()), limit: Some(RUNS), ..RunQuery::default() };
    let runs = ops::runs(&app, &visitor.who, &query).await?;
    let resources = ops::resources(&app, &visitor.who, &slug, None).await?;
    let outputs = ops::outputs(&app, &visitor.who, &slug).await?;
    let why = ops::why(&app, &visitor.who, &slug).await?;
    let now = app.now();
    let live = moving(&detail)
        .then(|| Live { url: format!("/stacks/{slug}/poll"), version: version(&detail) });
    let body = html! {
        p.crumbs { a href="/" { "← Stacks" } }
        div #head data-part { (head(&detail, now)) }
        div #why data-part { (because(&why.lines, now)) }
        (actions(&visitor, &detail))
        div.with-side.right {
            div.column {
                section #runs data-part aria-labelledby="runs-title" { (run_section(&detail, &runs, now)) }
                section aria-labelledby="resources-title" { (resource_section(&resources)) }
                section aria-labelledby="outputs-title" { (output_section(&outputs)) }
            }
            aside.side aria-label="Details" {
                div #edges data-part {
                    (edges("Depends on", &detail.depends_on))
                    (edges("Depended on by", &detail.dependents))
                }
                div { (settings(&detail)) }
            }
        }
    };
    let title = detail.stack.name.clone();
    Ok(page(&visitor, Page { title: &title, place: Place::Stacks, live, body }))
}

#[derive(Serialize)]
pub(super) struct News {
    version: String,
    live: bool,
}

pub(super) async fn poll(
    State(app): Here,
    Extension(visitor): By,
    Path(slug): Path<String>,
) -> Shown<Json<News>> {
    let detail = ops::stack(&app, &visitor.who, &slug).await?;
    Ok(Json(News { version: version(&detail), live: moving(&detail) }))
}

fn version(detail: &StackDetail) -> String {
    fingerprint(&serde_json::to_string(detail).unwrap_or_default())
}

fn moving(detail: &StackDetail) -> bool {
    detail.active.is_some() || !detail.queue.is_empty() || !detail.open_proposed.is_empty()
}

fn head(detail: &StackDetail, now: UnixMs) -> Markup {
    let stack = &detail.stack;
    html! {
        div.title { (badge(&stack.state)) h1 { (stack.name) } }
        p.meta {
            @if stack.name != stack.slug { span { code { (stack.slug) } } }
            span { (stack.repository) " / " (if stack.project_root.is_empty() { "." } else { &stack.project_root }) }
            span { "on " (stack.branch) }
            @if let Some(commit) = &stack.tracked { span { "at " (sha(commit)) " " (subject(commit)) } }
            @for label in &stack.labels { a.chip href={ "/?label=" (encode(label)) } { (label) } }
        }
        @if !stack.description.is_empty() { p { (stack.description) } }
        @if let Some(lock) = &stack.lock {
            div.banner.ask role="status" { p {
                strong { "Locked by " (lock.by) } " " (ago(now, &lock.at))
                @if let Some(until) = &lock.until { ", until " (super::parts::exact(until)) }
                @if let Some(note) = &lock.note { ": " (note) }
            } }
        }
        @if let Some(drifted) = &stack.drifted { (drift_banner(drifted, detail.drift.as_ref(), now)) }
        @if !stack.defined { div.banner.calm { p { "It left the definitions; what is here is what was." } } }
    }
}

fn actions(visitor: &Visitor, detail: &StackDetail) -> Markup {
    let stack = &detail.stack;
    let to = |verb: &str| format!("/stacks/{}/{verb}", stack.slug);
    let own = stack.lock.as_ref().is_some_and(|lock| lock.by == visitor.who.actor);
    let may = |role| visitor.who.may(role, &stack.space.as_str().into());
    html! {
        @if stack.defined && may(Role::Writer) {
            div.actions role="group" aria-label="Actions" {
                form method="post" action=(to("trigger")) {
                    (token(visitor))
                    button.primary type="submit" { "Trigger a run" }
                }
                form method="post" action=(to("trigger")) {
                    (token(visitor)) input type="hidden" name="type" value="PROPOSED";
                    button type="submit" { "Preview" }
                }
                @if stack.lock.is_some() && (own || may(Role::Admin)) {
                    form method="post" action=(to("unlock")) {
                        (token(visitor))
                        @if !own { input type="hidden" name="force" value="yes"; }
                        button type="submit" { @if own { "Unlock" } @else { "Unlock by force" } }
                    }
                }
                details.menu {
                    summary.button { "More" }
                    div.sheet {
                        @if stack.lock.is_none() { (lock_form(visitor, &to("lock"))) }
                        @if detail.drift.is_some() { (drift_form(visitor, &to("trigger"))) }
                        (commit_form(visitor, &to("trigger")))
                        @if !stack.administrative {
                            (task_form(visitor, &to("task")))
                            (destroy_form(visitor, &to("trigger"), &stack.slug))
                        }
                    }
                }
            }
        }
    }
}

fn lock_form(visitor: &Visitor, to: &str) -> Markup {
    html! {
        form.stacked method="post" action=(to) {
            (token(visitor))
            h3 { "Lock" }
            label for="lock-note" { "Why (others see it)" }
            input #lock-note name="note" maxlength="1000" autocomplete="off";
            label for="lock-hours" { "For how many hours (empty: until unlocked)" }
            input #lock-hours name="hours" type="number" min="1" max="10000";
            button type="submit" { "Lock" }
        }
    }
}

fn drift_banner(drifted: &DriftedView, drift: Option<&DriftView>, now: UnixMs) -> Markup {
    let addresses = drift.map(|drift| drift.addresses.as_slice()).unwrap_or_default();
    html! {
        div.banner.ask role="status" {
            p {
                strong { "Drift: " (drifted.count) @if drifted.count == 1 { " resource differs" } @else { " resources differ" } }
                " from what was applied, since " (ago(now, &drifted.since))
                @if let Some(run) = drift.and_then(|drift| drift.found_by.as_ref()) {
                    ", by " a href={ "/runs/" (encode(run)) } { "this run" }
                }
            }
            details { summary { "Which" } ul.plain { @for address in addresses { li { code { (address) } } } } }
        }
    }
}

fn drift_form(visitor: &Visitor, to: &str) -> Markup {
    html! {
        form.stacked method="post" action=(to) {
            (token(visitor)) input type="hidden" name="type" value="DRIFT";
            h3 { "Look for drift" }
            button type="submit" { "Look now" }
        }
    }
}

fn commit_form(visitor: &Visitor, to: &str) -> Markup {
    html! {
        form.stacked method="post" action=(to) {
            (token(visitor))
            h3 { "Run another commit" }
            label for="commit" { "Commit, branch or tag; an older one rolls back" }
            input #commit name="commit" required autocomplete="off" spellcheck="false";
            label for="type" { "As" }
            select #type name="type" { option value="TRACKED" { "Tracked run" } option value="PROPOSED" { "Preview" } }
            button type="submit" { "Trigger" }
        }
    }
}

fn task_form(visitor: &Visitor, to: &str) -> Markup {
    html! {
        form.stacked method="post" action=(to) {
            (token(visitor))
            h3 { "Run a task" }
            label for="command" { "A shell command in the stack's environment" }
            textarea #command name="command" rows="2" required spellcheck="false" {}
            button type="submit" { "Run it" }
        }
    }
}

fn destroy_form(visitor: &Visitor, to: &str, slug: &str) -> Markup {
    html! {
        form.stacked method="post" action=(to) {
            (token(visitor)) input type="hidden" name="type" value="DESTROY";
            h3 { "Destroy all resources" }
            label for="typed" { "Type " code { (slug) } " to confirm; this can't be undone" }
            input #typed name="typed" required pattern=(slug) autocomplete="off" spellcheck="false";
            button.danger type="submit" { "Destroy" }
        }
    }
}

fn run_section(detail: &StackDetail, runs: &RunList, now: UnixMs) -> Markup {
    // What is open is known better than by the list of all runs, and is not shown twice.
    let open: Vec<RunView> =
        detail.active.iter().chain(&detail.queue).chain(&detail.open_proposed).cloned().collect();
    let is_open = |run: &&RunView| open.iter().any(|known| known.id == run.id);
    let past: Vec<RunView> = runs.runs.iter().filter(|run| !is_open(run)).cloned().collect();
    html! {
        div.headline { h2 #runs-title { "Runs" } a.muted href={ "/runs?stack=" (detail.stack.slug) } { "All runs" } }
        @if open.is_empty() && past.is_empty() { p.muted { "It has not run yet." } }
        (run_rows(&open, false, now))
        @if !open.is_empty() && !past.is_empty() { h3.group { "Ended" } }
        (run_rows(&past, false, now))
    }
}

fn edges(title: &str, edges: &[EdgeView]) -> Markup {
    html! {
        @if !edges.is_empty() {
            h2 { (title) }
            ul.edges { @for edge in edges { li {
                a href={ "/stacks/" (edge.stack) } { (edge.stack) } " " (badge(&edge.state))
                div.sub {
                    @if edge.references.is_empty() { "after every run" }
                    @for reference in &edge.references {
                        code { (reference.output) } " → " code { (reference.input) }
                        @if reference.trigger_always { " (always)" } br;
                    }
                }
            } } }
        }
    }
}

fn resource_section(list: &ResourceList) -> Markup {
    html! {
        div.headline { h2 #resources-title { "Resources" } span.muted { (list.total) } }
        @if list.resources.is_empty() { p.muted { "None are known: they are listed after an apply." } }
        @else {
            details open[list.total <= 20] {
                summary { "Show " (list.resources.len()) @if list.next.is_some() { " of " (list.total) } }
                ul.plain { @for resource in &list.resources { li { code { (resource.address) } @if resource.drifted.is_some() { " " span.chip { "drifted" } } } } }
            }
        }
    }
}

fn output_section(list: &OutputList) -> Markup {
    html! {
        div.headline { h2 #outputs-title { "Outputs" } span.muted { (list.outputs.len()) } }
        @if list.outputs.is_empty() { p.muted { "None." } }
        div.attrs { @for output in &list.outputs {
            div.attr {
                code.path { (output.name) }
                div.values {
                    @if output.sensitive { em { "(sensitive value)" } }
                    @else if let Some(value) = &output.value { (plain(value)) }
                    @else { span.muted { "too long to show" } }
                }
            }
        } }
    }
}

fn settings(detail: &StackDetail) -> Markup {
    let stack = &detail.stack;
    html! {
        h2 { "Settings" }
        dl.facts {
            dt { "Space" } dd { a href={ "/?space=" (encode(&stack.space)) } { (stack.space) } }
            dt { "Applies" } dd { @if stack.autodeploy { "by itself" } @else { "once confirmed" } }
            dt { "Tool" } dd { (detail.tool) @if let Some(version) = &detail.version { " " (version) } }
            dt { "Workspace" } dd { (detail.workspace) }
            dt { "Worker pool" } dd { (detail.worker_pool) }
            dt { "State" } dd { @if detail.manage_state { "kept by Windlass, unless the code names a backend" } @else { "in its own backend" } }
            @if let Some(drift) = &detail.drift {
                dt { "Drift" } dd {
                    @if drift.schedule.is_empty() { "looked for when somebody asks" }
                    @else { code { (drift.schedule.join("; ")) } " " (drift.timezone) }
                    @if drift.reconcile { ", reconciled" }
                    @if let Some(next) = &drift.next { ", next " (super::parts::exact(next)) }
                }
            }
            @if let Some(sha) = &detail.defined_by { dt { "Defined at" } dd { code { (super::parts::short(sha)) } } }
        }
    }
}
