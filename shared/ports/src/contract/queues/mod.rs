//! Queues: order, locks, visibility, deduplication, dead letters, waiting.
mod together;

use super::{Ground, rows};
use crate::fault::Fault;
use crate::queues::{
    DEDUP_WINDOW_MS, DELAY_MAX_MS, Delivery, Outgoing, Queues, RECEIVE_MAX, dead_letters,
};
pub use together::{
    nothing_is_lost_or_doubled, wakes_on_a_lapse, wakes_on_send, wakes_when_the_group_is_free,
};

/// Queues under test, and how they were set up.
pub struct Yard {
    pub ground: Ground<dyn Queues>,
    /// Receives after which a message goes to the dead letters; small, so that rows reach it.
    pub receives_max: u32,
    /// False if a `receive` that finds nothing returns at once.
    pub waits: bool,
}

rows!(Yard:
    keeps_bytes, sends_and_deletes_many,
    fifo_keeps_order_and_locks_the_group, hands_back_in_order, a_lapse_gives_back_in_order,
    a_gap_stays_a_gap, later_messages_wait_for_the_group, takes_at_most_max,
    fifo_refuses_without_group_or_dedup, drops_duplicates_for_five_minutes,
    standard_takes_no_lock, standard_delays, an_old_receipt_does_nothing, extends,
    gives_up_after_too_many_receives, dead_letters_stay, depth_counts_what_waits, queues_are_apart,
    nothing_is_lost_or_doubled, wakes_on_send, wakes_when_the_group_is_free, wakes_on_a_lapse,
);

/// Longer than any row takes.
const LONG_MS: u64 = 60_000;
/// A visibility that rows outwait.
const SHORT_MS: u64 = 2_000;

impl Yard {
    fn queue(&self, name: &str) -> String {
        format!("{}-{name}", self.ground.prefix)
    }
    fn queues(&self) -> &dyn Queues {
        &*self.ground.port
    }
    async fn send(&self, queue: &str, group: &str, bodies: &[&str]) {
        for body in bodies {
            self.queues().send(queue, in_group(group, body)).await.unwrap();
        }
    }
    async fn take(&self, queue: &str, max: usize, visibility_ms: u64) -> Vec<Delivery> {
        self.queues().receive(queue, max, 0, visibility_ms).await.unwrap()
    }
    /// Bodies that a receive gets now; they stay invisible.
    async fn bodies(&self, queue: &str) -> Vec<String> {
        self.take(queue, RECEIVE_MAX, LONG_MS).await.iter().map(text).collect()
    }
    async fn delete(&self, queue: &str, delivery: &Delivery) {
        self.queues().delete(queue, &delivery.receipt).await.unwrap();
    }
    async fn hand_back(&self, queue: &str, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.queues().extend(queue, &delivery.receipt, 0).await.unwrap();
        }
    }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.clone()).unwrap()
}

fn plain(body: &str) -> Outgoing {
    Outgoing { body: body.into(), ..Outgoing::default() }
}

fn in_group(group: &str, body: &str) -> Outgoing {
    Outgoing {
        group: Some(group.to_owned()),
        dedup: Some(format!("{group} {body}")),
        ..plain(body)
    }
}

pub async fn keeps_bytes(yard: &Yard) {
    let large: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let text = "{\"ä\":\"☃ \u{10FFFF}\"}\r\n".repeat(20_000).into_bytes();
    let bodies = [vec![], vec![0, 255, 10, 0], b"windlass-".to_vec(), large, text];
    for (n, body) in bodies.into_iter().enumerate() {
        let queue = yard.queue("bytes");
        yard.queues().send(&queue, Outgoing { body: body.clone(), ..plain("") }).await.unwrap();
        // Handed back, and got again whole.
        for receives in [1, 2] {
            let taken = yard.take(&queue, 1, LONG_MS).await;
            assert!(taken[0].body == body && taken[0].receives == receives, "{n}");
            if receives == 1 {
                yard.hand_back(&queue, &taken).await;
            } else {
                yard.delete(&queue, &taken[0]).await;
            }
        }
        assert_eq!(yard.queues().depth(&queue).await.unwrap(), 0, "{n}");
    }
}

