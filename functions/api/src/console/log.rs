//! A run's log: its end on the run's page, all of it by pages.
use super::ansi::to_html;
use super::layout::{Page, Place, page};
use super::parts::encode;
use super::{By, Here, Shown};
use crate::auth::Seen;
use crate::ops::{self, App, Tail};
use axum::extract::{Extension, Path, Query, State};
use maud::{Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};
use windlass_core::job::Step;
use windlass_core::run::Run;

/// What a run's page has for its logs.
const TAIL_BYTES: usize = ops::ANSWER_BYTES / 2;

pub(super) fn step_title(job: &str, step: Step) -> String {
    let word = match step {
        Step::Preparing => "Preparing",
        Step::Initializing => "Initializing",
        Step::Planning => "Planning",
        Step::Applying => "Applying",
        Step::Destroying => "Destroying",
        Step::Performing => "Performing",
    };
    // `…-plan-2`: the second attempt; `…-plan1-1`: a targeted replan.
    let mut parts = job.rsplitn(3, '-');
    let attempt = parts.next().unwrap_or("1");
    let phase = parts.next().unwrap_or_default();
    let round = phase.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match (round, attempt) {
        ("", "1") => word.to_owned(),
        ("", n) => format!("{word} (attempt {n})"),
        (round, "1") => format!("{word} (replan {round})"),
        (round, n) => format!("{word} (replan {round}, attempt {n})"),
    }
}

/// A step's words, as the script finds and extends them.
fn step(job: &str, step: Step, open: bool, before: Option<Markup>, text: &str) -> Markup {
    html! {
        details.step open[open] data-step={ (job) "/" (step.as_str()) } {
            summary { (step_title(job, step)) }
            @if let Some(before) = before { p.sub { (before) } }
            pre { (PreEscaped(to_html(text))) }
        }
    }
}

/// How it was prepared is of interest while that is all there is, or when it is what failed.
fn opens(step: Step, is_last: bool) -> bool {
    is_last || !matches!(step, Step::Preparing | Step::Initializing)
}

/// The end of a run's log, and the cursor from which to follow it.
pub(super) async fn tail(app: &App, run: &Seen<Run>) -> Shown<Markup> {
    let Tail { parts, next } = ops::log_tail(app, run, TAIL_BYTES).await?;
    let id = run.id();
    let empty = parts.is_empty();
    Ok(html! {
        div #log.log role="log" aria-live="off" data-log=(next) {
            @if empty { p.muted data-empty { "Nothing has been said yet." } }
            @for (at, part) in parts.iter().enumerate() {
                @let left_out = (part.left_out > 0).then(|| html! {
                    a href={ "/runs/" (id) "/log" } { "All of the log" } ": "
                    (part.left_out / 1024) " KiB before this are not shown here."
                });
                @let open = opens(part.step, at + 1 == parts.len());
                (step(&part.job, part.step, open, left_out, &part.text))
            }
        }
    })
}

/// News of a log, ready to be put where it belongs.
#[derive(Serialize)]
pub(super) struct Grown {
    step: String,
    title: String,
    html: String,
}

/// What follows the cursor.
pub(super) async fn grown(
    app: &App,
    run: &Seen<Run>,
    after: &str,
) -> Shown<(Vec<Grown>, String, bool)> {
    let found = ops::log_page(app, run, after).await?;
    let grown = found.parts.iter().map(|part| Grown {
        step: format!("{}/{}", part.job, part.step.as_str()),
        title: step_title(&part.job, part.step),
        html: to_html(&part.text),
    });
    Ok((grown.collect(), found.next, found.done))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    after: String,
}

/// The whole log, a page at a time.
pub(super) async fn pages(
    State(app): Here,
    Extension(visitor): By,
    Path(id): Path<String>,
    Query(query): Query<After>,
) -> Shown<Markup> {
    let (run, _) = ops::fresh(&app, &visitor.who, &id).await?;
    let found = ops::log_page(&app, &run, &query.after).await?;
    let more = found.parts.iter().map(|part| part.text.len()).sum::<usize>() > 0 && !found.done;
    let body = html! {
        p.crumbs { a href={ "/runs/" (run.id()) } { "← Run" } }
        h1 { "Log" }
        div.log {
            @for part in &found.parts { (step(&part.job, part.step, true, None, &part.text)) }
            @if found.parts.is_empty() { p.muted { "Nothing follows." } }
        }
        @if more {
            p.more { a.button href={ "/runs/" (run.id()) "/log?after=" (encode(&found.next)) } { "Next page" } }
        }
    };
    Ok(page(&visitor, Page { title: "Log", place: Place::Runs, live: None, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        #[rustfmt::skip]
        let table = [
            ("01ABC-plan-1",   Step::Planning, "Planning"),
            ("01ABC-plan-2",   Step::Planning, "Planning (attempt 2)"),
            ("01ABC-plan1-1",  Step::Planning, "Planning (replan 1)"),
            ("01ABC-plan2-3",  Step::Planning, "Planning (replan 2, attempt 3)"),
            ("01ABC-apply-1",  Step::Applying, "Applying"),
        ];
        for (job, step, expect) in table {
            assert_eq!(step_title(job, step), expect, "{job}");
        }
    }
}
