//! What is owed and can't be delivered: set aside alone, with its reason, so that what comes behind
//! it goes on and somebody hears of it (rule A4).
use crate::handle::Quarantined;
use crate::{Deps, lost};
use windlass_core::effect::{Effect, Entry};
use windlass_core::event::{Intent, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent};
use windlass_core::id::{EventId, InstanceId, RepoName, StackId, derive};
use windlass_core::job::{Claim, JobResult, JobSpec, Phase, Step, Verdict};
use windlass_core::keys;
use windlass_ports::{Fault, cas};

/// What was refused for good so often is set aside. More than once, because who refuses may not
/// know yet what it has just announced, and a document that does not parse may be mended.
const TRIES_MAX: u32 = 5;
/// What is away may stay away so long before what it was to take is set aside.
const AWAY_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// Whose outbox it is.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    Stack(&'a StackId),
    Repo(&'a RepoName),
}

pub(crate) fn hopeless(deps: &Deps, entry: &Entry, fault: &Fault) -> bool {
    match fault {
        Fault::Poison { .. } => entry.tries + 1 >= TRIES_MAX,
        Fault::Retryable { .. } => deps.clock.now().since_ms(entry.at) >= AWAY_MAX_MS,
    }
}

/// Sets one effect aside. A job that can't be handed out ends first, so that its run does: the
/// stack must not wait for a worker that will never hear of it.
pub(crate) async fn effect(
    deps: &Deps,
    owner: Owner<'_>,
    entry: &Entry,
    fault: Fault,
) -> Result<(), Fault> {
    let mut reason = format!("can't deliver {}: {}", entry.effect.label(), fault.chain());
    if let Effect::SendJob { spec } = &entry.effect {
        give_up(deps, spec, &fault).await?;
        reason = format!("can't hand out the job {}: {}", spec.id, fault.chain());
    }
    let text = serde_json::to_string(&entry.effect)
        .map_err(|error| Fault::poison_from("an effect does not serialise", error))?;
    // The sweep owes some of them again and again: one of a kind lies there.
    let name = match owner {
        Owner::Stack(stack) => derive(&["effect", &stack.0, &text]),
        Owner::Repo(repo) => derive(&["effect", &repo.0, &text]),
    };
    let again = again(deps, owner, &entry.effect, EventId(derive(&["again", &name])));
    store(deps, &format!("effect-{name}"), &again, reason).await
}

/// A message that does it when somebody retries it.
fn again(deps: &Deps, owner: Owner<'_>, effect: &Effect, id: EventId) -> Intent {
    let (at, hops) = (deps.clock.now(), 0);
    match (effect, owner) {
        (Effect::ToStack { event }, _) => Intent::Stack((**event).clone()),
        (Effect::ToRepo { event }, _) => Intent::Repo((**event).clone()),
        // Its run has ended: a person retries that.
        (Effect::SendJob { spec }, _) => {
            let (stack, event) = (spec.stack.clone(), StackEvent::Due);
            Intent::Stack(StackEnvelope { id, stack, at, hops, event })
        }
        (_, Owner::Stack(stack)) => {
            let event = StackEvent::Owe { effect: Box::new(effect.clone()) };
            Intent::Stack(StackEnvelope { id, stack: stack.clone(), at, hops, event })
        }
        (_, Owner::Repo(repo)) => {
            let event = RepoEvent::Owe { effect: Box::new(effect.clone()) };
            Intent::Repo(RepoEnvelope { id, repo: repo.clone(), at, hops, event })
        }
    }
}

/// Lays a message into quarantine under this name, once, and lets the alarm hear of it.
pub(crate) async fn store(
    deps: &Deps,
    name: &str,
    again: &Intent,
    reason: String,
) -> Result<(), Fault> {
    let body = serde_json::to_string(again)
        .map_err(|error| Fault::poison_from("an intent does not serialise", error))?;
    let set_aside = Quarantined {
        queue: keys::INTENTS.to_owned(),
        group: Some(again.group()),
        body,
        reason,
        at: deps.clock.now(),
    };
    let (key, write_id) = (keys::quarantine(name), deps.write_ids.next());
    if cas::create(&*deps.docs, &key, &write_id, &set_aside).await?.is_none() {
        tracing::error!(
            name,
            error = set_aside.reason,
            count.Quarantined = 1,
            count.Attention = 1,
            "quarantined"
        );
    }
    Ok(())
}

/// Nobody may start it any more, and its result says why. If a worker was faster, it has all that
/// it needs, and the run ends by that one's result.
async fn give_up(deps: &Deps, spec: &JobSpec, fault: &Fault) -> Result<(), Fault> {
    let (job, now) = (&spec.id, deps.clock.now());
    let (docs, tombstone) = (&*deps.docs, Claim::Tombstone { at: now });
    let known =
        cas::create(docs, &keys::job_claim(job), &deps.write_ids.next(), &tombstone).await?;
    if let Some(Claim::Held { .. }) = known {
        return Ok(());
    }
    let step = match job.phase {
        Phase::Plan => Step::Planning,
        Phase::Apply => Step::Applying,
        Phase::Destroy => Step::Destroying,
        Phase::Task => Step::Performing,
    };
    let reason = format!("the job could not be handed to pool {}: {}", spec.pool, fault.chain());
    let result = JobResult::blank(job, &spec.stack, Verdict::Failed { step, reason }, now);
    cas::create(docs, &keys::job_result(job), &deps.write_ids.next(), &result).await?;
    lost::report(deps, &spec.stack, job, InstanceId::default()).await
}
