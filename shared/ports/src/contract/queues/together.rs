//! Several at once: who receives side by side, and who waits while something happens.
use super::{LONG_MS, Yard, in_group, plain, text};
use crate::queues::{Delivery, Queues};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Many receivers at once: within the visibility time every message comes once, and those of a
/// group in order, though a receiver hands some back.
pub async fn nothing_is_lost_or_doubled(yard: &Yard) {
    let (groups, each, receivers) = (10, 12, 6);
    for name in ["many.fifo", "many"] {
        let queue = yard.queue(name);
        let mut sending = JoinSet::new();
        for group in 0..groups {
            let (queues, queue) = (yard.ground.port.clone(), queue.clone());
            sending.spawn(async move {
                for n in 0..each {
                    let message = in_group(&format!("g{group}"), &format!("{group}.{n:03}"));
                    queues.send(&queue, message).await.unwrap();
                }
            });
        }
        let done: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut receiving = JoinSet::new();
        for receiver in 0..receivers {
            let (queues, queue, done) = (yard.ground.port.clone(), queue.clone(), done.clone());
            receiving.spawn(async move { drain(&*queues, &queue, receiver, &done).await });
        }
        let enough = Instant::now() + Duration::from_secs(60);
        while done.lock().unwrap().len() < groups * each && Instant::now() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        receiving.shutdown().await;
        while let Some(sent) = sending.join_next().await {
            sent.unwrap();
        }
        let done = done.lock().unwrap();
        let distinct: BTreeSet<&String> = done.iter().collect();
        assert_eq!((distinct.len(), done.len()), (groups * each, groups * each), "{name}");
        if name.ends_with(".fifo") {
            let mut by_group: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
            for body in done.iter() {
                by_group.entry(body.split('.').next().unwrap()).or_default().push(body);
            }
            assert!(by_group.values().all(|bodies| bodies.is_sorted()), "{by_group:?}");
        }
    }
}

async fn drain(queues: &dyn Queues, queue: &str, receiver: usize, done: &Mutex<Vec<String>>) {
    for round in 0_usize.. {
        let taken = queues.receive(queue, 3, 20, LONG_MS).await.unwrap();
        // Every third time it keeps the first only, but hands nothing back twice: that would add
        // up to a dead letter.
        let picky = (round + receiver).is_multiple_of(3) && taken.iter().all(|d| d.receives == 1);
        let keep = if picky { 1 } else { taken.len() };
        for (n, delivery) in taken.iter().enumerate() {
            if n < keep {
                done.lock().unwrap().push(text(delivery));
                queues.delete(queue, &delivery.receipt).await.unwrap();
            } else {
                queues.extend(queue, &delivery.receipt, 0).await.unwrap();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A receive of at most five seconds, while something happens after a moment.
async fn meanwhile(
    yard: &Yard,
    queue: &str,
    event: impl Future<Output = ()>,
) -> (Vec<Delivery>, Duration) {
    let began = Instant::now();
    let receive = async {
        let taken = yard.queues().receive(queue, 1, 5_000, LONG_MS).await.unwrap();
        (taken, began.elapsed())
    };
    let happens = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        event.await;
    };
    tokio::join!(receive, happens).0
}

pub async fn wakes_on_send(yard: &Yard) {
    if !yard.waits {
        return;
    }
    for (name, message) in [("wake", plain("x")), ("wake.fifo", in_group("a", "x"))] {
        let queue = yard.queue(name);
        let send = async { yard.queues().send(&queue, message).await.unwrap() };
        let (taken, took) = meanwhile(yard, &queue, send).await;
        assert_eq!(taken.len(), 1, "{name}");
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    }
    // Nothing comes: it waits as long as it was told, and no longer.
    let began = Instant::now();
    let none = yard.queues().receive(&yard.queue("silent"), 1, 300, LONG_MS).await.unwrap();
    assert!(none.is_empty());
    assert!((290..3_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

pub async fn wakes_when_the_group_is_free(yard: &Yard) {
    if !yard.waits {
        return;
    }
    let queue = yard.queue("free.fifo");
    yard.send(&queue, "a", &["0", "1"]).await;
    let first = yard.take(&queue, 1, LONG_MS).await;
    let (second, took) = meanwhile(yard, &queue, yard.delete(&queue, &first[0])).await;
    assert_eq!(text(&second[0]), "1");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let back = async { yard.hand_back(&queue, &second).await };
    let (again, took) = meanwhile(yard, &queue, back).await;
    assert_eq!((text(&again[0]).as_str(), again[0].receives), ("1", 2));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

pub async fn wakes_on_a_lapse(yard: &Yard) {
    if !yard.waits {
        return;
    }
    let queue = yard.queue("lapses");
    yard.queues().send(&queue, plain("x")).await.unwrap();
    assert_eq!(yard.take(&queue, 1, 1_000).await.len(), 1);
    let pass = async { assert!(yard.ground.time.pass(1_000).await) };
    let (taken, took) = meanwhile(yard, &queue, pass).await;
    assert_eq!(taken.len(), 1);
    assert!(took < Duration::from_secs(3), "{took:?}");
}
