//! The act beat: owed effects, delivered under their ids, then taken off the list.
//!
//! Only what this call delivered is removed, by a swap of its own; if that is lost the entries stay
//! and are delivered again, which is a no-op at each receiver (rules A2–A4).
use crate::aside::{self, Owner};
use crate::leave::{Since, has_last_word};
use crate::sends::{self, SENDS_MAX, Sent, send_all};
use crate::statuses::{self, Told};
use crate::{Deps, lost, tick};
use futures_util::future::{join, join_all};
use std::collections::BTreeSet;
use windlass_core::drift::Place;
use windlass_core::effect::{Effect, Entry, Stage};
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{EffectId, EventId, InstanceId, PoolId, RunId, StackId, derive};
use windlass_core::job::{Claim, Class, JobId, JobSpec, Pointer};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::run::Run;
use windlass_core::stack::{StackHead, StackOutputs};
use windlass_core::summary::Summary;
use windlass_ports::cas::{self, At, Raised};
use windlass_ports::{Change, Fault, Outgoing, PutError};

/// `at` is where this head stands in the store.
pub(crate) async fn stack_outbox(
    deps: &Deps,
    key: &str,
    (at, head): (At, StackHead),
    since: &Since,
) -> Result<(), Fault> {
    let owner = Owner::Stack(&head.stack);
    let mut told = deliver(deps, &head.outbox, owner, Some(&head)).await;
    let statuses = statuses::tell(deps, &head).await;
    told.done.extend(statuses.done);
    told.refused.extend(statuses.refused);
    let (stack, outbox) = (head.stack.clone(), head.outbox.clone());
    let done = outbox.iter().all(|entry| told.done.contains(&entry.id));
    if done && since.may_leave(&outbox) && has_last_word(deps, key, &at, &outbox).await? {
        deps.warm.remember(at, StackHead { outbox: vec![], ..head });
        return Ok(());
    }
    let list: List<StackHead> = |head| &mut head.outbox;
    let (left, missing) = strike(deps, key, (at, head), &told, list).await?;
    if let Some((at, head)) = left {
        deps.warm.remember(at, head);
    }
    for entry in outbox.iter().filter(|entry| missing.contains(&entry.id)) {
        if let Effect::SetStatus { status } = &entry.effect
            && let Err(fault) = statuses::overtaken(deps, &stack, status).await
        {
            tracing::warn!(effect_id = %entry.id, error = fault.chain(), "not told anew");
        }
    }
    Ok(())
}

pub(crate) async fn repo_outbox(
    deps: &Deps,
    key: &str,
    (at, head): (At, RepoHead),
) -> Result<(), Fault> {
    let owner = Owner::Repo(&head.repo);
    let told = deliver(deps, &head.outbox, owner, None).await;
    let list: List<RepoHead> = |head| &mut head.outbox;
    let repo = head.repo.clone();
    strike(deps, key, (at, head), &told, list).await?;
    for (effect, sent) in told.part {
        // The rest at once. If this is lost the tick comes.
        let id = EventId(derive(&["goes on", &effect.0, &sent.to_string()]));
        tick::wake(deps, &keys::repo_group(&repo), id).await?;
    }
    Ok(())
}

/// Facts first, all at once; then the rest. What fails stays; messages stay with it, so that they
/// never tell of facts that are not there (rule D1). What fails for good is set aside at last, and
/// they go on without it.
async fn deliver(
    deps: &Deps,
    outbox: &[Entry],
    owner: Owner<'_>,
    head: Option<&StackHead>,
) -> Told {
    let mut told = Told::default();
    let mut facts_failed = false;
    for stage in [Stage::Facts, Stage::Rest] {
        let batch: Vec<&Entry> = outbox
            .iter()
            .filter(|entry| entry.effect.stage() == stage)
            .filter(|entry| !(facts_failed && entry.effect.waits_for_facts()))
            .collect();
        for (entry, outcome) in act_all(deps, batch, head).await {
            let fault = match outcome {
                Ok(Sent::All) => {
                    told.done.insert(entry.id.clone());
                    continue;
                }
                Ok(Sent::UpTo(sent)) => {
                    told.part.insert(entry.id.clone(), sent);
                    continue;
                }
                Err(fault) => fault,
            };
            tracing::warn!(
                effect = entry.effect.label(), effect_id = %entry.id, tries = entry.tries,
                error = fault.chain(), "an effect failed and stays owed"
            );
            if !fault.is_retryable() {
                told.refused.insert(entry.id.clone());
            }
            if aside::hopeless(deps, entry, &fault)
                && aside::effect(deps, owner, entry, fault.given_up()).await.is_ok()
            {
                told.done.insert(entry.id.clone());
                continue;
            }
            facts_failed |= stage == Stage::Facts;
        }
    }
    told
}

