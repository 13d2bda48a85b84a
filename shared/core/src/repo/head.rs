//! `repos/<name>.json`: what a repository's actor remembers.
use crate::effect::{Effect, Entry};
use crate::event::Push;
use crate::id::{EventId, RepoName, RunId, Sha};
use crate::run::Commit;
use crate::stack::{Answer, Recent};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoHead {
    pub repo: RepoName,
    pub revision: u64,
    /// The branch that holds the definitions: the repository's default.
    pub default_branch: String,
    pub branches: BTreeMap<String, Branch>,
    /// Counts pushes; a commit's place in it orders commits (rule A7).
    pub pushes: u64,
    /// Pushes whose definitions are being applied, oldest first.
    pub pending: Vec<Pending>,
    pub recent: VecDeque<Recent>,
    pub outbox: Vec<Entry>,
    /// How many effects were ever owed: each has an id of its own.
    #[serde(default)]
    pub owed: u64,
    pub due_minute: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    pub head: Sha,
    pub seq: u64,
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub subject: String,
}

/// A push that waits for its administrative run: stacks that a commit creates run for that commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub run: RunId,
    pub event: EventId,
    pub at: UnixMs,
    pub push: Push,
    pub commit: Commit,
    /// The index that it was routed by, or met when it came: stacks newer than that were created
    /// by its definitions, and run for its commit.
    pub seen_revision: u64,
    /// It was routed by the last good definitions, because a person has to confirm the new ones or
    /// to mend them; it is routed again, for what they created, once they are applied.
    pub routed: bool,
}

impl Branch {
    /// Its head as a commit of the repository's history.
    #[must_use]
    pub fn commit(&self) -> Commit {
        let (author, subject) = (self.author.clone(), self.subject.clone());
        Commit { sha: self.head.clone(), seq: self.seq, author, subject }
    }
}

impl RepoHead {
    #[must_use]
    pub fn new(repo: &RepoName, default_branch: &str) -> Self {
        Self {
            repo: repo.clone(),
            revision: 0,
            default_branch: default_branch.to_owned(),
            branches: BTreeMap::new(),
            pushes: 0,
            pending: Vec::new(),
            recent: VecDeque::new(),
            outbox: Vec::new(),
            owed: 0,
            due_minute: None,
        }
    }
    #[must_use]
    pub fn answer_to(&self, event: &EventId) -> Option<&Answer> {
        self.recent.iter().rev().find(|known| known.id == *event).map(|known| &known.answer)
    }
    pub(crate) fn remember(&mut self, id: &EventId, answer: Answer) {
        if self.recent.len() >= crate::stack::RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { id: id.clone(), answer });
    }
    pub(crate) fn owe(&mut self, effect: Effect, now: UnixMs) {
        let id = crate::stack::free_id(&self.outbox, &self.repo.0, self.revision);
        self.outbox.push(Entry { id, at: now, effect, tries: 0 });
    }
}
