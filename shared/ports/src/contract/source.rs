//! Where code comes from: one repository, changed from outside, read through the port.
use super::rows;
use crate::fault::Fault;
use crate::forge::{ChangedFiles, Source};
use std::sync::Arc;
use windlass_core::id::{RepoName, Sha};

/// Who pushes to the repository under test. Author: `Ada Example`; subjects begin with `Commit`.
pub trait Origin: Send + Sync {
    /// A commit on this branch (made if new, from nothing): these written, those removed.
    fn push(&self, branch: &str, written: &[(&str, &str)], removed: &[&str]) -> Sha;
    /// Points a branch at a commit: a new branch, a forced push.
    fn set_branch(&self, branch: &str, sha: &Sha);
    fn delete_branch(&self, branch: &str);
    fn set_tag(&self, tag: &str, sha: &Sha);
}

/// A source and one of its repositories. Rows use branches of their own.
pub struct Orchard {
    pub source: Arc<dyn Source>,
    pub origin: Box<dyn Origin>,
    pub repo: RepoName,
}

rows!(Orchard:
    branches_as_they_are_now, changed_files, a_rename_is_both_paths, forced_pushes,
    nothing_to_compare_with, more_files_than_a_forge_lists, where_two_branches_part,
    what_a_commit_says, names_of_commits, files_at_a_commit, odd_paths, what_is_no_file,
    a_large_file_is_refused, what_is_not_there,
);

/// No commit has this id.
fn nowhere() -> Sha {
    Sha("0123456789abcdef0123456789abcdef01234567".to_owned())
}

impl Orchard {
    /// Pushes, and lets the source hear of it as every user does: by listing the branches.
    async fn push(&self, branch: &str, written: &[(&str, &str)], removed: &[&str]) -> Sha {
        let sha = self.origin.push(branch, written, removed);
        assert_eq!(self.head(branch).await.as_ref(), Some(&sha), "{branch} was pushed");
        sha
    }
    async fn head(&self, branch: &str) -> Option<Sha> {
        let all = self.source.branches(&self.repo).await.unwrap();
        let listed = all.into_iter().find(|(name, _)| name == branch).map(|(_, sha)| sha);
        assert_eq!(self.source.head(&self.repo, branch).await.unwrap(), listed, "{branch} alone");
        listed
    }
    async fn changed(&self, base: &Sha, head: &Sha) -> ChangedFiles {
        self.source.changed(&self.repo, Some(base), head).await.unwrap()
    }
    async fn read(&self, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.source.read(&self.repo, sha, path).await
    }
}

fn known(paths: &[&str]) -> ChangedFiles {
    ChangedFiles::Known(paths.iter().map(|path| (*path).to_owned()).collect())
}

pub async fn branches_as_they_are_now(orchard: &Orchard) {
    let first = orchard.push("live", &[("live/a", "1")], &[]).await;
    let second = orchard.push("live", &[("live/a", "2")], &[]).await;
    assert_ne!(first, second);
    orchard.origin.set_branch("live-sub/ü", &first);
    assert_eq!(orchard.head("live-sub/ü").await, Some(first.clone()));
    orchard.origin.set_branch("live-sub/ü", &second);
    assert_eq!(orchard.head("live-sub/ü").await, Some(second));
    orchard.origin.delete_branch("live-sub/ü");
    assert_eq!(orchard.head("live-sub/ü").await, None);
    assert_eq!(orchard.head("liv").await, None, "a part of a name is no name");
    for n in 0..120 {
        orchard.origin.set_branch(&format!("many/{n:03}"), &first);
    }
    let all = orchard.source.branches(&orchard.repo).await.unwrap();
    assert_eq!(all.iter().filter(|(name, _)| name.starts_with("many/")).count(), 120);
    for n in 0..120 {
        orchard.origin.delete_branch(&format!("many/{n:03}"));
    }
    assert_eq!(orchard.head("many/000").await, None);
}