/// Messages in batches, all else side by side. Of very many messages some are left for the next.
async fn act_all<'e>(
    deps: &Deps,
    batch: Vec<&'e Entry>,
    head: Option<&StackHead>,
) -> Vec<(&'e Entry, Result<Sent, Fault>)> {
    let intent = |entry: &Entry| match &entry.effect {
        Effect::ToStack { event } => Some(Intent::Stack((**event).clone())),
        Effect::ToRepo { event } => Some(Intent::Repo((**event).clone())),
        _ => None,
    };
    let (mut messages, others): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|entry| (entry, intent(entry))).partition(|(_, i)| i.is_some());
    messages.truncate(SENDS_MAX);
    let (messages, intents): (Vec<&Entry>, Vec<_>) = messages.into_iter().unzip();
    let intents: Vec<Intent> = intents.into_iter().flatten().collect();
    let acts = others.iter().map(|(entry, _)| act(deps, &entry.effect, head));
    let (acted, sent) = join(join_all(acts), send_all(deps, &intents)).await;
    let acted = others.into_iter().map(|(entry, _)| entry).zip(acted);
    let sent = sent.into_iter().map(|outcome| outcome.map(|()| Sent::All));
    acted.chain(messages.into_iter().zip(sent)).collect()
}

/// Where a head keeps what it owes.
type List<T> = fn(&mut T) -> &mut Vec<Entry>;

/// Takes exactly the delivered ids off the list and counts the refused ones, from where the head
/// stood when they were delivered. If it has moved, once more from where it is: who loses that too
/// leaves them (rule A2). Returns the head, if this was the last to write it, and those delivered
/// that somebody else had taken off already.
async fn strike<T>(
    deps: &Deps,
    key: &str,
    (at, mut head): (At, T),
    told: &Told,
    list: List<T>,
) -> Result<(Option<(At, T)>, BTreeSet<EffectId>), Fault>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    if told.done.is_empty() && told.refused.is_empty() && told.part.is_empty() {
        return Ok((Some((at, head)), BTreeSet::new()));
    }
    let (mut missing, _) = take_off(list(&mut head), told);
    let write_id = deps.write_ids.next();
    if let Some(at) = cas::swap(&*deps.docs, key, Some(&at), &head, &write_id).await? {
        return Ok((Some((at, head)), missing));
    }
    let Some(mut found) = cas::load::<T>(&*deps.docs, key).await? else {
        return Ok((None, told.done.clone()));
    };
    let changed;
    (missing, changed) = take_off(list(&mut found.value), told);
    if changed {
        let write_id = deps.write_ids.next();
        cas::swap(&*deps.docs, key, Some(&found.at()), &found.value, &write_id).await?;
    }
    Ok((None, missing))
}

/// Returns the delivered ones that were not on the list, and whether the list changed.
fn take_off(list: &mut Vec<Entry>, told: &Told) -> (BTreeSet<EffectId>, bool) {
    let (mut missing, mut changed) = (told.done.clone(), false);
    list.retain_mut(|entry| {
        let struck = missing.remove(&entry.id);
        let counted = told.refused.contains(&entry.id);
        entry.tries += u32::from(counted);
        changed |= struck || counted;
        if let (Effect::PutRollout { sent, .. }, Some(now)) =
            (&mut entry.effect, told.part.get(&entry.id))
        {
            changed |= *sent < *now;
            *sent = (*sent).max(*now);
        }
        !struck
    });
    (missing, changed)
}

