//! One invocation: at most a few rounds of look, decide, commit and act.
use crate::lease::{self, Committed, LEASE_MS, Left, Take};
use crate::{Call, Deps, Occasion, Store, act, observe};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::fleet::{
    Because, Explanation, Lease, Memory, Place, Plan, SeenWorker, Snapshot, Whereabouts, Why,
    decide,
};
use windlass_core::id::InstanceId;
use windlass_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use windlass_ports::Fault;

/// Who came while we decided is looked after at once, but not for ever.
const ROUNDS_MAX: u32 = 3;
/// EC2 tells of a machine that ended for about an hour. Whoever is silent for longer is on one that
/// is listed anyway, or on none.
const TOLD_MS: u64 = 60 * MINUTE_MS;
/// So long before the hold lapses nothing more is begun.
const MARGIN_MS: u64 = 10 * SECOND_MS;

/// How an invocation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It came too late to mean anything.
    Stale {
        age_ms: u64,
    },
    /// Another tick decides right now, and looks once more for our sake.
    #[default]
    Second,
    /// Another tick took over before anything was done.
    Lost,
    Decided(Why),
}

/// What an invocation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    pub rounds: u32,
    /// The group's size as we last set it.
    pub desired: Option<u32>,
    /// Machines that were ended, by reason.
    pub removed: BTreeMap<Because, u32>,
    /// Machines that were to go and had a run after all, or were somebody else's.
    pub spared: u32,
    /// Calls that failed: what they were for is seen again by the next tick.
    pub failed: u32,
    /// Actions that were not begun because time was short.
    pub put_off: u32,
    /// Machines that had a run after we ended them. Stays 0.
    pub busy_kills: u32,
}

/// May be called at any time, twice, or by many at once. Only what a tick or queued work asks for
/// can come too late.
///
/// # Errors
/// `Retryable` when the pool, the group or the store is away: then nothing was done.
pub async fn handle(deps: &Deps, call: Call) -> Result<Report, Fault> {
    let now = deps.clock.now();
    let age_ms = now.since_ms(call.due);
    if age_ms > deps.policy.tick_age_max_ms {
        tracing::info!(age_ms, "a tick came too late and is dropped");
        return Ok(Report { outcome: Outcome::Stale { age_ms }, ..Report::default() });
    }
    let mut report = Report::default();
    let Some(store) = &deps.store else {
        let ticked = call.occasion == Occasion::Tick;
        let left = Left { memory: Memory::default(), notices: BTreeMap::new(), ticked };
        let (snapshot, plan) = look(deps, call.due, &left).await?;
        carry_out(deps, (&snapshot, &plan), call.until, &mut report).await;
        return Ok(report);
    };
    let me = store.write_ids.next();
    let left = match lease::take(store, &me, &call.occasion).await? {
        Take::Mine(left) => left,
        Take::Held => {
            tracing::debug!("another tick decides");
            return Ok(report);
        }
    };
    let until = call.until.min(now.plus_ms(LEASE_MS - MARGIN_MS));
    let outcome = rounds(deps, store, &me, left, Call { until, ..call }, &mut report).await;
    if outcome.is_err() {
        // Else it lapses by itself.
        let _ = lease::release(store, &me, false).await;
    }
    outcome.map(|()| report)
}

async fn rounds(
    deps: &Deps,
    store: &Store,
    me: &str,
    mut left: Left,
    call: Call,
    report: &mut Report,
) -> Result<(), Fault> {
    for round in 1..=ROUNDS_MAX {
        // A round for those that came meanwhile is due when it begins.
        let due = if round == 1 { call.due } else { deps.clock.now() };
        let (snapshot, plan) = look(deps, due, &left).await?;
        let unprotected = unprotected(&snapshot, &plan);
        let idle = plan.actions.is_empty() && unprotected.is_empty();
        let explained = Explanation::of(&deps.policy, &snapshot, &plan);
        match lease::commit(store, me, (&plan.memory, &explained), &left.notices, idle).await? {
            Committed::Lost => {
                tracing::warn!("another tick took over; nothing was done");
                report.outcome = Outcome::Lost;
                return Ok(());
            }
            Committed::Released => {
                report.rounds = round;
                carry_out(deps, (&snapshot, &plan), call.until, report).await;
                return Ok(());
            }
            Committed::Holding => {}
        }
        report.rounds = round;
        act::protect(deps, &unprotected, true, report).await;
        carry_out(deps, (&snapshot, &plan), call.until, report).await;
        let more_rounds = round < ROUNDS_MAX && deps.clock.now() < call.until;
        // Not let go of, it lapses; what was done is done.
        let Ok(Some(next)) = lease::release(store, me, more_rounds).await else { return Ok(()) };
        left = next;
    }
    Ok(())
}

/// One look and what follows from it.
async fn look(deps: &Deps, due: UnixMs, left: &Left) -> Result<(Snapshot, Plan), Fault> {
    let now = deps.clock.now();
    (deps.remember)(&left.memory.ops);
    let staff = deps.pool.look(now).await?;
    let heard = |worker: &&SeenWorker| match worker.lease {
        Lease::Live => true,
        Lease::Lapsed { for_ms } => for_ms < TOLD_MS,
        Lease::Void => false,
    };
    let named: BTreeSet<InstanceId> = staff
        .workers
        .iter()
        .filter(heard)
        .filter_map(|worker| match &worker.on {
            Whereabouts::On(instance) => Some(instance.clone()),
            Whereabouts::OtherGroup { .. } | Whereabouts::Unknown => None,
        })
        .collect();
    let named: Vec<InstanceId> = named.into_iter().collect();
    let mut machines = deps.fleet.look(&named).await?;
    for seen in &mut machines.instances {
        seen.notice = seen.notice.or_else(|| left.notices.get(&seen.id).copied());
    }
    let snapshot = Snapshot {
        now,
        due,
        woken: !left.ticked,
        group: machines.group,
        instances: machines.instances,
        workers: staff.workers,
        demand: staff.demand,
    };
    let plan = decide(&deps.policy, &snapshot, &left.memory);
    Ok((snapshot, plan))
}

/// Machines in service that the group might choose by itself: none but those that go anyway.
fn unprotected(snapshot: &Snapshot, plan: &Plan) -> Vec<InstanceId> {
    let goes: BTreeSet<&InstanceId> = plan.actions.iter().filter_map(act::ends).collect();
    let may = snapshot.instances.iter().filter(|seen| {
        seen.place == Place::InService && !seen.protected && !goes.contains(&seen.id)
    });
    may.map(|seen| seen.id.clone()).collect()
}

async fn carry_out(
    deps: &Deps,
    (snapshot, plan): (&Snapshot, &Plan),
    until: UnixMs,
    report: &mut Report,
) {
    let before = report.clone();
    for (at, action) in plan.actions.iter().enumerate() {
        if deps.clock.now() >= until {
            let left = plan.actions.len() - at;
            tracing::warn!(left, "time is short: the next tick does the rest");
            report.put_off += u32::try_from(left).unwrap_or(u32::MAX);
            break;
        }
        act::carry_out(deps, snapshot.now, action, report).await;
    }
    report.outcome = Outcome::Decided(plan.why.clone());
    observe::tell(deps, (snapshot, plan), &before, report);
}
