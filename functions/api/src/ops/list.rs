//! Reading the newest of what is stored oldest first, without walking all of it; and many documents
//! side by side, because a store elsewhere answers each in its own time.
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use windlass_core::id::RunId;
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::cas::{self, Loaded};
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Docs, Fault};

/// Documents that are asked for at once.
pub(super) const AT_ONCE: usize = 50;

/// All keys with this prefix beyond `after`.
pub(super) async fn all(
    docs: &dyn Docs,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<String>, Fault> {
    let mut keys: Vec<String> = Vec::new();
    let mut after = after.map(str::to_owned);
    loop {
        let page = docs.list(prefix, after.as_deref(), LIST_MAX).await?;
        let more = page.len() == LIST_MAX;
        keys.extend(page.into_iter().map(|listed| listed.key));
        match keys.last() {
            Some(last) if more => after = Some(last.clone()),
            _ => return Ok(keys),
        }
    }
}

/// These documents, in their order; None for one that is not there.
pub(super) async fn load_many<T: DeserializeOwned>(
    docs: &dyn Docs,
    keys: &[String],
) -> Result<Vec<Option<Loaded<T>>>, Fault> {
    let mut found = Vec::with_capacity(keys.len());
    for some in keys.chunks(AT_ONCE) {
        found.extend(try_join_all(some.iter().map(|key| cas::load::<T>(docs, key))).await?);
    }
    Ok(found)
}

/// Up to `limit` keys below `before`, newest first. `key_at` names a key not after everything
/// written at that time. Looks back an hour, then a day, and so on: most want what is recent.
pub(super) async fn newest(
    docs: &dyn Docs,
    prefix: &str,
    before: Option<&str>,
    limit: usize,
    now: UnixMs,
    key_at: impl Fn(UnixMs) -> String,
) -> Result<Vec<String>, Fault> {
    let hours = [1, 24, 24 * 7, 24 * 60];
    let since = hours.map(|h| Some(key_at(UnixMs(now.0.saturating_sub(h * 60 * MINUTE_MS)))));
    for after in since.into_iter().chain([None]) {
        let mut keys = all(docs, prefix, after.as_deref()).await?;
        keys.retain(|key| before.is_none_or(|before| key.as_str() < before));
        if keys.len() >= limit || after.is_none() {
            keys.reverse();
            keys.truncate(limit);
            return Ok(keys);
        }
    }
    Ok(Vec::new())
}

/// The part of a run's id that its time decides.
pub(super) fn ulid_time(at: UnixMs) -> String {
    let id = RunId::derive(at, &"".into(), &"".into());
    id.0.get(..10).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_ports::Expect;
    use windlass_ports::fake::{FakeClock, MemDocs};

    #[tokio::test]
    async fn the_newest_come_first_however_long_ago() {
        const DAY: u64 = 24 * 60 * MINUTE_MS;
        let now = UnixMs(1_000 * DAY);
        let docs = MemDocs::new(FakeClock::at(now).shared());
        let id = |days_ago: u64| {
            RunId::derive(UnixMs(now.0 - days_ago * DAY), &"e".into(), &"s".into()).0
        };
        for days_ago in [0, 3, 30, 90, 400] {
            let key = format!("runs/{}", id(days_ago));
            docs.put(&key, Expect::Absent, vec![]).await.unwrap();
        }
        #[rustfmt::skip]
        let table = [
            // limit before        expect
            (1,      None,         vec![0]),
            (2,      None,         vec![0, 3]),
            (4,      None,         vec![0, 3, 30, 90]),
            (9,      None,         vec![0, 3, 30, 90, 400]),
            (2,      Some(30),     vec![90, 400]),
            (2,      Some(400),    vec![]),
        ];
        for (limit, before, expect) in table {
            let before = before.map(|days| format!("runs/{}", id(days)));
            let key_at = |at| format!("runs/{}", ulid_time(at));
            let got = newest(&docs, "runs/", before.as_deref(), limit, now, key_at).await.unwrap();
            let expect: Vec<String> =
                expect.into_iter().map(|days| format!("runs/{}", id(days))).collect();
            assert_eq!(got, expect, "limit {limit} before {before:?}");
        }
    }
}
