//! Queues: the statements behind [`Queues`], and waiting without polling.
use crate::Store;
use crate::fault;
use crate::writer::{Tx, Work, Writer, ms};
use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use windlass_ports::queues::{DEDUP_WINDOW_MS, DELAY_MAX_MS, RECEIVE_MAX, dead_letters};
use windlass_ports::{Delivery, Fault, Outgoing, Queues};

#[async_trait]
impl Queues for Store {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        if is_fifo(queue) && (message.group.is_none() || message.dedup.is_none()) {
            return Err(Fault::poison(format!(
                "a message to {queue} needs a group and a dedup id"
            )));
        }
        if !is_fifo(queue) && message.delay_ms > DELAY_MAX_MS {
            return Err(Fault::poison(format!("a delay is at most {DELAY_MAX_MS} ms")));
        }
        let queue = queue.to_owned();
        self.writer.call(true, move |tx| send(tx, &queue, &message)).await
    }

    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        let deadline = in_ms(wait_ms);
        let waiter = self.waiters.of(queue);
        loop {
            // Registered before looking, so that no send falls between the look and the wait.
            let mut touched = std::pin::pin!(waiter.notified());
            touched.as_mut().enable();
            let order = Order { queue: queue.to_owned(), max: max.min(RECEIVE_MAX), visibility_ms };
            let Taken { deliveries, next_ms } =
                Pending::start(&self.writer, order).await?.finish().await?;
            if !deliveries.is_empty() || max == 0 || Instant::now() >= deadline {
                return Ok(deliveries);
            }
            let until = next_ms.map_or(deadline, |ms| in_ms(ms).min(deadline));
            tokio::select! {
                () = touched => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        let Some(receipt) = Receipt::parse(receipt) else { return Ok(()) };
        let queue = queue.to_owned();
        self.writer.call(false, move |tx| delete(tx, &queue, receipt)).await
    }

    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        let parsed = Receipt::parse(receipt);
        let name = queue.to_owned();
        let call = self.writer.call(false, move |tx| match parsed {
            Some(receipt) => extend(tx, &name, receipt, visibility_ms),
            None => Ok(false),
        });
        if call.await? || visibility_ms == 0 {
            return Ok(());
        }
        Err(Fault::retryable(format!("a receipt of {queue} has expired")))
    }

    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        let now = ms(self.clock.now().0);
        self.readers.read(|conn| {
            conn.prepare_cached(
                "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_ms <= ?2",
            )?
            .query_row(params![queue, now], |row| row.get::<_, u32>(0))
            .map(u64::from)
        })
    }
}

/// Whom to wake when a queue is touched.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<String, Arc<Notify>>>);

impl Waiters {
    fn of(&self, queue: &str) -> Arc<Notify> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(queue.to_owned()).or_default().clone()
    }
    pub(crate) fn wake(&self, queue: &str) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiter) = all.get(queue) {
            waiter.notify_waiters();
        }
    }
}

fn is_fifo(queue: &str) -> bool {
    queue.ends_with(".fifo")
}

/// Names one delivery: the message and how often it had been delivered then.
#[derive(Clone, Copy)]
struct Receipt {
    id: i64,
    receives: u32,
}

impl Receipt {
    fn parse(text: &str) -> Option<Self> {
        let (id, receives) = text.split_once('.')?;
        Some(Self { id: id.parse().ok()?, receives: receives.parse().ok()? })
    }
}

fn send(tx: &mut Tx<'_>, queue: &str, message: &Outgoing) -> rusqlite::Result<()> {
    let (now, mut visible) = (tx.now_ms(), tx.now.plus_ms(message.delay_ms));
    if is_fifo(queue) {
        visible = tx.now;
        if !accept(tx, queue, message.dedup.as_deref().unwrap_or_default(), now)? {
            return Ok(());
        }
    }
    let sql = "INSERT INTO messages (queue, id, grp, body, visible_ms, receives)
               VALUES (?1, ?2, ?3, ?4, ?5, 0)";
    let id = tx.next_number();
    tx.conn.prepare_cached(sql)?.execute(params![
        queue,
        id,
        message.group,
        message.body,
        ms(visible.0)
    ])?;
    tx.touched.insert(queue.to_owned());
    Ok(())
}

/// False if this id was accepted within the window.
fn accept(tx: &mut Tx<'_>, queue: &str, dedup: &str, now: i64) -> rusqlite::Result<bool> {
    let since = now - ms(DEDUP_WINDOW_MS);
    let sql = "INSERT INTO accepted (queue, dedup, at_ms) VALUES (?1, ?2, ?3)
               ON CONFLICT (queue, dedup) DO UPDATE SET at_ms = ?3 WHERE at_ms <= ?4";
    let accepted = tx.conn.prepare_cached(sql)?.execute(params![queue, dedup, now, since])?;
    Ok(accepted == 1)
}

