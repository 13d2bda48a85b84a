//! The parts of GitHub's answers that are read, and of its requests that are written.
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    pub(crate) commit: Named,
}

#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) sha: String,
}

/// `GET /repos/{o}/{r}/git/commits/{sha}`.
#[derive(Deserialize)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
}

#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) date: String,
}

#[derive(Deserialize)]
pub(crate) struct Comparison {
    pub(crate) status: String,
    pub(crate) merge_base_commit: Named,
    #[serde(default)]
    pub(crate) files: Vec<File>,
}

#[derive(Deserialize)]
pub(crate) struct File {
    pub(crate) filename: String,
    #[serde(default)]
    pub(crate) previous_filename: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Tree {
    pub(crate) tree: Vec<TreeEntry>,
    #[serde(default)]
    pub(crate) truncated: bool,
}

#[derive(Deserialize)]
pub(crate) struct TreeEntry {
    pub(crate) path: String,
    pub(crate) mode: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) sha: String,
}

#[derive(Deserialize)]
pub(crate) struct Installation {
    pub(crate) id: u64,
}

#[derive(Deserialize)]
pub(crate) struct InstallationToken {
    pub(crate) token: String,
    pub(crate) expires_at: String,
}

#[derive(Serialize)]
pub(crate) struct NewStatus<'a> {
    pub(crate) state: &'a str,
    pub(crate) description: &'a str,
    pub(crate) context: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_url: Option<&'a str>,
}
