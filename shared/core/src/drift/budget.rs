//! A pool's drift budget: so many places, each of which one due look has until its run has ended.
//!
//! A place is a document that is created once, so no two can have it, however many functions hand
//! places out at the same time.
use crate::id::StackId;
use crate::time::{MINUTE_MS, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many drift runs of one pool are open at a time, unless the pool says otherwise: one, so that
/// a sweep over many stacks never takes the last worker from somebody who waits for a plan.
pub const BUDGET: u32 = 1;
/// A stack that has a place and does not give it back is told again after this.
pub const TELL_AGAIN_MS: u64 = 2 * MINUTE_MS;

/// `index/pools/<pool>.json`: what the definitions say about a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// The catalog's, when it was written.
    pub revision: u64,
    #[serde(default)]
    pub drift_budget: Option<u32>,
}

impl PoolSettings {
    #[must_use]
    pub fn drift_budget(&self) -> u32 {
        self.drift_budget.unwrap_or(BUDGET)
    }
}

/// `drift/places/<pool>/<n>`: who has this place, until its stack gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub stack: StackId,
    /// The ticket's minute: the same stack's next ticket is another one.
    pub minute: u64,
    /// When the stack was last told.
    pub told: UnixMs,
}

/// A ticket and the place that it gets, or has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    pub place: u32,
    pub stack: StackId,
    pub minute: u64,
}

/// Whose turn it is: the oldest tickets get the places that are free. One that has its place
/// already (whoever gave it was cut off) keeps that.
#[must_use]
pub fn admit(
    budget: u32,
    taken: &BTreeMap<u32, Place>,
    tickets: &[(u64, StackId)],
) -> Vec<Admission> {
    let has = |minute: u64, stack: &StackId| {
        taken.iter().find(|(_, place)| place.minute == minute && place.stack == *stack)
    };
    // A budget that was lowered: those beyond it end, and nobody follows them.
    let open = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    let room = budget.saturating_sub(open) as usize;
    let mut free = (0..budget).filter(|place| !taken.contains_key(place)).take(room);
    let mut oldest: Vec<&(u64, StackId)> = tickets.iter().collect();
    oldest.sort_unstable();
    let admissions = oldest.into_iter().filter_map(|(minute, stack)| {
        let place = match has(*minute, stack) {
            Some((place, _)) => *place,
            None => free.next()?,
        };
        Some(Admission { place, stack: stack.clone(), minute: *minute })
    });
    admissions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_to_the_oldest_and_no_further_than_the_budget() {
        let place = |stack: &str, minute| Place { stack: stack.into(), minute, told: UnixMs(0) };
        let none: &[(u32, Place)] = &[];
        /// The case, the budget, the places taken, the tickets in their order, and who is let in where.
        type Row<'a> =
            (&'a str, u32, &'a [(u32, Place)], &'a [(u64, &'a str)], &'a [(u32, &'a str)]);
        #[rustfmt::skip]
        let table: &[Row] = &[
            ("nobody waits",              2, none,                  &[],                              &[]),
            ("room for both",             2, none,                  &[(1, "a"), (1, "b")],            &[(0, "a"), (1, "b")]),
            ("the oldest first",          1, none,                  &[(9, "a"), (2, "c"), (3, "b")],  &[(0, "c")]),
            ("the place that is free",    2, &[(0, place("x", 1))], &[(2, "a"), (3, "b")],            &[(1, "a")]),
            ("full",                      1, &[(0, place("x", 1))], &[(2, "a")],                      &[]),
            ("it has one already",        1, &[(0, place("a", 2))], &[(2, "a"), (3, "b")],            &[(0, "a")]),
            ("an older one of its own",   1, &[(0, place("a", 1))], &[(2, "a")],                      &[]),
            ("the budget was lowered",    1, &[(4, place("x", 1))], &[(2, "a")],                      &[]),
            ("none",                      0, none,                  &[(2, "a")],                      &[]),
        ];
        for (name, budget, taken, tickets, expect) in table {
            let tickets: Vec<_> = tickets.iter().map(|(m, s)| (*m, StackId::from(*s))).collect();
            let got = admit(*budget, &taken.iter().cloned().collect(), &tickets);
            let got: Vec<_> = got.iter().map(|a| (a.place, a.stack.as_str())).collect();
            assert_eq!(got, *expect, "{name}");
        }
    }
}
