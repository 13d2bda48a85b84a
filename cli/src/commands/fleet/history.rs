//! A history of runs as a spreadsheet has it: when each could start, and how long it took.
use jiff::Timestamp;
use windlass_simulator::{Bounds, Run, Trace};

/// A column's name, as others call it too.
const WHEN: [&str; 4] = ["queued_at", "created_at", "at", "at_s"];
const HOW_LONG: [&str; 4] = ["seconds", "duration_s", "takes_s", "duration"];
const HOUR_MS: u64 = 3_600_000;

/// Reads lines of values with commas between them, under a line of names. Times are RFC 3339, or
/// seconds since any moment.
///
/// # Errors
/// What is wrong, and in which line.
pub(super) fn read(text: &str, group: Bounds, boot_ms: (u64, u64)) -> Result<Trace, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, names) = lines.next().ok_or("it is empty")?;
    let names: Vec<String> = words(names).map(str::to_lowercase).collect();
    let column = |known: &[&str]| {
        let found = names.iter().position(|name| known.contains(&name.as_str()));
        found.ok_or_else(|| format!("line 1: no column is called {}", known.join(" or ")))
    };
    let (when, how_long) = (column(&WHEN)?, column(&HOW_LONG)?);
    let mut runs = Vec::new();
    for (n, line) in lines {
        let words: Vec<&str> = words(line).collect();
        let word = |place: usize| {
            words.get(place).copied().ok_or_else(|| format!("line {}: a value is missing", n + 1))
        };
        let wrong = |what: &str, word: &str| format!("line {}: {word:?} is no {what}", n + 1);
        let (at, takes) = (word(when)?, word(how_long)?);
        let at_ms = time_ms(at).ok_or_else(|| wrong("time", at))?;
        let takes_ms = seconds_ms(takes).ok_or_else(|| wrong("number of seconds", takes))?;
        runs.push(Run { at_ms, takes_ms: takes_ms.max(1) });
    }
    let first = runs.iter().map(|run| run.at_ms).min().ok_or("it has no runs")?;
    for run in &mut runs {
        run.at_ms -= first;
    }
    let last = runs.iter().map(|run| run.at_ms).max().unwrap_or_default();
    let trace = Trace {
        name: "history".to_owned(),
        about: String::new(),
        length_ms: last + HOUR_MS,
        seed: 1,
        group,
        boot_ms,
        boot_fails_percent: 0,
        runs,
        shortages: vec![],
        interruptions_at: vec![],
        throttles: vec![],
    };
    trace.checked().map_err(|error| error.to_string())
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|word| word.trim().trim_matches('"'))
}

fn time_ms(word: &str) -> Option<u64> {
    let stamp = || u64::try_from(word.parse::<Timestamp>().ok()?.as_millisecond()).ok();
    seconds_ms(word).or_else(stamp)
}

/// Up to the year 5138, or three thousand years.
fn seconds_ms(word: &str) -> Option<u64> {
    const SECONDS_MAX: f64 = 1e11;
    let seconds: f64 = word.parse().ok()?;
    let in_bounds = (0.0..SECONDS_MAX).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked")]
    in_bounds.then_some((seconds * 1_000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Bounds = Bounds { min: 0, max: 20 };

    #[test]
    fn histories_are_read_from_their_first_run_on() {
        let table = [
            ("queued_at,seconds\n100,30\n160.5,20\n", vec![(0, 30_000), (60_500, 20_000)]),
            (
                "stack, Created_At, duration_s\nweb,2026-11-25T10:00:30Z,5\n\n\
                 db,\"2026-11-25T10:00:00Z\",7\n",
                vec![(0, 7_000), (30_000, 5_000)],
            ),
            ("at,takes_s\n5,0\n", vec![(0, 1)]),
        ];
        for (text, expect) in table {
            let trace = read(text, GROUP, (90_000, 150_000)).unwrap();
            let runs: Vec<_> = trace.runs.iter().map(|run| (run.at_ms, run.takes_ms)).collect();
            assert_eq!(runs, expect, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let table = [
            ("", "it is empty"),
            ("queued_at,seconds\n", "it has no runs"),
            ("time,seconds\n1,2\n", "line 1: no column is called queued_at"),
            ("queued_at,seconds\n1,2\nsoon,3\n", "line 3: \"soon\" is no time"),
            ("queued_at,seconds\n1,-2\n", "line 2: \"-2\" is no number of seconds"),
            ("queued_at,seconds\n1\n", "line 2: a value is missing"),
            ("queued_at,seconds\n1,inf\n", "line 2: \"inf\" is no number of seconds"),
        ];
        for (text, expect) in table {
            let said = read(text, GROUP, (90_000, 150_000)).unwrap_err();
            assert!(said.starts_with(expect), "{text:?}: {said}");
        }
    }
}
