//! What became of a delivery: a forge's word, turned into an event of the repository's actor.
//!
//! Documents are the truth and deliveries nudge. A push that follows on what is known and lists all
//! its files is taken at its word; anything else (out of order, forced, cut, a new or a deleted
//! branch) only makes us ask where the branch is now.
use crate::{Deps, Repository, pushes, repo};
use std::collections::BTreeMap;
use windlass_core::delivery::{Became, DeliveryOutcome, KeptDelivery, Word, lags, weigh};
use windlass_core::event::{DeliveryPointer, RepoEnvelope, RepoEvent};
use windlass_core::id::{EventId, Sha, derive};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::stack::Answer;
use windlass_core::wire::github::{PushPayload, Ref};
use windlass_ports::cas::{self, CAS_ATTEMPTS_MAX, Stored};
use windlass_ports::{Change, Expect, Fault, PutError, Version};

/// Handles a pointer: decides, records the outcome, then takes the body away (rule W1: in this
/// order, so that a body without outcome is always found again). An outcome is final, unless it is
/// a refusal: whoever sends that again has reason to.
///
/// # Errors
/// `Retryable` when something is away; `Poison` when the delivery can't be understood, which is
/// recorded by then.
pub(crate) async fn handle(deps: &Deps, pointer: &DeliveryPointer) -> Result<(), Fault> {
    let outcome_key = keys::delivery_outcome(&pointer.id.0);
    let before = cas::load::<DeliveryOutcome>(&*deps.docs, &outcome_key).await?;
    let refused = before.as_ref().is_some_and(|o| matches!(o.value.became, Became::Refused { .. }));
    if before.is_some() && !refused {
        return remove(deps, &pointer.body_key).await;
    }
    let Some(kept) = load(deps, pointer).await? else {
        // Somebody else was faster, or its body never was.
        return match deps.docs.get(&outcome_key).await? {
            Some(_) => Ok(()),
            None => Err(Fault::poison(format!("the body of delivery {} is gone", pointer.id))),
        };
    };
    let became = match understand(deps, pointer, &kept).await {
        Ok(became) => became,
        Err(fault) if fault.is_retryable() => return Err(fault),
        Err(poison) => {
            set_aside(deps, pointer, &kept, &poison).await?;
            return Err(poison);
        }
    };
    tracing::info!(
        delivery_id = %pointer.id, repo = %pointer.repo, event = kept.said.event,
        became = became.label(), "a delivery was handled"
    );
    record(deps, pointer, &kept, became).await?;
    delete(deps, &kept.key, &kept.version).await?;
    // Where somebody tried a refused one again, or sent it again, there are two bodies.
    if refused && kept.key == pointer.body_key {
        remove(deps, &keys::delivery_refused(&pointer.id.0)).await?;
    }
    Ok(())
}

/// The body of a delivery as it lies there.
struct Kept {
    key: String,
    version: Version,
    body: Vec<u8>,
    /// What of it could be read.
    said: KeptDelivery,
    unreadable: Option<serde_json::Error>,
}

async fn load(deps: &Deps, pointer: &DeliveryPointer) -> Result<Option<Kept>, Fault> {
    for key in [pointer.body_key.clone(), keys::delivery_refused(&pointer.id.0)] {
        let Some(found) = deps.docs.get(&key).await? else { continue };
        let (version, body) = (found.version, found.body);
        let nothing = || {
            let received_at = deps.clock.now();
            KeptDelivery { event: String::new(), received_at, body: String::new() }
        };
        let (said, unreadable) = match serde_json::from_slice::<Stored<KeptDelivery>>(&body) {
            Ok(stored) => (stored.value, None),
            Err(error) => (nothing(), Some(error)),
        };
        return Ok(Some(Kept { key, version, body, said, unreadable }));
    }
    Ok(None)
}

async fn understand(deps: &Deps, pointer: &DeliveryPointer, kept: &Kept) -> Result<Became, Fault> {
    if let Some(error) = &kept.unreadable {
        return Err(Fault::poison(format!("what is kept of it does not parse: {error}")));
    }
    match kept.said.event.as_str() {
        "push" => push(deps, pointer, &kept.said).await,
        other => Ok(Became::Ignored { why: format!("{other} events have no effect yet") }),
    }
}

