//! What differs between two values: side by side when short, line by line when long.
use maud::{Markup, html};
use serde_json::Value;
use windlass_core::changes::{SENSITIVE, UNKNOWN};

/// Comparing line by line costs lines × lines.
const LINES_MAX: usize = 400;
/// Equal lines kept around a difference.
const AROUND: usize = 2;

/// Before → after. Absent ends are not shown: a creation has only one.
pub(super) fn differs(
    before: Option<&Value>,
    after: Option<&Value>,
    sensitive: bool,
    unknown: bool,
) -> Markup {
    let old = before.map(|value| text(value, sensitive));
    let new = if unknown { Some(UNKNOWN.to_owned()) } else { after.map(|v| text(v, sensitive)) };
    match (old, new) {
        (Some(old), Some(new)) if sensitive && old == new => html! {
            em { (SENSITIVE) } " " span.muted { "differs" }
        },
        (Some(old), Some(new)) if old.contains('\n') && new.contains('\n') => lines(&old, &new),
        (Some(old), Some(new)) => html! {
            (one("old", &old)) " " span.arrow aria-hidden="true" { "→" } span.sr { " becomes " } " " (one("new", &new))
        },
        (None, Some(new)) => one("new", &new),
        (Some(old), None) => one("old", &old),
        (None, None) => html! { span.muted { "no value" } },
    }
}

/// One value, as it is.
pub(super) fn plain(value: &Value) -> Markup {
    one("", &text(value, false))
}

fn one(class: &str, text: &str) -> Markup {
    if text == UNKNOWN || text == SENSITIVE {
        return html! { em class=(class) { (text) } };
    }
    html! {
        @if text.contains('\n') { pre class=(class) { (text) } }
        @else { code class=(class) { (text) } }
    }
}

fn text(value: &Value, sensitive: bool) -> String {
    if sensitive {
        return SENSITIVE.to_owned();
    }
    match value {
        Value::String(text) if text == UNKNOWN || text == SENSITIVE => text.clone(),
        Value::String(text) if text.contains('\n') => text.trim_end_matches('\n').to_owned(),
        Value::Array(_) | Value::Object(_) => {
            let flat = value.to_string();
            let pretty = || serde_json::to_string_pretty(value).unwrap_or_default();
            if flat.len() <= 60 { flat } else { pretty() }
        }
        other => other.to_string(),
    }
}

/// A line of two texts, by where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

fn lines(old: &str, new: &str) -> Markup {
    let lines = compare(old, new);
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        lines[around].iter().any(|line| !matches!(line, Line::Both(_)))
    };
    let mut shown: Vec<Option<Line<'_>>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match (near(at), shown.last()) {
            (true, _) => shown.push(Some(*line)),
            (false, Some(None)) => {}
            (false, _) => shown.push(None),
        }
    }
    html! {
        pre.diff {
            @for line in shown {
                @match line {
                    Some(Line::Both(text)) => { span.same { "  " (text) "\n" } }
                    Some(Line::Old(text)) => { del { "- " (text) "\n" } }
                    Some(Line::New(text)) => { ins { "+ " (text) "\n" } }
                    None => { span.same { "  …\n" } }
                }
            }
        }
    }
}

/// The longest common subsequence of lines; texts too long for it are simply replaced.
fn compare<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if a.len() > LINES_MAX || b.len() > LINES_MAX {
        return a.into_iter().map(Line::Old).chain(b.into_iter().map(Line::New)).collect();
    }
    let width = b.len() + 1;
    let mut common = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            out.push(Line::Both(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            out.push(Line::Old(a[i]));
            i += 1;
        } else {
            out.push(Line::New(b[j]));
            j += 1;
        }
    }
    out.extend(a[i..].iter().copied().map(Line::Old));
    out.extend(b[j..].iter().copied().map(Line::New));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn compares_lines() {
        use Line::{Both, New, Old};
        #[rustfmt::skip]
        let table = [
            ("a\nb\nc", "a\nx\nc", vec![Both("a"), Old("b"), New("x"), Both("c")]),
            ("a",       "a\nb",    vec![Both("a"), New("b")]),
            ("",        "a",       vec![New("a")]),
            ("a\nb",    "b",       vec![Old("a"), Both("b")]),
        ];
        for (old, new, expect) in table {
            assert_eq!(compare(old, new), expect, "{old:?} → {new:?}");
        }
    }

    #[test]
    fn nothing_sensitive_and_no_markup_gets_through() {
        let (a, b) = (json!("<b>"), json!("hunter2"));
        #[rustfmt::skip]
        let table = [
            // before    after     sensitive unknown expect                                               never
            (Some(&a),   Some(&b), false,    false,  "&lt;b&gt;",                                         "<b>"),
            (Some(&a),   Some(&b), true,     false,  "(sensitive value)",                                 "hunter2"),
            (None,       Some(&b), true,     false,  "(sensitive value)",                                 "hunter2"),
            (Some(&a),   None,     false,    true,   "(known after apply)",                               "<b>"),
        ];
        for (before, after, sensitive, unknown, expect, never) in table {
            let shown = differs(before, after, sensitive, unknown).into_string();
            assert!(shown.contains(expect) && !shown.contains(never), "{shown}");
        }
    }
}
