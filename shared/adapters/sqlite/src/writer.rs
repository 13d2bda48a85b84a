//! The one thread that writes, and its group commit.
use crate::fault;
use crate::queues::{self, Waiters};
use crate::rising::Rising;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::Fault;

/// Operations of one commit at most: enough to share an `fsync`, few enough to answer soon.
const BATCH_MAX: usize = 256;
/// Operations that may wait; callers beyond them wait to send.
const WAITING_MAX: usize = 1_024;
/// Numbers of one opening: more than a process can write.
const NUMBER_BITS: u32 = 40;

/// One operation on its way through the writer.
pub(crate) trait Work: Send {
    /// Must be on the disk, not only with the system, when it is answered.
    fn durable(&self) -> bool;
    /// Runs it inside a transaction. It may run again if that one is rolled back.
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    /// Answers, after the commit or the failure; may leave something to do next.
    fn answer(self: Box<Self>, failed: Option<&rusqlite::Error>) -> Option<Box<dyn Work>>;
}

/// What an operation works on.
pub(crate) struct Tx<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) now: UnixMs,
    pub(crate) receives_max: u32,
    /// Queues whose waiters must look again after the commit.
    pub(crate) touched: BTreeSet<String>,
    numbers: &'a mut i64,
}

impl Tx<'_> {
    /// Rises for ever, over restarts too: versions never repeat, messages sort by age.
    pub(crate) fn next_number(&mut self) -> i64 {
        *self.numbers += 1;
        *self.numbers
    }
    pub(crate) fn now_ms(&self) -> i64 {
        ms(self.now.0)
    }
}

pub(crate) fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// What the thread starts from.
pub(crate) struct Seed {
    pub(crate) clock: Arc<Rising>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) receives_max: Arc<AtomicU32>,
    pub(crate) opens: i64,
    pub(crate) time_ms: u64,
}

/// The way to the thread. Dropping it lets the thread finish what waits, and waits for that.
pub(crate) struct Writer {
    sender: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(conn: Connection, seed: Seed) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let numbers = seed.opens << NUMBER_BITS;
        let turn = Turn { conn, stored_ms: seed.time_ms, seed, numbers, full: true };
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let thread = Some(thread.spawn(move || turn.run(receiver))?);
        Ok(Self { sender: Some(sender), thread })
    }

    pub(crate) async fn send(&self, work: Box<dyn Work>) -> Result<(), Fault> {
        match &self.sender {
            Some(sender) => sender.send(work).await.map_err(|_| stopped()),
            None => Err(stopped()),
        }
    }

    /// For what may also be left undone.
    pub(crate) fn try_send(&self, work: Box<dyn Work>) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(work);
        }
    }

    /// Runs this on the writer's connection and answers after the commit.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        durable: bool,
        run: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Call { durable, run, done: None, reply })).await?;
        // Gone without an answer: whether it was committed is unknown.
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> Fault {
    Fault::retryable("the store has stopped")
}

struct Call<T, F> {
    durable: bool,
    run: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Work for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn durable(&self) -> bool {
        self.durable
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.done = Some((self.run)(tx)?);
        Ok(())
    }
    fn answer(self: Box<Self>, failed: Option<&rusqlite::Error>) -> Option<Box<dyn Work>> {
        let answer = match (failed, self.done) {
            (None, Some(done)) => Ok(done),
            (Some(error), _) => Err(fault(error)),
            (None, None) => Err(stopped()),
        };
        // Nobody there any more: the caller gave up, the effect stays.
        let _ = self.reply.send(answer);
        None
    }
}

/// The thread's own state.
struct Turn {
    conn: Connection,
    seed: Seed,
    numbers: i64,
    /// The time that the file knows.
    stored_ms: u64,
    /// Whether the connection is set to `synchronous=FULL`.
    full: bool,
}

/// Where a batch failed decides what is done about it.
enum Failed {
    /// In one operation: it took the others back, which may well succeed without it.
    Operation(rusqlite::Error),
    /// At its beginning, or in the commit: then it may have happened, and nothing may run again.
    Batch(rusqlite::Error),
}

type Batch = Vec<Box<dyn Work>>;