async fn push(
    deps: &Deps,
    pointer: &DeliveryPointer,
    kept: &KeptDelivery,
) -> Result<Became, Fault> {
    let repository = deps.repositories.iter().find(|known| known.name == pointer.repo);
    let repository = repository.ok_or_else(|| {
        Fault::poison(format!("the repository {} is not served here", pointer.repo))
    })?;
    let payload: PushPayload = serde_json::from_str(&kept.body)
        .map_err(|error| Fault::poison_from("this push does not parse", error))?;
    if !is_commit(&payload.before) || !is_commit(&payload.after) {
        return Err(Fault::poison("this push names no commits"));
    }
    let branch = match payload.moved() {
        Ref::Branch(branch) => branch,
        Ref::Tag(tag) => return Ok(Became::Ignored { why: format!("{tag} is a tag") }),
        Ref::Other(name) => return Ok(Became::Ignored { why: format!("{name} is no branch") }),
    };
    for _ in 0..CAS_ATTEMPTS_MAX {
        let head = cas::load::<RepoHead>(&*deps.docs, &keys::repo(&pointer.repo)).await?;
        let head = head.map(|found| found.value);
        let known = head.as_ref().map_or(const { &BTreeMap::new() }, |head| &head.branches);
        let was = known.get(branch).map(|branch| &branch.head);
        let word = weigh(&payload, was);
        let to = match &word {
            Word::Known => was.cloned(),
            Word::Told(_) => Some(payload.after()),
            Word::Ask => ask(deps, kept, (branch, &payload), repository).await?,
        };
        let target = to.as_ref().map_or("gone", Sha::as_str);
        let id = EventId(derive(&["delivery", &pointer.id.0, target]));
        let routed =
            || Became::Routed { event: id.clone(), branch: branch.to_owned(), head: to.clone() };
        // A process that died before it could record the outcome was here.
        let answer = head.as_ref().and_then(|head| head.answer_to(&id));
        if matches!(answer, Some(Answer::Done { .. })) {
            return Ok(routed());
        }
        if to.as_ref() == was {
            return Ok(Became::Known { why: format!("{branch} is known to be {}", short(was)) });
        }
        let event = match (&to, word) {
            (None, _) => RepoEvent::BranchDeleted { branch: branch.to_owned() },
            (_, Word::Told(files)) => {
                let push = pushes::told(deps, repository, (branch, &payload), files).await?;
                RepoEvent::Push { push: Box::new(push) }
            }
            (Some(to), _) => {
                let push = pushes::looked_up(deps, repository, (branch, to), known).await?;
                RepoEvent::Push { push: Box::new(push) }
            }
        };
        let (repo, at) = (pointer.repo.clone(), kept.received_at);
        let envelope = RepoEnvelope { id: id.clone(), repo, at, hops: 0, event };
        if let Answer::Done { .. } = repo::event(deps, &envelope).await? {
            return Ok(routed());
        }
        // Somebody else moved the branch meanwhile: look again.
    }
    Err(Fault::retryable(format!("{branch} moved under every attempt to follow it")))
}

/// Where the branch is now, by the forge.
async fn ask(
    deps: &Deps,
    kept: &KeptDelivery,
    (branch, payload): (&str, &PushPayload),
    repository: &Repository,
) -> Result<Option<Sha>, Fault> {
    let found = deps.source.head(&repository.name, branch).await?;
    if lags(payload, found.as_ref(), deps.clock.now().since_ms(kept.received_at)) {
        return Err(Fault::retryable("the forge does not show this push yet"));
    }
    Ok(found)
}

fn short(head: Option<&Sha>) -> &str {
    head.map_or("gone", Sha::short)
}

/// 40 or 64 hexadecimal digits: it becomes part of keys.
fn is_commit(sha: &str) -> bool {
    matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn record(
    deps: &Deps,
    pointer: &DeliveryPointer,
    kept: &Kept,
    became: Became,
) -> Result<(), Fault> {
    let outcome = DeliveryOutcome {
        delivery: pointer.id.clone(),
        repo: pointer.repo.clone(),
        event: kept.said.event.clone(),
        received_at: kept.said.received_at,
        at: deps.clock.now(),
        became,
    };
    let (key, write_id) = (keys::delivery_outcome(&pointer.id.0), deps.write_ids.next());
    let known = cas::create(&*deps.docs, &key, &write_id, &outcome).await?;
    if known.is_some_and(|known| known.may_become(&outcome)) {
        let write_id = deps.write_ids.next();
        cas::update(&*deps.docs, &key, &write_id, |stored: Option<&DeliveryOutcome>| {
            Ok(match stored {
                Some(stored) if !stored.may_become(&outcome) => Change::Keep(()),
                _ => Change::Write(outcome.clone(), ()),
            })
        })
        .await?;
    }
    deps.wake.notify_waiters();
    Ok(())
}

/// A delivery that can't be understood: its body goes where a person who tries it again finds it,
/// so that the tick stops asking for it.
async fn set_aside(
    deps: &Deps,
    pointer: &DeliveryPointer,
    kept: &Kept,
    poison: &Fault,
) -> Result<(), Fault> {
    let refused = keys::delivery_refused(&pointer.id.0);
    match deps.docs.put(&refused, Expect::Absent, kept.body.clone()).await {
        Ok(_) | Err(PutError::Conflict) => {}
        Err(PutError::Fault(fault)) => return Err(fault),
    }
    record(deps, pointer, kept, Became::Refused { why: poison.chain() }).await?;
    remove(deps, &pointer.body_key).await
}

async fn remove(deps: &Deps, key: &str) -> Result<(), Fault> {
    match deps.docs.get(key).await? {
        Some(found) => delete(deps, key, &found.version).await,
        None => Ok(()),
    }
}

async fn delete(deps: &Deps, key: &str, version: &Version) -> Result<(), Fault> {
    match deps.docs.delete(key, version).await {
        // Written anew: whoever did that sends a pointer to it.
        Ok(()) | Err(PutError::Conflict) => Ok(()),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}