pub async fn sends_and_deletes_many(yard: &Yard) {
    for name in ["several.fifo", "several"] {
        let (queue, mut messages) = (yard.queue(name), Vec::new());
        for n in 0..23 {
            messages.push(in_group("a", &format!("{n:02}")));
        }
        // Two that no queue of this kind takes.
        let late = Outgoing { delay_ms: DELAY_MAX_MS + 1_000, group: None, ..plain("odd") };
        messages.insert(0, late.clone());
        messages.insert(12, late);
        let outcomes = yard.queues().send_many(&queue, messages).await;
        let refused: Vec<usize> = (0..outcomes.len()).filter(|n| outcomes[*n].is_err()).collect();
        assert_eq!((outcomes.len(), refused), (25, vec![0, 12]), "{name}");
        assert!(outcomes.into_iter().filter_map(Result::err).all(|fault| !fault.is_retryable()));
        let mut seen = Vec::new();
        loop {
            let taken = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
            if taken.is_empty() {
                break;
            }
            seen.extend(taken.iter().map(text));
            let mut receipts: Vec<&str> = taken.iter().map(|d| d.receipt.as_str()).collect();
            receipts.extend(["odd", ""]);
            let outcomes = yard.queues().delete_many(&queue, &receipts).await;
            assert_eq!(outcomes.len(), receipts.len(), "{name}");
            assert!(outcomes.iter().all(Result::is_ok), "{name}: {outcomes:?}");
        }
        if !name.ends_with(".fifo") {
            seen.sort();
        }
        let expected: Vec<String> = (0..23).map(|n| format!("{n:02}")).collect();
        assert_eq!(seen, expected, "{name}");
        assert!(yard.queues().send_many(&queue, vec![]).await.is_empty());
        assert!(yard.queues().delete_many(&queue, &[]).await.is_empty());
    }
}

pub async fn fifo_keeps_order_and_locks_the_group(yard: &Yard) {
    let queue = yard.queue("order.fifo");
    yard.send(&queue, "a", &["0", "1", "2", "3"]).await;
    let taken = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert!(taken.iter().all(|d| d.group.as_deref() == Some("a") && d.receives == 1));
    assert!(yard.bodies(&queue).await.is_empty(), "the group is in flight");
    yard.send(&queue, "b", &["other"]).await;
    assert_eq!(yard.bodies(&queue).await, ["other"], "another group is not held up");
}

pub async fn hands_back_in_order(yard: &Yard) {
    let queue = yard.queue("back.fifo");
    yard.send(&queue, "a", &["0", "1", "2", "3"]).await;
    let taken = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    yard.delete(&queue, &taken[0]).await;
    yard.hand_back(&queue, &taken[1..]).await;
    let again = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(again.iter().all(|d| d.receives == 2));
    // Handed back from behind: the order is that of sending.
    yard.hand_back(&queue, &again.into_iter().rev().collect::<Vec<_>>()).await;
    assert_eq!(yard.bodies(&queue).await, ["1", "2", "3"]);
}

pub async fn a_lapse_gives_back_in_order(yard: &Yard) {
    let queue = yard.queue("lapse.fifo");
    yard.send(&queue, "a", &["0", "1"]).await;
    assert_eq!(yard.take(&queue, RECEIVE_MAX, SHORT_MS).await.len(), 2);
    yard.send(&queue, "a", &["2"]).await;
    assert!(yard.bodies(&queue).await.is_empty());
    assert!(yard.ground.time.pass(SHORT_MS + 500).await);
    let again = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    let counted: Vec<_> = again.iter().map(|d| (text(d), d.receives)).collect();
    assert_eq!(counted, [("0".into(), 2), ("1".into(), 2), ("2".into(), 1)]);
}

pub async fn a_gap_stays_a_gap(yard: &Yard) {
    let queue = yard.queue("gap.fifo");
    yard.send(&queue, "a", &["0", "1", "2"]).await;
    let taken = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    yard.delete(&queue, &taken[1]).await;
    assert!(yard.bodies(&queue).await.is_empty(), "the rest of the group is still in flight");
    yard.hand_back(&queue, &[taken[0].clone(), taken[2].clone()]).await;
    assert_eq!(yard.bodies(&queue).await, ["0", "2"]);
}

pub async fn later_messages_wait_for_the_group(yard: &Yard) {
    let queue = yard.queue("later.fifo");
    yard.send(&queue, "a", &["0"]).await;
    let first = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    yard.send(&queue, "a", &["1"]).await;
    assert!(yard.bodies(&queue).await.is_empty());
    yard.delete(&queue, &first[0]).await;
    assert_eq!(yard.bodies(&queue).await, ["1"]);
}

