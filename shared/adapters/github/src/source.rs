//! The `Source` port over GitHub's API.
use crate::Github;
use crate::client::{Ask, path, segment};
use crate::wire::{Branch, Commit, Comparison};
use async_trait::async_trait;
use windlass_core::id::{RepoName, Sha};
use windlass_ports::forge::CommitInfo;
use windlass_ports::{ChangedFiles, Fault, Source};

/// A definition file larger than this is a mistake.
const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longer than any reference that git can store.
const NAME_BYTES_MAX: usize = 1_024;
const PAGE: usize = 100;
/// 100,000 branches.
const PAGES_MAX: usize = 1_000;

#[async_trait]
impl Source for Github {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        let place = self.place(repo)?;
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!("/branches?per_page={PAGE}&page={page}");
            let ask = Ask { conditional: true, ..Ask::get(place, path) };
            let told = self.client.ask(&ask).await?;
            let branches: Vec<Branch> = told.json("list the branches", place)?;
            let full = branches.len() == PAGE;
            all.extend(branches.into_iter().map(|branch| (branch.name, Sha(branch.commit.sha))));
            if !full {
                return Ok(all);
            }
        }
        Err(Fault::poison(format!("{place} has too many branches to list")))
    }

    async fn head(&self, repo: &RepoName, branch: &str) -> Result<Option<Sha>, Fault> {
        // Not a list of all branches for one of them; and where the repository itself can't be
        // seen, that is a refusal and not a branch that is gone.
        self.resolve(repo, &format!("heads/{branch}")).await
    }

    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        match base {
            Some(base) => self.differ(repo, base, head).await,
            None => Ok(ChangedFiles::Everything),
        }
    }

    async fn merge_base(&self, repo: &RepoName, a: &Sha, b: &Sha) -> Result<Option<Sha>, Fault> {
        let place = self.place(repo)?;
        let told = self.compare(place, a, b).await?;
        // 5xx: it takes too long, now and the next time. Not known, then.
        if told.status.as_u16() == 404 || told.status.is_server_error() {
            return Ok(None);
        }
        let found: Comparison = told.json("compare commits", place)?;
        Ok(Some(Sha(found.merge_base_commit.sha)))
    }

    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        let place = self.place(repo)?;
        let told =
            self.client.ask(&Ask::get(place, format!("/git/commits/{}", segment(&sha.0)))).await?;
        if matches!(told.status.as_u16(), 404 | 422) {
            return Ok(None);
        }
        let Commit { sha, author, committer, message } = told.json("read a commit", place)?;
        let at = committer.date.parse::<jiff::Timestamp>().ok();
        Ok(Some(CommitInfo {
            sha: Sha(sha),
            author: author.name,
            subject: subject(&message),
            at_ms: at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or(0),
        }))
    }

    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        let place = self.place(repo)?;
        let hostile = name.starts_with('-') || name.contains(|c: char| c.is_control());
        if name.is_empty() || name.len() > NAME_BYTES_MAX || hostile {
            return Ok(None);
        }
        let name = if name == "@" { "HEAD" } else { name };
        let accept = "application/vnd.github.sha";
        let ask = Ask { accept, ..Ask::get(place, format!("/commits/{}", segment(name))) };
        let told = self.client.ask(&ask).await?;
        match told.status.as_u16() {
            200 => Ok(Some(Sha(String::from_utf8_lossy(&told.body).trim().to_owned()))),
            // No such name, and a repository without any commit.
            422 | 409 => Ok(None),
            _ => Err(told.refusal("look for a commit", place)),
        }
    }

    async fn read(&self, repo: &RepoName, sha: &Sha, file: &str) -> Result<Option<Vec<u8>>, Fault> {
        let place = self.place(repo)?;
        if !is_plain_path(file) {
            return Ok(None);
        }
        let raw = Ask {
            accept: "application/vnd.github.raw+json",
            bytes_max: FILE_BYTES_MAX,
            ..Ask::get(place, format!("/contents/{}?ref={}", path(file), segment(&sha.0)))
        };
        let told = self.client.ask(&raw).await?;
        if told.too_large {
            return Err(Fault::poison(format!("{file} at {} is larger than 2 MiB", sha.short())));
        }
        let kind = told.header("content-type").unwrap_or_default();
        match told.status.as_u16() {
            200 if kind.starts_with("application/vnd.github.raw") => Ok(Some(told.body)),
            // A folder or a submodule is no file.
            200 => Ok(None),
            // "No such file" is only believed of a commit that is there: a repository that is out
            // of reach must not look like one without definitions.
            404 => match self.commit(repo, sha).await? {
                Some(_) => Ok(None),
                None => Err(self.unseen(place, sha).await),
            },
            _ => Err(told.refusal("read a file", place)),
        }
    }

    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        self.paths(repo, sha).await
    }
}

/// What git calls the subject: the first paragraph, on one line.
fn subject(message: &str) -> String {
    let lines = message.lines().map(str::trim).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A path that git can hold: relative, no empty, `.` or `..` part.
fn is_plain_path(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for (message, expect) in [("one", "one"), ("\n one\n two\n\nthree", "one two"), ("", "")] {
            assert_eq!(subject(message), expect);
        }
    }
}
