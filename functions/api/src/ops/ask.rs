//! Commands to a stack: found, well-formed, sent, and answered by its actor.
use super::answer::{asked, from_stack, new_event, readable, tell_stack};
use super::runs::locate;
use super::stacks::head_of;
use super::{App, Error};
use crate::auth::{Who, Writer};
use crate::v1::{Asked, ConfirmRequest, LockRequest, UnlockRequest, Verb};
use windlass_core::event::{Command, StackEvent};
use windlass_core::id::{Digest, RunId, StackId};

const NOTE_CHARS_MAX: usize = 1_000;
const TARGETS_MAX: usize = 500;

async fn command(
    app: &App,
    by: &Writer,
    stack: &StackId,
    command: Command,
) -> Result<Asked, Error> {
    let event = new_event()?;
    let is_retry = matches!(command, Command::Retry { .. });
    let told = StackEvent::Command { actor: by.actor().to_owned(), command };
    tell_stack(app, by, event.clone(), stack, told).await?;
    let answer = asked(&event, from_stack(app, stack, &event).await?)?;
    if let (true, Some(run)) = (is_retry, &answer.run) {
        readable(app, &RunId(run.clone())).await?;
    }
    Ok(answer)
}

/// A run that the caller may move, and the proof.
async fn run_to_move(app: &App, who: &Who, id: &str) -> Result<(Writer, StackId, RunId), Error> {
    let located = locate(app, who, id).await?;
    let by = who.writer(located.space())?;
    let (stack, run) = located.into_inner();
    Ok((by, stack, run))
}

/// A note is for people: trimmed, none if empty, of a length that fits a page.
fn note(text: Option<String>) -> Result<Option<String>, Error> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.chars().count() > NOTE_CHARS_MAX => {
            Err(Error::Invalid(format!("a note has at most {NOTE_CHARS_MAX} characters")))
        }
        text => Ok(text),
    }
}

pub(crate) async fn lock(
    app: &App,
    who: &Who,
    slug: &str,
    request: LockRequest,
) -> Result<Asked, Error> {
    let head = head_of(app, who, slug).await?;
    let (by, stack) = (who.writer(head.space())?, head.stack.clone());
    let until = request.for_ms.map(|ms| app.now().plus_ms(ms));
    command(app, &by, &stack, Command::Lock { note: note(request.note)?, until }).await
}

pub(crate) async fn unlock(
    app: &App,
    who: &Who,
    slug: &str,
    request: UnlockRequest,
) -> Result<Asked, Error> {
    let head = head_of(app, who, slug).await?;
    // Somebody else's lock is for an admin to take away.
    let by = match request.force {
        true => who.admin(head.space())?.to_writer(),
        false => who.writer(head.space())?,
    };
    let stack = head.stack.clone();
    command(app, &by, &stack, Command::Unlock { force: request.force }).await
}

pub(crate) async fn confirm(
    app: &App,
    who: &Who,
    id: &str,
    request: ConfirmRequest,
) -> Result<Asked, Error> {
    let (by, stack, run) = run_to_move(app, who, id).await?;
    let digest = Digest(request.plan_digest);
    let confirm = Command::Confirm { run, digest, version: request.version };
    command(app, &by, &stack, confirm).await
}

/// Verbs that take nothing.
pub(crate) async fn simple(app: &App, who: &Who, id: &str, verb: Verb) -> Result<Asked, Error> {
    let (by, stack, run) = run_to_move(app, who, id).await?;
    let asked = match verb {
        Verb::Approve => Command::Approve { run },
        Verb::Retry => Command::Retry { run },
        other => return Err(Error::Invalid(format!("{} needs a body", other.as_str()))),
    };
    command(app, &by, &stack, asked).await
}

/// Verbs that take a note.
pub(crate) async fn note_command(
    app: &App,
    who: &Who,
    id: &str,
    verb: Verb,
    text: Option<String>,
) -> Result<Asked, Error> {
    let (by, stack, run) = run_to_move(app, who, id).await?;
    let note = note(text)?;
    let asked = match verb {
        Verb::Discard => Command::Discard { run, note },
        Verb::Cancel => Command::Cancel { run, note },
        Verb::Stop => Command::Stop { run, note },
        other => return Err(Error::Invalid(format!("{} takes no note", other.as_str()))),
    };
    command(app, &by, &stack, asked).await
}

pub(crate) async fn replan(
    app: &App,
    who: &Who,
    id: &str,
    targets: Vec<String>,
) -> Result<Asked, Error> {
    let (by, stack, run) = run_to_move(app, who, id).await?;
    if targets.is_empty() || targets.len() > TARGETS_MAX {
        let why = format!("a targeted replan names 1 to {TARGETS_MAX} resource addresses");
        return Err(Error::Invalid(why));
    }
    if targets.iter().any(|t| t.trim().is_empty() || t.contains(['\0', '\n'])) {
        return Err(Error::Invalid("a target is a resource address on one line".to_owned()));
    }
    command(app, &by, &stack, Command::Replan { run, targets }).await
}

pub(crate) async fn prioritize(app: &App, who: &Who, id: &str, on: bool) -> Result<Asked, Error> {
    let (by, stack, run) = run_to_move(app, who, id).await?;
    command(app, &by, &stack, Command::Prioritize { run, on }).await
}