pub async fn takes_at_most_max(yard: &Yard) {
    let fifo = yard.queue("max.fifo");
    yard.send(&fifo, "a", &["0", "1", "2"]).await;
    let taken = yard.take(&fifo, 2, LONG_MS).await;
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["0", "1"]);
    assert!(yard.bodies(&fifo).await.is_empty());
    let standard = yard.queue("max");
    for n in 0..RECEIVE_MAX + 2 {
        yard.queues().send(&standard, plain(&n.to_string())).await.unwrap();
    }
    assert!(yard.take(&standard, 1_000, LONG_MS).await.len() <= RECEIVE_MAX);
}

pub async fn fifo_refuses_without_group_or_dedup(yard: &Yard) {
    let queue = yard.queue("refuse.fifo");
    let whole = in_group("a", "x");
    for odd in [
        plain("x"),
        Outgoing { group: None, ..whole.clone() },
        Outgoing { dedup: None, ..whole.clone() },
    ] {
        assert!(
            !yard.queues().send(&queue, odd.clone()).await.unwrap_err().is_retryable(),
            "{odd:?}"
        );
    }
    let late = Outgoing { delay_ms: DELAY_MAX_MS + 1_000, ..plain("x") };
    let refused = yard.queues().send(&yard.queue("refuse"), late).await;
    assert!(!refused.unwrap_err().is_retryable());
    // A delay means nothing to a FIFO queue.
    yard.queues().send(&queue, Outgoing { delay_ms: 5_000, ..whole }).await.unwrap();
    assert_eq!(yard.bodies(&queue).await, ["x"]);
}

pub async fn drops_duplicates_for_five_minutes(yard: &Yard) {
    let queue = yard.queue("dedup.fifo");
    let message = |body: &str| Outgoing { dedup: Some("same".to_owned()), ..in_group("a", body) };
    yard.queues().send(&queue, message("first")).await.unwrap();
    yard.queues().send(&queue, message("second")).await.unwrap();
    let taken = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), ["first"]);
    yard.delete(&queue, &taken[0]).await;
    yard.queues().send(&queue, message("after the deletion")).await.unwrap();
    assert!(yard.bodies(&queue).await.is_empty());
    // Another queue, another memory.
    let other = yard.queue("dedup-other.fifo");
    yard.queues().send(&other, message("elsewhere")).await.unwrap();
    assert_eq!(yard.bodies(&other).await, ["elsewhere"]);
    if yard.ground.time.pass(DEDUP_WINDOW_MS + 1_000).await {
        yard.queues().send(&queue, message("later")).await.unwrap();
        assert_eq!(yard.bodies(&queue).await, ["later"]);
    }
}

pub async fn standard_takes_no_lock(yard: &Yard) {
    let queue = yard.queue("standard");
    let sent = [in_group("a", "0"), in_group("a", "1"), plain("2"), plain("2")];
    for message in sent {
        yard.queues().send(&queue, message).await.unwrap();
    }
    // One at a time: a message in flight holds up nobody, and nothing is a duplicate.
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(yard.take(&queue, 1, LONG_MS).await.iter().map(text));
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "2"]);
}

pub async fn standard_delays(yard: &Yard) {
    let queue = yard.queue("delay");
    yard.queues().send(&queue, Outgoing { delay_ms: SHORT_MS, ..plain("later") }).await.unwrap();
    yard.queues().send(&queue, plain("now")).await.unwrap();
    assert_eq!(yard.bodies(&queue).await, ["now"]);
    assert!(yard.ground.time.pass(SHORT_MS + 500).await);
    let late = yard.take(&queue, RECEIVE_MAX, LONG_MS).await;
    assert_eq!(
        late.iter().map(|d| (text(d), d.receives)).collect::<Vec<_>>(),
        [("later".into(), 1)]
    );
}

