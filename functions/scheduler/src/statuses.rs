//! The last stage: how runs stand, told where people look at their commits.
//!
//! Nothing waits for it and nothing fails because of it (rule A4): it comes when all else is done,
//! takes a bounded time, and what can't be told stays owed, is counted, and is set aside at last.
use crate::{Deps, aside};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use windlass_core::effect::{Effect, Entry};
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{EffectId, EventId, RunId, StackId, derive};
use windlass_core::keys;
use windlass_core::run::Run;
use windlass_core::stack::StackHead;
use windlass_core::status::{self, Status};
use windlass_ports::{CommitStatus, Fault, cas};

/// A forge that takes longer is asked again later.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How often a status is told anew because the run went on meanwhile.
const AGAIN_MAX: u32 = 3;

/// What became of effects that were owed.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Delivered, or set aside: to be struck off.
    pub(crate) done: BTreeSet<EffectId>,
    /// Refused for good: to be counted.
    pub(crate) refused: BTreeSet<EffectId>,
    /// Delivered in part: how far.
    pub(crate) part: BTreeMap<EffectId, usize>,
}

pub(crate) async fn tell(deps: &Deps, head: &StackHead) -> Told {
    let owed = head.outbox.iter().filter_map(|entry| match &entry.effect {
        Effect::SetStatus { status } => Some((entry, &**status)),
        _ => None,
    });
    let outcomes = join_all(owed.map(|(entry, status)| async move {
        ((entry, status), post(deps, &head.stack, status).await)
    }));
    let mut told = Told::default();
    for ((entry, status), outcome) in outcomes.await {
        let Err(fault) = outcome else {
            told.done.insert(entry.id.clone());
            continue;
        };
        tracing::warn!(
            effect = entry.effect.label(), effect_id = %entry.id, tries = entry.tries,
            error = fault.chain(), "a status was not told and stays owed"
        );
        if !fault.is_retryable() {
            told.refused.insert(entry.id.clone());
        }
        if aside::hopeless(deps, entry, &fault)
            && set_aside(deps, head, (entry, status), fault.given_up()).await.is_ok()
        {
            told.done.insert(entry.id.clone());
        }
    }
    told
}

/// That entry alone goes to quarantine, as a message that says it anew when somebody retries it.
async fn set_aside(
    deps: &Deps,
    head: &StackHead,
    (entry, status): (&Entry, &Status),
    fault: Fault,
) -> Result<(), Fault> {
    let (id, at) = (EventId(derive(&["retell", &entry.id.0])), deps.clock.now());
    let event = StackEvent::Retell { run: status.run.clone() };
    let again = Intent::Stack(StackEnvelope { id, stack: head.stack.clone(), at, hops: 0, event });
    let (context, words) = (status::context(&head.stack), &status.said.words);
    let reason = format!("can't say \"{words}\" under {context}: {}", fault.chain());
    aside::store(deps, &format!("forge-{}", entry.id), &again, reason).await
}

async fn post(deps: &Deps, stack: &StackId, status: &Status) -> Result<(), Fault> {
    let link = |base: &String| format!("{base}/runs/{}", status.run);
    let status = CommitStatus {
        repo: status.repo.clone(),
        sha: status.said.sha.clone(),
        context: status::context(stack),
        state: status.said.state,
        description: status.said.words.clone(),
        target_url: deps.links.as_ref().map(link),
    };
    let late = || Fault::retryable("the forge took too long to answer");
    tokio::time::timeout(ANSWER_MAX, deps.forge.set_status(&status)).await.map_err(|_| late())?
}

/// While this handler told `old`, another one took the entry off the list: it may have told
/// something newer before us. The stack's head knows, or the document of a run that has ended, so the
/// last word is the newest.
pub(crate) async fn overtaken(deps: &Deps, stack: &StackId, old: &Status) -> Result<(), Fault> {
    let mut told = old.clone();
    for _ in 0..AGAIN_MAX {
        let Some(now) = now(deps, stack, &told.run).await?.as_ref().and_then(Status::of) else {
            return Ok(());
        };
        if now.version <= told.version || now.said.sha != told.said.sha {
            return Ok(());
        }
        if now.said != told.said {
            post(deps, stack, &now).await?;
        }
        told = now;
    }
    Ok(())
}

/// The head first: a run that is not in it any more has left its end in its document.
async fn now(deps: &Deps, stack: &StackId, id: &RunId) -> Result<Option<Run>, Fault> {
    let head = cas::load::<StackHead>(&*deps.docs, &keys::head(stack)).await?;
    if let Some(run) = head.as_ref().and_then(|head| head.value.known(id)) {
        return Ok(Some(run.clone()));
    }
    let stored = cas::load::<Run>(&*deps.docs, &keys::run(id)).await?;
    Ok(stored.map(|found| found.value))
}
