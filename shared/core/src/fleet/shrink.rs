//! Too much: which machines go.
use super::census::{Census, Standing, Unit, count};
use super::finish::victim;
use super::grow::Balance;
use super::{Action, Because, Memory, OpId, Policy, Snapshot, Victim, Why};

/// More candidates than have to go: a claim may come before a drain.
const SPARES_MAX: usize = 10;

/// By how much somebody made the group smaller than what is there. AWS, too, has more than that for
/// a while, where it launches first and ends then (a refresh, a zone, Spot): nobody wished for it,
/// and it passes.
pub(super) fn excess(s: &Snapshot, census: &Census, memory: &Memory) -> u32 {
    let before = memory.desired.filter(|_| memory.kept && !memory.lowered);
    let by_hand = before.is_none_or(|before| s.group.desired < before);
    if by_hand { census.above(s.group.desired) } else { 0 }
}

/// Somebody else made the group smaller than what is there. What is above takes no more runs and
/// goes without making it smaller still: idle machines now, busy ones when their runs have ended.
pub(super) fn above_desired(s: &Snapshot, census: &Census, excess: u32) -> Vec<Action> {
    // What drains, is broken or is to be left goes anyway; what boots may go when it has come up.
    let goes = |u: &&Unit<'_>| {
        matches!(
            u.standing,
            Standing::Occupied { .. }
                | Standing::Drained { .. }
                | Standing::Warned { .. }
                | Standing::Overdue
                | Standing::Lost
                | Standing::Booting
        )
    };
    let going = count(census.units.iter().filter(goes).count());
    let excess = excess.saturating_sub(going);
    let mut open: Vec<&Unit<'_>> =
        census.units.iter().filter(|u| matches!(u.standing, Standing::Open { .. })).collect();
    open.sort_by_key(|u| (busy(u), u.template, u.launched_at, u.id));
    let chosen = open.into_iter().take(usize::try_from(excess).unwrap_or(usize::MAX));
    chosen
        .map(|unit| {
            let op = OpId::of(unit.id, s.now);
            let victim = victim(unit, op, false, Because::AboveDesired);
            match busy(unit) {
                0 => Action::Retire { count: 1, candidates: vec![victim] },
                _ => Action::Drain { victim },
            }
        })
        .collect()
}

/// What the provider says to leave takes no more runs and is replaced: at once if it is idle.
pub(super) fn warned(s: &Snapshot, census: &Census) -> Vec<Action> {
    let units = census.units.iter().filter_map(|unit| match unit.standing {
        Standing::Warned { busy, .. } => Some((unit, busy)),
        _ => None,
    });
    units
        .map(|(unit, busy)| {
            let victim = victim(unit, OpId::of(unit.id, s.now), false, Because::Notice);
            match busy {
                0 => Action::Retire { count: 1, candidates: vec![victim] },
                _ => Action::Drain { victim },
            }
        })
        .collect()
}

/// What somebody else drained, once it is idle: it holds a place in the group and takes no runs, so
/// it goes whatever waits, though no more of it than a step.
pub(super) fn drained(policy: &Policy, s: &Snapshot, census: &Census, excess: u32) -> Drained {
    let theirs = |u: &&Unit<'_>| u.standing == Standing::Drained { ours: None, doomed: false };
    let ours = |u: &&Unit<'_>| match &u.standing {
        Standing::Occupied { ours } | Standing::Drained { ours, .. } => ours.is_some(),
        _ => false,
    };
    let mut units: Vec<&Unit<'_>> = census.units.iter().filter(theirs).collect();
    units.sort_by_key(|u| (u.template, u.launched_at, u.id));
    units.truncate(usize::try_from(policy.step_down_max).unwrap_or(usize::MAX));
    let ours = count(census.units.iter().filter(ours).count());
    let mut above = excess.saturating_sub(ours);
    let mut room = s.group.desired.saturating_sub(s.group.min);
    let victims = units.into_iter().map(|unit| {
        let decrement = above == 0 && room > 0;
        above = above.saturating_sub(1);
        room -= u32::from(decrement);
        victim(unit, OpId::of(unit.id, s.now), decrement, Because::Drained)
    });
    Drained { victims: victims.collect(), room }
}

