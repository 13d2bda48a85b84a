//! The store keeps the ports' promises, and those that are its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use adapter_sqlite::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use windlass_core::time::UnixMs;
use windlass_ports::contract::{self, Ground, queues::Yard};
use windlass_ports::fake::FakeClock;
use windlass_ports::{Docs, Expect, Outgoing, PutError, Queues};

fn store() -> (TempDir, FakeClock, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::at(UnixMs(1_700_000_000_000));
    let store = Store::open(&folder.path().join("store.db"), clock.shared()).unwrap();
    (folder, clock, Arc::new(store))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn documents() {
    let (_folder, clock, store) = store();
    contract::docs::all(&Ground::new(store, "t", clock)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues() {
    let (_folder, clock, store) = store();
    store.set_receives_max(3);
    let ground = Ground::new(store as Arc<dyn Queues>, "t", clock);
    contract::queues::all(&Yard { ground, receives_max: 3, waits: true }).await;
}

#[tokio::test]
async fn the_same_bytes_have_another_version() {
    let (_folder, _, store) = store();
    let mut versions = Vec::new();
    let mut expect = Expect::Absent;
    for _ in 0..4 {
        let version = store.put("k", expect, b"same".into()).await.unwrap();
        assert!(!versions.contains(&version));
        versions.push(version.clone());
        expect = if versions.len() == 2 {
            Docs::delete(&*store, "k", &version).await.unwrap();
            Expect::Absent
        } else {
            Expect::At(version)
        };
    }
    let odd = Expect::At(windlass_ports::Version("\"an etag\"".to_owned()));
    assert!(matches!(store.put("k", odd, vec![]).await, Err(PutError::Conflict)));
}

#[tokio::test]
async fn ages_and_visibility_outlive_a_clock_that_jumps_back() {
    let (_folder, clock, store) = store();
    store.put("k", Expect::Absent, vec![]).await.unwrap();
    store.send("q", Outgoing::default()).await.unwrap();
    assert_eq!(store.receive("q", 1, 0, 30_000).await.unwrap().len(), 1);
    clock.advance(10_000);
    assert_eq!(store.get("k").await.unwrap().unwrap().age_ms, 10_000);
    clock.set(UnixMs(5));
    assert_eq!(store.get("k").await.unwrap().unwrap().age_ms, 10_000);
    clock.advance(21_000);
    assert_eq!(store.get("k").await.unwrap().unwrap().age_ms, 31_000);
    assert_eq!(store.receive("q", 1, 0, 30_000).await.unwrap().len(), 1);
}

/// A caller that leaves takes no message with it, whenever it leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_receive_gives_back() {
    let (_folder, _, store) = store();
    for n in 0..300_u64 {
        store.send("q", Outgoing { body: vec![1], ..Outgoing::default() }).await.unwrap();
        {
            let receive = store.receive("q", 1, 1_000, 60_000);
            let mut receive = std::pin::pin!(receive);
            // Some leave before the writer looks, some between its commit and the answer.
            tokio::select! {
                biased;
                taken = &mut receive => Queues::delete(&*store, "q", &taken.unwrap()[0].receipt).await.unwrap(),
                () = spin(n * 2) => {}
            }
        }
        let began = Instant::now();
        while let Some(left) = store.receive("q", 1, 0, 60_000).await.unwrap().pop() {
            assert_eq!(left.receives, 1, "what nobody saw does not count");
            Queues::delete(&*store, "q", &left.receipt).await.unwrap();
        }
        // A return may still be on its way.
        while store.depth("q").await.unwrap() > 0 {
            assert!(began.elapsed() < Duration::from_secs(5));
            for left in store.receive("q", 10, 0, 60_000).await.unwrap() {
                assert_eq!(left.receives, 1);
                Queues::delete(&*store, "q", &left.receipt).await.unwrap();
            }
        }
    }
    store.hand_back_all("q").await.unwrap();
    assert_eq!(store.depth("q").await.unwrap(), 0, "nothing is left in flight");
}

async fn spin(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn hands_back_what_a_dead_server_held() {
    let (_folder, _, store) = store();
    for queue in ["a", "b"] {
        store.send(queue, Outgoing::default()).await.unwrap();
        store.receive(queue, 1, 0, 60_000).await.unwrap();
    }
    let late = Outgoing { delay_ms: 60_000, ..Outgoing::default() };
    store.send("a", late).await.unwrap();
    store.hand_back_all("a").await.unwrap();
    assert_eq!(store.depth("a").await.unwrap(), 1, "a delayed message stays delayed");
    assert_eq!(store.depth("b").await.unwrap(), 0);
}

/// Odd numbers from a client must not bring the store down.
#[tokio::test]
async fn extremes_are_bounded() {
    let (_folder, _, store) = store();
    assert!(store.receive("q", 0, u64::MAX, 0).await.unwrap().is_empty());
    store.send("q", Outgoing::default()).await.unwrap();
    let taken = store.receive("q", usize::MAX, u64::MAX, u64::MAX).await.unwrap();
    assert_eq!(taken.len(), 1);
    let waiting = store.receive("q", 1, u64::MAX, u64::MAX);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    store.extend("q", &taken[0].receipt, 0).await.unwrap();
    assert_eq!(store.receive("q", 1, 0, 1_000).await.unwrap().len(), 1);
    assert!(store.list("", Some(""), usize::MAX).await.unwrap().is_empty());
}