/// Forgets ids whose window has passed; called once a minute, by whichever batch is then.
pub(crate) fn forget(tx: &Tx<'_>) -> rusqlite::Result<()> {
    let since = tx.now_ms() - ms(DEDUP_WINDOW_MS);
    tx.conn.prepare_cached("DELETE FROM accepted WHERE at_ms <= ?1")?.execute([since])?;
    Ok(())
}

/// A day from now at most: more is not worth a timer, and far more does not fit one.
fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms.min(86_400_000))
}

/// What one receive asks for.
struct Order {
    queue: String,
    max: usize,
    visibility_ms: u64,
}

#[derive(Default)]
struct Taken {
    deliveries: Vec<Delivery>,
    /// If there are none: when the next message that is invisible now comes back.
    next_ms: Option<u64>,
}

/// A receive on its way through the writer.
struct Receive {
    order: Order,
    done: Option<Taken>,
    reply: oneshot::Sender<Result<Taken, Fault>>,
}

impl Work for Receive {
    fn durable(&self) -> bool {
        false
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        // Nobody waits for it any more: it takes nothing.
        self.done = if self.reply.is_closed() { None } else { Some(take(tx, &self.order)?) };
        Ok(())
    }
    fn answer(self: Box<Self>, failed: Option<&rusqlite::Error>) -> Option<Box<dyn Work>> {
        let answer = match failed {
            None => Ok(self.done.unwrap_or_default()),
            Some(error) => Err(fault(error)),
        };
        let Err(Ok(lost)) = self.reply.send(answer) else { return None };
        Some(Return::all(self.order.queue, &lost.deliveries))
    }
}

/// Puts back what was taken for a caller that is gone: nobody saw it, so it does not count.
struct Return {
    queue: String,
    receipts: Vec<Receipt>,
}

impl Return {
    fn all(queue: String, deliveries: &[Delivery]) -> Box<dyn Work> {
        let receipts = deliveries.iter().filter_map(|d| Receipt::parse(&d.receipt)).collect();
        Box::new(Self { queue, receipts })
    }
}

impl Work for Return {
    fn durable(&self) -> bool {
        false
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let sql = "UPDATE messages SET visible_ms = ?4, receives = receives - 1
                   WHERE queue = ?1 AND id = ?2 AND receives = ?3";
        for Receipt { id, receives } in &self.receipts {
            let params = params![self.queue, id, receives, tx.now_ms()];
            tx.conn.prepare_cached(sql)?.execute(params)?;
        }
        tx.touched.insert(self.queue.clone());
        Ok(())
    }
    fn answer(self: Box<Self>, _: Option<&rusqlite::Error>) -> Option<Box<dyn Work>> {
        None
    }
}

/// The caller's side of a [`Receive`]. Dropped unfinished (a `select!` that went another way), it
/// returns what it was given.
struct Pending<'a> {
    writer: &'a Writer,
    queue: String,
    answer: oneshot::Receiver<Result<Taken, Fault>>,
}

impl<'a> Pending<'a> {
    async fn start(writer: &'a Writer, order: Order) -> Result<Self, Fault> {
        let (reply, answer) = oneshot::channel();
        let queue = order.queue.clone();
        writer.send(Box::new(Receive { order, done: None, reply })).await?;
        Ok(Self { writer, queue, answer })
    }
    async fn finish(mut self) -> Result<Taken, Fault> {
        (&mut self.answer).await.unwrap_or_else(|_| Err(Fault::retryable("the store has stopped")))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(lost)) = self.answer.try_recv() {
            self.writer.try_send(Return::all(std::mem::take(&mut self.queue), &lost.deliveries));
        }
    }
}

struct Candidate {
    id: i64,
    group: Option<String>,
    body: Vec<u8>,
    receives: u32,
}

