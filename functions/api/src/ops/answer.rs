//! The one road: an event onto the intents queue, then waiting for what its actor answers.
use super::{App, Error, event_id};
use crate::auth::Writer;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use windlass_core::delivery::DeliveryOutcome;
use windlass_core::event::{Intent, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent};
use windlass_core::id::{EventId, RepoName, RunId, StackId};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::run::{FailReason, Run, State};
use windlass_core::stack::{Answer, StackHead};
use windlass_ports::{Fault, Outgoing, cas};

/// A person waits at most this long for the answer; what was asked may still happen after it.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Looked at anyway, for actors may commit in other processes: soon at first, then less often,
/// because each look is a request to a store elsewhere.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// A run that was just made gets this long to become readable before its id is told.
const READABLE_WAIT: Duration = Duration::from_secs(3);

/// Sends an event to a stack's actor. `_by` is the proof that somebody may.
pub(super) async fn tell_stack(
    app: &App,
    _by: &Writer,
    id: EventId,
    stack: &StackId,
    event: StackEvent,
) -> Result<(), Fault> {
    let envelope = StackEnvelope { id, stack: stack.clone(), at: app.now(), hops: 0, event };
    send(app, &Intent::Stack(envelope)).await
}

/// Sends an event to a repository's actor.
pub(super) async fn tell_repo(
    app: &App,
    _by: &Writer,
    id: EventId,
    repo: &RepoName,
    event: RepoEvent,
) -> Result<(), Fault> {
    let envelope = RepoEnvelope { id, repo: repo.clone(), at: app.now(), hops: 0, event };
    send(app, &Intent::Repo(envelope)).await
}

async fn send(app: &App, intent: &Intent) -> Result<(), Fault> {
    let body = serde_json::to_vec(intent)
        .map_err(|e| Fault::poison_from("an intent does not serialise", e))?;
    let (group, dedup) = (Some(intent.group()), Some(intent.id().0.clone()));
    let message = Outgoing { body, group, dedup, delay_ms: 0 };
    app.deps.queues.send(keys::INTENTS, message).await
}

/// The next moment worth a look, until the deadline. False: it has passed.
struct Patience {
    until: Instant,
    again: Duration,
}

impl Patience {
    fn of(wait: Duration) -> Self {
        Self { until: Instant::now() + wait, again: LOOK_AGAIN }
    }
    /// Waits for a notification, or a moment. `armed` was made before the last look, so that
    /// nothing that happened since then is missed.
    async fn next(&mut self, armed: impl Future<Output = ()>) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        let _ = timeout_at(self.until.min(now + self.again), armed).await;
        self.again = (self.again * 3 / 2).min(LOOK_AGAIN_MAX);
        true
    }
}

/// What a stack's actor answered to a command.
pub(super) async fn from_stack(
    app: &App,
    stack: &StackId,
    event: &EventId,
) -> Result<Answer, Error> {
    let mut patience = Patience::of(ANSWER_WAIT);
    loop {
        let mut armed = pin!(app.deps.wake.notified());
        armed.as_mut().enable();
        let head = tolerate(cas::load::<StackHead>(&*app.deps.docs, &keys::head(stack)).await)?;
        if let Some(answer) = head.as_ref().and_then(|head| head.value.answer_to(event)) {
            return Ok(answer.clone());
        }
        if !patience.next(armed).await {
            return Err(Error::Unanswered { event: event.clone() });
        }
    }
}

/// What a repository's actor answered.
pub(super) async fn from_repo(
    app: &App,
    repo: &RepoName,
    event: &EventId,
) -> Result<Answer, Error> {
    let mut patience = Patience::of(ANSWER_WAIT);
    loop {
        let mut armed = pin!(app.deps.wake.notified());
        armed.as_mut().enable();
        let head = tolerate(cas::load::<RepoHead>(&*app.deps.docs, &keys::repo(repo)).await)?;
        if let Some(answer) = head.as_ref().and_then(|head| head.value.answer_to(event)) {
            return Ok(answer.clone());
        }
        if !patience.next(armed).await {
            return Err(Error::Unanswered { event: event.clone() });
        }
    }
}

/// What became of a delivery; None if nobody has looked at it in time.
pub(super) async fn from_delivery(
    app: &App,
    delivery: &EventId,
) -> Result<Option<DeliveryOutcome>, Error> {
    let mut patience = Patience::of(ANSWER_WAIT);
    let key = keys::delivery_outcome(&delivery.0);
    loop {
        let mut armed = pin!(app.deps.wake.notified());
        armed.as_mut().enable();
        let outcome = tolerate(cas::load::<DeliveryOutcome>(&*app.deps.docs, &key).await)?;
        if let Some(outcome) = outcome {
            return Ok(Some(outcome.value));
        }
        if !patience.next(armed).await {
            return Ok(None);
        }
    }
}

/// A run that was sent straight to its stack: its document is the answer. Turned away means that
/// it ended before it could start.
pub(super) async fn from_run(app: &App, id: &RunId, event: &EventId) -> Result<Run, Error> {
    match await_run(app, id, ANSWER_WAIT).await? {
        None => Err(Error::Unanswered { event: event.clone() }),
        Some(run) => match &run.state {
            State::Failed { reason: FailReason::Rejected { messages } } if run.jobs.is_empty() => {
                Err(Error::Refused(messages.join("; ")))
            }
            State::Failed { reason: reason @ FailReason::NotDefined } => {
                Err(Error::NotFound(reason.to_string()))
            }
            _ => Ok(run),
        },
    }
}

/// Gives a run that was promised a moment to become readable, so that whoever asked can look.
pub(super) async fn readable(app: &App, id: &RunId) -> Result<(), Error> {
    await_run(app, id, READABLE_WAIT).await.map(|_| ())
}

async fn await_run(app: &App, id: &RunId, wait: Duration) -> Result<Option<Run>, Error> {
    let mut patience = Patience::of(wait);
    loop {
        let mut armed = pin!(app.deps.wake.notified());
        armed.as_mut().enable();
        if let Some(run) = tolerate(cas::load::<Run>(&*app.deps.docs, &keys::run(id)).await)? {
            return Ok(Some(run.value));
        }
        if !patience.next(armed).await {
            return Ok(None);
        }
    }
}

/// While waiting, a store that does not answer is one more reason to wait.
fn tolerate<T>(loaded: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match loaded {
        Err(fault) if fault.is_retryable() => Ok(None),
        other => other,
    }
}

/// A new id, and the answer's shape for the caller.
pub(super) fn new_event() -> Result<EventId, Error> {
    Ok(event_id()?)
}

pub(super) fn asked(event: &EventId, answer: Answer) -> Result<crate::v1::Asked, Error> {
    let done = |run: Option<RunId>, changed, note| crate::v1::Asked {
        event: event.0.clone(),
        run: run.map(|id| id.0),
        changed,
        note,
    };
    match answer {
        Answer::Done { run } => Ok(done(run, true, None)),
        Answer::Stale { why } => Ok(done(None, false, Some(why))),
        Answer::Refused { why } => Err(Error::Refused(why)),
        Answer::NotFound { why } => Err(Error::NotFound(why)),
    }
}
