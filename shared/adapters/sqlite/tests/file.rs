//! The file: reopened, locked, foreign, damaged, full, and after kill -9.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use adapter_sqlite::{OpenError, Store};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use windlass_core::time::UnixMs;
use windlass_ports::clock::SystemClock;
use windlass_ports::fake::FakeClock;
use windlass_ports::{Docs, Expect, Outgoing, PutError, Queues, Version};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, Arc::new(SystemClock))
}

fn in_group(body: &str) -> Outgoing {
    let (group, dedup) = (Some("g".to_owned()), Some(body.to_owned()));
    Outgoing { body: body.into(), group, dedup, delay_ms: 0 }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let (_folder, path) = folder();
    let clock = FakeClock::at(UnixMs(1_000_000));
    let store = Store::open(&path, clock.shared()).unwrap();
    let version = store.put("doc", Expect::Absent, b"one".into()).await.unwrap();
    for body in ["0", "1"] {
        store.send("q.fifo", in_group(body)).await.unwrap();
    }
    let held = store.receive("q.fifo", 1, 0, 60_000).await.unwrap();
    drop(store);

    clock.advance(5_000);
    let store = Store::open(&path, clock.shared()).unwrap();
    let found = store.get("doc").await.unwrap().unwrap();
    assert_eq!((&found.version, found.age_ms), (&version, 5_000));
    // Still in flight, still deduplicated, and the old receipt still good.
    assert!(store.receive("q.fifo", 1, 0, 60_000).await.unwrap().is_empty());
    store.send("q.fifo", in_group("1")).await.unwrap();
    Queues::delete(&store, "q.fifo", &held[0].receipt).await.unwrap();
    let rest = store.receive("q.fifo", 10, 0, 60_000).await.unwrap();
    assert_eq!(rest.iter().map(|d| d.body.as_slice()).collect::<Vec<_>>(), [b"1"]);
    let second = store.put("doc", Expect::At(version.clone()), b"two".into()).await.unwrap();
    assert_ne!(second, version);
    drop(store);

    // The clock was set back meanwhile: time goes on from where it was.
    clock.set(UnixMs(10));
    let store = Store::open(&path, clock.shared()).unwrap();
    clock.advance(2_000);
    assert_eq!(store.get("doc").await.unwrap().unwrap().age_ms, 2_000);
}

#[tokio::test]
async fn versions_of_an_earlier_opening_do_not_come_back() {
    let (_folder, path) = folder();
    let mut seen: Vec<Version> = Vec::new();
    for _ in 0..3 {
        let store = open(&path).unwrap();
        for _ in 0..2 {
            let version = store.put("k", Expect::Absent, b"same".into()).await.unwrap();
            Docs::delete(&store, "k", &version).await.unwrap();
            assert!(!seen.contains(&version));
            seen.push(version);
        }
    }
}

