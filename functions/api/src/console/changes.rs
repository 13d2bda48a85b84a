//! What a plan would change, resource by resource.
use super::layout::{Page, Place, page};
use super::value::differs;
use super::{By, Here, Shown};
use crate::ops;
use crate::v1::{AttributeView, ChangesView, OutputChangeView, ResourceChangeView};
use axum::extract::{Extension, Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use windlass_core::changes::Action;

/// So many resources are open at once; more are a list to open one by one.
const OPEN_MAX: u64 = 12;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    after: Option<String>,
}

/// All changes of a run, a page at a time.
pub(super) async fn pages(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
    Query(query): Query<After>,
) -> Shown<Markup> {
    let view =
        ops::changes(&app, &visitor.who, &id, query.after.as_deref(), ops::ANSWER_BYTES).await?;
    let body = html! {
        p.crumbs { a href={ "/runs/" (view.run) } { "← Run" } }
        h1 { "Changes" }
        (changes(&view))
    };
    let title = "Changes";
    Ok(page(&visitor, Page { title, place: Place::Runs, live: None, body }))
}

pub(super) fn changes(view: &ChangesView) -> Markup {
    let open = view.total <= OPEN_MAX;
    html! {
        @if view.total == 0 && view.outputs.is_empty() { p.muted { "No resource changes." } }
        @for change in &view.resources { (resource(change, open)) }
        @if !view.outputs.is_empty() {
            h3 { "Outputs" }
            div.attrs.outputs { @for change in &view.outputs { (output(change)) } }
        }
        @if let Some(next) = &view.next {
            p.more { a.button href={ "/runs/" (view.run) "/changes?after=" (next) } {
                "More of " (view.total) " resources"
            } }
        }
    }
}

/// A sign, a tone and a word.
fn action(action: Action) -> (&'static str, &'static str, &'static str) {
    match action {
        Action::Create => ("+", "add", "create"),
        Action::Read => ("≤", "off", "read"),
        Action::Update => ("~", "chg", "update in place"),
        Action::Replace => ("∓", "del", "destroy, then create"),
        Action::ReplaceCreateFirst => ("±", "del", "create, then destroy"),
        Action::Delete => ("−", "del", "destroy"),
        Action::Forget => ("○", "off", "forget, but leave in place"),
        Action::NoOp => ("=", "off", "no change"),
    }
}

fn resource(change: &ResourceChangeView, open: bool) -> Markup {
    let (sign, tone, word) = action(change.action);
    html! {
        details.change open[open] {
            summary {
                span class={ "sign " (tone) } aria-hidden="true" { (sign) }
                code.address { (change.address) }
                span.muted { (word) @if let Some(reason) = &change.reason { ", " (why(reason)) } }
            }
            @if let Some(previous) = &change.previous_address {
                p.sub { "Moved from " code { (previous) } }
            }
            div.attrs {
                @for attribute in &change.attributes { (self::attribute(attribute)) }
                @if change.attributes.is_empty() { p.muted { "No attribute differs." } }
                @if change.attributes_left_out > 0 {
                    p.muted { "and " (change.attributes_left_out) " more attributes" }
                }
            }
        }
    }
}

/// The tool's words, for people.
fn why(reason: &str) -> String {
    let reason = match reason {
        "replace_because_cannot_update" => "because it can't be updated in place",
        "replace_because_tainted" => "because it is tainted",
        "replace_by_request" => "because somebody asked for it",
        "replace_by_triggers" => "because of replace_triggered_by",
        "delete_because_no_resource_config" => "because it is not in the configuration",
        "delete_because_no_module" => "because its module is not in the configuration",
        "delete_because_count_index" => "because count is lower",
        "delete_because_each_key" => "because for_each has no such key",
        "delete_because_wrong_repetition" => "because count or for_each came or went",
        "delete_because_no_move_target" => "because its new address is not in the configuration",
        "read_because_config_unknown" => "because its configuration is known after apply",
        "read_because_dependency_pending" => "because what it depends on changes",
        other => return other.replace('_', " "),
    };
    reason.to_owned()
}

fn attribute(attribute: &AttributeView) -> Markup {
    let AttributeView { path, before, after, sensitive, known_after_apply, .. } = attribute;
    html! {
        div.attr {
            code.path { (path) }
            div.values {
                (differs(before.as_ref(), after.as_ref(), *sensitive, *known_after_apply))
                @if attribute.forces_replacement { " " span.chip.force { "forces replacement" } }
            }
        }
    }
}

fn output(change: &OutputChangeView) -> Markup {
    let (sign, tone, word) = action(change.action);
    html! {
        div.attr {
            span { span class={ "sign " (tone) } title=(word) { (sign) } " " code.path { (change.name) } }
            div.values { (differs(change.before.as_ref(), change.after.as_ref(), change.sensitive, false)) }
        }
    }
}
