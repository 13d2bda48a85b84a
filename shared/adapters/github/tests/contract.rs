//! The adapter passes the ports' contracts, over HTTP and real git.
mod common;

use common::{Bench, PLACE};
use std::sync::Arc;
use windlass_core::id::Sha;
use windlass_ports::contract::source::{self, Orchard, Origin};
use windlass_ports::contract::{forge, forge::Square};
use windlass_ports::{CommitStatus, StatusState};

#[tokio::test(flavor = "multi_thread")]
async fn source_by_a_token() {
    let (bench, origin) = Bench::new();
    let (source, repo) = (Arc::new(bench.by_token()), bench.repo.clone());
    source::all(&Orchard { source, origin: Box::new(origin), repo }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_as_an_app() {
    let (bench, origin) = Bench::new();
    let (source, repo) = (Arc::new(bench.by_app()), bench.repo.clone());
    source::all(&Orchard { source, origin: Box::new(origin), repo }).await;
    assert_eq!(bench.forge.minted(), 1, "one token is enough for an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let (github, repo) = (Arc::new(bench.by_token()), bench.repo.clone());
    let bench = Arc::new(bench);
    let (seen, named) = (bench.clone(), repo.clone());
    let shown = Box::new(move || {
        let all = seen.forge.statuses(PLACE).into_iter();
        all.map(|status| CommitStatus {
            repo: named.clone(),
            sha: Sha(status.sha),
            context: status.context,
            state: match status.state.as_str() {
                "pending" => StatusState::Pending,
                "success" => StatusState::Success,
                "failure" => StatusState::Failure,
                _ => StatusState::Error,
            },
            description: status.description.unwrap_or_default(),
            target_url: status.target_url,
        })
        .collect()
    });
    forge::all(&Square { forge: github, repo, sha, shown }).await;
}
