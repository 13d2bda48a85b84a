//! How a push is described: one way for whoever looks at branches and for deliveries.
use crate::{Deps, Repository};
use std::collections::BTreeMap;
use windlass_core::event::{Files, Push};
use windlass_core::id::{RepoName, Sha};
use windlass_core::repo::Branch;
use windlass_core::wire::github::PushPayload;
use windlass_definitions::{Includes, ROOT_FILES, SourceFile, includes, is_definition_file};
use windlass_ports::{ChangedFiles, Fault};

/// A branch moved from what is known of it to this commit, as the repository itself tells it.
pub(crate) async fn looked_up(
    deps: &Deps,
    repository: &Repository,
    (branch, sha): (&str, &Sha),
    known: &BTreeMap<String, Branch>,
) -> Result<Push, Fault> {
    let (repo, before) = (&repository.name, known.get(branch));
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
    let touches_definitions = touches(deps, repository, branch, sha, &files).await?;
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

/// The same from a payload that surely lists all files: nobody is asked.
pub(crate) async fn told(
    deps: &Deps,
    repository: &Repository,
    (branch, payload): (&str, &PushPayload),
    files: Vec<String>,
) -> Result<Push, Fault> {
    let (head, files) = (payload.after(), Files::Known(files));
    let touches_definitions = touches(deps, repository, branch, &head, &files).await?;
    let (author, subject) = payload.author_and_subject();
    let (branch, before) = (branch.to_owned(), Some(Sha::from(payload.before.as_str())));
    Ok(Push { branch, head, before, author, subject, files, touches_definitions })
}

async fn touches(
    deps: &Deps,
    repository: &Repository,
    branch: &str,
    sha: &Sha,
    files: &Files,
) -> Result<bool, Fault> {
    let on_default = branch == repository.default_branch;
    Ok(on_default && touches_definitions(deps, &repository.name, sha, files).await?)
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
