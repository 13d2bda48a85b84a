//! What we remember of a wait. Two looks at once may both write: what one knows, both know then.
use crate::Deps;
use windlass_core::drain::{DrainRecord, Notice};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::{Change, Fault, cas};

/// The record of this wait; stored from here on.
pub(crate) async fn open(deps: &Deps, notice: &Notice, now: UnixMs) -> Result<DrainRecord, Fault> {
    let key = keys::drain(&deps.pool_id, &notice.instance);
    let fresh = DrainRecord::new(notice.clone(), deps.timeout_ms, now);
    cas::update(&*deps.docs, &key, &deps.write_ids.next(), |stored: Option<&DrainRecord>| {
        Ok(match stored {
            None => Change::Write(fresh.clone(), fresh.clone()),
            Some(stored) => {
                // What the tick sees has no token; a message has one.
                let known = merged(stored, &fresh);
                match known == *stored {
                    true => Change::Keep(known),
                    false => Change::Write(known.clone(), known),
                }
            }
        })
    })
    .await
}

/// Stores what a look came to.
pub(crate) async fn keep(deps: &Deps, record: &DrainRecord) -> Result<(), Fault> {
    let key = keys::drain(&deps.pool_id, &record.notice.instance);
    cas::update(&*deps.docs, &key, &deps.write_ids.next(), |stored: Option<&DrainRecord>| {
        let known = stored.map_or_else(|| record.clone(), |stored| merged(stored, record));
        Ok(match stored == Some(&known) {
            true => Change::Keep(()),
            false => Change::Write(known, ()),
        })
    })
    .await
}

fn merged(stored: &DrainRecord, other: &DrainRecord) -> DrainRecord {
    let token =
        if stored.notice.token.is_empty() { &other.notice.token } else { &stored.notice.token };
    DrainRecord {
        notice: Notice { token: token.clone(), ..stored.notice.clone() },
        since: stored.since.min(other.since),
        timeout_ms: stored.timeout_ms,
        beat_at: stored.beat_at.max(other.beat_at),
        asked_to_stop: stored.asked_to_stop || other.asked_to_stop,
        completed: stored.completed || other.completed,
    }
}
