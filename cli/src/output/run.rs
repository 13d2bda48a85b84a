//! Runs in words: a list, one line, one run with its history, and why things are as they are.
use super::{Grid, Look, Word, ago, plain, short_run, short_sha, span};
use crate::term::Tone;
use api::v1::{RunDetail, RunList, RunView, TransitionView, WhyView};

#[must_use]
pub(crate) fn run_list(list: &RunList, look: &Look) -> String {
    if list.runs.is_empty() {
        return "No run is to be seen here; a push makes runs, and so does `windlass run trigger \
                STACK`."
            .to_owned();
    }
    let header = ["RUN", "STACK", "TYPE", "STATE", "SINCE", "PLAN", "COMMIT", "BY", "NOTE"];
    let mut grid = Grid::new(&header);
    for run in &list.runs {
        let delta = run.delta.filter(|delta| !delta.is_zero());
        grid.row(vec![
            short_run(&run.id).into(),
            run.stack.as_str().into(),
            Word::quiet(run.kind.as_str()),
            Word::toned(run.state.into(), run.state.as_str()),
            Word::quiet(ago(&run.since, look.now)),
            delta.map(|delta| delta.to_string()).unwrap_or_default().into(),
            short_sha(&run.commit.sha).into(),
            run.triggered_by.clone().unwrap_or_default().into(),
            Word::quiet(first_line(run.note.as_deref().unwrap_or_default())),
        ]);
    }
    let mut shown = grid.render(look);
    if list.next.is_some() {
        shown.push_str(&look.quiet("\nOlder runs exist: --limit shows more."));
    }
    shown
}

/// One run on one line.
#[must_use]
pub(crate) fn run_line(run: &RunView, look: &Look) -> String {
    let (kind, when) = (run.kind.as_str(), ago(&run.since, look.now));
    let what = look.quiet(&format!("{kind} of {} {when}", short_sha(&run.commit.sha)));
    format!("{}  {}  {what}", short_run(&run.id), look.state(run.state))
}

#[must_use]
pub(crate) fn run_detail(detail: &RunDetail, look: &Look) -> String {
    let run = &detail.run;
    let title = format!("{} {}", run.kind.as_str(), run.id);
    let mut lines =
        vec![format!("{}  {}  {}", look.strong(&run.stack), look.state(run.state), title)];
    lines.extend(run.note.as_ref().map(|note| paint_note(note, run, look)));
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {} {}", look.quiet(&format!("{name:<12}")), plain(&text)));
        }
    };
    let commit = &run.commit;
    fact("commit", format!("{} {}", short_sha(&commit.sha), first_line(&commit.subject)));
    fact("branch", format!("{} of {}", run.branch, run.repository));
    fact("because", run.because.clone());
    fact("by", run.triggered_by.clone().unwrap_or_default());
    fact("plan", run.delta.map(|delta| delta.to_string()).unwrap_or_default());
    fact("command", detail.command.clone().unwrap_or_default());
    fact("worker", detail.worker.clone().unwrap_or_default());
    fact("tool", tool(detail));
    let waits: Vec<&str> = detail
        .waits
        .iter()
        .filter(|wait| wait.outcome.is_none())
        .map(|wait| wait.stack.as_str())
        .collect();
    fact("waits for", waits.join(", "));
    let children: Vec<&str> = detail.children.iter().map(|child| child.stack.as_str()).collect();
    fact("followed by", children.join(", "));
    fact("retried as", run.superseded_by.clone().unwrap_or_default());
    lines.extend(
        detail.warnings.iter().map(|w| look.style.paint(Tone::Waits, &format!("! {}", plain(w)))),
    );
    lines.push(look.quiet("History"));
    lines.extend(history(&detail.history, look));
    lines.extend(next_steps(detail, look));
    lines.join("\n")
}

fn paint_note(note: &str, run: &RunView, look: &Look) -> String {
    let bad = Tone::from(run.state) == Tone::Bad;
    let note = plain(note);
    if bad { look.style.paint(Tone::Bad, &note) } else { note }
}

fn tool(detail: &RunDetail) -> String {
    match (&detail.tool_version, detail.tool_ms) {
        (None, 0) => String::new(),
        (version, ms) => {
            let name = version.as_deref().unwrap_or("the tool");
            format!("{name}, {} in it", span(ms))
        }
    }
}

fn history(history: &[TransitionView], look: &Look) -> Vec<String> {
    let mut grid = Grid::new(&["", "", "", ""]);
    for line in history {
        let clock = line.at.get(11..19).unwrap_or(&line.at);
        let by = line.by.as_ref().map(|by| format!("by {by}")).unwrap_or_default();
        grid.row(vec![
            Word::quiet(format!("  {clock}")),
            Word::toned(line.state.into(), line.state.as_str()),
            by.into(),
            Word::quiet(first_line(line.note.as_deref().unwrap_or_default())),
        ]);
    }
    grid.render(look).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn next_steps(detail: &RunDetail, look: &Look) -> Option<String> {
    use api::v1::Verb;
    let told = [Verb::Confirm, Verb::Discard, Verb::Cancel, Verb::Stop, Verb::Retry];
    let words: Vec<String> = told
        .iter()
        .filter(|verb| detail.can.contains(verb))
        .map(|verb| format!("windlass run {} {}", verb.as_str(), short_run(&detail.run.id)))
        .collect();
    (!words.is_empty()).then(|| look.quiet(&format!("What you can do: {}", words.join(" · "))))
}

#[must_use]
pub(crate) fn why(view: &WhyView, look: &Look) -> String {
    let mut lines = vec![look.strong(&view.what)];
    for line in &view.lines {
        let when = line.at.as_deref().map(|at| look.quiet(&format!("  {}", ago(at, look.now))));
        lines.push(format!("  {}{}", plain(&line.text), when.unwrap_or_default()));
    }
    if view.lines.is_empty() {
        lines.push("  There is nothing to tell.".to_owned());
    }
    lines.join("\n")
}

fn first_line(text: &str) -> &str {
    windlass_core::run::headline(text)
}
