//! Deliveries of a forge: what became of one, and handing in a recorded one.
use super::answer::from_delivery;
use super::audit::{entry, record};
use super::{App, Error, event_id, random_id};
use crate::auth::Who;
use crate::v1::{DeliveryRequest, DeliveryView};
use windlass_core::delivery::{
    Became, DeliveryOutcome, Intake, VerifiedDelivery, intake, is_delivery_id,
};
use windlass_core::id::{EventId, RepoName};
use windlass_core::keys;
use windlass_ports::{cas, deliveries};

/// Takes a delivery in as the webhook does, on an admin's word instead of a signature, and waits a
/// moment for what becomes of it.
pub(crate) async fn deliver(
    app: &App,
    who: &Who,
    request: DeliveryRequest,
) -> Result<DeliveryView, Error> {
    let by = who.admin_of_all()?;
    let DeliveryRequest { kind, delivery, repository, payload } = request;
    let id = match delivery {
        Some(id) => id,
        None => format!("replay-{}", random_id()?),
    };
    let body = payload.get().as_bytes();
    let verified = VerifiedDelivery::vouched(&id, &kind, body)
        .map_err(|refusal| Error::Invalid(refusal.to_string()))?;
    let named = match intake(&verified) {
        Intake::Keep { repository } => repository,
        Intake::Ping { .. } => {
            return Err(Error::Invalid("a ping only asks whether the webhook is there".into()));
        }
        Intake::Unknown => {
            return Err(Error::Invalid(format!("Windlass has no use for {kind} events")));
        }
        Intake::Malformed { what } => return Err(Error::Invalid(what.to_owned())),
    };
    // Here a repository goes by the name that the installation gave it.
    let last = named.rsplit('/').next().unwrap_or_default().to_owned();
    let repo = RepoName::from(repository.unwrap_or(last));
    if app.deps.docs.get(&keys::repo(&repo)).await?.is_none() {
        return Err(Error::NotFound(format!("no repository {repo} is served here")));
    }
    let audit = event_id()?;
    let note = format!("{kind} {id} of {repo}");
    let entry = entry(app, audit.clone(), by.actor(), "delivery_replay", Some(note));
    record(&*app.deps.docs, &entry).await?;
    let (docs, queues) = (&*app.deps.docs, &*app.deps.queues);
    let what = (&repo, &verified);
    deliveries::take(docs, queues, what, app.now(), || audit.0.clone()).await?;
    let outcome = from_delivery(app, verified.id()).await?;
    let view = outcome.map_or_else(|| waiting(id, repo), view);
    Ok(DeliveryView { event: Some(audit.0), ..view })
}

/// What became of a delivery; one that was taken but not looked at yet has no outcome.
pub(crate) async fn delivery(app: &App, who: &Who, id: &str) -> Result<DeliveryView, Error> {
    who.reader_of_all()?;
    let docs = &*app.deps.docs;
    let unknown = || Error::NotFound("there is no such delivery".to_owned());
    if !is_delivery_id(id) {
        return Err(unknown());
    }
    if let Some(found) = cas::load::<DeliveryOutcome>(docs, &keys::delivery_outcome(id)).await? {
        return Ok(view(found.value));
    }
    cas::load::<EventId>(docs, &keys::delivery_mark(id)).await?.ok_or_else(unknown)?;
    Ok(waiting(id.to_owned(), RepoName::default()))
}

fn waiting(delivery: String, repo: RepoName) -> DeliveryView {
    let repository = Some(repo.0).filter(|name| !name.is_empty());
    DeliveryView { delivery, repository, ..DeliveryView::default() }
}

fn view(outcome: DeliveryOutcome) -> DeliveryView {
    let label = outcome.became.label().to_owned();
    let (branch, commit, why) = match outcome.became {
        Became::Routed { branch, head, .. } => (Some(branch), head.map(|sha| sha.0), None),
        Became::Known { why } | Became::Ignored { why } | Became::Refused { why } => {
            (None, None, Some(why))
        }
    };
    DeliveryView {
        delivery: outcome.delivery.0,
        repository: Some(outcome.repo.0),
        event: None,
        kind: Some(outcome.event),
        received_at: Some(outcome.received_at.rfc3339()),
        at: Some(outcome.at.rfc3339()),
        became: Some(label),
        branch,
        commit,
        why,
    }
}
