//! Opening the file: one server at a time, one format, clear refusals.
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_core::time::UnixMs;

/// Format of the tables below. Another one needs another number, and a way from this to that.
const FORMAT: i64 = 1;
/// "WNDL" in the file's header: this file is ours.
const APPLICATION: i64 = 0x574E_444C;
/// Only a foreign program (a backup, somebody's shell) can hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps; more than this crate has.
const STATEMENTS: usize = 32;

const TABLES: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    opens INTEGER NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE docs (
    key TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    written_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE messages (
    queue TEXT NOT NULL,
    id INTEGER NOT NULL,
    grp TEXT,
    body BLOB NOT NULL,
    visible_ms INTEGER NOT NULL,
    receives INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_visible ON messages (queue, visible_ms, grp);
CREATE TABLE accepted (
    queue TEXT NOT NULL,
    dedup TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (queue, dedup)
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES (1, 0, 0);
";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another server{} has {} open", .pid.map(|p| format!(" (pid {p})")).unwrap_or_default(), .path.display())]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("the store has format {found}; this program reads format {expected}")]
    OtherVersion { found: i64, expected: i64 },
    #[error("{} is not a Windlass store", .path.display())]
    NotAStore { path: PathBuf },
    #[error("{} is damaged; restore it from a backup", .path.display())]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error("can't write {}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("can't open {}", .path.display())]
    Sql { path: PathBuf, source: rusqlite::Error },
}

impl OpenError {
    pub(crate) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAStore { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, source },
            _ => Self::Sql { path, source },
        }
    }
}

pub(crate) struct Opened {
    pub(crate) conn: Connection,
    /// Held as long as the store is open; the system lets go of it when the process dies.
    pub(crate) lock: File,
    /// How often the file was opened for writing, this time included.
    pub(crate) opens: i64,
    /// No time in the file is later than about a minute after this.
    pub(crate) time_ms: u64,
}

pub(crate) fn open(path: &Path, now: UnixMs) -> Result<Opened, OpenError> {
    let lock = lock(path)?;
    let (opens, time_ms, conn) = prepare(path, now)?;
    Ok(Opened { conn, lock, opens, time_ms })
}

/// Keeps a second server off: a lock on a file beside the store, with our pid for its message.
fn lock(path: &Path) -> Result<File, OpenError> {
    let beside = path.with_added_extension("lock");
    let folder = |source| OpenError::Folder { path: beside.clone(), source };
    let mut file = private().open(&beside).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(source)) => return Err(folder(source)),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: path.to_owned(), pid });
        }
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(folder)?;
    Ok(file)
}

/// Created for its owner alone, and never emptied.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

fn prepare(path: &Path, now: UnixMs) -> Result<(i64, u64, Connection), OpenError> {
    // SQLite would make the file readable for all, and open one read-only without a word.
    private().open(path).map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
    let sql = |e| OpenError::of(path, e);
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sql)?;
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (found, application) =
        (number("user_version").map_err(sql)?, number("application_id").map_err(sql)?);
    let new = found == 0 && application == 0 && is_empty(&conn).map_err(sql)?;
    if !new && application != APPLICATION {
        return Err(OpenError::NotAStore { path: path.to_owned() });
    }
    if !new && found != FORMAT {
        return Err(OpenError::OtherVersion { found, expected: FORMAT });
    }
    conn.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(sql)?;
    let (opens, time_ms) = count_open(&mut conn, new, now).map_err(sql)?;
    Ok((opens, time_ms, conn))
}

/// In one transaction, so that a file is never half made.
fn count_open(conn: &mut Connection, new: bool, now: UnixMs) -> rusqlite::Result<(i64, u64)> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if new {
        tx.execute_batch(TABLES)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", FORMAT)?;
    }
    let counted = tx.query_row(
        "UPDATE meta SET opens = opens + 1, time_ms = max(time_ms, ?1) RETURNING opens, time_ms",
        [i64::try_from(now.0).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)),
    )?;
    tx.commit()?;
    Ok((counted.0, u64::try_from(counted.1).unwrap_or(0)))
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    let any = conn.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(())).optional()?;
    Ok(any.is_none())
}

pub(crate) fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    // One connection is never used by two threads at once; no URI: a path is a path.
    let conn = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}