impl Turn {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
        let mut batch = Batch::new();
        loop {
            if batch.is_empty() {
                match waiting.blocking_recv() {
                    Some(work) => batch.push(work),
                    None => return,
                }
            }
            while batch.len() < BATCH_MAX {
                let Ok(work) = waiting.try_recv() else { break };
                batch.push(work);
            }
            batch = self.commit(batch);
        }
    }

    /// Commits a batch and answers it; what the answers left to do comes back.
    fn commit(&mut self, mut batch: Batch) -> Batch {
        match self.attempt(&mut batch) {
            Ok(()) => answer(batch, None),
            Err(Failed::Batch(error)) => answer(batch, Some(&error)),
            Err(Failed::Operation(error)) if batch.len() == 1 => answer(batch, Some(&error)),
            // Each gets a transaction of its own.
            Err(Failed::Operation(_)) => {
                batch.into_iter().flat_map(|work| self.commit(vec![work])).collect()
            }
        }
    }

    fn attempt(&mut self, batch: &mut Batch) -> Result<(), Failed> {
        let durable = batch.iter().any(|work| work.durable());
        self.set_full(durable).map_err(Failed::Batch)?;
        let now = self.seed.clock.now();
        let touched = match self.transact(batch, now) {
            Ok(touched) => touched,
            Err(error) => {
                self.roll_back();
                return Err(error);
            }
        };
        for queue in &touched {
            self.seed.waiters.wake(queue);
        }
        Ok(())
    }

    fn transact(&mut self, batch: &mut Batch, now: UnixMs) -> Result<BTreeSet<String>, Failed> {
        let conn = &self.conn;
        let simple = |sql| conn.prepare_cached(sql).and_then(|mut sql| sql.execute([]));
        simple("BEGIN IMMEDIATE").map_err(Failed::Batch)?;
        let mut tx = Tx {
            conn,
            now,
            receives_max: self.seed.receives_max.load(Ordering::Relaxed),
            touched: BTreeSet::new(),
            numbers: &mut self.numbers,
        };
        for work in batch {
            work.run(&mut tx).map_err(Failed::Operation)?;
        }
        // Once a minute in which something happens: keep the time, so that a restart does not go
        // back behind what the file says, and forget old deduplication ids.
        let store_time = now.since_ms(UnixMs(self.stored_ms)) >= MINUTE_MS;
        if store_time {
            queues::forget(&tx).map_err(Failed::Batch)?;
        }
        let touched = tx.touched;
        if store_time {
            let sql = conn.prepare_cached("UPDATE meta SET time_ms = ?1");
            sql.and_then(|mut sql| sql.execute([ms(now.0)])).map_err(Failed::Batch)?;
        }
        simple("COMMIT").map_err(Failed::Batch)?;
        if store_time {
            self.stored_ms = now.0;
        }
        Ok(touched)
    }

    /// In WAL mode, FULL differs from NORMAL in the `fsync` after each commit. Whatever a NORMAL
    /// commit wrote reaches the disk with the next FULL one, in order.
    fn set_full(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != full {
            let level = if full { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.full = full;
        }
        Ok(())
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // If this fails too, the next BEGIN fails and says so.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }
}

fn answer(batch: Batch, failed: Option<&rusqlite::Error>) -> Batch {
    batch.into_iter().filter_map(|work| work.answer(failed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_ports::fake::FakeClock;

    fn writer() -> Writer {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n < 100))").unwrap();
        let clock = Arc::new(Rising::new(FakeClock::default().shared(), UnixMs(0)));
        let receives_max = Arc::new(AtomicU32::new(3));
        let seed =
            Seed { clock, waiters: Arc::default(), receives_max, opens: 1, time_ms: u64::MAX };
        Writer::start(conn, seed).unwrap()
    }

    async fn insert(writer: &Writer, n: i64) -> Result<usize, Fault> {
        writer.call(true, move |tx| tx.conn.execute("INSERT INTO t VALUES (?1)", [n])).await
    }

    /// Operations that fail take only themselves back, also out of a shared transaction.
    #[tokio::test]
    async fn a_bad_operation_fails_alone() {
        let writer = Arc::new(writer());
        // Holds the thread until all others wait, so that they become one batch. A hang-up lets it
        // go for good: if it has become one of them, it is run again.
        let (go, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::spawn({
            let writer = writer.clone();
            async move { writer.call(true, move |_| Ok(held.recv().is_err())).await }
        });
        tokio::task::yield_now().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in [1, 2, 200, 3, 300, 4] {
            let writer = writer.clone();
            tasks.spawn(async move { (n, insert(&writer, n).await) });
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop(go);
        assert!(holding.await.unwrap().unwrap());
        while let Some(done) = tasks.join_next().await {
            let (n, answer) = done.unwrap();
            match answer {
                Ok(_) => assert!(n < 100, "{n}"),
                Err(fault) => assert!(n >= 100 && fault.is_retryable(), "{n}"),
            }
        }
        let sum = "SELECT sum(n) FROM t";
        let sum =
            writer.call(false, move |tx| tx.conn.query_row(sum, [], |row| row.get::<_, i64>(0)));
        assert_eq!(sum.await.unwrap(), 10);
    }

    /// A commit that fails may have happened: whatever an operation had decided, its caller hears
    /// that it is unknown, and it does not run again.
    #[tokio::test]
    async fn a_failed_commit_is_unknown() {
        let writer = writer();
        let setup = "PRAGMA foreign_keys = ON;
             CREATE TABLE child (n REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)";
        let setup = writer.call(true, move |tx| {
            // Foreign keys are switched outside of transactions only.
            tx.conn.execute_batch("COMMIT")?;
            tx.conn.execute_batch(setup)?;
            tx.conn.execute_batch("BEGIN")
        });
        setup.await.unwrap();
        let mut runs = 0;
        let bad = writer.call(true, move |tx| {
            runs += 1;
            assert_eq!(runs, 1);
            // Found missing only by the commit.
            tx.conn.execute("INSERT INTO child VALUES (7)", [])?;
            Ok("decided")
        });
        assert!(bad.await.unwrap_err().is_retryable());
        assert_eq!(insert(&writer, 1).await.unwrap(), 1, "the next one is not harmed");
    }
}