pub async fn an_old_receipt_does_nothing(yard: &Yard) {
    for name in ["receipt.fifo", "receipt"] {
        let queue = yard.queue(name);
        yard.send(&queue, "a", &["x"]).await;
        let first = yard.take(&queue, 1, SHORT_MS).await;
        assert!(yard.ground.time.pass(SHORT_MS + 500).await);
        let second = yard.take(&queue, 1, LONG_MS).await;
        assert_eq!(first[0].message_id, second[0].message_id, "{name}");
        assert_ne!(first[0].receipt, second[0].receipt, "{name}");
        if name.ends_with(".fifo") {
            yard.delete(&queue, &first[0]).await;
            yard.hand_back(&queue, &first).await;
            assert!(yard.bodies(&queue).await.is_empty(), "still held by the second");
            yard.hand_back(&queue, &second).await;
            assert_eq!(yard.bodies(&queue).await, ["x"], "the first deleted nothing");
        }
        // A receipt that never was, and one that deletes twice.
        let third = yard.take(&queue, 1, LONG_MS).await;
        for receipt in third.iter().chain(&second).map(|d| d.receipt.as_str()).chain(["odd", ""]) {
            yard.queues().delete(&queue, receipt).await.unwrap();
            yard.queues().delete(&queue, receipt).await.unwrap();
        }
    }
}

pub async fn extends(yard: &Yard) {
    for name in ["extend.fifo", "extend"] {
        extends_on(yard, &yard.queue(name)).await;
    }
}

async fn extends_on(yard: &Yard, queue: &str) {
    yard.send(queue, "a", &["x"]).await;
    let taken = yard.take(queue, 1, SHORT_MS).await;
    yard.queues().extend(queue, &taken[0].receipt, 3 * SHORT_MS).await.unwrap();
    assert!(yard.ground.time.pass(SHORT_MS + 500).await);
    assert!(yard.bodies(queue).await.is_empty(), "it was extended");
    assert!(yard.ground.time.pass(2 * SHORT_MS).await);
    // The receipt has lapsed: whoever asks for more must hear of it, handing back is done.
    let refused = yard.queues().extend(queue, &taken[0].receipt, LONG_MS).await;
    assert!(refused.is_err_and(|fault: Fault| fault.is_retryable()));
    yard.hand_back(queue, &taken).await;
    assert_eq!(yard.bodies(queue).await, ["x"]);
}

pub async fn gives_up_after_too_many_receives(yard: &Yard) {
    for name in ["bad.fifo", "bad"] {
        let queue = yard.queue(name);
        yard.send(&queue, "a", &["bad", "good"]).await;
        for n in 1..=yard.receives_max {
            let taken = yard.take(&queue, 1, LONG_MS).await;
            assert_eq!((text(&taken[0]).as_str(), taken[0].receives), ("bad", n), "{name}");
            yard.hand_back(&queue, &taken).await;
        }
        assert_eq!(yard.bodies(&queue).await, ["good"], "{name}: the next one is free");
        let dead = yard.take(&dead_letters(&queue), 1, LONG_MS).await;
        assert_eq!(
            (text(&dead[0]).as_str(), dead[0].group.as_deref()),
            ("bad", Some("a")),
            "{name}"
        );
    }
}

pub async fn dead_letters_stay(yard: &Yard) {
    let queue = dead_letters(&yard.queue("stay.fifo"));
    yard.send(&queue, "a", &["bad"]).await;
    for _ in 0..yard.receives_max + 3 {
        let taken = yard.take(&queue, 1, LONG_MS).await;
        assert_eq!(taken.len(), 1);
        yard.hand_back(&queue, &taken).await;
    }
}

pub async fn depth_counts_what_waits(yard: &Yard) {
    let queue = yard.queue("depth");
    assert_eq!(yard.queues().depth(&queue).await.unwrap(), 0);
    for n in 0..3 {
        yard.queues().send(&queue, plain(&n.to_string())).await.unwrap();
    }
    assert_eq!(yard.queues().depth(&queue).await.unwrap(), 3);
    let taken = yard.take(&queue, 1, LONG_MS).await;
    assert_eq!(yard.queues().depth(&queue).await.unwrap(), 2);
    yard.delete(&queue, &taken[0]).await;
    assert_eq!(yard.queues().depth(&queue).await.unwrap(), 2);
}

pub async fn queues_are_apart(yard: &Yard) {
    let (here, there) = (yard.queue("here.fifo"), yard.queue("there.fifo"));
    yard.send(&here, "a", &["x"]).await;
    let taken = yard.take(&here, 1, LONG_MS).await;
    yard.send(&there, "a", &["x"]).await;
    yard.queues().delete(&there, &taken[0].receipt).await.unwrap();
    assert_eq!(yard.bodies(&there).await, ["x"], "another queue's lock and receipt mean nothing");
    assert!(yard.bodies(&yard.queue("nowhere")).await.is_empty());
}
