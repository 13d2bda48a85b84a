//! A run's log by cursor: pages of parts for those who follow, the tail for those who look.
//!
//! Parts are named by the offset of their first byte, so a list of names is a table of contents.
use super::runs::fresh;
use super::size::{ANSWER_BYTES, prefix, suffix};
use super::{App, Error};
use crate::auth::{Seen, Who};
use crate::v1::{LogPage, LogPart};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use windlass_core::job::Step;
use windlass_core::keys;
use windlass_core::run::{Run, State, StateName};
use windlass_ports::Fault;

/// Read for one page; how much of it fits is another question.
const PAGE_BYTES: usize = 512 * 1024;
/// A line without an end is shown once it is this long, or once its step is over.
const LINE_BYTES: usize = 8 * 1024;
pub(crate) const WAIT_MS_MAX: u64 = 20_000;
/// Parts are not announced: whoever waits looks this often at first, and less so when nothing comes.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// One step of one job, and where its parts begin.
struct StepLog {
    job: String,
    step: Step,
    parts: Vec<u64>,
}

impl StepLog {
    fn key(&self, run: &Run, offset: u64) -> String {
        let (run, job, step) = (run.id(), &self.job, self.step.as_str());
        format!("{}{job}/{step}/{offset:012}", keys::run_logs(run))
    }
}

/// Where a reader stands: `<job>/<step>/<offset>`; empty is the beginning.
fn cursor(log: &StepLog, offset: u64) -> String {
    format!("{}/{}/{offset}", log.job, log.step.as_str())
}

fn step_of(word: &str) -> Option<Step> {
    use Step as S;
    let all =
        [S::Preparing, S::Initializing, S::Planning, S::Applying, S::Destroying, S::Performing];
    all.into_iter().find(|step| step.as_str() == word)
}

/// All steps that have words, in the order in which they happened.
async fn contents(app: &App, run: &Run) -> Result<Vec<StepLog>, Fault> {
    let prefix = keys::run_logs(run.id());
    let (mut names, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = app.deps.blobs.list(&prefix, after.as_deref(), 1_000).await?;
        let more = page.len() == 1_000;
        names.extend(page);
        after = names.last().cloned();
        if !more {
            break;
        }
    }
    let order: Vec<String> = run.jobs.iter().map(ToString::to_string).collect();
    let mut logs: Vec<StepLog> = Vec::new();
    for name in &names {
        let mut parts = name.get(prefix.len()..).unwrap_or_default().split('/');
        let (Some(job), Some(step), Some(offset)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (Some(step), Ok(offset)) = (step_of(step), offset.parse()) else { continue };
        match logs.last_mut() {
            Some(log) if log.job == job && log.step == step => log.parts.push(offset),
            _ => logs.push(StepLog { job: job.to_owned(), step, parts: vec![offset] }),
        }
    }
    let place = |job: &str| order.iter().position(|known| known == job).unwrap_or(order.len());
    logs.sort_by_key(|log| (place(&log.job), log.step));
    Ok(logs)
}

/// Bytes of one step from `offset` on, at most `room`; and the offset behind them.
async fn read(
    app: &App,
    run: &Run,
    log: &StepLog,
    offset: u64,
    room: usize,
) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let first = log.parts.partition_point(|start| *start <= offset).saturating_sub(1);
    let mut at = offset;
    for start in log.parts.iter().skip(first) {
        if bytes.len() >= room {
            break;
        }
        // A hole can't be: parts are stored in order, and a later one follows its predecessor.
        let Some(part) = app.deps.blobs.get(&log.key(run, *start)).await? else { break };
        let skip = usize::try_from(at.saturating_sub(*start)).unwrap_or(usize::MAX);
        let news = part.get(skip..).unwrap_or_default();
        let take = news.len().min(room - bytes.len());
        bytes.extend_from_slice(news.get(..take).unwrap_or_default());
        at = offset + bytes.len() as u64;
    }
    Ok(bytes)
}

/// Whole lines, while more may come; whole characters in any case.
fn whole(bytes: &[u8], over: bool, full: bool) -> usize {
    if !over || full {
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return end + 1;
        }
        if !full && bytes.len() < LINE_BYTES {
            return 0;
        }
    }
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() && (!over || full) => e.valid_up_to(),
        _ => bytes.len(),
    }
}

/// The step that the run's state is about, while it is.
fn live_step(state: &State) -> Option<Step> {
    Some(match state.name() {
        StateName::Preparing | StateName::PreparingReplan | StateName::PreparingApply => {
            Step::Preparing
        }
        StateName::Initializing => Step::Initializing,
        StateName::Planning => Step::Planning,
        StateName::Applying => Step::Applying,
        StateName::Destroying => Step::Destroying,
        StateName::Performing => Step::Performing,
        _ => return None,
    })
}

/// What follows the cursor, without waiting.
pub(crate) async fn log_page(app: &App, run: &Seen<Run>, after: &str) -> Result<LogPage, Error> {
    let logs = contents(app, run).await?;
    let (mut at, mut offset) = match after {
        "" => (0, 0),
        text => place(&logs, text)?,
    };
    let (mut parts, mut room, mut next) = (Vec::new(), ANSWER_BYTES, after.to_owned());
    let mut read_all = true;
    while let Some(log) = logs.get(at) {
        let over = at + 1 < logs.len() || live_step(&run.state).is_none();
        let bytes = read(app, run, log, offset, PAGE_BYTES).await?;
        let fits = prefix(&bytes, room);
        let full = fits < bytes.len() || bytes.len() == PAGE_BYTES;
        let kept = bytes.get(..fits).unwrap_or_default();
        let kept = kept.get(..whole(kept, over, full)).unwrap_or_default();
        if !kept.is_empty() {
            let text = String::from_utf8_lossy(kept).into_owned();
            room = room.saturating_sub(super::size::cost(&text));
            parts.push(LogPart { job: log.job.clone(), step: log.step, text });
        }
        offset += kept.len() as u64;
        next = cursor(log, offset);
        if full || kept.len() < bytes.len() {
            read_all = false;
            break;
        }
        (at, offset) = (at + 1, 0);
    }
    let (state, terminal) = (run.state.name(), run.state.terminal());
    Ok(LogPage { run: run.id().0.clone(), state, parts, next, done: terminal && read_all })
}

