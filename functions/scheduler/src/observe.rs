//! Looking at a repository instead of being told: what `up` does where GitHub would call.
use crate::{Deps, Repository, deliver};
use std::collections::BTreeMap;
use windlass_core::event::{Files, Intent, Push, RepoEnvelope, RepoEvent};
use windlass_core::id::{EventId, RepoName, Sha, derive};
use windlass_core::keys;
use windlass_core::repo::{Branch, RepoHead};
use windlass_definitions::{Includes, ROOT_FILES, SourceFile, includes, is_definition_file};
use windlass_ports::{ChangedFiles, Fault, cas};

/// Compares the repository's branches with what its actor knows, and tells it what moved. The
/// default branch first. Telling twice is harmless: an event's id derives from what is known.
///
/// # Errors
/// `Retryable` when the repository or a store is away.
pub async fn observe(deps: &Deps, repository: &Repository) -> Result<usize, Fault> {
    let repo = &repository.name;
    let found: BTreeMap<String, Sha> = deps.source.branches(repo).await?.into_iter().collect();
    let head = cas::load::<RepoHead>(&*deps.docs, &keys::repo(repo)).await?.map(|h| h.value);
    let empty = BTreeMap::new();
    let known = head.as_ref().map_or(&empty, |head| &head.branches);
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
        let push = push(deps, repository, name, sha, before, known).await?;
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

async fn push(
    deps: &Deps,
    repository: &Repository,
    branch: &str,
    sha: &Sha,
    before: Option<&Branch>,
    known: &BTreeMap<String, Branch>,
) -> Result<Push, Fault> {
    let repo = &repository.name;
    let base = match (before, known.get(&repository.default_branch)) {
        (Some(before), _) => Some(before.head.clone()),
        // A new branch brings what it has beyond the point where it left the default one.
        (None, Some(trunk)) => {
            let fork = deps.source.merge_base(repo, &trunk.head, sha).await?;
            fork.or_else(|| Some(trunk.head.clone()))
        }
        (None, None) => None,
    };
    let files = match deps.source.changed(repo, base.as_ref(), sha).await? {
        ChangedFiles::Known(files) => Files::Known(files),
        ChangedFiles::Everything => Files::Everything,
    };
    let commit = deps.source.commit(repo, sha).await?.unwrap_or_default();
    let on_default = branch == repository.default_branch;
    let touches_definitions = on_default && touches_definitions(deps, repo, sha, &files).await?;
    Ok(Push {
        branch: branch.to_owned(),
        head: sha.clone(),
        before: before.map(|before| before.head.clone()),
        author: commit.author,
        subject: commit.subject,
        files,
        touches_definitions,
    })
}

async fn touches_definitions(
    deps: &Deps,
    repo: &RepoName,
    sha: &Sha,
    files: &Files,
) -> Result<bool, Fault> {
    let root = match root_file(deps, repo, sha).await {
        // Not a file that can be read: the administrative run says so, and nothing else waits.
        Err(fault) if !fault.is_retryable() => return Ok(true),
        root => root?,
    };
    Ok(match files {
        Files::Everything => root.is_some(),
        Files::Known(files) => {
            let includes: Option<Includes> = root.and_then(|root| includes(&root).ok());
            files.iter().any(|path| is_definition_file(path, includes.as_ref()))
        }
    })
}

/// The root definitions file of a commit, if it has one.
pub(crate) async fn root_file(
    deps: &Deps,
    repo: &RepoName,
    sha: &Sha,
) -> Result<Option<SourceFile>, Fault> {
    for path in ROOT_FILES {
        if let Some(bytes) = deps.source.read(repo, sha, path).await? {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Some(SourceFile { path: path.to_owned(), text }));
        }
    }
    Ok(None)
}
