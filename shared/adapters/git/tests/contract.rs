//! Mirrors pass the source's contract, over a real repository.
use adapter_git::Mirrors;
use std::sync::Arc;
use windlass_core::id::RepoName;
use windlass_ports::contract::origin::GitOrigin;
use windlass_ports::contract::source::{self, Orchard};

#[tokio::test(flavor = "multi_thread")]
async fn source() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("origin");
    std::fs::create_dir(&folder).expect("a folder");
    let origin = GitOrigin::create(&folder);
    let (mirrors, repo) = (Mirrors::new(root.path().join("mirrors")), RepoName::from("infra"));
    let address = folder.to_str().expect("text").to_owned();
    mirrors.add(repo.clone(), address).await.expect("added");
    let source = Arc::new(mirrors);
    source::all(&Orchard { source, origin: Box::new(origin), repo }).await;
}
