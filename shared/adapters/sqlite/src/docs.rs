//! Documents: the statements behind [`Docs`].
use crate::Store;
use crate::writer::Tx;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use windlass_core::time::UnixMs;
use windlass_ports::docs::{KEY_BYTES_MAX, LIST_MAX};
use windlass_ports::{Docs, Expect, Fault, Found, Listed, PutError, Version};

#[async_trait]
impl Docs for Store {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        let found = self.readers.read(|conn| get(conn, key))?;
        Ok(found.map(|(version, written, body)| Found {
            version: Version(version.to_string()),
            body,
            age_ms: self.clock.now().since_ms(written),
        }))
    }

    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let bytes = key.len();
            let what = format!("a key has 1 to {KEY_BYTES_MAX} bytes, not {bytes}");
            return Err(Fault::poison(what).into());
        }
        let key = key.to_owned();
        let put = self.writer.call(true, move |tx| match &expect {
            Expect::Absent => create(tx, &key, &body),
            Expect::At(version) => swap(tx, &key, version, &body),
        });
        put.await?.map(|version| Version(version.to_string())).ok_or(PutError::Conflict)
    }

    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        let (key, expect) = (key.to_owned(), expect.clone());
        let gone = self.writer.call(true, move |tx| delete(tx, &key, &expect)).await?;
        if gone { Ok(()) } else { Err(PutError::Conflict) }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.readers.read(|conn| list(conn, prefix, after, limit.min(LIST_MAX)))
    }
}

type Row = (i64, UnixMs, Vec<u8>);

fn get(conn: &Connection, key: &str) -> rusqlite::Result<Option<Row>> {
    conn.prepare_cached("SELECT version, written_ms, body FROM docs WHERE key = ?1")?
        .query_row([key], |row| {
            let written = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            Ok((row.get(0)?, UnixMs(written), row.get(2)?))
        })
        .optional()
}

/// The new version, or None if there is one already.
fn create(tx: &mut Tx<'_>, key: &str, body: &[u8]) -> rusqlite::Result<Option<i64>> {
    let version = tx.next_number();
    let sql = "INSERT INTO docs (key, version, written_ms, body) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (key) DO NOTHING";
    let made = tx.conn.prepare_cached(sql)?.execute(params![key, version, tx.now_ms(), body])?;
    Ok((made == 1).then_some(version))
}

/// The new version, or None if the stored one is another.
fn swap(
    tx: &mut Tx<'_>,
    key: &str,
    expect: &Version,
    body: &[u8],
) -> rusqlite::Result<Option<i64>> {
    let Some(expect) = number(expect) else { return Ok(None) };
    let version = tx.next_number();
    let sql = "UPDATE docs SET version = ?3, written_ms = ?4, body = ?5
               WHERE key = ?1 AND version = ?2";
    let mut swap = tx.conn.prepare_cached(sql)?;
    let swapped = swap.execute(params![key, expect, version, tx.now_ms(), body])?;
    Ok((swapped == 1).then_some(version))
}

/// False if the stored version is another.
fn delete(tx: &mut Tx<'_>, key: &str, expect: &Version) -> rusqlite::Result<bool> {
    if let Some(expect) = number(expect) {
        let sql = "DELETE FROM docs WHERE key = ?1 AND version = ?2";
        if tx.conn.prepare_cached(sql)?.execute(params![key, expect])? == 1 {
            return Ok(true);
        }
    }
    let mut any = tx.conn.prepare_cached("SELECT 1 FROM docs WHERE key = ?1")?;
    Ok(!any.exists([key])?)
}

fn list(
    conn: &Connection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Listed>> {
    // From the later of the two on, as long as the prefix holds: text sorts by bytes, and rows
    // are read one by one.
    let after = after.filter(|after| *after >= prefix);
    let mut select = conn.prepare_cached(match after {
        Some(_) => "SELECT key, version FROM docs WHERE key > ?1 ORDER BY key",
        None => "SELECT key, version FROM docs WHERE key >= ?1 ORDER BY key",
    })?;
    let mut rows = select.query([after.unwrap_or(prefix)])?;
    let mut listed = Vec::new();
    while listed.len() < limit {
        let Some(row) = rows.next()? else { break };
        let key = row.get_ref(0)?.as_str()?;
        if !key.starts_with(prefix) {
            break;
        }
        let version = Version(row.get::<_, i64>(1)?.to_string());
        listed.push(Listed { key: key.to_owned(), version });
    }
    Ok(listed)
}

/// A version that is not one of ours matches nothing.
fn number(version: &Version) -> Option<i64> {
    version.0.parse().ok()
}
