//! One event of one stack: load, decide, commit, act.
use crate::leave::Since;
use crate::{Deps, deliver, facts, tick};
use std::collections::BTreeSet;
use windlass_core::event::{HOPS_MAX, StackEnvelope, StackEvent};
use windlass_core::id::EffectId;
use windlass_core::job::News;
use windlass_core::keys;
use windlass_core::stack::{Answer, StackHead, decide, wants};
use windlass_ports::Fault;
use windlass_ports::cas::{self, CAS_ATTEMPTS_MAX, Loaded};

/// Handles one event to its end. An answer means that it is decided and committed; effects that
/// failed are listed in the head and come back with the next event or the tick.
///
/// # Errors
/// `Retryable` when a store is away or somebody else keeps writing; `Poison` for a document that
/// does not parse or a chain of events that does not end.
pub async fn event(deps: &Deps, envelope: &StackEnvelope) -> Result<Answer, Fault> {
    if envelope.hops > HOPS_MAX {
        return Err(Fault::poison(format!("a chain of {HOPS_MAX} events is a loop; cut here")));
    }
    let (key, group) = (keys::head(&envelope.stack), keys::stack_group(&envelope.stack));
    for _ in 0..CAS_ATTEMPTS_MAX {
        let before = cas::load::<StackHead>(&*deps.docs, &key).await?;
        let before = before.map(|found| deps.warm.recall(found));
        let mut at = before.as_ref().map(Loaded::at);
        let head = before.map_or_else(|| StackHead::new(&envelope.stack), |found| found.value);
        let filed = head.due_minute;
        let owed: BTreeSet<EffectId> = head.outbox.iter().map(|entry| entry.id.clone()).collect();
        let facts = facts::load(deps, &wants(&head, envelope)).await?;
        let decision = decide(head, envelope, &facts, deps.clock.now());
        tracing::debug!(
            stack_id = %envelope.stack, event_id = %envelope.id, changed = decision.changed,
            revision = decision.head.revision, answer = ?decision.answer, "decided"
        );
        if decision.changed {
            // What woke us was struck, so the same minute (the clock may have been set back) is
            // filed anew.
            let woken = envelope.event == StackEvent::Due;
            if let Some(minute) = decision.head.due_minute.filter(|m| woken || filed != Some(*m)) {
                tick::file(deps, minute, &group).await?;
            }
            let write_id = deps.write_ids.next();
            let docs = &*deps.docs;
            at = cas::swap(docs, &key, at.as_ref(), &decision.head, &write_id).await?;
            if at.is_none() {
                continue;
            }
            deps.wake.notify_waiters();
        }
        if let Some(at) = at {
            let passing = matches!(&envelope.event, StackEvent::Report { report }
                if matches!(report.news, News::Began(_)));
            let since = Since { owed, passing };
            deliver::stack_outbox(deps, &key, (at, decision.head), &since).await?;
        }
        return Ok(decision.answer);
    }
    Err(Fault::retryable(format!("{key} changed under every attempt to write it")))
}
