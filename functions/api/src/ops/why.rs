//! Why things are as they are, in sentences: from rollouts, histories, waits, locks and queues.
use super::definitions::{about_definitions, faulty_definitions};
use super::fleet::pool_sentence;
use super::named::named;
use super::rollouts::commit;
use super::runs::{fresh, load};
use super::sight::Sight;
use super::stacks::head_of;
use super::{App, Error, is_run_id, is_slug};
use crate::auth::Who;
use crate::v1::{RolloutView, RunView, WhyLine, WhyView};
use windlass_core::id::StackId;
use windlass_core::rollout::{Outcome, Wait};
use windlass_core::run::{Run, State, StateName, headline};
use windlass_core::stack::StackHead;
use windlass_core::summary::Summary;

/// What a run waits for, if it waits: one sentence.
pub(crate) fn waiting(run: &Run, head: &StackHead) -> Option<String> {
    if let Some(held) = run.state.held() {
        let (worker, stop) = (&held.worker, held.stop.as_ref());
        return match (held.silent, stop) {
            (Some(_), _) => Some(format!(
                "worker {worker} is silent; the stack stays taken until its tool is provably gone"
            )),
            (None, Some(stop)) => {
                Some(format!("{} asked to stop it; {worker} is ending it", stop.by))
            }
            (None, None) => None,
        };
    }
    match &run.state {
        State::Queued => waits_for_parents(run).or_else(|| behind(run, head)),
        State::Ready { .. } | State::ReplanRequested { .. } | State::Confirmed { .. } => {
            let pool = head.defined.def().map(|def| def.worker_pool.0.as_str());
            Some(format!("waits for a worker of the pool {}", pool.unwrap_or("(unknown)")))
        }
        State::Canceling { .. } => Some("is being withdrawn from its pool's queue".to_owned()),
        State::Unconfirmed { .. } => Some(match &head.lock {
            Some(lock) => format!(
                "waits for somebody to confirm or discard its plan; {} locked the stack",
                lock.by
            ),
            None => "waits for somebody to confirm or discard its plan".to_owned(),
        }),
        State::PendingReview { .. } => Some("waits for a review".to_owned()),
        _ => None,
    }
}

/// Parents that have not ended.
pub(crate) fn waits_for_parents(run: &Run) -> Option<String> {
    if run.state != State::Queued {
        return None;
    }
    let open = run.new.waits.values().filter(|wait| wait.heard.is_none());
    let stacks: Vec<&str> = open.map(|wait| wait.stack.as_str()).collect();
    (!stacks.is_empty()).then(|| format!("waits for {}", stacks.join(", ")))
}

/// Its place among the blocking runs of its stack.
fn behind(run: &Run, head: &StackHead) -> Option<String> {
    let before = head.queue.iter().take_while(|other| other.id() != run.id()).count();
    match &head.active {
        Some(active) if before == 0 => Some(format!(
            "is next; run {} has the stack and is {}",
            active.id(),
            active.state.name()
        )),
        Some(active) => Some(format!(
            "is behind {before} more in the queue; run {} has the stack and is {}",
            active.id(),
            active.state.name()
        )),
        None if before > 0 => Some(format!("is behind {before} more in the queue")),
        None => None,
    }
}

