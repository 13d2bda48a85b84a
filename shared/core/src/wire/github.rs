//! GitHub's webhook payloads: only the fields that we use. What GitHub leaves out or sends as null
//! reads as empty.
use crate::id::Sha;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// GitHub's word for "no commit": all zeros.
#[must_use]
pub fn is_zero(sha: &str) -> bool {
    sha.bytes().all(|byte| byte == b'0')
}

/// What nearly every payload has.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Envelope {
    #[serde(default)]
    pub repository: Option<Repository>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// `OWNER/REPO`.
    pub full_name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PushPayload {
    #[serde(rename = "ref")]
    pub reference: String,
    pub before: String,
    pub after: String,
    #[serde(default)]
    pub created: bool,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub forced: bool,
    #[serde(default, deserialize_with = "or_empty")]
    pub commits: Vec<PushCommit>,
    #[serde(default)]
    pub head_commit: Option<PushCommit>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct PushCommit {
    pub id: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub message: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub author: Author,
    #[serde(default, deserialize_with = "or_empty")]
    pub added: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub removed: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub modified: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Author {
    #[serde(default, deserialize_with = "or_empty")]
    pub name: String,
}

fn or_empty<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(value)?.unwrap_or_default())
}

/// What a push moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ref<'a> {
    Branch(&'a str),
    Tag(&'a str),
    /// Notes, and whatever else people push.
    Other(&'a str),
}

/// A list of commits as long as this may be cut: GitHub's documentation has named 20 and 2,048 as
/// the bound, and the payload does not say how many there were.
const COMMITS_CUT: usize = 20;
/// A commit's list of files may end here.
const FILES_CUT: usize = 3_000;

impl PushPayload {
    #[must_use]
    pub fn moved(&self) -> Ref<'_> {
        let name = self.reference.as_str();
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            Ref::Branch(branch)
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            Ref::Tag(tag)
        } else {
            Ref::Other(name)
        }
    }
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.deleted || is_zero(&self.after)
    }
    #[must_use]
    pub fn after(&self) -> Sha {
        Sha::from(self.after.as_str())
    }
    /// A branch went from one commit to a descendant of it: neither new, nor deleted, nor forced.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.created && !self.forced && !is_zero(&self.before) && !self.is_deletion()
    }
    /// The files of all its commits, sorted, if the payload surely lists them all: a list that may
    /// be cut, or a merge (whose files GitHub may leave out), says nothing certain.
    #[must_use]
    pub fn files(&self) -> Option<Vec<String>> {
        let whole = self.commits.len() < COMMITS_CUT
            && self.commits.last().is_some_and(|last| last.id == self.after)
            && self.commits.iter().all(PushCommit::lists_all);
        let files = || self.commits.iter().flat_map(PushCommit::files);
        whole.then(|| files().cloned().collect::<BTreeSet<_>>().into_iter().collect())
    }
    /// Who wrote the newest commit, and the first line of its message.
    #[must_use]
    pub fn author_and_subject(&self) -> (String, String) {
        let newest = self.head_commit.as_ref().or_else(|| self.commits.last());
        newest.map_or_else(Default::default, |commit| {
            let subject = commit.message.lines().next().unwrap_or_default();
            (commit.author.name.clone(), subject.to_owned())
        })
    }
}

impl PushCommit {
    fn files(&self) -> impl Iterator<Item = &String> {
        self.added.iter().chain(&self.removed).chain(&self.modified)
    }
    fn lists_all(&self) -> bool {
        let count = self.files().count();
        (1..FILES_CUT).contains(&count) && !self.message.starts_with("Merge ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(id: &str, message: &str, files: usize) -> PushCommit {
        let modified = (0..files).map(|n| format!("{id}/{n}")).collect();
        PushCommit { id: id.into(), message: message.into(), modified, ..PushCommit::default() }
    }

    fn push(commits: Vec<PushCommit>) -> PushPayload {
        PushPayload {
            reference: "refs/heads/main".into(),
            before: "a".into(),
            after: "z".into(),
            created: false,
            deleted: false,
            forced: false,
            commits,
            head_commit: None,
        }
    }

    #[test]
    fn files_are_known_only_if_the_payload_surely_lists_them_all() {
        let many = |n: usize| {
            let last = commit("z", "last", 1);
            (1..n).map(|n| commit(&n.to_string(), "more", 1)).chain([last]).collect::<Vec<_>>()
        };
        for (what, commits, known) in [
            ("one commit", vec![commit("z", "Add", 2)], Some(2)),
            ("no commit", vec![], None),
            ("another last commit", vec![commit("y", "Add", 2)], None),
            ("as many as surely fit", many(COMMITS_CUT - 1), Some(COMMITS_CUT - 1)),
            ("perhaps cut", many(COMMITS_CUT), None),
            ("a commit without files", vec![commit("y", "", 1), commit("z", "", 0)], None),
            ("a merge", vec![commit("y", "", 1), commit("z", "Merge branch 'y'", 3)], None),
            ("as many files as surely fit", vec![commit("z", "", FILES_CUT - 1)], Some(2_999)),
            ("files perhaps cut", vec![commit("z", "", FILES_CUT)], None),
        ] {
            assert_eq!(push(commits).files().map(|files| files.len()), known, "{what}");
        }
    }

    #[test]
    fn a_file_counts_once_and_a_removed_one_too() {
        let mut first = commit("y", "", 0);
        first.added = vec!["b".into(), "c".into()];
        let mut second = commit("z", "", 0);
        (second.removed, second.modified) = (vec!["a".into()], vec!["b".into()]);
        assert_eq!(push(vec![first, second]).files().unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn refs_and_moves() {
        for (reference, moved) in [
            ("refs/heads/feature/x", Ref::Branch("feature/x")),
            ("refs/tags/v1", Ref::Tag("v1")),
            ("refs/notes/commits", Ref::Other("refs/notes/commits")),
        ] {
            let push = PushPayload { reference: reference.into(), ..push(vec![]) };
            assert_eq!(push.moved(), moved);
        }
        let zero = "0".repeat(40);
        let plain = push(vec![]);
        assert!(plain.is_plain());
        assert!(!PushPayload { before: zero.clone(), ..plain.clone() }.is_plain());
        assert!(!PushPayload { forced: true, ..plain.clone() }.is_plain());
        assert!(PushPayload { after: zero, ..plain }.is_deletion());
    }

    #[test]
    fn nulls_read_as_empty() {
        let text = r#"{"ref":"refs/heads/x","before":"1","after":"2","commits":null,
            "head_commit":{"id":"2","message":null,"author":{"name":null},"added":null}}"#;
        let push: PushPayload = serde_json::from_str(text).unwrap();
        assert_eq!((push.files(), push.author_and_subject().0), (None, String::new()));
    }
}
