//! The list of stacks: those that need somebody first, with search and facets.
use super::layout::{Live, Page, Place, page};
use super::parts::{ago, badge, delta, encode, short, subject, words};
use super::{By, Here, Shown, fingerprint};
use crate::http::Json;
use crate::ops::{self, StackQuery};
use crate::v1::{StackList, StackView};
use axum::extract::{Extension, Query, State};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_core::summary::Group;

/// Rows of one page: what a person scrolls through, and well under a hundred kilobytes.
const ROWS: usize = 100;
/// Alternatives of one facet that are shown; the rest is what the search is for.
const FACET_ROWS: usize = 12;

pub(super) async fn list(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<StackQuery>,
) -> Shown<Markup> {
    let query = StackQuery { limit: Some(ROWS), ..query };
    let found = ops::stacks(&app, &visitor.who, &query).await?;
    let version = version(&found);
    let live = Live { url: format!("/poll{}", link(&query, &[])), version };
    let now = app.now();
    let body = html! {
        div.with-side {
            aside.side aria-label="Filters" { (search(&query)) (facets(&query, &found)) }
            section aria-labelledby="title" {
                div.headline { h1 #title { "Stacks" } span.muted { (count(found.total)) } }
                (groups(&query, &found))
                div #rows data-part {
                    @if found.stacks.is_empty() { (nothing(&query)) }
                    @for (group, rows) in by_group(&found.stacks) {
                        h2.group { (group_title(group)) }
                        ul.rows { @for stack in rows { (row(stack, now)) } }
                    }
                    @if let Some(next) = &found.next {
                        p.more { a.button href={ "/" (link(&query, &[("after", next)])) } { "More stacks" } }
                    }
                }
            }
        }
    };
    Ok(page(&visitor, Page { title: "Stacks", place: Place::Stacks, live: Some(live), body }))
}

#[derive(Serialize)]
pub(super) struct News {
    version: String,
    live: bool,
}

/// Whether anything moved on the page that is looked at.
pub(super) async fn poll(
    State(app): Here,
    Extension(visitor): By,
    Query(query): Query<StackQuery>,
) -> Shown<Json<News>> {
    let query = StackQuery { limit: Some(ROWS), ..query };
    Ok(Json(News { version: version(&ops::stacks(&app, &visitor.who, &query).await?), live: true }))
}

fn version(found: &StackList) -> String {
    use std::fmt::Write as _;
    let mut words = format!("{}", found.total);
    for stack in &found.stacks {
        let last = stack.last_run.as_ref();
        let run = last.map(|last| (last.id.as_str(), last.since.as_str(), last.state));
        let (lock, drift) = (stack.lock.is_some(), stack.drifted.as_ref().map(|d| &d.since));
        let _ = write!(words, "|{}{run:?}{}{lock}{drift:?}", stack.slug, stack.queued);
    }
    fingerprint(&words)
}

/// The query as a link, with some of its fields set anew. `after` is only kept when it is set.
fn link(query: &StackQuery, set: &[(&str, &str)]) -> String {
    let kept = [
        ("q", query.q.as_str()),
        ("group", &query.group),
        ("state", &query.state),
        ("space", &query.space),
        ("label", &query.label),
        ("repository", &query.repository),
        ("after", ""),
    ];
    let mut out = String::new();
    for (name, value) in kept {
        let value = set.iter().find(|(key, _)| *key == name).map_or(value, |(_, value)| value);
        if !value.is_empty() {
            out.push(if out.is_empty() { '?' } else { '&' });
            out.push_str(&format!("{name}={}", encode(value)));
        }
    }
    out
}

fn count(total: u64) -> String {
    if total == 1 { "1 stack".to_owned() } else { format!("{total} stacks") }
}

fn search(query: &StackQuery) -> Markup {
    html! {
        form.search role="search" action="/" {
            label.sr for="q" { "Search stacks" }
            input #q type="search" name="q" value=(query.q) placeholder="Search  /" autocomplete="off";
            @for (name, value) in [("group", &query.group), ("state", &query.state),
                ("space", &query.space), ("label", &query.label), ("repository", &query.repository)] {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            button.sr type="submit" { "Search" }
        }
    }
}

fn facets(query: &StackQuery, found: &StackList) -> Markup {
    let facets = &found.facets;
    html! {
        details.facets open {
            summary { "Filters" }
            div #facets data-part {
                (facet(query, "state", "State", &query.state, &facets.state))
                (facet(query, "space", "Space", &query.space, &facets.space))
                (facet(query, "label", "Label", &query.label, &facets.label))
                (facet(query, "repository", "Repository", &query.repository, &facets.repository))
            }
        }
    }
}

