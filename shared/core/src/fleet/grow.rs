//! Too little: how many machines more, and what is in the way of the rest.
use super::census::Census;
use super::{Alarm, Cause, Memory, Policy, Snapshot, Unmet, Why};

/// Slots that are wanted and slots that are there or on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Balance {
    /// With runs on open machines or on such as are taken from us, for runs that wait or to be free,
    /// at the wanted utilisation.
    pub(super) wanted: u32,
    /// Open slots, booting machines, and machines that were asked for and may still come.
    pub(super) supply: u32,
    /// Machines asked for of which nothing is to be seen.
    pub(super) outstanding: u32,
    /// … which can't be launched.
    pub(super) blocked: bool,
    /// Runs that may have a slot now.
    pub(super) schedulable: u32,
}

impl Balance {
    pub(super) fn of(policy: &Policy, s: &Snapshot, census: &Census) -> Self {
        let drift_room = policy
            .drift_slots_max
            .map_or(u32::MAX, |max| max.saturating_sub(s.demand.drift_running));
        let drift_over = s.demand.drift.saturating_sub(drift_room);
        let schedulable = s.demand.schedulable.saturating_sub(drift_over);
        let busy = census.open_busy().saturating_add(census.displaced());
        let queued = schedulable.div_ceil(policy.queued_runs_per_slot.max(1));
        let free = queued.max(policy.warm.at(s.now));
        let percent = policy.utilisation_percent.clamp(1, 100);
        let wanted = ((u64::from(busy) + u64::from(free)) * 100).div_ceil(u64::from(percent));
        let outstanding = s.group.desired.saturating_sub(census.in_group());
        let blocked = outstanding > 0 && s.group.launches_failed >= policy.launch_failures_max;
        let coming = census.booting().saturating_add(if blocked { 0 } else { outstanding });
        let slots = policy.slots_per_instance.max(1);
        Self {
            wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
            supply: census.open_slots().saturating_add(coming.saturating_mul(slots)),
            outstanding,
            blocked,
            schedulable,
        }
    }

    pub(super) fn missing(&self) -> u32 {
        self.wanted.saturating_sub(self.supply)
    }
}

/// The group's new size, if it grows; why not more; what stays unmet.
pub(super) struct Growth {
    pub(super) to: Option<u32>,
    pub(super) why: Why,
    pub(super) unmet: Option<Unmet>,
    pub(super) alarm: Option<Alarm>,
}

impl Growth {
    fn none(why: Why, slots: u32, cause: Cause, alarm: Option<Alarm>) -> Self {
        let unmet = (slots > 0).then_some(Unmet { slots, cause });
        Self { to: None, why, unmet, alarm }
    }
}

pub(super) fn more(
    policy: &Policy,
    s: &Snapshot,
    census: &Census,
    memory: &Memory,
    missing: u32,
    (blocked, excess): (bool, u32),
) -> Growth {
    let desired = s.group.desired;
    if excess > 0 {
        return Growth::none(Why::ShrinkingByHand { excess }, missing, Cause::ByHand, None);
    }
    let in_a_row = census.boot_failures(memory);
    if in_a_row >= policy.boot_failures_max {
        let alarm = Some(Alarm::BootsFail);
        return Growth::none(Why::BootsFail { in_a_row }, missing, Cause::BootsFail, alarm);
    }
    if blocked {
        let alarm = Some(Alarm::CapacityBlocked);
        return Growth::none(Why::CapacityBlocked, missing, Cause::Capacity, alarm);
    }
    if desired >= s.group.max {
        return Growth::none(Why::AtMax, missing, Cause::Max, Some(Alarm::QueueAtMax));
    }
    if policy.step_up_max == 0 {
        return Growth::none(Why::NeverGrows, missing, Cause::Step, None);
    }
    let cooling = memory
        .scaled_out_at
        .map_or(0, |at| policy.scale_out_cooldown_ms.saturating_sub(s.now.since_ms(at)));
    if cooling > 0 {
        let why = Why::CoolingDown { left_ms: cooling };
        return Growth::none(why, missing, Cause::CoolingDown, None);
    }
    let slots = policy.slots_per_instance.max(1);
    let stepped = missing.div_ceil(slots).min(policy.step_up_max);
    let to = desired.saturating_add(stepped).min(s.group.max);
    let short = missing.saturating_sub((to - desired).saturating_mul(slots));
    let cause = if to == s.group.max { Cause::Max } else { Cause::Step };
    let unmet = (short > 0).then_some(Unmet { slots: short, cause });
    Growth { to: Some(to), why: Why::Grown, unmet, alarm: None }
}
