//! Why a step failed, in one sentence and in the tool's own words.
use crate::exec::{Cause, Ended};
use crate::script::{Part, Script};
use std::time::Duration;

/// A reason is no longer than this.
pub(crate) const REASON_BYTES_MAX: usize = 4 * 1024;
/// Lines quoted when the tool marked no error.
const LINES: usize = 12;

/// The sentence for a step that ended badly; None if it ended well. `limits` are the run and the
/// silence timeout.
#[must_use]
pub(crate) fn sentence(
    script: &Script,
    ended: &Ended,
    limits: (Duration, Duration),
) -> Option<String> {
    let last = ended.part >= script.parts.len();
    if ended.code == Some(0) && (last || no_tool_after(script, ended.part)) {
        return None;
    }
    let part = script.parts.get(ended.part);
    let what = part.map_or_else(|| format!("the {} step", script.name), named);
    let stubborn = if ended.killed { "; it did not obey the interrupt and was killed" } else { "" };
    Some(match ended.interrupted {
        Some(Cause::Timeout) => {
            format!("the run timeout of {} passed during {what}{stubborn}", spoken(limits.0))
        }
        Some(Cause::Silence) => {
            format!("{what} printed nothing for {}{stubborn}", spoken(limits.1))
        }
        Some(Cause::Stop) => format!("a stop interrupted {what}{stubborn}"),
        Some(Cause::Lease) => format!("the lease could not be renewed during {what}{stubborn}"),
        Some(Cause::Shutdown) => format!("the worker was stopped during {what}{stubborn}"),
        Some(Cause::Spot { .. }) => {
            format!("a Spot interruption of the worker's machine cut {what} short{stubborn}")
        }
        None => match (ended.code, part) {
            (None, _) => format!("the job's shell was killed during {what}"),
            (Some(0), Some(Part::Hook { .. })) => {
                format!("{what} ended the shell before the tool ran")
            }
            (Some(code), _) => format!("{what} failed with exit code {code}"),
        },
    })
}

/// A hook that says `exit 0` after the tool did no harm.
fn no_tool_after(script: &Script, part: usize) -> bool {
    !script.parts[part..].iter().any(|part| matches!(part, Part::Tool { .. }))
}

fn named(part: &Part) -> String {
    match part {
        Part::Hook { phase, command } => format!("the {phase} hook `{}`", shortened(command)),
        Part::Tool { name: "task", .. } => "the command".to_owned(),
        Part::Tool { name, argv, .. } => {
            let tool = argv.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            format!("`{tool} {name}`")
        }
    }
}

fn shortened(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds, time.subsec_millis()) {
        (0, ms) => format!("{ms} ms"),
        (60.., 0) if seconds.is_multiple_of(60) => plural(seconds / 60, "minute"),
        _ => plural(seconds, "second"),
    }
}

