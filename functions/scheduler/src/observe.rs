//! Looking at a repository instead of being told: what `up` does where GitHub would call.
use crate::{Deps, Repository, deliver, pushes};
use std::collections::BTreeMap;
use windlass_core::event::{Intent, RepoEnvelope, RepoEvent};
use windlass_core::id::{EventId, Sha, derive};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_ports::{Fault, cas};

/// So often a repository is looked at where a forge calls.
pub const WATCH_MINUTES: u64 = 5;

/// Compares the repository's branches with what its actor knows, and tells it what moved. The
/// default branch first. Telling twice is harmless: an event's id derives from what is known.
///
/// # Errors
/// `Retryable` when the repository or a store is away.
pub async fn observe(deps: &Deps, repository: &Repository) -> Result<usize, Fault> {
    look(deps, repository, false).await
}

/// Where a forge calls: a call that found nobody is not repeated (GitHub), so every few minutes each
/// repository is looked at (rule W1). Only its default branch and branches that were heard of: old
/// ones that nobody ever spoke of are no news.
///
/// # Errors
/// What went wrong first; every repository was looked at.
pub async fn watch(deps: &Deps) -> Result<usize, Fault> {
    if !deps.clock.now().minute().is_multiple_of(WATCH_MINUTES) {
        return Ok(0);
    }
    let (mut told, mut failed) = (0, None);
    for repository in deps.repositories.iter() {
        match look(deps, repository, true).await {
            Ok(some) => told += some,
            Err(fault) => failed = failed.or(Some(fault)),
        }
    }
    if told > 0 {
        tracing::warn!(told, "branches had moved, and nobody had said so yet");
    }
    failed.map_or(Ok(told), Err)
}

async fn look(deps: &Deps, repository: &Repository, heard_of: bool) -> Result<usize, Fault> {
    let repo = &repository.name;
    let mut found: BTreeMap<String, Sha> = deps.source.branches(repo).await?.into_iter().collect();
    let head = cas::load::<RepoHead>(&*deps.docs, &keys::repo(repo)).await?.map(|h| h.value);
    let empty = BTreeMap::new();
    let known = head.as_ref().map_or(&empty, |head| &head.branches);
    if heard_of {
        found.retain(|name, _| *name == repository.default_branch || known.contains_key(name));
    }
    let pushes = head.as_ref().map_or(0, |head| head.pushes);
    let mut told = 0;
    let default = |name: &&String| **name != repository.default_branch;
    let mut names: Vec<&String> = found.keys().collect();
    names.sort_by_key(|name| (default(name), (*name).clone()));
    for name in names {
        let (sha, before) = (&found[name], known.get(name));
        if before.is_some_and(|branch| branch.head == *sha) {
            continue;
        }
        let push = pushes::looked_up(deps, repository, (name, sha), known).await?;
        let was = before.map_or("", |branch| branch.head.as_str());
        let seen = before.map_or(pushes, |branch| branch.seq).to_string();
        let id = EventId(derive(&["push", &repo.0, name, was, &sha.0, &seen]));
        let at = deps.clock.now();
        let event = RepoEvent::Push { push: Box::new(push) };
        tell(deps, RepoEnvelope { id, repo: repo.clone(), at, hops: 0, event }).await?;
        told += 1;
    }
    for (name, branch) in known.iter().filter(|(name, _)| !found.contains_key(*name)) {
        let seq = branch.seq.to_string();
        let id = EventId(derive(&["deleted", &repo.0, name, &branch.head.0, &seq]));
        let (at, event) = (deps.clock.now(), RepoEvent::BranchDeleted { branch: name.clone() });
        tell(deps, RepoEnvelope { id, repo: repo.clone(), at, hops: 0, event }).await?;
        told += 1;
    }
    Ok(told)
}

async fn tell(deps: &Deps, envelope: RepoEnvelope) -> Result<(), Fault> {
    deliver::send(deps, Intent::Repo(envelope)).await
}
