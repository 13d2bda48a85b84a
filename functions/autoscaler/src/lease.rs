//! One tick at a time decides about a pool.
//!
//! The hold is a word in the pool's ledger; how old it is says the store, by its own clock. A holder
//! that died is one whose hold is older than any invocation may last. One that was only slow finds
//! at its commit that somebody else holds the ledger, and does nothing.
use crate::{Occasion, Store};
use std::collections::BTreeMap;
use windlass_core::fleet::{Explanation, Ledger, Memory, Notice};
use windlass_core::id::InstanceId;
use windlass_core::keys;
use windlass_ports::{Change, Fault, cas};

/// Longer than an invocation may last, and shorter than the time between two ticks.
pub const LEASE_MS: u64 = 55_000;
/// Each lost swap is somebody else's step forward, and many may come at once.
const ATTEMPTS_MAX: u32 = 25;

/// What came of the wish to decide.
#[derive(Debug)]
pub(crate) enum Take {
    Mine(Left),
    /// Somebody decides right now, and knows that somebody came.
    Held,
}

/// What earlier ticks left, and those that came meanwhile.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) memory: Memory,
    pub(crate) notices: BTreeMap<InstanceId, Notice>,
    /// A tick asks for this look.
    pub(crate) ticked: bool,
}

/// A notice is kept by the same write, whoever decides.
pub(crate) async fn take(store: &Store, me: &str, occasion: &Occasion) -> Result<Take, Fault> {
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
        let ticked = *occasion == Occasion::Tick;
        let mut next = ledger.clone();
        if let Occasion::Notice { instance, notice } = occasion {
            next.warn(instance, *notice);
        }
        let take = if held {
            next.again = true;
            next.ticked |= ticked;
            if next == ledger {
                return Ok(Take::Held);
            }
            Take::Held
        } else {
            next.holder = Some(me.to_owned());
            // Of a tick that nobody looked for: its holder died, or had no more rounds.
            let ticked = ticked || next.ticked;
            (next.again, next.ticked) = (false, false);
            let (memory, notices) = (next.memory.clone(), next.notices.clone());
            Take::Mine(Left { memory, notices, ticked })
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
/// of it, unless somebody came meanwhile. `looked_for`: the notices that this look knew of.
pub(crate) async fn commit(
    store: &Store,
    me: &str,
    (memory, explained): (&Memory, &Explanation),
    looked_for: &BTreeMap<InstanceId, Notice>,
    idle: bool,
) -> Result<Committed, Fault> {
    swap(store, me, |ledger| {
        let done = idle && !ledger.again;
        let mut next = Ledger {
            holder: (!done).then(|| me.to_owned()),
            memory: memory.clone(),
            explained: Some(explained.clone()),
            ..ledger.clone()
        };
        // Of machines that are gone, and of other groups'. A notice that came since the look may be
        // of a machine that came since.
        let seen = |warned: &InstanceId| {
            explained.seen.machines.iter().any(|machine| machine.id == *warned)
        };
        next.notices.retain(|warned, _| seen(warned) || !looked_for.contains_key(warned));
        (next, if done { Committed::Released } else { Committed::Holding })
    })
    .await
    .map(|committed| committed.unwrap_or(Committed::Lost))
}

/// Lets go, unless somebody came meanwhile and there is another round: then what they left. Without
/// another round a tick's word stays for whoever looks next, or wakes in a row would hide the ticks.
pub(crate) async fn release(
    store: &Store,
    me: &str,
    more_rounds: bool,
) -> Result<Option<Left>, Fault> {
    swap(store, me, |ledger| {
        let again = ledger.again && more_rounds;
        let left = again.then(|| Left {
            memory: ledger.memory.clone(),
            notices: ledger.notices.clone(),
            ticked: ledger.ticked,
        });
        let holder = again.then(|| me.to_owned());
        let ticked = ledger.ticked && left.is_none();
        (Ledger { holder, again: false, ticked, ..ledger.clone() }, left)
    })
    .await
    .map(Option::flatten)
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
