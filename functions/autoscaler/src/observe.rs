//! What a round says of itself: one line of numbers, and a line for each thing that is wrong.
//!
//! A metric that is seldom anything but zero is told only then: each that was told costs money.
use crate::{Deps, Report};
use windlass_core::fleet::{Because, Cause, Plan, Seen, Snapshot};

pub(crate) fn tell(
    deps: &Deps,
    (snapshot, plan): (&Snapshot, &Plan),
    before: &Report,
    report: &Report,
) {
    let seen = Seen::of(&deps.policy, snapshot);
    let (in_group, booting) = (seen.machines_in_group, seen.machines_booting);
    tracing::info!(
        group = seen.group,
        why = ?plan.why,
        actions = plan.actions.len(),
        schedulable = seen.schedulable,
        slots_open = seen.slots_open,
        slots_busy = seen.slots_busy,
        workers_live = seen.workers_live,
        spared = report.spared - before.spared,
        failed = report.failed - before.failed,
        count.Desired = seen.desired,
        count.InService = in_group.saturating_sub(booting),
        count.Booting = booting,
        count.OldestSchedulableMs = seen.oldest_ms,
        count.BusyKills = report.busy_kills - before.busy_kills,
        "fleet"
    );
    if let Some(unmet) = plan.unmet {
        let slots = unmet.slots;
        match unmet.cause {
            Cause::Max => tracing::warn!(count.UnmetMax = slots, "more is not allowed"),
            Cause::Step => tracing::info!(count.UnmetStep = slots, "more comes with the next tick"),
            Cause::Capacity => tracing::warn!(count.UnmetCapacity = slots, "there is no capacity"),
            Cause::BootsFail => tracing::warn!(count.UnmetBootsFail = slots, "boots fail"),
            Cause::CoolingDown => tracing::info!(count.UnmetCoolingDown = slots, "cooling down"),
            Cause::ByHand => tracing::info!(count.UnmetByHand = slots, "it shrinks by hand"),
        }
    }
    for (because, all) in &report.removed {
        let n = all - before.removed.get(because).copied().unwrap_or(0);
        match (n, because) {
            (0, _) => {}
            (_, Because::Surplus) => tracing::info!(count.RemovedSurplus = n, "removed"),
            (_, Because::AboveDesired) => tracing::info!(count.RemovedAboveDesired = n, "removed"),
            (_, Because::Drained) => tracing::info!(count.RemovedDrained = n, "removed"),
            (_, Because::BootFailed) => tracing::warn!(count.RemovedBootFailed = n, "removed"),
            (_, Because::Lost) => tracing::warn!(count.RemovedLost = n, "removed"),
            (_, Because::Leaked) => tracing::warn!(count.RemovedLeaked = n, "removed"),
            (_, Because::Notice) => tracing::info!(count.RemovedNotice = n, "removed"),
        }
    }
    for alarm in &plan.alarms {
        tracing::warn!(?alarm, count.FleetAlarms = 1, "a person should look");
    }
}