fn take(tx: &mut Tx<'_>, order: &Order) -> rusqlite::Result<Taken> {
    let Order { queue, max, visibility_ms } = order;
    // Dead letters of dead letters would be out of reach.
    let last = queue.strip_suffix(".fifo").unwrap_or(queue).ends_with("-dead");
    let receives_max = if last { u32::MAX } else { tx.receives_max };
    let (mut taken, mut given_up) = (Vec::new(), Vec::new());
    {
        let mut select = tx.conn.prepare_cached(if is_fifo(queue) { FIFO } else { STANDARD })?;
        let mut rows = select.query(params![queue, tx.now_ms()])?;
        while taken.len() < *max {
            let Some(row) = rows.next()? else { break };
            let found = Candidate {
                id: row.get(0)?,
                group: row.get(1)?,
                body: row.get(2)?,
                receives: row.get(3)?,
            };
            let give_up = found.receives >= receives_max;
            if give_up { given_up.push(found) } else { taken.push(found) }
        }
    }
    for bad in given_up {
        bury(tx, queue, bad.id)?;
    }
    let mut hide = tx.conn.prepare_cached(
        "UPDATE messages SET visible_ms = ?3, receives = receives + 1
         WHERE queue = ?1 AND id = ?2",
    )?;
    let until = ms(tx.now.plus_ms(*visibility_ms).0);
    for found in &taken {
        hide.execute(params![queue, found.id, until])?;
    }
    let next_ms = if taken.is_empty() { next_visible(tx, queue)? } else { None };
    Ok(Taken { deliveries: taken.into_iter().map(Candidate::deliver).collect(), next_ms })
}

// Oldest first. The `+` keeps SQLite to that order: by the index on `visible_ms` it would have to
// read and sort everything that waits. Rows are stepped through only as far as needed.
const STANDARD: &str = "SELECT id, grp, body, receives FROM messages
     WHERE queue = ?1 AND +visible_ms <= ?2 ORDER BY id";
const FIFO: &str = "SELECT id, grp, body, receives FROM messages
     WHERE queue = ?1 AND +visible_ms <= ?2 AND grp NOT IN (
         SELECT grp FROM messages WHERE queue = ?1 AND visible_ms > ?2)
     ORDER BY id";

impl Candidate {
    fn deliver(self) -> Delivery {
        let receives = self.receives + 1;
        Delivery {
            body: self.body,
            group: self.group,
            receipt: format!("{}.{receives}", self.id),
            receives,
            message_id: self.id.to_string(),
        }
    }
}

/// Moves a message to the dead letters of its queue.
fn bury(tx: &mut Tx<'_>, queue: &str, id: i64) -> rusqlite::Result<()> {
    let dead = dead_letters(queue);
    let sql = "UPDATE messages SET queue = ?3, receives = 0, visible_ms = ?4
               WHERE queue = ?1 AND id = ?2";
    tx.conn.prepare_cached(sql)?.execute(params![queue, id, dead, tx.now_ms()])?;
    tx.touched.insert(dead);
    Ok(())
}

fn next_visible(tx: &Tx<'_>, queue: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT min(visible_ms) FROM messages WHERE queue = ?1 AND visible_ms > ?2";
    let mut select = tx.conn.prepare_cached(sql)?;
    let next: Option<Option<i64>> =
        select.query_row(params![queue, tx.now_ms()], |row| row.get(0)).optional()?;
    Ok(next.flatten().map(|next| u64::try_from(next - tx.now_ms()).unwrap_or(0)))
}

fn delete(tx: &mut Tx<'_>, queue: &str, receipt: Receipt) -> rusqlite::Result<()> {
    // As on SQS: a FIFO queue takes no receipt that has expired, a standard one the latest.
    let sql = "DELETE FROM messages WHERE queue = ?1 AND id = ?2 AND receives = ?3
               AND visible_ms > ?4";
    let after = if is_fifo(queue) { tx.now_ms() } else { -1 };
    let params = params![queue, receipt.id, receipt.receives, after];
    if tx.conn.prepare_cached(sql)?.execute(params)? == 1 && is_fifo(queue) {
        // Its group may be free now.
        tx.touched.insert(queue.to_owned());
    }
    Ok(())
}

/// False if the receipt holds nothing any more.
fn extend(
    tx: &mut Tx<'_>,
    queue: &str,
    receipt: Receipt,
    visibility_ms: u64,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE messages SET visible_ms = ?5
               WHERE queue = ?1 AND id = ?2 AND receives = ?3 AND visible_ms > ?4";
    let until = ms(tx.now.plus_ms(visibility_ms).0);
    let params = params![queue, receipt.id, receipt.receives, tx.now_ms(), until];
    let held = tx.conn.prepare_cached(sql)?.execute(params)? == 1;
    if held {
        tx.touched.insert(queue.to_owned());
    }
    Ok(held)
}

pub(crate) fn hand_back_all(tx: &mut Tx<'_>, queue: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE messages SET visible_ms = ?2
               WHERE queue = ?1 AND visible_ms > ?2 AND receives > 0";
    tx.conn.prepare_cached(sql)?.execute(params![queue, tx.now_ms()])?;
    tx.touched.insert(queue.to_owned());
    Ok(())
}