pub async fn changed_files(orchard: &Orchard) {
    let files = [("z/kept", "1"), ("z/edited", "1"), ("z/removed", "1")];
    let first = orchard.push("change", &files, &[]).await;
    let second = orchard.push("change", &[("z/edited", "2"), ("added", "1")], &["z/removed"]).await;
    assert_eq!(orchard.changed(&first, &second).await, known(&["added", "z/edited", "z/removed"]));
    assert_eq!(orchard.changed(&second, &second).await, known(&[]));
    let third = orchard.push("change", &[("z/edited", "1")], &[]).await;
    assert_eq!(
        orchard.changed(&first, &third).await,
        known(&["added", "z/removed"]),
        "what was changed and changed back is as it was"
    );
}

pub async fn a_rename_is_both_paths(orchard: &Orchard) {
    let text = "the same text\nin a few lines\nthat anybody would\ntake for a rename\n";
    let first = orchard.push("rename", &[("old/main.tf", text)], &[]).await;
    let second = orchard.push("rename", &[("new/main.tf", text)], &["old/main.tf"]).await;
    assert_eq!(orchard.changed(&first, &second).await, known(&["new/main.tf", "old/main.tf"]));
}

/// What differs is what differs, whichever way history went.
pub async fn forced_pushes(orchard: &Orchard) {
    let root = orchard.push("force", &[("a", "1"), ("b", "1"), ("c", "1")], &[]).await;
    let ours = orchard.push("force", &[("a", "ours"), ("c", "same")], &[]).await;
    orchard.origin.set_branch("force", &root);
    let theirs = orchard.push("force", &[("b", "theirs"), ("c", "same")], &[]).await;
    assert_eq!(orchard.changed(&ours, &theirs).await, known(&["a", "b"]), "to the side");
    assert_eq!(orchard.changed(&ours, &root).await, known(&["a", "c"]), "back");
    let other = orchard.push("unrelated", &[("a", "ours"), ("d", "1")], &[]).await;
    assert_eq!(orchard.changed(&ours, &other).await, known(&["b", "c", "d"]), "nothing in common");
}

pub async fn nothing_to_compare_with(orchard: &Orchard) {
    let sha = orchard.push("first", &[("first/a", "1")], &[]).await;
    let everything = orchard.source.changed(&orchard.repo, None, &sha).await.unwrap();
    assert_eq!(everything, ChangedFiles::Everything);
    assert_eq!(orchard.changed(&nowhere(), &sha).await, ChangedFiles::Everything);
}

pub async fn more_files_than_a_forge_lists(orchard: &Orchard) {
    let paths: Vec<String> = (0..350).map(|n| format!("many/{n:03}.tf")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "1")).collect();
    let first = orchard.push("large", &[("a", "1")], &[]).await;
    for some in [300, 350] {
        let head = orchard.push("large", &files[..some], &[]).await;
        let changed = orchard.changed(&first, &head).await;
        let whole = changed == ChangedFiles::Known(paths[..some].to_vec());
        assert!(
            whole || changed == ChangedFiles::Everything,
            "{some}: a part of the truth is a lie"
        );
    }
}

pub async fn where_two_branches_part(orchard: &Orchard) {
    let root = orchard.push("trunk", &[("t", "1")], &[]).await;
    orchard.origin.set_branch("twig", &root);
    let twig = orchard.push("twig", &[("t2", "1")], &[]).await;
    let trunk = orchard.push("trunk", &[("t", "2")], &[]).await;
    let fork = |a: &Sha, b: &Sha| {
        let (source, repo, a, b) =
            (orchard.source.clone(), orchard.repo.clone(), a.clone(), b.clone());
        async move { source.merge_base(&repo, &a, &b).await.unwrap() }
    };
    assert_eq!(fork(&trunk, &twig).await, Some(root.clone()));
    assert_eq!(fork(&root, &twig).await, Some(root));
    let other = orchard.push("island", &[("i", "1")], &[]).await;
    assert_eq!(fork(&trunk, &other).await, None);
    assert_eq!(fork(&trunk, &nowhere()).await, None);
}

pub async fn what_a_commit_says(orchard: &Orchard) {
    let sha = orchard.push("says", &[("s", "1")], &[]).await;
    let info = orchard.source.commit(&orchard.repo, &sha).await.unwrap().unwrap();
    assert_eq!((info.sha, info.author.as_str()), (sha, "Ada Example"));
    assert!(
        info.subject.starts_with("Commit ") && !info.subject.contains('\n'),
        "{}",
        info.subject
    );
    assert!(info.at_ms > 0);
    assert_eq!(orchard.source.commit(&orchard.repo, &nowhere()).await.unwrap(), None);
}

