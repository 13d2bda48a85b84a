//! Swaps per second of the embedded store, one caller, each durable; against the least that a
//! durable change can cost in SQLite on the same disk, in turns.
use crate::exit::Failure;
use adapter_sqlite::Store;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use windlass_ports::clock::SteadyClock;
use windlass_ports::{Docs as _, Expect};
use windlass_report::Report;
use windlass_report::stats::{median, rounded};

const ROUNDS: usize = 9;
const WARM_UP: usize = 2;
/// Callers that share a commit.
const CALLERS: usize = 16;
/// As large as a stack's head between two runs.
const BODY_BYTES: usize = 4_096;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Changes in each turn
    #[arg(long, default_value_t = 300, value_name = "N")]
    swaps: usize,
    /// The folder whose disk is measured [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    on: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Self { swaps: 300, on: None }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// A folder that goes at the end.
pub(crate) fn folder(on: Option<&Path>) -> Result<tempfile::TempDir, Failure> {
    let made = match on {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    made.map_err(|e| Failure::missing("no folder for temporary files can be made").because(e))
}

fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::failed("the store can't be measured").because(e)
}

pub(crate) fn measure(args: &Args) -> Result<Report, Failure> {
    let folder = folder(args.on.as_deref())?;
    let store = Store::open(&folder.path().join("windlass.db"), Arc::new(SteadyClock::start()));
    let store = Arc::new(store.map_err(failed)?);
    let bare = bare(&folder.path().join("bare.db")).map_err(failed)?;
    let runtime = crate::up::runtime()?;
    let (mut ours, mut theirs, mut shared, mut ratios) = (vec![], vec![], vec![], vec![]);
    for round in 0..WARM_UP + ROUNDS {
        let a = rate(args.swaps, || runtime.block_on(swaps(&store, "heads/one", args.swaps)))?;
        let b = rate(args.swaps, || updates(&bare, args.swaps).map_err(failed))?;
        let all = args.swaps * 4;
        let c = rate(all, || runtime.block_on(together(&store, all / CALLERS)))?;
        if round >= WARM_UP {
            ours.push(a);
            theirs.push(b);
            shared.push(c);
            ratios.push(a / b);
        }
    }
    let mut report = Report::new("store", "Durable changes of the embedded store, one at a time");
    let what = "ours, in proportion to a bare BEGIN IMMEDIATE; UPDATE; COMMIT loop";
    report.figure("ratio", median(&ratios), "", what).at_least = Some(0.5);
    report.figure("swaps_per_second", median(&ours), "/s", "swaps of one document");
    let what = "bare SQL on the same disk, WAL, synchronous=FULL";
    report.figure("bare_per_second", median(&theirs), "/s", what);
    let what = "swaps by 16 callers at once, who share commits";
    report.figure("shared_per_second", median(&shared), "/s", what);
    Ok(report)
}

fn rate(n: usize, work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let began = Instant::now();
    work()?;
    Ok(rounded(count(n) / began.elapsed().as_secs_f64(), 1))
}

/// Reads nothing: the version that a swap answers is the next one's expectation.
async fn swaps(store: &Store, key: &str, swaps: usize) -> Result<(), Failure> {
    let body = vec![b'x'; BODY_BYTES];
    let found = store.get(key).await?;
    let mut expect = found.map_or(Expect::Absent, |found| Expect::At(found.version));
    for _ in 0..swaps {
        let version = store.put(key, expect, body.clone()).await.map_err(failed)?;
        expect = Expect::At(version);
    }
    Ok(())
}

async fn together(store: &Arc<Store>, each: usize) -> Result<(), Failure> {
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move { swaps(&store, &format!("heads/{n}"), each).await });
    }
    while let Some(ended) = callers.join_next().await {
        ended.map_err(failed)??;
    }
    Ok(())
}

fn bare(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("CREATE TABLE docs (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;")?;
    let body = vec![b'x'; BODY_BYTES];
    conn.execute("INSERT INTO docs VALUES ('one', ?1)", [&body])?;
    Ok(conn)
}

static COUNT: AtomicU64 = AtomicU64::new(0);

fn updates(conn: &Connection, updates: usize) -> rusqlite::Result<()> {
    let mut body = vec![b'y'; BODY_BYTES];
    for _ in 0..updates {
        // An update that changes nothing writes nothing, and is no match for one that does.
        let fresh = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        body.splice(..fresh.len(), fresh);
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        conn.prepare_cached("UPDATE docs SET body = ?1 WHERE key = 'one'")?.execute([&body])?;
        conn.prepare_cached("COMMIT")?.execute([])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_change_what_they_say() {
        let report = measure(&Args { swaps: 16, on: None }).unwrap();
        for key in ["ratio", "swaps_per_second", "bare_per_second", "shared_per_second"] {
            assert!(report.figures[key] > 0.0, "{key}");
        }
    }
}
