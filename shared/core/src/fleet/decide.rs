//! One tick's decision, from a look and a memory.
use super::census::{Census, Standing, count};
use super::finish::begun;
use super::grow::{Balance, Growth, more};
use super::guard::refuses;
use super::memory::Op;
use super::repair::{Repairs, broken};
use super::shrink::{above_desired, drained, excess, fewer, warned};
use super::{Action, Alarm, Memory, Plan, Policy, Snapshot, Victim, Why};
use std::collections::BTreeSet;

/// What to do about a pool. Total: every look has a plan, and a plan that does nothing says why.
#[must_use]
pub fn decide(policy: &Policy, s: &Snapshot, memory: &Memory) -> Plan {
    let census = Census::take(policy, s);
    if let Some((why, alarm)) = refuses(policy, s, &census, memory) {
        return held(s, &census, memory, why, alarm);
    }
    let balance = Balance::of(policy, s, &census);
    let (mut actions, regained) = begun(&census, memory, balance.missing());
    let repairs = match s.woken {
        true => Repairs::none(memory),
        false => broken(policy, s, &census, memory),
    };
    let mut alarms: BTreeSet<Alarm> = census.alarms.union(&repairs.alarms).cloned().collect();
    actions.extend(repairs.actions);
    actions.extend(warned(s, &census));
    let excess = excess(s, &census, memory);
    if !s.woken {
        actions.extend(above_desired(s, &census, excess));
    }
    let drained = drained(policy, s, &census, excess);
    let missing = balance.missing().saturating_sub(regained);
    let below_min = s.group.min.saturating_sub(s.group.desired);
    let mut unmet = None;
    let why = if missing > 0 {
        let growth = more(policy, s, &census, memory, missing, (balance.blocked, excess));
        let Growth { to, why, unmet: short, alarm } = growth;
        unmet = short;
        alarms.extend(alarm);
        let to = to.map(|to| to.max(s.group.min));
        // First: the size counts from what was seen, and an end may make the group smaller.
        let grows = to.map(|to| Action::SetDesired { from: s.group.desired, to });
        actions.splice(..0, grows);
        why
    } else if below_min > 0 {
        actions.insert(0, Action::SetDesired { from: s.group.desired, to: s.group.min });
        Why::Grown
    } else if s.woken {
        Why::Woken
    } else if excess > 0 {
        Why::ShrinkingByHand { excess }
    } else {
        let shrinkage = fewer(policy, s, &census, memory, &balance, &drained);
        let (sizes, rest): (Vec<Action>, Vec<Action>) = shrinkage
            .actions
            .into_iter()
            .partition(|action| matches!(action, Action::SetDesired { .. }));
        actions.splice(..0, sizes);
        actions.extend(rest);
        shrinkage.why
    };
    if !s.woken {
        actions.extend(drained.action());
    }
    let mut memory = remember(s, &census, memory, &actions);
    if !s.woken {
        memory.lowered = excess > 0;
    }
    memory.suspects = repairs.suspects;
    memory.boot_failures = census.boot_failures(&memory).saturating_add(repairs.boots_failed);
    if repairs.boots_failed > 0 {
        memory.boot_failed_at = Some(s.now);
    }
    Plan { actions, why, unmet, alarms, memory }
}

/// Nothing is done; what was seen is remembered as far as it can be believed.
fn held(s: &Snapshot, census: &Census, memory: &Memory, why: Why, alarm: Option<Alarm>) -> Plan {
    let mut memory = memory.clone();
    match why {
        Why::Stale { .. } => {}
        // What has to be looked at twice is looked at by two ticks.
        Why::FirstLook { .. } | Why::Implausible { .. } if s.woken => {}
        Why::Implausible { .. } => {
            memory.doubted = true;
            memory.looked_at = Some(s.now);
        }
        _ => {
            memory.looked_at = Some(s.now);
            memory.workers_live = census.live;
            memory.machines = census.in_group();
        }
    }
    let alarms = census.alarms.iter().cloned().chain(alarm).collect();
    Plan { actions: vec![], why, unmet: None, alarms, memory }
}

fn remember(s: &Snapshot, census: &Census, before: &Memory, actions: &[Action]) -> Memory {
    let mut memory = before.clone();
    memory.looked_at = Some(s.now);
    // What one tick compares with the one before it is not touched in between.
    if !s.woken {
        memory.doubted = false;
        memory.machines = census.in_group();
        memory.desired = Some(s.group.desired);
    }
    // What is gone, or goes by itself, needs no op any more (scenario 16).
    if !memory.ops.is_empty() {
        let stays = census.units.iter().filter(|unit| unit.standing != Standing::Leaving);
        let there: BTreeSet<_> = stays.map(|unit| unit.id).collect();
        memory.ops.retain(|id, _| there.contains(id));
    }
    let mut leaving = 0;
    for action in actions {
        let victims: &[Victim] = match action {
            Action::SetDesired { from, to } => {
                memory.desired = Some(*to);
                let at =
                    if to > from { &mut memory.scaled_out_at } else { &mut memory.scaled_in_at };
                *at = Some(s.now);
                &[]
            }
            Action::Undrain { instance, .. } => {
                memory.ops.remove(instance);
                &[]
            }
            Action::Retire { count, candidates } => {
                leaving += count;
                let smaller = candidates.iter().filter(|victim| victim.decrement).count();
                if smaller > 0 {
                    memory.scaled_in_at = Some(s.now);
                    let by = (*count).min(super::census::count(smaller));
                    memory.desired = memory.desired.map(|d| d.saturating_sub(by));
                }
                candidates
            }
            Action::Finish { victim } | Action::End { victim } => {
                leaving += count(victim.workers.len());
                std::slice::from_ref(victim)
            }
            Action::Drain { victim } => std::slice::from_ref(victim),
        };
        for victim in victims {
            let Victim { op, decrement, because, .. } = victim.clone();
            let op = Op { id: op, decrement, because, at: s.now };
            memory.ops.insert(victim.instance.clone(), op);
        }
    }
    memory.workers_live = match s.woken {
        true => before.workers_live.saturating_sub(leaving),
        false => census.live.saturating_sub(leaving),
    };
    memory
}
