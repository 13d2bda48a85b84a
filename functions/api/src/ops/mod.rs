//! What can be read and asked, apart from how it is shown: the JSON API and the console are both
//! thin over this.
mod answer;
mod api_keys;
mod ask;
mod audit;
mod definitions;
mod deliveries;
mod drift;
mod error;
mod fleet;
mod health;
mod list;
mod logs;
mod named;
mod plan;
mod quarantine;
mod rollouts;
mod runs;
mod secrets;
mod sight;
mod size;
mod spaces;
mod stacks;
mod summaries;
mod trigger;
mod view;
mod why;

pub(crate) use api_keys::{create_key, list_keys, revoke_key};
pub(crate) use ask::{confirm, lock, note_command, prioritize, replan, simple, unlock};
pub(crate) use audit::{AuditQuery, audit_list, tell};
pub(crate) use deliveries::{deliver, delivery};
pub use error::Error;
pub(crate) use fleet::{drain, undrain, workers};
pub(crate) use health::health;
pub(crate) use logs::{Tail, log_page, log_tail, log_wait};
pub(crate) use plan::changes;
pub(crate) use quarantine::{
    QuarantineQuery, drop_message, quarantine, quarantined, retry_message,
};
pub(crate) use rollouts::{RolloutQuery, commit, rollouts};
pub(crate) use runs::{RunQuery, fresh, run_detail, runs};
pub(crate) use secrets::{remove_secret, secrets, set_secret};
pub(crate) use size::ANSWER_BYTES;
pub(crate) use stacks::{StackQuery, group_word, outputs, resources, stack, stacks, state_part};
pub(crate) use summaries::Summaries;
pub(crate) use trigger::{task, trigger};
pub(crate) use why::why;

use crate::auth::Auth;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Notify;
use windlass_core::id::{EventId, StackId};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Blobs, Clock, Docs, Fault, Queues, Secrets, Source};

/// Everything that the router touches.
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub blobs: Arc<dyn Blobs>,
    pub secrets: Arc<dyn Secrets>,
    /// Turns what a person calls a commit into one.
    pub source: Arc<dyn Source>,
    pub state: Arc<dyn StateStore>,
    pub clock: Arc<dyn Clock>,
    /// Notified (all waiters) after each commit of an actor, so that waiting is not polling.
    pub wake: Arc<Notify>,
    pub auth: Auth,
}

/// The state files that Windlass keeps.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// None when the stack has none (yet), or keeps its own elsewhere.
    async fn pull(&self, stack: &StackId, workspace: &str) -> Result<Option<Vec<u8>>, Fault>;
}

/// State files that are blobs, where Terraform itself writes them: its S3 backend's objects.
pub struct BlobStates(pub Arc<dyn Blobs>);

#[async_trait]
impl StateStore for BlobStates {
    async fn pull(&self, stack: &StackId, workspace: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(&keys::workspace_state(stack, workspace)).await
    }
}

/// The dependencies and what is remembered between requests.
pub(crate) struct App {
    pub(crate) deps: Deps,
    pub(crate) summaries: Summaries,
    pub(crate) rollouts: rollouts::Known,
    pub(crate) spaces: spaces::Spaces,
    healthy: health::Healthy,
}

impl App {
    pub(crate) fn new(deps: Deps) -> Self {
        Self {
            deps,
            summaries: Summaries::default(),
            rollouts: rollouts::Known::default(),
            spaces: spaces::Spaces::default(),
            healthy: health::Healthy::default(),
        }
    }
    pub(crate) fn now(&self) -> UnixMs {
        self.deps.clock.now()
    }
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn random_id() -> Result<String, Fault> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Fault::retryable(format!("the system gave no randomness: {e}")))?;
    Ok(windlass_core::id::derive(&[&format!("{:032x}", u128::from_be_bytes(bytes))]))
}

fn event_id() -> Result<EventId, Fault> {
    random_id().map(|id| EventId(format!("api-{id}")))
}

/// A slug as definitions allow it; anything else can't name a stack, and must not become a key.
fn is_slug(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= 200 && text.bytes().all(allowed)
}

/// A ULID.
fn is_run_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    text.len() == 26 && text.bytes().all(allowed)
}