async fn act(deps: &Deps, effect: &Effect, head: Option<&StackHead>) -> Result<Sent, Fault> {
    match effect {
        Effect::PutRollout { rollout, sent } => sends::put_rollout(deps, rollout, *sent).await,
        effect => act_whole(deps, effect, head).await.map(|()| Sent::All),
    }
}

async fn act_whole(deps: &Deps, effect: &Effect, head: Option<&StackHead>) -> Result<(), Fault> {
    match effect {
        Effect::PutOutputs { outputs } => {
            let key = keys::stack_outputs(&outputs.stack);
            let revision_of = |outputs: &StackOutputs| outputs.head_revision;
            project(deps, (&outputs.stack, key), revision_of, &**outputs, None).await
        }
        Effect::PutRun { run } => put_run(deps, run).await,
        Effect::PutSummary => match head {
            Some(head) => put_summary(deps, head).await,
            None => Ok(()),
        },
        Effect::SendJob { spec } => send_job(deps, spec).await,
        Effect::SendPointer { job, pool, class } => {
            let stack = head.map(|head| head.stack.clone()).unwrap_or_default();
            send_pointer(deps, Pointer { job: job.clone(), stack }, pool, *class).await
        }
        Effect::Withdraw { job } => match head {
            Some(head) => withdraw(deps, head, job).await,
            None => Ok(()),
        },
        Effect::Control { job, control } => {
            let write_id = deps.write_ids.next();
            cas::create(&*deps.docs, &keys::job_control(job), &write_id, control).await?;
            Ok(())
        }
        Effect::DeclareLost { job, claim, cause } => match head {
            Some(head) => lost::declare(deps, head, job, claim, cause).await,
            None => Ok(()),
        },
        Effect::AskPlace { pool, minute } => {
            let stack = head.map(|head| head.stack.clone()).unwrap_or_default();
            let key = keys::drift_ticket(pool, *minute, &stack);
            cas::create(&*deps.docs, &key, &deps.write_ids.next(), &stack).await?;
            Ok(())
        }
        Effect::LeavePlace { pool, place, minute } => match head {
            Some(head) => leave_place(deps, head, &keys::drift_place(pool, *place), *minute).await,
            None => Ok(()),
        },
        Effect::Audit { entry } => {
            let key = keys::audit(entry.at, &entry.id);
            cas::create(&*deps.docs, &key, &deps.write_ids.next(), &**entry).await?;
            Ok(())
        }
        Effect::CleanUp { run, plans } => clean_up(deps, run, plans).await,
        // Sent in batches; in parts; told in a stage of its own, when all else is done.
        Effect::ToStack { .. }
        | Effect::ToRepo { .. }
        | Effect::PutRollout { .. }
        | Effect::SetStatus { .. } => Ok(()),
    }
}

/// Puts an intent on the one road in, in its group, recognisable the second time.
pub(crate) async fn send(deps: &Deps, intent: Intent) -> Result<(), Fault> {
    deps.queues.send(keys::INTENTS, sends::message(&intent)?).await
}

/// The line under `stack-runs/` comes before the document: whoever finds this one need not look for
/// that one.
async fn put_run(deps: &Deps, run: &Run) -> Result<(), Fault> {
    let (key, revision_of) = (keys::run(run.id()), |run: &Run| run.head_revision);
    let known = match deps.warm.projection(&run.stack, &key) {
        Some(known) => Some(known),
        None => cas::load::<Run>(&*deps.docs, &key).await?.map(|found| found.raised(revision_of)),
    };
    if known.is_none() {
        let marker = keys::stack_run(&run.stack, run.id());
        cas::create(&*deps.docs, &marker, &deps.write_ids.next(), run.id()).await?;
    }
    project(deps, (&run.stack, key), revision_of, run, Some(known)).await
}

async fn put_summary(deps: &Deps, head: &StackHead) -> Result<(), Fault> {
    let key = keys::summary(&head.stack);
    // What is left of a stack that is gone is made from what was stored last.
    if head.defined.def().is_some()
        && let Some(summary) = Summary::of(head, None)
    {
        let revision_of = |summary: &Summary| summary.head_revision;
        return project(deps, (&head.stack, key), revision_of, &summary, None).await;
    }
    cas::update(&*deps.docs, &key, &deps.write_ids.next(), |stored| {
        let stored: Option<&Summary> = stored;
        Ok(match Summary::of(head, stored) {
            Some(next) if stored.is_none_or(|s| s.head_revision < next.head_revision) => {
                Change::Write(next, ())
            }
            _ => Change::Keep(()),
        })
    })
    .await
}

