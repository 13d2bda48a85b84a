//! Stacks in words: the list, one of them with its surroundings, and its resources.
use super::{Grid, Look, Word, ago, plain, run_line, short_run, short_sha};
use crate::term::Tone;
use api::v1::{
    DriftView, DriftedView, EdgeView, LastRunView, LockView, ResourceList, StackDetail, StackList,
    StackView,
};
use windlass_core::run::{RunType, StateName};

/// A stack's state in its colour. `NONE`: nothing has run yet.
fn state_word(state: &str) -> Word {
    match serde_json::from_value::<StateName>(state.into()) {
        Ok(name) => Word::toned(name.into(), state),
        Err(_) => Word::quiet(state),
    }
}

fn painted(state: &str, look: &Look) -> String {
    let word = state_word(state);
    look.style.paint(word.tone.unwrap_or(Tone::Quiet), &word.text)
}

#[must_use]
pub(crate) fn stack_list(list: &StackList, filtered: bool, look: &Look) -> String {
    if list.stacks.is_empty() && filtered {
        return "No stack matches; `windlass stack list` shows all.".to_owned();
    }
    if list.stacks.is_empty() {
        return "No stack is defined; push a windlass.yaml, or let `windlass up --repo . --write` \
                propose one."
            .to_owned();
    }
    let header = ["STACK", "STATE", "SINCE", "PLAN", "COMMIT", "RUN", "SPACE", "WAITING", "LOCKED"];
    let mut grid = Grid::new(&header);
    for stack in &list.stacks {
        let last = stack.last_run.as_ref();
        let delta = last.and_then(|last| last.delta).filter(|delta| !delta.is_zero());
        let drifted = stack.drifted.as_ref().map(|drifted| format!("{} drifted", drifted.count));
        let waiting = match (stack.queued, stack.proposed) {
            (0, 0) => String::new(),
            (queued, 0) => format!("{queued} queued"),
            (0, proposed) => format!("{proposed} previews"),
            (queued, proposed) => format!("{queued} queued, {proposed} previews"),
        };
        let waiting = [drifted.unwrap_or_default(), waiting];
        let waiting: Vec<_> = waiting.into_iter().filter(|words| !words.is_empty()).collect();
        let space = if stack.space == "root" { "" } else { &stack.space };
        grid.row(vec![
            stack.slug.as_str().into(),
            state_word(&stack.state),
            Word::quiet(last.map(|last| ago(&last.since, look.now)).unwrap_or_default()),
            delta.map(|delta| delta.to_string()).unwrap_or_default().into(),
            last.map(|last| short_sha(&last.commit.sha)).unwrap_or_default().into(),
            Word::quiet(last.map(|last| short_run(&last.id)).unwrap_or_default()),
            space.into(),
            waiting.join(", ").into(),
            stack.lock.as_ref().map(|lock| lock.by.clone()).unwrap_or_default().into(),
        ]);
    }
    let mut shown = grid.render(look);
    if (list.stacks.len() as u64) < list.total {
        let more = format!("\n{} of {} stacks.", list.stacks.len(), list.total);
        shown.push_str(&look.quiet(&more));
    }
    shown
}

#[must_use]
pub(crate) fn stack_detail(detail: &StackDetail, look: &Look) -> String {
    let stack = &detail.stack;
    let mut lines = vec![format!("{}  {}", look.strong(&stack.slug), painted(&stack.state, look))];
    if !stack.description.is_empty() {
        lines.push(plain(&stack.description));
    }
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {} {text}", look.quiet(&format!("{name:<12}"))));
        }
    };
    fact("code", code(stack));
    fact("space", stack.space.clone());
    fact("labels", stack.labels.join(", "));
    fact("tool", tool(detail));
    fact("pool", detail.worker_pool.clone());
    let deploy = if stack.autodeploy { "by itself" } else { "after a person confirms" };
    fact("applies", deploy.to_owned());
    let keeps = match detail.manage_state {
        true => "kept by Windlass, unless the code names a backend",
        false => "in the code's own backend",
    };
    if detail.defined_by.is_some() {
        fact("state", keeps.to_owned());
    }
    if let Some(commit) = &stack.tracked {
        let subject = commit.subject.lines().next().unwrap_or_default();
        fact("tracks", format!("{} {}", short_sha(&commit.sha), plain(subject)));
    }
    if let Some(last) = behind(stack) {
        let (old, slug) = (short_sha(&last.commit.sha), &stack.slug);
        let words = "it tracks a newer commit";
        fact("behind", format!("last ran {old}; {words}: windlass run trigger {slug}"));
    }
    if let Some(lock) = &stack.lock {
        fact("locked", lock_words(lock, look));
    }
    if let Some(drift) = &detail.drift {
        fact("drift", drift_words(drift, stack.drifted.as_ref(), look));
    }
    fact("runs after", edges(&detail.depends_on, look));
    fact("followed by", edges(&detail.dependents, look));
    if !stack.defined {
        lines.push("It left the definitions.".to_owned());
    }
    let open = detail.active.iter().chain(&detail.queue).chain(&detail.open_proposed);
    let open: Vec<String> = open.map(|run| format!("  {}", run_line(run, look))).collect();
    if !open.is_empty() {
        lines.push(look.quiet("Open runs"));
        lines.extend(open);
    } else if let Some(last) = &stack.last_run {
        let (id, when) = (short_run(&last.id), ago(&last.since, look.now));
        lines.push(format!("Its last run {id} became {} {when}.", look.state(last.state)));
    } else {
        let next = format!("It has not run yet; `windlass run trigger {}` runs it.", stack.slug);
        lines.push(next);
    }
    lines.join("\n")
}

