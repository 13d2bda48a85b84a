//! Commit statuses: told in order, the last of a context counts.
use super::rows;
use crate::forge::{CommitStatus, Forge, StatusState};
use std::sync::Arc;
use windlass_core::id::{RepoName, Sha};

/// A forge with one repository and one commit in it, and how its users see it.
pub struct Square {
    pub forge: Arc<dyn Forge>,
    pub repo: RepoName,
    pub sha: Sha,
    /// All statuses of the commit, oldest first, as the forge itself shows them.
    pub shown: Box<dyn Fn() -> Vec<CommitStatus> + Send + Sync>,
}

rows!(Square: every_state_is_told_in_order, contexts_are_apart, words_of_any_kind, what_is_nowhere);

impl Square {
    fn status(&self, context: &str, state: StatusState, words: &str) -> CommitStatus {
        CommitStatus {
            repo: self.repo.clone(),
            sha: self.sha.clone(),
            context: context.to_owned(),
            state,
            description: words.to_owned(),
            target_url: Some("https://windlass.example.com/runs/01".to_owned()),
        }
    }
    async fn tell(&self, status: &CommitStatus) {
        self.forge.set_status(status).await.unwrap();
    }
    fn of(&self, context: &str) -> Vec<CommitStatus> {
        (self.shown)().into_iter().filter(|status| status.context == context).collect()
    }
}

pub async fn every_state_is_told_in_order(square: &Square) {
    use StatusState::{Error, Failure, Pending, Success};
    let told: Vec<CommitStatus> = [Pending, Success, Failure, Error, Success]
        .into_iter()
        .map(|state| square.status("windlass/order", state, "words"))
        .collect();
    for status in &told {
        square.tell(status).await;
    }
    assert_eq!(square.of("windlass/order"), told);
    square.tell(&told[4]).await;
    assert_eq!(square.of("windlass/order").last(), Some(&told[4]), "telling twice is harmless");
}

pub async fn contexts_are_apart(square: &Square) {
    let a = square.status("windlass/a", StatusState::Success, "of a");
    let b = square.status("windlass/b", StatusState::Failure, "of b");
    square.tell(&a).await;
    square.tell(&b).await;
    assert_eq!((square.of("windlass/a"), square.of("windlass/b")), (vec![a], vec![b]));
}

pub async fn words_of_any_kind(square: &Square) {
    for words in ["", "+1 ~2 -0", "quo\"te \\ ☃", &"ü".repeat(140)] {
        let mut status = square.status("windlass/words", StatusState::Pending, words);
        status.target_url = None;
        square.tell(&status).await;
        assert_eq!(square.of("windlass/words").last(), Some(&status));
    }
}

pub async fn what_is_nowhere(square: &Square) {
    let mut status = square.status("windlass/nowhere", StatusState::Pending, "x");
    status.repo = "nobodys".into();
    let fault = square.forge.set_status(&status).await.unwrap_err();
    assert!(!fault.is_retryable(), "{fault}");
}