fn place(logs: &[StepLog], cursor: &str) -> Result<(usize, u64), Error> {
    let wrong = || Error::Invalid("after is not a cursor of this log".to_owned());
    let mut fields = cursor.split('/');
    let (job, step, offset) = (fields.next(), fields.next(), fields.next());
    let offset = offset.and_then(|offset| offset.parse().ok()).ok_or_else(wrong)?;
    let step = step.and_then(step_of).ok_or_else(wrong)?;
    let found = logs.iter().position(|log| Some(log.job.as_str()) == job && log.step == step);
    Ok((found.ok_or_else(wrong)?, offset))
}

/// What follows the cursor, waiting up to `wait_ms` for the first of it, or for the run to move.
pub(crate) async fn log_wait(
    app: &App,
    who: &Who,
    id: &str,
    after: &str,
    wait_ms: u64,
) -> Result<LogPage, Error> {
    let until = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    let (mut seen, mut again) = (None, LOOK_AGAIN);
    loop {
        let mut armed = pin!(app.deps.wake.notified());
        armed.as_mut().enable();
        let (run, _) = fresh(app, who, id).await?;
        let page = log_page(app, &run, after).await?;
        let moved = seen.replace(run.version).is_some_and(|version| version != run.version);
        let now = Instant::now();
        if !page.parts.is_empty() || page.done || moved || now >= until {
            return Ok(page);
        }
        let _ = timeout_at(until.min(now + again), armed).await;
        again = (again * 3 / 2).min(LOOK_AGAIN_MAX);
    }
}

/// The ends of a run's logs, oldest first: what fits.
pub(crate) struct Tail {
    pub(crate) parts: Vec<TailPart>,
    /// Where following goes on.
    pub(crate) next: String,
}

pub(crate) struct TailPart {
    pub(crate) job: String,
    pub(crate) step: Step,
    pub(crate) text: String,
    /// Bytes before it that are not shown.
    pub(crate) left_out: u64,
}

/// What comes to at most `room` bytes of an answer, the newest first to be taken.
pub(crate) async fn log_tail(app: &App, run: &Seen<Run>, room: usize) -> Result<Tail, Fault> {
    let logs = contents(app, run).await?;
    let (mut parts, mut room, mut next) = (Vec::new(), room, String::new());
    for (at, log) in logs.iter().enumerate().rev() {
        let is_last = at + 1 == logs.len();
        let over = !is_last || live_step(&run.state).is_none();
        let (bytes, from) = end_of(app, run, log, room).await?;
        let keep = whole(&bytes, over, false);
        let kept = bytes.get(..keep).unwrap_or_default();
        let fits = kept.len() - suffix(kept, room);
        // A tail that begins inside a line begins at the next one.
        let begins = match kept.iter().skip(fits).position(|byte| *byte == b'\n') {
            Some(newline) if from + fits as u64 > 0 => fits + newline + 1,
            _ => fits,
        };
        let text = String::from_utf8_lossy(kept.get(begins..).unwrap_or_default()).into_owned();
        if is_last {
            next = cursor(log, from + keep as u64);
        }
        room = room.saturating_sub(super::size::cost(&text));
        let (job, left_out) = (log.job.clone(), from + begins as u64);
        parts.push(TailPart { job, step: log.step, text, left_out });
    }
    parts.reverse();
    Ok(Tail { parts, next })
}

/// The last bytes of a step's log, at most `room`, and the offset of the first of them.
async fn end_of(app: &App, run: &Run, log: &StepLog, room: usize) -> Result<(Vec<u8>, u64), Fault> {
    let last_start = log.parts.last().copied().unwrap_or(0);
    let last = app.deps.blobs.get(&log.key(run, last_start)).await?.unwrap_or_default();
    let end = last_start + last.len() as u64;
    let from = end.saturating_sub(room as u64);
    if from < last_start {
        return Ok((read(app, run, log, from, room).await?, from));
    }
    let skip = usize::try_from(from - last_start).unwrap_or(usize::MAX);
    Ok((last.get(skip..).unwrap_or_default().to_vec(), from))
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn holds_back_what_may_still_grow() {
        let long = "x".repeat(9_000);
        #[rustfmt::skip]
        let table: [(&str, &[u8], bool, bool, usize); 10] = [
            // name                          bytes            over   full   expect
            ("whole lines",                  b"a\nb\n",       false, false, 4),
            ("an unfinished line waits",     b"a\nb",         false, false, 2),
            ("… alone too",                  b"ab",           false, false, 0),
            ("… unless it is long",          long.as_bytes(), false, false, 9_000),
            ("… or its step is over",        b"a\nb",         true,  false, 3),
            ("a full page ends with a line", b"a\nb",         true,  true,  2),
            ("… or within a long one",       b"ab",           false, true,  2),
            ("half a character at the end",  b"ab\xc3",       true,  false, 3),
            ("… of a page",                  b"ab\xc3",       true,  true,  2),
            ("nothing",                      b"",             false, false, 0),
        ];
        for (name, bytes, over, full, expect) in table {
            assert_eq!(whole(bytes, over, full), expect, "{name}");
        }
    }
}
