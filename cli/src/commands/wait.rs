//! Waiting for a run: to its end, until it needs a person, or until patience ends.
use super::{Context, url};
use crate::exit::{Exit, Failure};
use crate::output::{Look, plain, run_line, short_run, span};
use api::v1::{RunDetail, RunView, Verb};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Looked at this often while it is young …
const LOOK_SOON: Duration = Duration::from_millis(200);
/// … and this often later.
const LOOK_LATER: Duration = Duration::from_secs(1);
const YOUNG: Duration = Duration::from_secs(20);
/// So long a run that was promised may not be readable yet, or its server not answer: waiting is
/// patient, and only then says what is amiss.
const UNSEEN_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Args)]
pub(crate) struct Wait {
    /// Wait for the run's end: exit 0 if it FINISHED, 1 if it ended otherwise, 6 if it waits for a
    /// person
    #[arg(long)]
    pub(crate) wait: bool,
    /// With --wait: give up after this long (exit 124); the run goes on [default: never]
    #[arg(long, value_name = "SPAN", requires = "wait", value_parser = crate::output::parse_ms)]
    pub(crate) timeout: Option<u64>,
}

/// What waiting for this run comes to, if it has come to anything.
#[must_use]
pub(crate) fn ending(run: &RunView) -> Option<Exit> {
    use windlass_core::run::StateName;
    match run.state {
        StateName::Finished => Some(Exit::Done),
        state if state.terminal() => Some(Exit::NotFinished),
        state if state.waits_for_person() => Some(Exit::WaitsForPerson),
        _ => None,
    }
}

pub(crate) fn detail(context: &Context, id: &str) -> Result<RunDetail, Failure> {
    context.client.get(&format!("/runs/{}", url::part(id)))
}

/// Follows a run; people see each state that it enters. `moved_from`: the version that it had
/// before something was asked of it, which must not be taken for its answer.
pub(crate) fn until_end(
    context: &Context,
    id: &str,
    wait: &Wait,
    moved_from: Option<u32>,
) -> Result<(RunDetail, Exit), Failure> {
    let began = Instant::now();
    let (mut shown, mut seen) = (None, Instant::now());
    loop {
        let detail = match detail(context, id) {
            Ok(detail) => detail,
            Err(failure) => {
                let passing = match failure.exit {
                    Exit::NotFound => shown.is_none(),
                    Exit::Missing => true,
                    _ => false,
                };
                if !passing || seen.elapsed() >= UNSEEN_MAX {
                    return Err(unseen(id, failure));
                }
                out_of_patience(id, wait, began, "not to be seen yet")?;
                sleep(LOOK_LATER);
                continue;
            }
        };
        seen = Instant::now();
        let fresh = moved_from.is_none_or(|version| detail.run.version > version);
        if let (Some(exit), true) = (ending(&detail.run), fresh) {
            return Ok((detail, exit));
        }
        let news = Some((detail.run.state, detail.run.note.clone()));
        if shown != news {
            shown = news;
            context.out.remark(&told(&detail.run, &context.out.look()));
        }
        out_of_patience(id, wait, began, &format!("still {}", detail.run.state))?;
        sleep(if began.elapsed() < YOUNG { LOOK_SOON } else { LOOK_LATER });
    }
}

/// One line: its state, and what it waits for.
fn told(run: &RunView, look: &Look) -> String {
    let line = run_line(run, look);
    match &run.note {
        Some(note) => format!("{line}: {}", plain(windlass_core::run::headline(note))),
        None => line,
    }
}

fn out_of_patience(id: &str, wait: &Wait, began: Instant, how: &str) -> Result<(), Failure> {
    match wait.timeout {
        Some(ms) if began.elapsed() >= Duration::from_millis(ms) => {
            let (id, span) = (short_run(id), span(ms));
            let sentence =
                format!("{id} is {how} after {span}; it goes on: windlass run logs -f {id}");
            Err(Failure::new(Exit::TimedOut, sentence))
        }
        _ => Ok(()),
    }
}

/// "Not found" means to a script that nothing was made. This run was.
fn unseen(id: &str, failure: Failure) -> Failure {
    if failure.exit != Exit::NotFound {
        return failure;
    }
    let id = short_run(id);
    let sentence = format!(
        "the run {id} is made, but can't be seen for a minute now; look later: windlass run show {id}"
    );
    Failure::new(Exit::TimedOut, sentence).because(failure)
}

/// Waits, shows the run, and says what a person may do if it waits for one.
pub(crate) fn and_show(
    context: &Context,
    id: &str,
    wait: &Wait,
    moved_from: Option<u32>,
) -> Result<Exit, Failure> {
    let (detail, exit) = until_end(context, id, wait, moved_from)?;
    let short = short_run(id).to_owned();
    context.out.show(&detail, |look| crate::output::run_line(&detail.run, look))?;
    if let Some(note) = &detail.run.note {
        context.out.remark(&crate::output::plain(note));
    }
    if detail.can.contains(&Verb::Confirm) {
        context.out.remark(&format!("It waits for a person: windlass run confirm {short}"));
    }
    Ok(exit)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use windlass_core::run::{RunType, StateName};

    pub(crate) fn run_view(state: StateName) -> RunView {
        RunView {
            id: "01KAMGJ0000000000ABCDEFGHJ".into(),
            stack: "network".into(),
            kind: RunType::Tracked,
            state,
            terminal: state.terminal(),
            waits_for_person: state.waits_for_person(),
            repository: "infra".into(),
            branch: "main".into(),
            commit: api::v1::CommitView::default(),
            triggered_by: None,
            because: String::new(),
            note: None,
            created_at: "2026-11-22T10:15:30.123Z".into(),
            since: "2026-11-22T10:15:30.123Z".into(),
            version: 1,
            delta: None,
            rollout: None,
            try_no: 1,
            drift: false,
            pinned: false,
            prioritized: false,
            superseded_by: None,
        }
    }

    #[test]
    fn every_state_has_its_exit_code() {
        use StateName as N;
        #[rustfmt::skip]
        let table = [
            (N::Queued,          None),
            (N::Ready,           None),
            (N::Canceling,       None),
            (N::Preparing,       None),
            (N::Initializing,    None),
            (N::Planning,        None),
            (N::PendingReview,   Some(6)),
            (N::Unconfirmed,     Some(6)),
            (N::ReplanRequested, None),
            (N::PreparingReplan, None),
            (N::Confirmed,       None),
            (N::PreparingApply,  None),
            (N::Applying,        None),
            (N::Destroying,      None),
            (N::Performing,      None),
            (N::Finished,        Some(0)),
            (N::Failed,          Some(1)),
            (N::Canceled,        Some(1)),
            (N::Discarded,       Some(1)),
            (N::Stopped,         Some(1)),
            (N::Skipped,         Some(1)),
        ];
        for (state, expect) in table {
            assert_eq!(ending(&run_view(state)).map(Exit::code), expect, "{state}");
        }
    }
}
