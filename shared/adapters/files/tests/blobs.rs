//! Blobs in a folder: the port's promises, and what the folder looks like.
#![expect(clippy::unwrap_used, reason = "tests may panic, their helpers too")]
use adapter_files::FolderBlobs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use windlass_ports::Blobs as _;
use windlass_ports::contract::{self, Ground, RealTime};

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_ports_promises() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(FolderBlobs::open(folder.path()).unwrap());
    for prefix in ["t", "logs/t"] {
        contract::blobs::all(&Ground::new(blobs.clone(), prefix, RealTime)).await;
    }
}

/// Everything in a folder with its mode, the root too.
fn modes(folder: &Path) -> Vec<(bool, u32)> {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut found = vec![(true, mode(folder))];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(modes(&path));
        } else {
            found.push((false, mode(&path)));
        }
    }
    found
}

#[tokio::test]
async fn only_this_user_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    for key in ["plans/r/j.tar.zst", "logs/r/j/planning/000000000000", "x"] {
        blobs.put(key, vec![1]).await.unwrap();
    }
    for (is_folder, mode) in modes(folder.path()) {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 });
    }
}

#[tokio::test]
async fn hostile_keys_stay_inside() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("blobs");
    let blobs = FolderBlobs::open(&root).unwrap();
    let long = "x".repeat(2_000);
    for key in ["", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "a\0b", "./a", &long] {
        for fault in [
            blobs.put(key, vec![1]).await.unwrap_err(),
            blobs.get(key).await.unwrap_err(),
            blobs.delete(key).await.unwrap_err(),
        ] {
            assert!(!fault.is_retryable(), "{key}: {fault}");
        }
        assert_eq!(blobs.list(key, None, 10).await.unwrap(), [""; 0]);
    }
    let odd = [".tmp/x", "A B/ü", "C:\\x", "a", "a,", "a/b", "a/b/c", "con", "…"];
    for key in odd {
        blobs.put(key, key.as_bytes().to_vec()).await.unwrap();
    }
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(blobs.list("", None, 100).await.unwrap(), sorted);
    for key in odd {
        assert_eq!(blobs.get(key).await.unwrap().unwrap(), key.as_bytes());
        blobs.delete(key).await.unwrap();
    }
    assert_eq!(blobs.list("", None, 100).await.unwrap(), [""; 0]);
    // Nothing is left, inside or out, but the folder for temporary files.
    let left = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!((left(outer.path()), left(&root), left(&root.join(".tmp"))), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_and_deletes_in_one_folder_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let blobs = blobs.clone();
        tasks.spawn(async move {
            for round in 0..50 {
                let key = format!("logs/r/j/{task}-{round}");
                blobs.put(&key, vec![1]).await?;
                blobs.delete(&key).await?;
            }
            Ok::<_, windlass_ports::Fault>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_was_half_written_is_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    FolderBlobs::open(folder.path()).unwrap();
    let half = folder.path().join(".tmp/.tmp-1-1");
    std::fs::write(&half, "half").unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    assert_eq!(blobs.list("", None, 10).await.unwrap(), [""; 0]);
    assert!(half.exists(), "it may be another process's");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    std::fs::File::open(&half).unwrap().set_modified(long_ago).unwrap();
    FolderBlobs::open(folder.path()).unwrap();
    assert!(!half.exists());
}
