//! A watch sees each kind of change to a branch, and nothing else.
mod common;
use adapter_git::{Watch, heads_fast};
use common::Bench;
use std::path::Path;
use std::time::{Duration, Instant};

async fn sees(watch: &mut Watch, within_ms: u64) -> bool {
    tokio::time::timeout(Duration::from_millis(within_ms), watch.changed()).await.is_ok()
}

/// Runs git while the watch waits; milliseconds from git's end to the notice.
async fn notice(watch: &mut Watch, origin: &Path, args: &[&str]) -> u128 {
    let (origin, args) = (origin.to_path_buf(), args.iter().map(|a| (*a).to_owned()).collect());
    let git = tokio::task::spawn_blocking(move || {
        let args: Vec<String> = args;
        std::thread::sleep(Duration::from_millis(60));
        common::git(&origin, &args.iter().map(String::as_str).collect::<Vec<_>>());
        Instant::now()
    });
    let _ = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
    let noticed = Instant::now();
    noticed.saturating_duration_since(git.await.expect("git ran")).as_millis()
}

#[tokio::test]
async fn a_watch_sees_branches_move() {
    let (bench, _) = Bench::with_commit().await;
    let mut watch = Watch::path(&bench.origin()).await.unwrap();
    assert!(!sees(&mut watch, 150).await, "nothing happened yet");
    let origin = bench.origin();
    let tree = bench.root.path().join("tree");
    let steps: [(&str, &[&str]); 8] = [
        ("a commit", &["commit", "-q", "--allow-empty", "-m", "x"]),
        ("a new branch", &["branch", "one"]),
        ("a branch in a new folder", &["branch", "two/three/four"]),
        ("another one there", &["branch", "two/three/five"]),
        ("a branch less", &["branch", "-D", "two/three/four"]),
        ("packed", &["pack-refs", "--all", "--prune"]),
        ("a packed one less", &["branch", "-D", "one"]),
        ("a linked work tree", &["worktree", "add", "-q", "-b", "side", tree.to_str().unwrap()]),
    ];
    for (name, args) in steps {
        let in_ms = notice(&mut watch, &origin, args).await;
        println!("{name}: noticed after {in_ms} ms");
        // Well below the slow look: a notification did it.
        assert!(in_ms < 5_000, "{name}: {in_ms} ms");
        while sees(&mut watch, 150).await {}
    }
    // None of our business: the index, objects, reading.
    std::fs::write(origin.join("new"), "x").unwrap();
    bench.git(&["add", "-A"]);
    bench.git(&["status"]);
    bench.mirrors.fetch(&bench.repo).await.unwrap();
    assert!(!sees(&mut watch, 300).await);
    // A commit in the linked work tree moves a branch of the same repository.
    let mut from_tree = Watch::path(&tree).await.unwrap();
    common::git(&tree, &["commit", "-q", "--allow-empty", "-m", "y"]);
    assert!(sees(&mut watch, 5_000).await && sees(&mut from_tree, 5_000).await);
}

#[tokio::test]
async fn a_dropped_wait_forgets_nothing() {
    let (bench, _) = Bench::with_commit().await;
    let mut watch = Watch::path(&bench.origin()).await.unwrap();
    let origin = bench.origin();
    let git = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(30));
        common::git(&origin, &["branch", "one"]);
    });
    // Dropped in the pause that lets a change become complete (or before it, on a slow machine).
    let seen = sees(&mut watch, 60).await;
    git.await.unwrap();
    assert!(seen || sees(&mut watch, 1_000).await);
}

#[tokio::test]
async fn a_repository_made_anew_is_watched_again() {
    let (bench, _) = Bench::with_commit().await;
    let mut watch = Watch::path(&bench.origin()).await.unwrap();
    std::fs::remove_dir_all(bench.origin().join(".git")).unwrap();
    bench.git(&["init", "-q", "-b", "main"]);
    bench.commit(&[], "again");
    assert!(sees(&mut watch, 5_000).await);
    while sees(&mut watch, 200).await {}
    bench.commit(&[], "and again");
    assert!(sees(&mut watch, 5_000).await);
}

#[tokio::test]
async fn heads_compare_without_a_fetch() {
    let (bench, _) = Bench::with_commit().await;
    let before = heads_fast(&bench.origin()).await.unwrap();
    assert_eq!(heads_fast(&bench.origin()).await.unwrap(), before);
    bench.commit(&[], "next");
    assert_ne!(heads_fast(&bench.origin()).await.unwrap(), before);
    assert!(heads_fast(bench.root.path()).await.is_err());
}
