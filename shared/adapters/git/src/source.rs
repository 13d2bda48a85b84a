//! The `Source` port over the mirrors: plumbing commands only, so no user setting changes answers.
use crate::batch::{Batch, Entry};
use crate::mirrors::{Mirrors, checked};
use crate::{GitError, command::Output};
use async_trait::async_trait;
use windlass_core::id::{RepoName, Sha};
use windlass_ports::forge::CommitInfo;
use windlass_ports::{ChangedFiles, Fault, Source};

/// A definition file larger than this is a mistake.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Longer than any reference that git can store.
const NAME_BYTES_MAX: usize = 1_024;

#[async_trait]
impl Source for Mirrors {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        self.fetch(repo).await?;
        let format = "--format=%(objectname) %(refname:strip=2)";
        let git = self.git(repo, "for-each-ref")?.args(["for-each-ref", format, "refs/heads/"]);
        let out = git.output().await?;
        let lines = String::from_utf8_lossy(&out);
        let pairs = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(sha, name)| (name.to_owned(), sha.into())).collect())
    }

    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        let Some(base) = base else { return Ok(ChangedFiles::Everything) };
        let range = [checked(base)?, checked(head)?];
        let options = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff"];
        for _ in 0..2 {
            let git = self.git(repo, "diff-tree")?.args(options).args(range).arg("--");
            let output = git.run().await?;
            if output.ok() {
                let mut paths = split_nul(&output.stdout);
                paths.sort_unstable();
                return Ok(ChangedFiles::Known(paths));
            }
            self.ensure(repo, head).await?;
            if !self.has(repo, base).await? {
                return Ok(ChangedFiles::Everything);
            }
        }
        let said = format!("{} and {} can't be compared", base.short(), head.short());
        Err(GitError::Failed { verb: "diff-tree", said }.into())
    }

    async fn merge_base(&self, repo: &RepoName, a: &Sha, b: &Sha) -> Result<Option<Sha>, Fault> {
        let git = self.git(repo, "merge-base")?.args(["merge-base", checked(a)?, checked(b)?]);
        // Exit 1: nothing in common; 128: one of them is not here. Neither is a fork to start from.
        let output = git.run().await?;
        let sha = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.ok() && !sha.is_empty()).then_some(Sha(sha)))
    }

    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        let format = "--format=%H%x00%an%x00%s%x00%ct";
        let options = ["-c", "log.showSignature=false", "log", "-1", "--no-color", "--no-mailmap"];
        let git = self.git(repo, "log")?.args(options).args(["--encoding=UTF-8", format]);
        let output = git.args([checked(sha)?, "--"]).run().await?;
        if !output.ok() {
            return match self.has(repo, sha).await? {
                true => Err(GitError::Failed { verb: "log", said: output.said() }.into()),
                false => Ok(None),
            };
        }
        Ok(parse_commit(&output.stdout))
    }

    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        let hostile = name.starts_with('-') || name.contains(|c: char| c.is_control());
        if name.is_empty() || name.len() > NAME_BYTES_MAX || hostile {
            return Ok(None);
        }
        let default;
        let name = match name {
            // A mirror's own `HEAD` means nothing.
            "HEAD" | "@" => {
                let Some(branch) = self.default_branch(repo).await? else { return Ok(None) };
                default = format!("refs/heads/{branch}");
                &default
            }
            other => other,
        };
        if let Some(sha) = self.rev_parse(repo, name).await? {
            return Ok(Some(sha));
        }
        self.fetch(repo).await?;
        Ok(self.rev_parse(repo, name).await?)
    }

    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        if !is_plain_path(path) {
            return Ok(None);
        }
        let id = checked(sha)?;
        let mut entry = self.entry(repo, id, path).await?;
        if entry.is_none() {
            self.ensure(repo, sha).await?;
            entry = self.entry(repo, id, path).await?;
        }
        let (path, sha) = (path.to_owned(), sha.clone());
        match entry {
            Some(Entry::File(bytes)) => Ok(Some(bytes)),
            Some(Entry::None) => Ok(None),
            Some(Entry::Link) => Err(GitError::SymbolicLink { path, sha }.into()),
            Some(Entry::TooBig(bytes)) => {
                Err(GitError::TooBig { path, sha, bytes, max: FILE_BYTES_MAX }.into())
            }
            None => Err(GitError::UnknownCommit { repo: repo.clone(), sha }.into()),
        }
    }

    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        let args = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", checked(sha)?];
        Ok(split_nul(&self.at(repo, sha, "ls-tree", &args).await?.stdout))
    }
}

impl Mirrors {
    /// Runs a reading command about a commit; if it fails, makes sure that the commit is here (a
    /// fetch in progress has ended, or one is made) and runs it once more.
    async fn at(
        &self,
        repo: &RepoName,
        sha: &Sha,
        verb: &'static str,
        args: &[&str],
    ) -> Result<Output, GitError> {
        let output = self.git(repo, verb)?.args(args).run().await?;
        if output.ok() {
            return Ok(output);
        }
        self.ensure(repo, sha).await?;
        let output = self.git(repo, verb)?.args(args).run().await?;
        match output.ok() {
            true => Ok(output),
            false => Err(GitError::Failed { verb, said: output.said() }),
        }
    }

    /// None when the commit is not here.
    async fn entry(
        &self,
        repo: &RepoName,
        id: &str,
        path: &str,
    ) -> Result<Option<Entry>, GitError> {
        if let Some(mut batch) = self.batches.take(repo)
            && let Ok(entry) = batch.read(id, path, FILE_BYTES_MAX).await
        {
            self.batches.rest(repo, batch);
            return Ok(entry);
        }
        // There was none, or it has ended meanwhile.
        let mut batch = Batch::start(self.git(repo, "cat-file")?)?;
        let entry = batch.read(id, path, FILE_BYTES_MAX).await?;
        self.batches.rest(repo, batch);
        Ok(entry)
    }

    async fn rev_parse(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, GitError> {
        let commit = format!("{name}^{{commit}}");
        let options = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        let output = self.git(repo, "rev-parse")?.args(options).run().await?;
        let sha = Sha(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Ok((output.ok() && checked(&sha).is_ok()).then_some(sha))
    }
}

/// A path that git can hold: relative, no empty, `.` or `..` part.
fn is_plain_path(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn split_nul(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn parse_commit(bytes: &[u8]) -> Option<CommitInfo> {
    let text = String::from_utf8_lossy(bytes);
    let mut fields = text.trim_end_matches('\n').split('\0');
    let (sha, author, subject) = (fields.next()?, fields.next()?, fields.next()?);
    let at_s: u64 = fields.next()?.parse().unwrap_or(0);
    Some(CommitInfo {
        sha: sha.into(),
        author: author.to_owned(),
        subject: subject.to_owned(),
        at_ms: at_s.saturating_mul(1_000),
    })
}
