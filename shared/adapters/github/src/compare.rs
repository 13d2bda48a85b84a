//! Which files differ between two commits.
use crate::Github;
use crate::client::{Ask, Told, segment};
use crate::wire::{Comparison, Tree, TreeEntry};
use std::collections::BTreeSet;
use windlass_core::id::{RepoName, Sha};
use windlass_ports::{ChangedFiles, Fault, Source};

/// A comparison lists so many files and does not say that there are more.
const FILES_MAX: usize = 300;
/// Requests for one tree that does not come whole.
const TREES_MAX: usize = 500;

/// A tree as GitHub gives it: cut, or whole.
pub(crate) enum Whole {
    Yes(Vec<TreeEntry>),
    Cut,
}

impl Github {
    /// `base...head`, with one commit: only the files and the fork are of interest.
    pub(crate) async fn compare(&self, place: &str, base: &Sha, head: &Sha) -> Result<Told, Fault> {
        let pair = format!("{}...{}", segment(&base.0), segment(&head.0));
        self.client.ask(&Ask::get(place, format!("/compare/{pair}?per_page=1"))).await
    }

    /// A comparison is from the fork to `head`. That is the difference only if `base` is an
    /// ancestor; otherwise, and if the list may be cut, both trees tell.
    pub(crate) async fn differ(
        &self,
        repo: &RepoName,
        base: &Sha,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        let place = self.place(repo)?;
        let told = self.compare(place, base, head).await?;
        // 404: one of them is gone, or they have nothing in common. 5xx: "this diff is taking too
        // long", and it takes as long the next time.
        let unwell = told.status.is_server_error();
        if told.status.as_u16() != 404 && !unwell {
            let Comparison { status, files, .. } = told.json("compare commits", place)?;
            let straight = matches!(status.as_str(), "ahead" | "identical");
            if straight && files.len() < FILES_MAX {
                let paths = files.into_iter().flat_map(|f| [Some(f.filename), f.previous_filename]);
                let paths: BTreeSet<String> = paths.flatten().collect();
                return Ok(ChangedFiles::Known(paths.into_iter().collect()));
            }
        }
        match self.by_trees(place, base, head).await {
            // A GitHub that can say neither, and is there all the same, will not say it later.
            Err(fault) if unwell && fault.is_retryable() => {
                self.commit(repo, head).await?.map(|_| ChangedFiles::Everything).ok_or(fault)
            }
            known => known,
        }
    }

    async fn by_trees(&self, place: &str, base: &Sha, head: &Sha) -> Result<ChangedFiles, Fault> {
        let new = match self.tree(place, head).await? {
            Some(Whole::Yes(new)) => new,
            Some(Whole::Cut) => return Ok(ChangedFiles::Everything),
            None => return Err(self.unseen(place, head).await),
        };
        let Some(Whole::Yes(old)) = self.tree(place, base).await? else {
            return Ok(ChangedFiles::Everything);
        };
        Ok(ChangedFiles::Known(between(&old, &new)))
    }

    /// None: there is no such commit.
    async fn tree(&self, place: &str, sha: &Sha) -> Result<Option<Whole>, Fault> {
        let path = format!("/git/trees/{}?recursive=1", segment(&sha.0));
        let told = self.client.ask(&Ask::get(place, path)).await?;
        if matches!(told.status.as_u16(), 404 | 422) {
            return Ok(None);
        }
        let Tree { tree, truncated } = told.json("list the files", place)?;
        Ok(Some(if truncated { Whole::Cut } else { Whole::Yes(tree) }))
    }

    /// All paths, folder by folder where the whole is too large for one answer.
    pub(crate) async fn paths(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        let place = self.place(repo)?;
        let (mut paths, mut open, mut asked) = (Vec::new(), vec![(String::new(), sha.clone())], 0);
        while let Some((folder, sha)) = open.pop() {
            asked += 1;
            if asked > TREES_MAX {
                return Err(Fault::poison(format!("{place} has too many files to list")));
            }
            let entries = match self.tree(place, &sha).await? {
                Some(Whole::Yes(entries)) => entries,
                Some(Whole::Cut) => self.folder(place, &sha).await?,
                None => return Err(self.unseen(place, &sha).await),
            };
            let flat = !entries.iter().any(|entry| entry.path.contains('/'));
            for entry in entries {
                let path = format!("{folder}{}", entry.path);
                match entry.kind.as_str() {
                    "tree" if flat => open.push((format!("{path}/"), Sha(entry.sha))),
                    "tree" => {}
                    _ => paths.push(path),
                }
            }
        }
        paths.sort_unstable();
        Ok(paths)
    }

    /// What to say of a commit that GitHub does not show. One that was announced a moment ago may
    /// not be there for each of GitHub's servers yet: it is worth waiting for. A repository that is
    /// out of reach is not.
    pub(crate) async fn unseen(&self, place: &str, sha: &Sha) -> Fault {
        match self.client.ask(&Ask::get(place, String::new())).await {
            Err(fault) => fault,
            Ok(told) if !told.status.is_success() => told.refusal("look for a commit", place),
            Ok(_) => {
                let short = sha.short();
                Fault::retryable(format!("GitHub does not show the commit {short} of {place} yet"))
            }
        }
    }

    /// What lies in one folder itself.
    async fn folder(&self, place: &str, sha: &Sha) -> Result<Vec<TreeEntry>, Fault> {
        let path = format!("/git/trees/{}", segment(&sha.0));
        let told = self.client.ask(&Ask::get(place, path)).await?;
        let Tree { tree, truncated } = told.json("list the files", place)?;
        match truncated {
            true => Err(Fault::poison(format!("a folder of {place} has too many files to list"))),
            false => Ok(tree),
        }
    }
}

/// Paths whose content or mode differs.
fn between(old: &[TreeEntry], new: &[TreeEntry]) -> Vec<String> {
    type Known<'a> = BTreeSet<(&'a str, &'a str, &'a str)>;
    fn files(tree: &[TreeEntry]) -> Known<'_> {
        let files = tree.iter().filter(|entry| entry.kind != "tree");
        files.map(|entry| (entry.path.as_str(), entry.mode.as_str(), entry.sha.as_str())).collect()
    }
    let (old, new) = (files(old), files(new));
    let paths: BTreeSet<&str> = old.symmetric_difference(&new).map(|(path, ..)| *path).collect();
    paths.into_iter().map(str::to_owned).collect()
}
