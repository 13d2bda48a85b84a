//! What is broken: machines that never came up, whose worker is lost, or that no group knows.
use super::census::{Census, Standing, count};
use super::finish::victim;
use super::{Action, Alarm, Because, Memory, OpId, Policy, Snapshot};
use crate::id::InstanceId;
use crate::time::UnixMs;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Repairs {
    pub(super) actions: Vec<Action>,
    pub(super) alarms: BTreeSet<Alarm>,
    pub(super) suspects: BTreeMap<InstanceId, UnixMs>,
    pub(super) boots_failed: u32,
}

impl Repairs {
    /// Nothing is looked for, and nothing is forgotten.
    pub(super) fn none(memory: &Memory) -> Self {
        let suspects = memory.suspects.clone();
        Self { actions: vec![], alarms: BTreeSet::new(), suspects, boots_failed: 0 }
    }
}

/// Broken machines that looked broken before are ended, as many as the blast radius lets. One on
/// which nobody is seen stays while somebody is there of whom nobody knows where.
pub(super) fn broken(policy: &Policy, s: &Snapshot, census: &Census, memory: &Memory) -> Repairs {
    let failures = census.boot_failures(memory);
    let replaces = failures < policy.boot_failures_max;
    let mut repairs = Repairs { suspects: BTreeMap::new(), ..Repairs::none(memory) };
    let share = u64::from(count(census.units.len())) * u64::from(policy.abnormal_percent) / 100;
    // Above the group's size nothing takes the place of what goes.
    let mut above = census.above(s.group.desired);
    for unit in &census.units {
        let because = match unit.standing {
            Standing::Overdue => Because::BootFailed,
            Standing::Lost => Because::Lost,
            Standing::Leaked => Because::Leaked,
            _ => continue,
        };
        let since = memory.suspects.get(unit.id).copied();
        repairs.suspects.insert(unit.id.clone(), since.unwrap_or(s.now));
        if memory.kept && since.is_none() {
            continue;
        }
        if census.nameless && unit.workers.is_empty() {
            continue;
        }
        if because == Because::BootFailed && !replaces && above == 0 {
            continue;
        }
        if u64::from(count(repairs.actions.len())) >= share.max(1) {
            repairs.alarms.insert(Alarm::BlastRadius);
            continue;
        }
        // A call that timed out may have taken effect: the same op, so it is the same removal.
        let known = memory.ops.get(unit.id);
        // Tried again, it failed once all the same.
        let first = known.is_none_or(|op| op.because != Because::BootFailed);
        repairs.boots_failed += u32::from(because == Because::BootFailed && first);
        above = above.saturating_sub(1);
        let op = known.map_or_else(|| OpId::of(unit.id, s.now), |op| op.id.clone());
        repairs.actions.push(Action::End { victim: victim(unit, op, false, because) });
    }
    if !replaces && census.of(&Standing::Overdue).next().is_some() {
        repairs.alarms.insert(Alarm::BootsFail);
    }
    repairs
}
