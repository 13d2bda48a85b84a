//! Small pieces that many pages share: states, times, commits, numbers of changes.
use crate::v1::{CommitView, WhyLine};
use maud::{Markup, html};
use windlass_core::job::Delta;
use windlass_core::run::RunType;
use windlass_core::time::UnixMs;

/// How a state looks: a word, a sign and a tone, never colour alone.
pub(super) fn badge(state: &str) -> Markup {
    let (tone, sign) = match state {
        "FINISHED" => ("good", "✓"),
        "FAILED" => ("bad", "✕"),
        "UNCONFIRMED" | "PENDING_REVIEW" => ("ask", "!"),
        "CANCELED" | "DISCARDED" | "STOPPED" => ("off", "⊘"),
        "SKIPPED" => ("off", "»"),
        "NONE" => ("off", "–"),
        "QUEUED" | "READY" | "CONFIRMED" | "REPLAN_REQUESTED" => ("wait", "◦"),
        _ => ("busy", "●"),
    };
    html! { span class={ "badge " (tone) } { span aria-hidden="true" { (sign) } " " (words(state)) } }
}

/// `PREPARING_APPLY` → `Preparing apply`.
pub(super) fn words(state: &str) -> String {
    if state == "NONE" {
        return "No run".to_owned();
    }
    let lower = state.replace('_', " ").to_lowercase();
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

pub(super) fn kind(kind: RunType) -> &'static str {
    match kind {
        RunType::Proposed => "Preview",
        RunType::Tracked => "Tracked run",
        RunType::Destroy => "Destroy run",
        RunType::Task => "Task",
    }
}

/// `+1 ~2 −0`, readable aloud.
pub(super) fn delta(delta: Option<Delta>) -> Markup {
    let Some(delta) = delta else { return html! {} };
    let said =
        format!("{} to add, {} to change, {} to delete", delta.add, delta.change, delta.delete);
    let tone = |n: u32, name: &'static str| if n == 0 { "zero" } else { name };
    html! {
        span.delta title=(said) {
            span class=(tone(delta.add, "add")) { "+" (delta.add) } " "
            span class=(tone(delta.change, "chg")) { "~" (delta.change) } " "
            span class=(tone(delta.delete, "del")) { "−" (delta.delete) }
        }
    }
}

fn ms(rfc3339: &str) -> Option<u64> {
    let stamp: jiff::Timestamp = rfc3339.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}

/// How long ago; the exact moment on hover and for machines.
pub(super) fn ago(now: UnixMs, rfc3339: &str) -> Markup {
    let text = match ms(rfc3339) {
        Some(at) if at > now.0 + 1_000 => format!("in {}", rough(at - now.0)),
        Some(at) if now.0.saturating_sub(at) < 5_000 => "just now".to_owned(),
        Some(at) => format!("{} ago", rough(now.0.saturating_sub(at))),
        None => rfc3339.to_owned(),
    };
    let exact = exact(rfc3339);
    html! { time datetime=(rfc3339) title=(exact) { (text) } }
}

/// `2026-11-22 10:15:30 UTC`.
pub(super) fn exact(rfc3339: &str) -> String {
    match rfc3339.get(..19) {
        Some(text) => format!("{} UTC", text.replace('T', " ")),
        None => rfc3339.to_owned(),
    }
}

/// `10:15:30`, for where the day is said already.
pub(super) fn clock(rfc3339: &str) -> &str {
    rfc3339.get(11..19).unwrap_or(rfc3339)
}

/// Milliseconds between two moments.
pub(super) fn between(from: &str, to: &str) -> Option<u64> {
    Some(ms(to)?.saturating_sub(ms(from)?))
}

/// A length of time in its one or two largest units.
pub(super) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 => format!("{ms} ms"),
        1..=9 => format!("{}.{} s", s, ms % 1_000 / 100),
        10..=59 => format!("{s} s"),
        60..=3_599 => format!("{} min {} s", s / 60, s % 60),
        3_600..=86_399 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        86_400..=2_591_999 => days(s / 86_400, "day"),
        _ => days(s / 2_592_000, "month"),
    }
}

/// In its largest unit alone.
pub(super) fn rough(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..=59 => format!("{s} s"),
        60..=3_599 => format!("{} min", s / 60),
        3_600..=86_399 => format!("{} h", s / 3_600),
        _ => span(ms),
    }
}

fn days(n: u64, unit: &str) -> String {
    if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") }
}

pub(super) fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// A commit's short id, leading to its page.
pub(super) fn sha(commit: &CommitView) -> Markup {
    html! { a.sha href={ "/commits/" (commit.sha) } { (short(&commit.sha)) } }
}

pub(super) fn subject(commit: &CommitView) -> &str {
    if commit.subject.is_empty() { "(no message)" } else { &commit.subject }
}

/// What fits into one line of a list.
pub(super) fn first_line(note: &str) -> &str {
    windlass_core::run::headline(note).trim_end_matches(':')
}

/// The sentences that explain something, with what they are about.
pub(super) fn because(lines: &[WhyLine], now: UnixMs) -> Markup {
    html! {
        details.why {
            summary { "Why is it so?" }
            ol { @for line in lines {
                li {
                    (line.text)
                    @if let Some(run) = &line.run { " " a href={ "/runs/" (run) } { "run" } }
                    @else if let Some(stack) = &line.stack { " " a href={ "/stacks/" (stack) } { (stack) } }
                    @if let Some(at) = &line.at { " " span.muted { (ago(now, at)) } }
                }
            } }
        }
    }
}

/// For a query string or a path.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// A message of the core at the beginning of a line.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        #[rustfmt::skip]
        let table = [
            (0, "0 ms"), (999, "999 ms"), (1_540, "1.5 s"), (59_999, "59 s"), (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"), (86_400_000, "1 day"), (172_800_000, "2 days"),
            (2_592_000_000, "1 month"),
        ];
        for (ms, expect) in table {
            assert_eq!(span(ms), expect, "{ms}");
        }
    }

    #[test]
    fn states_in_words() {
        assert_eq!(words("PREPARING_APPLY"), "Preparing apply");
        assert_eq!(encode("a b/ü&"), "a%20b%2F%C3%BC%26");
    }
}
