//! Hands out the places of each pool's drift budget.
//!
//! When a stack is due is the business of its own actor, which wakes at its own minute: nothing here
//! goes through all stacks. What no single stack can see is how many look at the same time. So a
//! stack that is due files a ticket, and [`handle`], called again and again, gives the places that
//! are free to the oldest tickets and tells those stacks; their actors make the runs, and give the
//! places back when these have ended. Cost grows with who is due, not with what exists.
#[cfg(feature = "aws")]
pub mod config;

use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::drift::{Admission, Place, PoolSettings, TELL_AGAIN_MS, admit};
use windlass_core::event::{Intent, StackEnvelope, StackEvent};
use windlass_core::id::{EventId, PoolId, StackId, derive};
use windlass_core::keys::{self, DriftKey};
use windlass_core::time::UnixMs;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Docs, Fault, Outgoing, PutError, Queues, Version, WriteIds, cas};

/// Everything that [`handle`] may touch.
#[derive(Clone)]
pub struct Deps {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub write_ids: Arc<WriteIds>,
}

/// What one call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tickets that got a place.
    pub admitted: usize,
    /// Tickets that wait, as far as was looked.
    pub waiting: usize,
    /// Stacks that were told again, because they did not give their place back yet.
    pub told_again: usize,
}

/// One pool's part.
#[derive(Default)]
struct Pool {
    taken: BTreeMap<u32, Place>,
    tickets: BTreeMap<(u64, StackId), Version>,
}

/// One look. May be called at any time, twice, or by two at once: a place has one holder, and a
/// stack that is told twice does one thing.
///
/// # Errors
/// `Retryable` when a store is away: who was not admitted still has a ticket.
pub async fn handle(deps: &Deps, now: UnixMs) -> Result<Report, Fault> {
    let mut report = Report::default();
    for (id, mut pool) in load(deps).await? {
        report.told_again += tell_again(deps, &id, &mut pool.taken, now).await?;
        if pool.tickets.is_empty() {
            continue;
        }
        let settings = cas::load::<PoolSettings>(&*deps.docs, &keys::pool_settings(&id)).await?;
        let budget = settings.map(|found| found.value).unwrap_or_default().drift_budget();
        let tickets: Vec<_> = pool.tickets.keys().cloned().collect();
        let before = report.admitted;
        for admission in admit(budget, &pool.taken, &tickets) {
            if !seat(deps, &id, &admission, now).await? {
                continue;
            }
            tell(deps, &id, admission.place, &admission.stack, admission.minute, now).await?;
            // Last: without it, a call that was cut off is made good by the next.
            let key = keys::drift_ticket(&id, admission.minute, &admission.stack);
            if let Some(version) = pool.tickets.get(&(admission.minute, admission.stack)) {
                delete(deps, &key, version).await?;
            }
            report.admitted += 1;
        }
        report.waiting += tickets.len() - (report.admitted - before);
    }
    if report != Report::default() {
        tracing::info!(
            admitted = report.admitted,
            waiting = report.waiting,
            told_again = report.told_again,
            "drift"
        );
    }
    Ok(report)
}

/// Places and tickets by pool. Of a pool with more tickets than a page holds, the oldest.
async fn load(deps: &Deps) -> Result<BTreeMap<PoolId, Pool>, Fault> {
    let mut pools: BTreeMap<PoolId, Pool> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = deps.docs.list(keys::DRIFT, after.as_deref(), LIST_MAX).await?;
        let full = page.len() == LIST_MAX;
        for listed in page {
            after = Some(listed.key.clone());
            match keys::parse_drift(&listed.key) {
                Some(DriftKey::Place { pool, place }) => {
                    let found = cas::load::<Place>(&*deps.docs, &listed.key).await?;
                    if let Some(found) = found {
                        pools.entry(pool).or_default().taken.insert(place, found.value);
                    }
                }
                Some(DriftKey::Ticket { pool, minute, stack }) => {
                    after = Some(keys::drift_tickets_end(&pool));
                    let tickets = &mut pools.entry(pool).or_default().tickets;
                    tickets.insert((minute, stack), listed.version);
                }
                None => {}
            }
        }
        if !full {
            return Ok(pools);
        }
    }
}

/// Word to a stack may have been lost, or its giving back; it says what it knows.
async fn tell_again(
    deps: &Deps,
    pool: &PoolId,
    taken: &mut BTreeMap<u32, Place>,
    now: UnixMs,
) -> Result<usize, Fault> {
    let mut told = 0;
    for (place, held) in taken.iter_mut().filter(|(_, h)| now.since_ms(h.told) >= TELL_AGAIN_MS) {
        tell(deps, pool, *place, &held.stack, held.minute, now).await?;
        held.told = now;
        let key = keys::drift_place(pool, *place);
        cas::update(&*deps.docs, &key, &deps.write_ids.next(), |stored: Option<&Place>| {
            Ok(match stored {
                // Whoever gave it back meanwhile is not made to have it again.
                Some(stored) if (stored.minute, &stored.stack) == (held.minute, &held.stack) => {
                    windlass_ports::Change::Write(held.clone(), ())
                }
                _ => windlass_ports::Change::Keep(()),
            })
        })
        .await?;
        told += 1;
    }
    Ok(told)
}

/// False if somebody else has the place by now.
async fn seat(
    deps: &Deps,
    pool: &PoolId,
    admission: &Admission,
    now: UnixMs,
) -> Result<bool, Fault> {
    let Admission { place, stack, minute } = admission;
    let seat = Place { stack: stack.clone(), minute: *minute, told: now };
    let key = keys::drift_place(pool, *place);
    let known = cas::create(&*deps.docs, &key, &deps.write_ids.next(), &seat).await?;
    Ok(known.is_none_or(|known| (known.minute, known.stack) == (*minute, stack.clone())))
}

async fn tell(
    deps: &Deps,
    pool: &PoolId,
    place: u32,
    stack: &StackId,
    minute: u64,
    at: UnixMs,
) -> Result<(), Fault> {
    // An id of its own each time: a queue must not take a later word for one that it knows.
    let id = EventId(derive(&["drift", &stack.0, &deps.write_ids.next()]));
    let event = StackEvent::DriftTurn { pool: pool.clone(), place, minute };
    let stack = stack.clone();
    let intent = Intent::Stack(StackEnvelope { id: id.clone(), stack, at, hops: 0, event });
    let body = serde_json::to_vec(&intent)
        .map_err(|error| Fault::poison_from("an intent does not serialise", error))?;
    let (group, dedup) = (Some(intent.group()), Some(id.0));
    deps.queues.send(keys::INTENTS, Outgoing { body, group, dedup, delay_ms: 0 }).await
}

async fn delete(deps: &Deps, key: &str, version: &Version) -> Result<(), Fault> {
    match deps.docs.delete(key, version).await {
        Ok(()) | Err(PutError::Conflict) => Ok(()),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}