/// A run of another commit than it tracks was the last word: a rollback, which a newer push or a new
/// run ends.
fn behind(stack: &StackView) -> Option<&LastRunView> {
    let tracked = stack.tracked.as_ref()?;
    stack.last_run.as_ref().filter(|last| {
        last.kind == RunType::Tracked && last.state.terminal() && last.commit.sha != tracked.sha
    })
}

fn drift_words(drift: &DriftView, drifted: Option<&DriftedView>, look: &Look) -> String {
    let mut words = Vec::new();
    if let Some(drifted) = drifted {
        let some: Vec<&str> = drift.addresses.iter().take(5).map(String::as_str).collect();
        let more = match (drifted.count as usize).saturating_sub(some.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let verb = if drifted.count == 1 { "differs" } else { "differ" };
        let (seen, some) = (ago(&drifted.since, look.now), plain(&some.join(", ")));
        words.push(format!("{} {verb}, first seen {seen}: {some}{more}", drifted.count));
    }
    if let Some(wait) = &drift.waiting {
        let since = ago(&wait.since, look.now);
        words.push(format!("due {since}, waits for a place in the budget of {}", wait.worker_pool));
    }
    match drift.last.as_ref().map(|last| (last, last.note.as_deref())) {
        Some((last, Some(note))) => {
            let when = ago(&last.at, look.now);
            words.push(format!("last look {} {when}: {}", last.outcome, plain(note)));
        }
        Some((last, None)) if drifted.is_none() => {
            words.push(format!("none found {}", ago(&last.at, look.now)));
        }
        _ => {}
    }
    if let Some(next) = &drift.next {
        words.push(format!("next look {}", ago(next, look.now)));
    }
    words.join("; ")
}

fn code(stack: &StackView) -> String {
    let root = if stack.project_root.is_empty() { "/" } else { &stack.project_root };
    format!("{} {root} on {}", stack.repository, stack.branch)
}

fn tool(detail: &StackDetail) -> String {
    let version = detail.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
    let workspace = match detail.workspace.as_str() {
        "" | "default" => String::new(),
        other => format!(", workspace {other}"),
    };
    format!("{}{version}{workspace}", detail.tool)
}

fn lock_words(lock: &LockView, look: &Look) -> String {
    let mut text = format!("by {} {}", lock.by, ago(&lock.at, look.now));
    if let Some(until) = &lock.until {
        text.push_str(&format!(", ends {}", ago(until, look.now)));
    }
    if let Some(note) = &lock.note {
        text.push_str(&format!(": {}", plain(note)));
    }
    text
}

fn edges(edges: &[EdgeView], look: &Look) -> String {
    let word = |edge: &EdgeView| {
        let outputs: Vec<&str> = edge.references.iter().map(|r| r.output.as_str()).collect();
        let uses = match outputs.is_empty() {
            true => String::new(),
            false => look.quiet(&format!(" ({})", outputs.join(", "))),
        };
        format!("{}{uses}", edge.stack)
    };
    edges.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[must_use]
pub(crate) fn resource_list(lists: &[ResourceList], look: &Look) -> String {
    if lists.iter().all(|list| list.resources.is_empty()) {
        return match lists {
            [one] => format!("{} has no resources; its next apply may make some.", one.stack),
            _ => "No stack has resources yet; `windlass run list` shows what runs.".to_owned(),
        };
    }
    let stack_shown = lists.len() > 1;
    let mut grid = Grid::new(&["STACK", "ADDRESS", "TYPE", "PROVIDER", "DRIFT"]);
    for list in lists {
        for resource in &list.resources {
            grid.row(vec![
                if stack_shown { list.stack.as_str() } else { "" }.into(),
                resource.address.as_str().into(),
                Word::quiet(&resource.kind),
                Word::quiet(resource.provider.rsplit('/').next().unwrap_or_default()),
                if resource.drifted.is_some() { "drifted" } else { "" }.into(),
            ]);
        }
    }
    grid.render(look)
}