#[test]
fn a_second_server_is_refused_by_name() {
    let (_folder, path) = folder();
    let first = open(&path).unwrap();
    match open(&path) {
        Err(OpenError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{:?}", other.map(drop)),
    }
    drop(first);
    open(&path).unwrap();
}

#[test]
fn the_file_is_private() {
    let (folder, path) = folder();
    let _store = open(&path).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

fn told(path: &Path) -> String {
    match open(path) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused() {
    type Make = fn(&Path);
    let cases: [(Make, &str); 5] = [
        (
            |path| std::fs::write(path, "not a database at all, but long enough").unwrap(),
            "is not a Windlass store",
        ),
        (|path| std::fs::write(path, vec![7_u8; 10_000]).unwrap(), "is not a Windlass store"),
        (|path| execute(path, "CREATE TABLE theirs (x)"), "is not a Windlass store"),
        (|path| execute(path, "PRAGMA user_version = 1"), "is not a Windlass store"),
        (
            |path| {
                drop(open(path).unwrap());
                execute(path, "PRAGMA user_version = 7");
            },
            "the store has format 7; this program reads format 1",
        ),
    ];
    for (n, (make, words)) in cases.into_iter().enumerate() {
        let (_folder, path) = folder();
        make(&path);
        let before = std::fs::read(&path).unwrap();
        assert!(told(&path).contains(words), "{n}: {}", told(&path));
        assert!(std::fs::read(&path).unwrap() == before, "{n}: it was changed");
    }
    // An empty file is a new store.
    let (_folder, path) = folder();
    std::fs::write(&path, "").unwrap();
    assert_eq!(told(&path), "opened");
}

fn execute(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let (folder, _) = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in [folder.path().join("missing"), file, PathBuf::from("/proc")] {
        let path = place.join("store.db");
        let words = told(&path);
        assert!(words.contains("can't write") && words.contains("store.db"), "{words}");
    }
}

/// Pages overwritten in the middle: reads of them fail with words, nothing panics.
#[tokio::test]
async fn damage_is_a_fault() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    for n in 0..200 {
        store.put(&format!("k{n:03}"), Expect::Absent, vec![b'x'; 2_000]).await.unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4_096..length - 4_096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    match open(&path) {
        Err(error) => assert!(error.to_string().contains("is damaged"), "{error}"),
        Ok(store) => {
            let fault = store.get("k100").await.unwrap_err();
            assert!(fault.to_string().contains("damaged"), "{}", fault.chain());
            assert!(store.put("new", Expect::Absent, vec![]).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_wait_for_a_writer() {
    let (_folder, path) = folder();
    let store = Arc::new(open(&path).unwrap());
    store.put("k", Expect::Absent, b"old".into()).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.put("new", Expect::Absent, vec![]).await.map(drop) }
    });
    for _ in 0..20 {
        assert_eq!(store.get("k").await.unwrap().unwrap().body, b"old");
        assert_eq!(store.list("", None, 10).await.unwrap().len(), 1);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(!writing.is_finished());
    other.execute_batch("COMMIT").unwrap();
    writing.await.unwrap().unwrap();
    assert!(store.get("new").await.unwrap().is_some());
}

/// This very program again, running only the ignored test of that name.
fn child(test: &str, path: &Path, shell: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("STORE_UNDER_TEST", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn path_under_test() -> Option<PathBuf> {
    std::env::var_os("STORE_UNDER_TEST").map(PathBuf::from)
}

/// What the killed child does: four tasks, each a document of its own swapped from 1 to n and a
/// message per swap, each said aloud once it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of another test"]
async fn child_writes() {
    let Some(path) = path_under_test() else { return };
    let store = Arc::new(open(&path).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            let key = format!("doc{task}");
            let found = store.get(&key).await.unwrap();
            let (mut n, mut expect) = match found {
                None => (0, Expect::Absent),
                Some(found) => (
                    String::from_utf8(found.body).unwrap().parse().unwrap(),
                    Expect::At(found.version),
                ),
            };
            loop {
                n += 1_u64;
                expect = Expect::At(store.put(&key, expect, n.to_string().into()).await.unwrap());
                println!("\nput {task} {n}");
                store.send("q.fifo", in_group(&format!("{task}.{n}"))).await.unwrap();
                println!("\nsent {task} {n}");
            }
        });
    }
    tasks.join_next().await;
}

#[tokio::test]
async fn what_was_acknowledged_outlives_kill_9() {
    let (_folder, path) = folder();
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..5 {
        let mut child = child("child_writes", &path, "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while let Some(Ok(line)) = lines.next() {
            let mut words = line.split(' ');
            let (Some(what @ ("put" | "sent")), Some(task), Some(n)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            // The last line may be cut short: then the number before it counts.
            acknowledged.insert(format!("{what} {task}"), n.parse().unwrap());
            heard += 1;
            if heard == 40 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard > 0, "the child never wrote");

        let store = open(&path).unwrap();
        let sent: Vec<String> = all_sent(&store).await;
        for task in 0..4 {
            let found = store.get(&format!("doc{task}")).await.unwrap().unwrap();
            let stored: u64 = String::from_utf8(found.body).unwrap().parse().unwrap();
            let put = acknowledged.get(&format!("put {task}")).copied().unwrap_or(0);
            assert!((put..=put + 1).contains(&stored), "{put} acknowledged, {stored} stored");
            let last = acknowledged.get(&format!("sent {task}")).copied().unwrap_or(0);
            assert!(last == 0 || sent.contains(&format!("{task}.{last}")), "{task}.{last} is gone");
        }
    }
}

/// Takes all messages.
async fn all_sent(store: &Store) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let taken = store.receive("q.fifo", 10, 0, 60_000).await.unwrap();
        if taken.is_empty() {
            return bodies;
        }
        for delivery in taken {
            bodies.push(String::from_utf8(delivery.body).unwrap());
            Queues::delete(store, "q.fifo", &delivery.receipt).await.unwrap();
        }
    }
}

/// The child may write files of a few hundred kilobytes only, as on a full disk.
#[tokio::test]
#[ignore = "the child of another test"]
async fn child_fills() {
    let Some(path) = path_under_test() else { return };
    let store = open(&path).unwrap();
    for n in 0..10_000 {
        match store.put(&format!("k{n:05}"), Expect::Absent, vec![7; 3_000]).await {
            Ok(_) => println!("\nput {n}"),
            Err(PutError::Fault(fault)) => {
                assert!(fault.is_retryable());
                println!("\nfault {}", fault.chain());
                break;
            }
            Err(PutError::Conflict) => panic!("a full disk is no conflict"),
        }
    }
    // It still answers, and says so again rather than anything else.
    assert!(store.get("k00000").await.unwrap().is_some());
    assert!(matches!(
        store.put("more", Expect::Absent, vec![7; 100_000]).await,
        Err(PutError::Fault(fault)) if fault.is_retryable()
    ));
    println!("\nread");
}

#[tokio::test]
async fn a_full_disk_is_a_fault_and_loses_nothing() {
    let (_folder, path) = folder();
    // Beyond the limit a write fails, instead of the signal that would end the process.
    let mut child = child("child_fills", &path, "trap '' XFSZ; ulimit -f 600;");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("fault ")), "{lines:#?}");
    assert!(lines.contains(&"read".to_owned()), "{lines:#?}");
    let put = lines.iter().filter(|line| line.starts_with("put ")).count();
    let store = open(&path).unwrap();
    for n in 0..put {
        assert_eq!(store.get(&format!("k{n:05}")).await.unwrap().unwrap().body.len(), 3_000);
    }
    assert!(store.list("k", None, 1_000).await.unwrap().len() <= put + 1);
    store.put("room again", Expect::Absent, vec![]).await.unwrap();
}
