//! A plan of failures that all wrapped ports share.
use super::lock;
use std::sync::{Arc, Mutex};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It fails and has no effect: the request was lost.
    Before,
    /// It has its effect and fails: the reply was lost.
    After,
    /// A put or delete of [`Docs`](crate::Docs) has its effect and answers `Conflict`: the reply
    /// was lost, and a client that repeats by itself met its own first try. Elsewhere as `After`.
    Repeated,
    /// It and all later ones fail without effect, until [`Faults::revive`].
    CrashBefore,
    /// It has its effect, then as above.
    CrashAfter,
}

/// One call to a wrapped port, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// From 1, over all ports that share the plan.
    pub number: u64,
    /// `docs.put stacks/net/head.json`, `queues.send intents.fifo`, …
    pub name: String,
    pub strike: Option<Strike>,
}

type Plan = Box<dyn FnMut(u64, &str) -> Option<Strike> + Send>;

/// The plan and the count, shared by every clone.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<State>>);

struct State {
    plan: Plan,
    crashed: bool,
    calls: Vec<Call>,
}

impl Faults {
    /// By a function of the call's number and name.
    #[must_use]
    pub fn by(plan: impl FnMut(u64, &str) -> Option<Strike> + Send + 'static) -> Self {
        let state = State { plan: Box::new(plan), crashed: false, calls: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }
    /// Counts and records only.
    #[must_use]
    pub fn none() -> Self {
        Self::by(|_, _| None)
    }
    /// Call `number` alone, counted from 1.
    #[must_use]
    pub fn at(number: u64, strike: Strike) -> Self {
        Self::by(move |n, _| (n == number).then_some(strike))
    }
    /// The first call whose name contains this text.
    #[must_use]
    pub fn once(text: &str, strike: Strike) -> Self {
        let (text, mut struck) = (text.to_owned(), false);
        Self::by(move |_, name| {
            let strikes = !struck && name.contains(&text);
            struck |= strikes;
            strikes.then_some(strike)
        })
    }
    /// Every call whose name contains this text: that part of the world is down.
    #[must_use]
    pub fn always(text: &str, strike: Strike) -> Self {
        let text = text.to_owned();
        Self::by(move |_, name| name.contains(&text).then_some(strike))
    }
    /// About so many of a thousand calls, before, after or repeated; the same for the same seed.
    #[must_use]
    pub fn seeded(seed: u64, per_mille: u64) -> Self {
        Self::by(move |n, _| {
            let roll = mix(seed ^ mix(n));
            let kinds = [Strike::Before, Strike::After, Strike::Repeated];
            (roll % 1_000 < per_mille).then(|| kinds[(roll / 1_000 % 3) as usize])
        })
    }

    /// Replaces the plan; what was counted and recorded stays.
    pub fn replan(&self, plan: impl FnMut(u64, &str) -> Option<Strike> + Send + 'static) {
        lock(&self.0).plan = Box::new(plan);
    }
    /// Nothing fails any more: the crashed process was started again, the weather is fine.
    pub fn revive(&self) {
        let mut state = lock(&self.0);
        state.crashed = false;
        state.plan = Box::new(|_, _| None);
    }
    /// True from a crash until [`Self::revive`].
    #[must_use]
    pub fn crashed(&self) -> bool {
        lock(&self.0).crashed
    }
    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.0).calls.len() as u64
    }
    #[must_use]
    pub fn trace(&self) -> Vec<Call> {
        lock(&self.0).calls.clone()
    }
    /// The trace as lines, for the message of a failing test.
    #[must_use]
    pub fn story(&self) -> String {
        let lines = self.trace().into_iter().map(|Call { number, name, strike }| match strike {
            None => format!("{number:4} {name}\n"),
            Some(strike) => format!("{number:4} {name}  <- {strike:?}\n"),
        });
        lines.collect()
    }

    /// Counts a call and says what happens to it.
    pub(super) fn next(&self, name: String) -> (u64, Option<Strike>) {
        let mut state = lock(&self.0);
        let number = state.calls.len() as u64 + 1;
        let strike = match state.crashed {
            true => Some(Strike::CrashBefore),
            false => (state.plan)(number, &name),
        };
        state.crashed |= matches!(strike, Some(Strike::CrashBefore | Strike::CrashAfter));
        state.calls.push(Call { number, name, strike });
        (number, strike)
    }
}

/// SplitMix64's finaliser: every bit of the input moves every bit of the output.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}