pub(super) struct Drained {
    victims: Vec<Victim>,
    /// By how much the group may still get smaller.
    room: u32,
}

impl Drained {
    pub(super) fn action(self) -> Option<Action> {
        let count = count(self.victims.len());
        (count > 0).then_some(Action::Retire { count, candidates: self.victims })
    }
}

fn busy(unit: &Unit<'_>) -> u32 {
    match unit.standing {
        Standing::Open { busy, .. } => busy,
        _ => 0,
    }
}

pub(super) struct Shrinkage {
    pub(super) actions: Vec<Action>,
    pub(super) why: Why,
}

pub(super) fn fewer(
    policy: &Policy,
    s: &Snapshot,
    census: &Census,
    memory: &Memory,
    balance: &Balance,
    drained: &Drained,
) -> Shrinkage {
    let hold = |why| Shrinkage { actions: vec![], why };
    let booting = census.booting();
    let Some(surplus) = surplus(policy, s, balance) else {
        return hold(Why::RightSized { booting });
    };
    if balance.schedulable > 0 {
        return hold(Why::RunsWait { schedulable: balance.schedulable });
    }
    // Nothing stands behind the number: lowering it ends nobody.
    if balance.blocked {
        let to = census.in_group().max(s.group.min);
        let actions = vec![Action::SetDesired { from: s.group.desired, to }];
        return Shrinkage { actions, why: Why::Shrunk };
    }
    if drained.room == 0 {
        return hold(Why::AtMin);
    }
    if policy.step_down_max == 0 {
        return hold(Why::NeverShrinks);
    }
    let step = policy.step_down_max.saturating_sub(count(drained.victims.len()));
    if step == 0 {
        return hold(Why::Shrunk);
    }
    let cooling = memory
        .scaled_in_at
        .map_or(0, |at| policy.scale_in_cooldown_ms.saturating_sub(s.now.since_ms(at)));
    if cooling > 0 {
        return hold(Why::CoolingDown { left_ms: cooling });
    }
    let raised_by_hand = memory.desired.is_some_and(|ours| s.group.desired > ours);
    let mut eligible = eligible(policy, s, census, raised_by_hand);
    if eligible.is_empty() {
        return hold(Why::NoneIdleLongEnough);
    }
    let limit = surplus.min(drained.room).min(step);
    let count = limit.min(count(eligible.len()));
    eligible.truncate(usize::try_from(count).unwrap_or(usize::MAX).saturating_add(SPARES_MAX));
    let candidates = eligible
        .into_iter()
        .map(|unit| victim(unit, OpId::of(unit.id, s.now), true, Because::Surplus))
        .collect();
    Shrinkage { actions: vec![Action::Retire { count, candidates }], why: Why::Shrunk }
}

/// Machines that could go without anything wanted missing; None: none could.
fn surplus(policy: &Policy, s: &Snapshot, balance: &Balance) -> Option<u32> {
    let slots = policy.slots_per_instance.max(1);
    let spare = balance.supply.saturating_sub(balance.wanted) / slots;
    let blocked = if balance.blocked { balance.outstanding } else { 0 };
    let surplus = spare.saturating_add(blocked);
    (surplus > 0 && s.group.desired > 0).then_some(surplus)
}

/// What may go, in order: older launch template, older machine.
fn eligible<'a>(
    policy: &Policy,
    s: &Snapshot,
    census: &'a Census<'a>,
    raised_by_hand: bool,
) -> Vec<&'a Unit<'a>> {
    let may = |unit: &&Unit<'_>| match &unit.standing {
        Standing::Open { idle_since: Some(since), .. } => {
            s.now.since_ms(*since) >= policy.idle_delay_ms
        }
        // More was asked for by hand than we ever wanted: it need not come up first.
        Standing::Booting => raised_by_hand && !census.nameless,
        _ => false,
    };
    let mut eligible: Vec<&Unit<'_>> = census.units.iter().filter(may).collect();
    eligible.sort_by_key(|u| (u.template, u.launched_at, u.id));
    eligible
}