fn facet(
    query: &StackQuery,
    name: &str,
    title: &str,
    chosen: &str,
    counts: &BTreeMap<String, u64>,
) -> Markup {
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by_key(|(value, count)| (*value != chosen, std::cmp::Reverse(**count)));
    let left_out = rows.len().saturating_sub(FACET_ROWS);
    let word = |value: &str| if name == "state" { words(value) } else { value.to_owned() };
    html! {
        @if rows.len() > 1 || !chosen.is_empty() {
            h2 { (title) }
            ul {
                @for (value, count) in rows.into_iter().take(FACET_ROWS) {
                    @let on = value == chosen;
                    @let to = if on { "" } else { value.as_str() };
                    li { a href={ "/" (link(query, &[(name, to)])) } aria-current=[on.then_some("true")] {
                        span { (word(value)) @if on { span.sr { " (chosen; remove)" } } }
                        span.n { @if on { "×" } @else { (count) } }
                    } }
                }
                @if left_out > 0 { li.muted { "and " (left_out) " more" } }
            }
        }
    }
}

const GROUPS: [(Group, &str); 5] = [
    (Group::NeedsAttention, "Needs attention"),
    (Group::Failed, "Failed"),
    (Group::OnHold, "On hold"),
    (Group::InProgress, "In progress"),
    (Group::Finished, "Finished"),
];

fn group_title(group: Group) -> &'static str {
    GROUPS.iter().find(|(known, _)| *known == group).map_or("", |(_, title)| title)
}

/// Groups as the first filter: what most people come for.
fn groups(query: &StackQuery, found: &StackList) -> Markup {
    let all: u64 = found.facets.group.values().sum();
    let tab = |word: &str, title: &str, n: u64| {
        let on = query.group == word;
        html! {
            a href={ "/" (link(query, &[("group", word)])) } aria-current=[on.then_some("true")] {
                (title) " " span.n { (n) }
            }
        }
    };
    html! {
        nav.tabs #groups data-part aria-label="Groups" {
            (tab("", "All", all))
            @for (group, title) in GROUPS {
                @let word = ops::group_word(group);
                @let n = found.facets.group.get(word).copied().unwrap_or(0);
                @if n > 0 || query.group == word { (tab(word, title, n)) }
            }
        }
    }
}

fn by_group(stacks: &[StackView]) -> Vec<(Group, &[StackView])> {
    stacks.chunk_by(|a, b| a.group == b.group).map(|rows| (rows[0].group, rows)).collect()
}

fn row(stack: &StackView, now: windlass_core::time::UnixMs) -> Markup {
    let named = stack.name != stack.slug;
    html! {
        li {
            (badge(&stack.state))
            div.what {
                a.name href={ "/stacks/" (stack.slug) } { (stack.name) }
                @if let Some(drifted) = &stack.drifted {
                    " " span.chip title={ (drifted.count) " differ from what was applied" } { "drifted" }
                }
                @if let Some(lock) = &stack.lock {
                    " " span.chip.locked title={ "Locked by " (lock.by) } { "locked" }
                }
                @if stack.queued > 0 { " " span.chip { (stack.queued) " queued" } }
                @if stack.administrative { " " span.chip { "definitions" } }
                @for label in stack.labels.iter().filter(|_| !stack.administrative).take(3) { " " span.chip { (label) } }
                div.sub {
                    @if named { code { (stack.slug) } " · " }
                    (stack.repository) @if !stack.project_root.is_empty() { " / " (stack.project_root) }
                }
            }
            @if let Some(last) = &stack.last_run {
                div.last {
                    a href={ "/runs/" (last.id) } { (subject(&last.commit)) }
                    div.sub { code { (short(&last.commit.sha)) } " " (delta(last.delta)) " · " (ago(now, &last.since)) }
                }
            } @else { div.last { span.muted { "No run yet" } } }
        }
    }
}

fn nothing(query: &StackQuery) -> Markup {
    let asked = link(query, &[]);
    html! {
        div.empty {
            @if asked.is_empty() {
                p.lead { "No stacks are defined yet." }
                p { "Declare them in " code { "windlass.yaml" } " and push it; they appear here." }
            } @else {
                p.lead { "No stack matches." }
                p { a.button href="/" { "Show all stacks" } }
            }
        }
    }
}