pub async fn names_of_commits(orchard: &Orchard) {
    let sha = orchard.push("names", &[("n", "1")], &[]).await;
    orchard.origin.set_branch("names-of/ü", &sha);
    orchard.origin.set_tag("names-v1", &sha);
    orchard.source.branches(&orchard.repo).await.unwrap();
    for name in ["names", "names-of/ü", "names-v1", sha.as_str(), &sha.as_str()[..12]] {
        let found = orchard.source.resolve(&orchard.repo, name).await.unwrap();
        assert_eq!(found.as_ref(), Some(&sha), "{name}");
    }
    for name in ["", "names-v2", "-n", "a\nb", "ffffffffffff", "../names"] {
        assert_eq!(orchard.source.resolve(&orchard.repo, name).await.unwrap(), None, "{name:?}");
    }
}

pub async fn files_at_a_commit(orchard: &Orchard) {
    let first = orchard.push("tree", &[("b/c/d", "1"), ("b.tf", "1"), ("a", "1")], &[]).await;
    let second = orchard.push("tree", &[("b/c/e", "2")], &["a"]).await;
    let files = async |sha| orchard.source.files(&orchard.repo, sha).await.unwrap();
    assert_eq!(files(&first).await, ["a", "b.tf", "b/c/d"]);
    assert_eq!(files(&second).await, ["b.tf", "b/c/d", "b/c/e"]);
    assert_eq!(orchard.read(&first, "a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(orchard.read(&second, "a").await.unwrap(), None);
    assert_eq!(orchard.read(&second, "b/c/e").await.unwrap().as_deref(), Some(&b"2"[..]));
}

pub async fn odd_paths(orchard: &Orchard) {
    let odd = ["a b/ü ☃.tf", "a b/c#d?e&f=g.tf", "a b/100%25.tf", "a b/[x]*.tf", "a b/quo\"te.tf"];
    let files: Vec<(&str, &str)> = odd.iter().map(|path| (*path, *path)).collect();
    let first = orchard.push("odd", &[("plain", "1")], &[]).await;
    let second = orchard.push("odd", &files, &[]).await;
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(orchard.changed(&first, &second).await, known(&sorted));
    for path in odd {
        assert_eq!(orchard.read(&second, path).await.unwrap().as_deref(), Some(path.as_bytes()));
    }
}

pub async fn what_is_no_file(orchard: &Orchard) {
    let sha = orchard.push("paths", &[("p/q", "1")], &[]).await;
    for path in ["", "p", "p/", "/p/q", "p//q", "./p/q", "p/../p/q", "p/q/r", "P/q"] {
        assert_eq!(orchard.read(&sha, path).await.unwrap(), None, "{path:?}");
    }
}

pub async fn a_large_file_is_refused(orchard: &Orchard) {
    const MAX: usize = 2 * 1024 * 1024;
    let (fits, large) = ("x".repeat(MAX), "x".repeat(MAX + 1));
    let sha = orchard.push("big", &[("fits", &fits), ("large", &large)], &[]).await;
    assert_eq!(orchard.read(&sha, "fits").await.unwrap().map(|body| body.len()), Some(MAX));
    let fault = orchard.read(&sha, "large").await.unwrap_err();
    assert!(!fault.is_retryable() && fault.to_string().contains("large"), "{fault}");
}

/// What can't be read must not look like what is empty.
pub async fn what_is_not_there(orchard: &Orchard) {
    orchard.push("there", &[("there", "1")], &[]).await;
    // Whether that commit may still come is for each source to say.
    assert!(orchard.source.read(&orchard.repo, &nowhere(), "there").await.is_err());
    assert!(orchard.source.files(&orchard.repo, &nowhere()).await.is_err());
    let other = RepoName::from("nobodys");
    let fault = orchard.source.branches(&other).await.unwrap_err();
    assert!(!fault.is_retryable(), "{fault}");
}
