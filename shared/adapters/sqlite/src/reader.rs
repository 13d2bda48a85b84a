//! Reads, on connections of their own.
use crate::open::connect;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_ports::Fault;

/// More would only wait for the same processor.
const CONNECTIONS: usize = 4;

/// Connections that only read. In WAL mode they see every commit that was answered, and wait for
/// no writer. A read runs on the caller's thread: it takes microseconds out of the page cache,
/// less than handing it to another thread and back.
pub(crate) struct Readers(Vec<Mutex<Connection>>);

impl Readers {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let open = |_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map(Mutex::new);
        Ok(Self((0..CONNECTIONS).map(open).collect::<rusqlite::Result<_>>()?))
    }

    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        let free = self.0.iter().find_map(|conn| conn.try_lock().ok());
        // All busy: wait for the first. There is one; a poisoned lock hides no damage, since a
        // statement that a panic left behind was reset when it was dropped.
        let conn: Option<MutexGuard<'_, Connection>> = free.or_else(|| {
            self.0.first().map(|conn| conn.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let Some(conn) = conn else { return Err(Fault::retryable("the store is not open")) };
        read(&conn).map_err(|e| crate::fault(&e))
    }
}
