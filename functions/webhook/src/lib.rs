//! Takes GitHub deliveries: verify, store, queue, mark, answer.
//!
//! Nothing of a request is parsed before its signature is known to be good, and nothing is decided
//! here: what a delivery means is looked at behind the queue. [`handle`] knows plain HTTP types and
//! ports only, so the Lambda function, a test and a server in one process all mount the same thing.
mod answer;
#[cfg(feature = "aws")]
pub mod config;
#[cfg(feature = "aws")]
pub mod mount;
mod secrets;

pub use answer::{Answer, Said};
pub use secrets::WebhookSecrets;

use http::{HeaderMap, Method};
use std::sync::Arc;
use windlass_core::delivery::{
    Headers, Intake, Refusal, VerifiedDelivery, claimed, intake, verify,
};
use windlass_core::id::RepoName;
use windlass_ports::deliveries::{self, Taken};
use windlass_ports::{Clock, Docs, Fault, Queues, WriteIds};

/// A repository that is served here, and its name on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub name: RepoName,
    /// `OWNER/REPO`; GitHub does not care about case.
    pub full_name: String,
}

/// Everything that [`handle`] may touch.
#[derive(Clone)]
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub secrets: Arc<WebhookSecrets>,
    pub clock: Arc<dyn Clock>,
    pub write_ids: Arc<WriteIds>,
    pub repositories: Arc<Vec<Served>>,
}

/// Answers one request. Infallible: a fault is an answer too, one that says "later".
pub async fn handle(deps: &Deps, method: &Method, headers: &HeaderMap, body: &[u8]) -> Answer {
    let said = match *method {
        Method::POST => match genuine(deps, headers, body).await {
            Ok(delivery) => receive(deps, &delivery).await,
            Err(said) => said,
        },
        _ => Said::NotPost,
    };
    let delivery_id = text(headers, "x-github-delivery").unwrap_or_default();
    let event = text(headers, "x-github-event").unwrap_or_default();
    tell(&said, cut(delivery_id), cut(event));
    said.into()
}

/// What is answered for a [`handle`] that takes too long.
#[cfg(feature = "aws")]
fn late() -> Answer {
    tell(&Said::StoreAway, "", "");
    Said::StoreAway.into()
}

fn tell(said: &Said, delivery_id: &str, event: &str) {
    tracing::info!(delivery_id, event, metric = said.metric(), "answered");
    if matches!(said, Said::NoSecret | Said::StoreAway) {
        tracing::error!(delivery_id, count.Attention = 1, "GitHub was told to come again");
    }
}

/// The proof that the request is GitHub's, or what to say instead.
async fn genuine(deps: &Deps, headers: &HeaderMap, body: &[u8]) -> Result<VerifiedDelivery, Said> {
    let headers = Headers {
        content_type: text(headers, "content-type"),
        event: text(headers, "x-github-event"),
        delivery: text(headers, "x-github-delivery"),
        signature: text(headers, "x-hub-signature-256"),
    };
    // Whoever does not sign costs no look at a secret.
    claimed(&headers, body).map_err(Said::Refused)?;
    let now = deps.clock.now();
    let live = deps.secrets.live(now).await.map_err(away)?;
    let first = verify(&headers, body, &live);
    if first != Err(Refusal::BadSignature) {
        return first.map_err(Said::Refused);
    }
    match deps.secrets.fresh(now).await.map_err(away)? {
        Some(fresh) if fresh.is_empty() => Err(Said::NoSecret),
        Some(fresh) => verify(&headers, body, &fresh).map_err(Said::Refused),
        None if live.is_empty() => Err(Said::NoSecret),
        // The secret may have been rotated since: unknown stays unknown.
        None => Err(Said::Unsettled),
    }
}

async fn receive(deps: &Deps, delivery: &VerifiedDelivery) -> Said {
    let served = |full_name: &str| {
        deps.repositories.iter().find(|s| s.full_name.eq_ignore_ascii_case(full_name))
    };
    let repository = match intake(delivery) {
        Intake::Ping { repository: Some(name) } if served(&name).is_none() => {
            return Said::NotServed(name);
        }
        Intake::Ping { .. } => return Said::Pong,
        Intake::Unknown => return Said::UnknownEvent(delivery.event().to_owned()),
        Intake::Malformed { what } => return Said::Refused(Refusal::Malformed { what }),
        Intake::Keep { repository } => repository,
    };
    let Some(served) = served(&repository) else { return Said::NotServed(repository) };
    let (what, now) = ((&served.name, delivery), deps.clock.now());
    let ids = || deps.write_ids.next();
    match deliveries::take(&*deps.docs, &*deps.queues, what, now, ids).await {
        Ok(Taken::New) => Said::Accepted,
        Ok(Taken::Repeated) => Said::Repeated,
        Err(fault) => away(fault),
    }
}

fn away(fault: Fault) -> Said {
    tracing::warn!(error = fault.chain(), "a delivery could not be taken");
    Said::StoreAway
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A header of an unknown sender, for a log line.
fn cut(text: &str) -> &str {
    text.get(..64).unwrap_or(text)
}
