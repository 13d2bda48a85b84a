//! Carries the actors. Every handler has four beats: load, decide, commit, act.
//!
//! Nothing here chooses: decisions are `windlass_core`'s, and a plan names its victims. Nothing is
//! acknowledged before its effects are listed in a committed head, and an effect that fails stays
//! listed there and fails nothing else.
mod aside;
#[cfg(feature = "aws")]
pub mod config;
mod control;
mod deliver;
mod delivery;
mod facts;
mod handle;
#[cfg(feature = "aws")]
pub mod invocation;
mod leave;
mod letters;
mod lost;
mod observe;
mod presence;
mod pushes;
mod repo;
mod sends;
mod stack;
mod statuses;
mod tick;
mod warm;

pub use control::{
    CONTROL_INSTANCE, resume as resume_control, serve as serve_control,
    serve_once as serve_control_once,
};
pub use handle::{Fate, Quarantined, handle_intent, handle_message, handle_report, serve};
pub use letters::bury;
pub use observe::{WATCH_MINUTES, observe, watch};
pub use presence::DocPresence;
pub use repo::event as repo_event;
pub use stack::event as stack_event;
pub use tick::{REDRIVE_MINUTES, nudge, nudge_open, tick};
pub use warm::Warm;
pub use windlass_ports::WriteIds;

use std::sync::Arc;
use windlass_core::id::RepoName;
use windlass_ports::{Archive, Blobs, Clock, Docs, Forge, Presence, Queues, Secrets, Source};

/// A repository that this installation serves. The first one owns the root space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub name: RepoName,
    /// The branch that its definitions live on.
    pub default_branch: String,
}

/// Everything a handler may touch.
#[derive(Clone)]
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub blobs: Arc<dyn Blobs>,
    pub secrets: Arc<dyn Secrets>,
    pub presence: Arc<dyn Presence>,
    pub source: Arc<dyn Source>,
    /// Where commit statuses go.
    pub forge: Arc<dyn Forge>,
    /// Where people reach the console (`https://…`, no slash at its end): what statuses link to.
    pub links: Option<String>,
    /// Code for workers that can't reach the source themselves.
    pub archive: Arc<dyn Archive>,
    pub clock: Arc<dyn Clock>,
    pub write_ids: Arc<WriteIds>,
    pub repositories: Arc<Vec<Repository>>,
    /// Told after each commit: whoever waits for an answer looks again.
    pub wake: Arc<tokio::sync::Notify>,
    /// What this process knows of documents without reading them.
    pub warm: Arc<Warm>,
}
