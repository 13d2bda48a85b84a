//! Many messages at a time: in batches, several side by side, and so many in one invocation. What is
//! left comes with the next one.
use crate::Deps;
use futures_util::future::join_all;
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{EventId, derive};
use windlass_core::keys;
use windlass_core::rollout::Rollout;
use windlass_ports::{Fault, Outgoing, cas};

/// Far less than two minutes of sending, however slow the queue.
pub(crate) const SENDS_MAX: usize = 1_000;
/// A queue takes so many in one request.
const BATCH: usize = 10;
/// Requests that are under way at a time.
const AT_ONCE: usize = 8;

/// How far something that is sent in parts has come.
pub(crate) enum Sent {
    All,
    /// So many, from the first on.
    UpTo(usize),
}

/// An intent as its queue takes it: in its group, recognisable the second time.
pub(crate) fn message(intent: &Intent) -> Result<Outgoing, Fault> {
    let body = serde_json::to_vec(intent)
        .map_err(|error| Fault::poison_from("an intent does not serialise", error))?;
    let (group, dedup) = (Some(intent.group()), Some(intent.id().0.clone()));
    Ok(Outgoing { body, group, dedup, delay_ms: 0 })
}

/// One outcome for each, in the same order.
pub(crate) async fn send_all(deps: &Deps, intents: &[Intent]) -> Vec<Result<(), Fault>> {
    let mut outcomes = Vec::with_capacity(intents.len());
    for some in intents.chunks(BATCH * AT_ONCE) {
        let batches = some.chunks(BATCH).map(|batch| send_batch(deps, batch));
        outcomes.extend(join_all(batches).await.into_iter().flatten());
    }
    outcomes
}

/// One that does not serialise fails alone.
async fn send_batch(deps: &Deps, intents: &[Intent]) -> Vec<Result<(), Fault>> {
    let mut outcomes: Vec<Result<(), Fault>> = Vec::with_capacity(intents.len());
    let mut messages = Vec::with_capacity(intents.len());
    for intent in intents {
        outcomes.push(message(intent).map(|message| messages.push(message)));
    }
    let mut told = deps.queues.send_many(keys::INTENTS, messages).await.into_iter();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
        *outcome = told.next().unwrap_or_else(|| Err(Fault::retryable("nothing is said of it")));
    }
    outcomes
}

/// The plan of the whole rollout is stored before the first message goes out; a second delivery
/// reads it back and plans nothing anew (rule W2). What was sent already is not sent again.
pub(crate) async fn put_rollout(
    deps: &Deps,
    rollout: &Rollout,
    sent: usize,
) -> Result<Sent, Fault> {
    let (docs, key) = (&*deps.docs, keys::rollout(&rollout.id));
    let known = match sent {
        0 => cas::create(docs, &key, &deps.write_ids.next(), rollout).await?,
        _ => cas::load::<Rollout>(docs, &key).await?.map(|found| found.value),
    };
    let stored = known.as_ref().unwrap_or(rollout);
    let rest = stored.runs.iter().skip(sent).take(SENDS_MAX).map(|member| {
        let id = EventId(derive(&["queue", &stored.id.0, &member.stack.0]));
        let event = StackEvent::Queue { run: Box::new(member.run.clone()) };
        let (stack, at) = (member.stack.clone(), stored.at);
        Intent::Stack(StackEnvelope { id, stack, at, hops: 1, event })
    });
    let mut done = sent;
    for outcome in send_all(deps, &rest.collect::<Vec<_>>()).await {
        match outcome {
            Ok(()) => done += 1,
            Err(fault) if done == sent => return Err(fault),
            Err(fault) => {
                tracing::warn!(rollout = %stored.id, done, error = fault.chain(), "cut off");
                break;
            }
        }
    }
    Ok(if done >= stored.runs.len() { Sent::All } else { Sent::UpTo(done) })
}