fn plural(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// The sentence and what the log's end says about it, within [`REASON_BYTES_MAX`].
#[must_use]
pub(crate) fn reason(sentence: &str, log: &str) -> String {
    let words = words(log);
    let text = if words.is_empty() { sentence.to_owned() } else { format!("{sentence}:\n{words}") };
    if text.len() <= REASON_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(REASON_BYTES_MAX - '…'.len_utf8());
    format!("{}…", &text[..end])
}

/// The tool's error blocks, without colours and frames; else its last lines.
fn words(log: &str) -> String {
    let plain = without_colours(log);
    let mut blocks: Vec<String> = Vec::new();
    let mut block: Option<Vec<String>> = None;
    for line in plain.lines() {
        let line = line.trim_end();
        match line.trim_start().chars().next() {
            Some('╷') => block = Some(Vec::new()),
            Some('╵') => {
                let lines = block.take().unwrap_or_default();
                if lines.first().is_some_and(|line| line.starts_with("Error")) {
                    blocks.push(lines.join("\n").trim().to_owned());
                }
            }
            _ => {
                if let Some(lines) = &mut block {
                    let inner = line.trim_start().strip_prefix('│').unwrap_or(line);
                    lines.push(inner.strip_prefix(' ').unwrap_or(inner).to_owned());
                }
            }
        }
    }
    // The same complaint often stands once for the plan and once for the exit.
    blocks.dedup();
    // An announcement that problems follow is not the problem.
    let announces = |block: &String| block.contains(" encountered problems during initiali");
    if blocks.iter().any(|block| !announces(block)) {
        blocks.retain(|block| !announces(block));
    }
    if !blocks.is_empty() {
        return blocks.join("\n\n");
    }
    let lines: Vec<&str> = plain.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    // Without frames (a hook, `-no-color`) an error still starts with the word.
    let from = lines.iter().rposition(|line| line.starts_with("Error: "));
    let from = from.unwrap_or(lines.len().saturating_sub(LINES));
    lines[from..].iter().take(4 * LINES).copied().collect::<Vec<_>>().join("\n")
}

/// The text without escape sequences and without what a carriage return wrote over.
#[must_use]
pub(crate) fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => match letters.next() {
                Some('[') => while letters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']') => while letters.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                _ => {}
            },
            '\r' => {}
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::tool;

    const MINUTE: Duration = Duration::from_secs(60);

    fn script() -> Script {
        let mut parts = Part::hooks("before_plan", &["./check".into()]);
        parts.push(tool::plan("/bin/terraform", false, true, &[]));
        parts.extend(Part::hooks("after_plan", &["exit 0".into(), "x".into()]));
        Script { name: "plan", folder: "/".into(), env: vec![], parts }
    }

    #[test]
    fn sentences() {
        let ok = Ended {
            code: Some(0),
            part: 4,
            interrupted: None,
            killed: false,
            tool: Duration::ZERO,
        };
        let cut = |cause, part, killed| Ended {
            code: if killed { None } else { Some(1) },
            part,
            interrupted: Some(cause),
            killed,
            ..ok.clone()
        };
        let kill_at = std::time::Instant::now();
        #[rustfmt::skip]
        let table = [
            (ok.clone(), None),
            (Ended { part: 2, ..ok.clone() }, None),
            (Ended { interrupted: Some(Cause::Timeout), ..ok.clone() }, None),
            (Ended { part: 0, ..ok.clone() }, Some("the before_plan hook `./check` ended the shell before the tool ran")),
            (Ended { code: Some(3), part: 0, ..ok.clone() }, Some("the before_plan hook `./check` failed with exit code 3")),
            (Ended { code: Some(1), part: 1, ..ok.clone() }, Some("`terraform plan` failed with exit code 1")),
            (Ended { code: Some(1), part: 3, ..ok.clone() }, Some("the after_plan hook `x` failed with exit code 1")),
            (Ended { code: None, part: 1, ..ok.clone() }, Some("the job's shell was killed during `terraform plan`")),
            (cut(Cause::Timeout, 1, false), Some("the run timeout of 70 minutes passed during `terraform plan`")),
            (cut(Cause::Silence, 1, true), Some("`terraform plan` printed nothing for 1 minute; it did not obey the interrupt and was killed")),
            (cut(Cause::Spot { kill_at }, 1, false), Some("a Spot interruption of the worker's machine cut `terraform plan` short")),
            (Ended { interrupted: Some(Cause::Spot { kill_at }), ..ok.clone() }, None),
            (cut(Cause::Stop, 0, false), Some("a stop interrupted the before_plan hook `./check`")),
        ];
        for (ended, expect) in table {
            let said = sentence(&script(), &ended, (70 * MINUTE, MINUTE));
            assert_eq!(said.as_deref(), expect, "{ended:?}");
        }
        let spoken_ =
            [(1_500, "1 second"), (90_000, "90 seconds"), (250, "250 ms"), (120_000, "2 minutes")];
        for (ms, expect) in spoken_ {
            assert_eq!(spoken(Duration::from_millis(ms)), expect);
        }
    }

    #[test]
    fn the_tools_own_words() {
        let framed = "\u{1b}[0mRefreshing…\u{1b}[0m\n\u{1b}[33m╷\u{1b}[0m\n\u{1b}[33m│\u{1b}[0m Warning: old\n╵\n\
            \u{1b}[31m╷\u{1b}[0m\u{1b}[0m\n\u{1b}[31m│\u{1b}[0m \u{1b}[0m\u{1b}[1m\u{1b}[31mError: \u{1b}[0mUnsupported argument\n\
            \u{1b}[31m│\u{1b}[0m \n│   on main.tf line 3, in resource \"x\" \"y\":\n│    3:   inptu = 1\n╵\n";
        #[rustfmt::skip]
        let table = [
            ("", "it failed"),
            ("one\n\ntwo\n", "it failed:\none\ntwo"),
            ("noise\nError: bad\n  on a.tf line 1\n", "it failed:\nError: bad\n  on a.tf line 1"),
            (framed, "it failed:\nError: Unsupported argument\n\n  on main.tf line 3, in resource \"x\" \"y\":\n   3:   inptu = 1"),
        ];
        for (log, expect) in table {
            assert_eq!(reason("it failed", log), expect);
        }
        let announced = "╷\n│ Error: Terraform encountered problems during initialisation\n╵\n";
        assert!(reason("x", announced).contains("encountered"));
        assert_eq!(reason("x", &format!("{announced}╷\n│ Error: b\n╵\n")), "x:\nError: b");
        let long = reason("it failed", &format!("Error: {}", "é".repeat(9_000)));
        assert!(long.len() <= REASON_BYTES_MAX && long.ends_with('…'));
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert!(reason("x", &many).starts_with("x:\nline 88\n"));
    }
}