/// A run, a stack, or a commit: whichever the words name.
pub(crate) async fn why(app: &App, who: &Who, what: &str) -> Result<WhyView, Error> {
    let what = what.trim();
    if is_run_id(what) {
        return about_run(app, who, what).await;
    }
    if is_slug(what) {
        match head_of(app, who, what).await {
            Ok(head) => return about_stack(app, who, &head).await,
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    match commit(app, who, what).await {
        Ok(found) => {
            let (mut lines, faulty) =
                about_definitions(app, who, &found.commit.sha, &found.rollouts).await?;
            for rollout in found.rollouts.iter().rev() {
                lines.extend(about_rollout(rollout, faulty.contains(&rollout.repository)));
            }
            Ok(WhyView { what: found.commit.sha, kind: "commit".to_owned(), lines })
        }
        Err(Error::NotFound(_)) => {
            match named(app, who, what).await {
                Ok(id) => return about_run(app, who, id.as_str()).await,
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            let shown: String = what.chars().take(80).collect();
            let faulty = faulty_definitions(app, who).await?.unwrap_or_default();
            let why = format!("{shown} is no commit, stack or run that is known here{faulty}");
            Err(Error::NotFound(why))
        }
        Err(error) => Err(error),
    }
}

fn line(text: impl Into<String>) -> WhyLine {
    WhyLine { text: text.into(), at: None, stack: None, run: None }
}

pub(super) fn line_of(run: &Run, text: impl Into<String>) -> WhyLine {
    WhyLine {
        text: text.into(),
        at: None,
        stack: Some(run.stack.0.clone()),
        run: Some(run.id().0.clone()),
    }
}

async fn about_run(app: &App, who: &Who, id: &str) -> Result<WhyView, Error> {
    let (run, head) = fresh(app, who, id).await?;
    let sight = Sight::of(app, who).await?;
    let lines = run_lines(app, who, &sight, &run, head.as_ref()).await?;
    Ok(WhyView { what: run.id().0.clone(), kind: "run".to_owned(), lines })
}

/// Of a run as `sight` blurred it.
async fn run_lines(
    app: &App,
    who: &Who,
    sight: &Sight,
    run: &Run,
    head: Option<&StackHead>,
) -> Result<Vec<WhyLine>, Error> {
    let note = run.state.note().or_else(|| head.and_then(|head| waiting(run, head)));
    let (stack, state) = (&run.stack, run.state.name());
    let what = match note {
        Some(note) => format!("The run of {stack} is {state}: {}", ended(&note)),
        None => format!("The run of {stack} is {state}."),
    };
    let mut lines = vec![WhyLine { at: Some(run.since.rfc3339()), ..line_of(run, what) }];
    if run.state.job().is_some()
        && run.state.held().is_none()
        && let Some(def) = head.and_then(|head| head.defined.def())
    {
        lines.extend(pool_sentence(app, who, &def.worker_pool).await?.map(line));
    }
    if !run.new.because.is_empty() {
        let text = format!("It exists because: {}", ended(&run.new.because));
        lines.push(WhyLine { at: Some(run.created_at.rfc3339()), ..line(text) });
    }
    if run.new.pinned {
        let sha = run.new.commit.sha.short();
        lines.push(line(format!("It keeps to commit {sha}, which a person chose.")));
    }
    for (parent, wait) in &run.new.waits {
        let told = load(app, sight, parent).await?;
        let state = told.map(|parent| parent.state.name());
        let text = parent_sentence(wait, state);
        lines.push(WhyLine {
            text,
            at: None,
            stack: Some(wait.stack.0.clone()),
            run: Some(parent.0.clone()),
        });
    }
    if let Some(lock) = head.and_then(|head| head.lock.as_ref())
        && !run.state.terminal()
    {
        lines.push(line(lock_sentence(lock)));
    }
    lines.extend(history_lines(run));
    if let Some(newer) = &run.superseded_by {
        lines.push(line_of(run, format!("A newer try took its place: {newer}.")));
    }
    Ok(lines)
}

/// Steps that somebody asked for, and what there was to say that was not said just before.
fn history_lines(run: &Run) -> Vec<WhyLine> {
    let told = run.state.note();
    let pairs = run.history.iter().zip(run.history.iter().skip(1));
    let news = pairs.filter(|(before, step)| {
        // Which worker it was is for the timeline.
        let note = step.note.as_ref().filter(|n| !n.starts_with("on "));
        let note = note.filter(|n| before.note.as_ref() != Some(*n));
        let is_end = step.version == run.version && step.note == told;
        step.by.is_some() || (note.is_some() && !is_end)
    });
    news.map(|(_, step)| {
        let by = step.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let note = step.note.as_ref().map(|note| format!(": {}", unstop(note)));
        let text = format!("It became {}{by}{}", step.state, note.unwrap_or_default());
        let text = ended(&text);
        WhyLine { at: Some(step.at.rfc3339()), ..line(text) }
    })
    .collect()
}

fn parent_sentence(wait: &Wait, state: Option<StateName>) -> String {
    let stack = &wait.stack;
    let uses: Vec<&str> = wait.references.iter().map(|r| r.output.as_str()).collect();
    let uses = match uses.is_empty() {
        true => "it follows every run of it".to_owned(),
        false => format!("it uses {}", uses.join(", ")),
    };
    match wait.heard.as_ref().map(|heard| &heard.outcome) {
        None => {
            let state = state.map_or("not there yet".to_owned(), |s| format!("{s}"));
            format!("It waits for {stack}, whose run is {state} ({uses}).")
        }
        Some(Outcome::Good { changed }) if changed.is_empty() => {
            format!("{stack} ended well and changed no output ({uses}).")
        }
        Some(Outcome::Good { changed }) => {
            let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
            format!("{stack} ended well and changed {} ({uses}).", changed.join(", "))
        }
        Some(Outcome::Unneeded) => format!("{stack} had nothing to do ({uses})."),
        Some(Outcome::Bad) => format!("{stack} did not end well ({uses})."),
        Some(Outcome::Never) => format!("{stack} will not run ({uses})."),
    }
}

fn lock_sentence(lock: &windlass_core::stack::Lock) -> String {
    let note = lock.note.as_ref().map(|note| format!(", saying: {}", unstop(note)));
    let until = lock.until.map(|until| format!(", until {}", until.rfc3339()));
    format!(
        "The stack is locked by {}{}{}.",
        lock.by,
        until.unwrap_or_default(),
        note.unwrap_or_default()
    )
}

async fn about_stack(app: &App, who: &Who, head: &StackHead) -> Result<WhyView, Error> {
    let sight = Sight::of(app, who).await?;
    let slug = &head.stack;
    let mut lines = Vec::new();
    let summary = Summary::of(head, None);
    let state = summary.as_ref().map_or("NONE", |summary| summary.state());
    lines.push(match head.defined.def() {
        None => line(format!("{slug} left the definitions.")),
        Some(def) if state == "NONE" => {
            let asked = !head.queue.is_empty() || !head.proposed.is_empty();
            let root = root(&def.project_root);
            let why = match asked {
                true => String::new(),
                false => format!(": no push has touched {root}"),
            };
            line(format!("{slug} is defined in {} and has not run yet{why}.", def.repository))
        }
        Some(def) => {
            let auto = if def.autodeploy { "by themselves" } else { "once somebody confirms" };
            line(format!("{slug} is {state}. Its plans apply {auto}."))
        }
    });
    if let Some(lock) = &head.lock {
        lines.push(WhyLine { at: Some(lock.at.rfc3339()), ..line(lock_sentence(lock)) });
    }
    match (&head.active, &head.last) {
        (Some(active), _) => {
            let active = sight.blur(active.clone());
            lines.extend(run_lines(app, who, &sight, &active, Some(head)).await?);
        }
        (None, Some(last)) => {
            if let Some(run) = load(app, &sight, &last.id).await? {
                lines.extend(run_lines(app, who, &sight, &run, Some(head)).await?);
            }
        }
        (None, None) => {}
    }
    for run in head.queue.iter().map(|run| sight.blur(run.clone())) {
        let run = &run;
        let note = waiting(run, head).unwrap_or_else(|| "is about to start".to_owned());
        lines.push(line_of(run, format!("Queued: run {} {note}.", run.id())));
    }
    for run in &head.proposed {
        let what = if run.new.drift { "Look for drift" } else { "Preview" };
        let (id, branch, state) = (run.id(), &run.new.branch, run.state.name());
        lines.push(line_of(run, format!("{what} {id} of {branch} is {state}.")));
    }
    for (at, text) in super::drift::sentences(head) {
        lines.push(WhyLine { at, ..line(text) });
    }
    let edges = head.defined.def().into_iter().flat_map(|def| &def.depends_on);
    for edge in edges.filter(|edge| sight.sees(&edge.stack)) {
        lines.push(edge_line(&edge.stack, edge.references.is_empty()));
    }
    Ok(WhyView { what: slug.0.clone(), kind: "stack".to_owned(), lines })
}

fn edge_line(parent: &StackId, plain: bool) -> WhyLine {
    let when = if plain { "whenever it ends well" } else { "when an output that it uses changes" };
    let text = format!("It runs after {parent}, {when}.");
    WhyLine { stack: Some(parent.0.clone()), ..line(text) }
}

fn root(project_root: &str) -> &str {
    if project_root.is_empty() { "the repository's root" } else { project_root }
}

/// `faulty`: the definitions that came with it failed, so that older ones routed it.
fn about_rollout(rollout: &RolloutView, faulty: bool) -> Vec<WhyLine> {
    let (repo, branch) = (&rollout.repository, &rollout.branch);
    let came = match &rollout.triggered_by {
        Some(by) => format!("{by} triggered it on {branch} of {repo}."),
        None => format!("It was pushed to {branch} of {repo}."),
    };
    let mut lines = vec![WhyLine { at: Some(rollout.at.clone()), ..line(came) }];
    if let Some(nothing) = &rollout.nothing {
        let why = match faulty {
            true => format!("its definitions failed, and in the last good ones {nothing}"),
            false => nothing.clone(),
        };
        lines.push(line(format!("No stack ran: {}", ended(&why))));
    }
    for planned in &rollout.runs {
        let stack = &planned.stack;
        let because = match planned.because.as_str() {
            "" => String::new(),
            because => format!(" It is part of this because: {}", ended(because)),
        };
        let text = match &planned.run {
            None => format!("{stack}: its run is not there yet.{because}"),
            Some(RunView { state, note: Some(note), .. }) => {
                format!("{stack} is {state}: {}{because}", ended(note))
            }
            Some(RunView { state, .. }) => format!("{stack} is {state}.{because}"),
        };
        lines.push(WhyLine {
            stack: Some(stack.clone()),
            run: planned.run.as_ref().map(|run| run.id.clone()),
            ..line(text)
        });
    }
    lines
}

/// The end of a sentence: its first line with a full stop, or with its own question mark.
pub(super) fn ended(text: &str) -> String {
    let text = unstop(text);
    if text.ends_with(['?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// Without its full stop, so that it fits into a sentence; only its first line.
fn unstop(text: &str) -> &str {
    headline(text).trim_end_matches(['.', ':'])
}