/// Writes it upward (rule A3), from where this process left it if nobody wrote the head since. `known` is what the caller
/// has just seen; `Some(None)`: that it is not there.
async fn project<T>(
    deps: &Deps,
    (stack, key): (&StackId, String),
    revision_of: impl Fn(&T) -> u64 + Send + Sync,
    value: &T,
    known: Option<Option<Raised>>,
) -> Result<(), Fault>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Clone + Send + Sync,
{
    let known = known.or_else(|| deps.warm.projection(stack, &key).map(Some));
    let (docs, write_id) = (&*deps.docs, deps.write_ids.next());
    let raised = cas::raise_from(docs, &key, &write_id, revision_of, value, known).await?;
    deps.warm.remember_projection(stack, key, raised);
    Ok(())
}

async fn send_job(deps: &Deps, spec: &JobSpec) -> Result<(), Fault> {
    // The code first: the sweep sends pointers too, and who finds the spec may begin.
    if spec.pool.as_str() != keys::CONTROL_POOL {
        deps.archive.ensure(&spec.repository, &spec.commit).await?;
    }
    let key = keys::job_spec(&spec.id);
    cas::create(&*deps.docs, &key, &deps.write_ids.next(), spec).await?;
    let pointer = Pointer { job: spec.id.clone(), stack: spec.stack.clone() };
    send_pointer(deps, pointer, &spec.pool, spec.class).await
}

async fn send_pointer(
    deps: &Deps,
    pointer: Pointer,
    pool: &PoolId,
    class: Class,
) -> Result<(), Fault> {
    let queue = match class {
        Class::Prioritized | Class::Blocking => keys::first_queue(pool),
        Class::Proposed | Class::Drift => keys::rest_queue(pool),
    };
    let body = serde_json::to_vec(&pointer)
        .map_err(|error| Fault::poison_from("a pointer does not serialise", error))?;
    deps.queues.send(&queue, Outgoing { body, ..Outgoing::default() }).await
}

/// The claim as a tombstone, or word of who was faster (rule B6).
async fn withdraw(deps: &Deps, head: &StackHead, job: &JobId) -> Result<(), Fault> {
    let tombstone = Claim::Tombstone { at: deps.clock.now() };
    let key = keys::job_claim(job);
    let known = cas::create(&*deps.docs, &key, &deps.write_ids.next(), &tombstone).await?;
    let taken_by: Option<InstanceId> = match known {
        Some(Claim::Held { worker, .. }) => Some(worker),
        Some(Claim::Tombstone { .. }) | None => None,
    };
    let id = EventId(derive(&["withdrawal", &job.to_string()]));
    let event = StackEvent::Withdrawal { job: job.clone(), taken_by };
    let (stack, at) = (head.stack.clone(), deps.clock.now());
    send(deps, Intent::Stack(StackEnvelope { id, stack, at, hops: 1, event })).await
}

/// Deletes what is this ticket's; another one may have the place by now.
async fn leave_place(deps: &Deps, head: &StackHead, key: &str, minute: u64) -> Result<(), Fault> {
    let Some(found) = cas::load::<Place>(&*deps.docs, key).await? else { return Ok(()) };
    if found.value.stack != head.stack || found.value.minute != minute {
        return Ok(());
    }
    match deps.docs.delete(key, &found.version).await {
        Ok(()) => Ok(()),
        Err(PutError::Conflict) => Err(Fault::retryable(format!("{key} changed meanwhile"))),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}

/// Each attempt's archive has a name that is known, so nothing is listed.
async fn clean_up(deps: &Deps, run: &RunId, plans: &[JobId]) -> Result<(), Fault> {
    let keys = match plans {
        [] => deps.blobs.list(&format!("plans/{run}/"), None, 1_000).await?,
        plans => plans.iter().map(keys::plan_archive).collect(),
    };
    for key in keys {
        deps.blobs.delete(&key).await?;
    }
    Ok(())
}
