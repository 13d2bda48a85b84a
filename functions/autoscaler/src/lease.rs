//! One tick at a time decides about a pool.
//!
//! The hold is a word in the pool's ledger; how old it is says the store, by its own clock. A holder
//! that died is one whose hold is older than any invocation may last. One that was only slow finds
//! at its commit that somebody else holds the ledger, and does nothing.
use crate::Store;
use windlass_core::fleet::{Explanation, Ledger, Memory};
use windlass_core::keys;
use windlass_ports::{Change, Fault, cas};

/// Longer than an invocation may last, and shorter than the time between two ticks.
pub const LEASE_MS: u64 = 55_000;
/// Each lost swap is somebody else's step forward, and many may come at once.
const ATTEMPTS_MAX: u32 = 25;

/// What came of the wish to decide.
#[derive(Debug)]
pub(crate) enum Take {
    /// Ours, with what earlier ticks left.
    Mine(Memory),
    /// Somebody decides right now, and knows that somebody came.
    Held,
}

pub(crate) async fn take(store: &Store, me: &str) -> Result<Take, Fault> {
    let key = keys::fleet_ledger(&store.pool);
    for attempt in 0..ATTEMPTS_MAX {
        let found = cas::load::<Ledger>(&*store.docs, &key).await?;
        let at = found.as_ref().map(|found| (&found.version, found.revision));
        let age_ms = found.as_ref().map_or(0, |found| found.age_ms);
        let ledger = found.as_ref().map(|found| found.value.clone());
        let ledger =
            ledger.unwrap_or_else(|| Ledger { memory: Memory::fresh(), ..Ledger::default() });
        // A write of ours whose answer was lost is no other tick's.
        let other = ledger.holder.as_deref().is_some_and(|holder| holder != me);
        let held = other && age_ms < LEASE_MS;
        if held && ledger.again {
            return Ok(Take::Held);
        }
        let (next, take) = if held {
            (Ledger { again: true, ..ledger }, Take::Held)
        } else {
            let memory = ledger.memory.clone();
            let holder = Some(me.to_owned());
            (Ledger { holder, again: false, ..ledger }, Take::Mine(memory))
        };
        let write_id = format!("{me}.{attempt}");
        if cas::commit(&*store.docs, &key, at, &next, &write_id).await? {
            return Ok(take);
        }
    }
    Err(Fault::retryable(format!("{key} changed under every attempt to hold it")))
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// Stored, and still ours.
    Holding,
    /// Stored and let go of: nothing is left to do.
    Released,
    /// Somebody else decides by now: nothing may be done.
    Lost,
}

/// Stores what was decided, if the ledger is still ours. With nothing to do the same write lets go
/// of it, unless somebody came meanwhile.
pub(crate) async fn commit(
    store: &Store,
    me: &str,
    (memory, explained): (&Memory, &Explanation),
    idle: bool,
) -> Result<Committed, Fault> {
    swap(store, me, |ledger| {
        let done = idle && !ledger.again;
        let next = Ledger {
            holder: (!done).then(|| me.to_owned()),
            again: ledger.again,
            memory: memory.clone(),
            explained: Some(explained.clone()),
        };
        (next, if done { Committed::Released } else { Committed::Holding })
    })
    .await
    .map(|committed| committed.unwrap_or(Committed::Lost))
}

/// Lets go, unless somebody came meanwhile and there is another round: then true.
pub(crate) async fn release(store: &Store, me: &str, more_rounds: bool) -> Result<bool, Fault> {
    swap(store, me, |ledger| {
        let again = ledger.again && more_rounds;
        let holder = again.then(|| me.to_owned());
        (Ledger { holder, again: false, ..ledger.clone() }, again)
    })
    .await
    .map(|again| again.unwrap_or(false))
}

/// Swaps the ledger if it is ours; None: it is not.
async fn swap<R: Send>(
    store: &Store,
    me: &str,
    mut change: impl FnMut(&Ledger) -> (Ledger, R) + Send,
) -> Result<Option<R>, Fault> {
    let key = keys::fleet_ledger(&store.pool);
    cas::update(&*store.docs, &key, &store.write_ids.next(), |stored: Option<&Ledger>| {
        Ok(match stored.filter(|ledger| ledger.holder.as_deref() == Some(me)) {
            None => Change::Keep(None),
            Some(ledger) => {
                let (next, reply) = change(ledger);
                Change::Write(next, Some(reply))
            }
        })
    })
    .await
}
