//! What happens to a pool from outside: a file that anybody can write from a history of their own.
use crate::Ms;
use serde::{Deserialize, Serialize};

const MINUTE_MS: Ms = 60_000;
const RUNS_MAX: usize = 1_000_000;

/// One history. Times are in milliseconds from its beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    pub name: String,
    #[serde(default)]
    pub about: String,
    pub length_ms: Ms,
    #[serde(default)]
    pub seed: u64,
    pub group: Bounds,
    /// From launch to registration, at least and at most.
    pub boot_ms: (Ms, Ms),
    /// Of a hundred boots so many never register.
    #[serde(default)]
    pub boot_fails_percent: u32,
    pub runs: Vec<Run>,
    /// When fewer machines can be had than the group may have.
    #[serde(default)]
    pub shortages: Vec<Shortage>,
    /// When machines are taken: each is one machine, chosen by the seed, with two minutes' notice.
    #[serde(default)]
    pub interruptions_at: Vec<Ms>,
    /// When calls that end or add machines are refused.
    #[serde(default)]
    pub throttles: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub min: u32,
    pub max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it could start if there were a free worker.
    pub at_ms: Ms,
    pub takes_ms: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub from_ms: Ms,
    pub to_ms: Ms,
    pub machines_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_ms: Ms,
    pub to_ms: Ms,
}

impl Span {
    #[must_use]
    pub fn covers(&self, at: Ms) -> bool {
        (self.from_ms..self.to_ms).contains(&at)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("this is no trace: {0}")]
    Json(#[from] serde_json::Error),
    #[error("this trace can't be played: {0}")]
    Wrong(&'static str),
}

impl Trace {
    /// Reads and checks a trace.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &[u8]) -> Result<Self, TraceError> {
        serde_json::from_slice::<Trace>(text)?.checked()
    }

    /// The same trace, its runs in order, if it can be played.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn checked(mut self) -> Result<Self, TraceError> {
        let trace = &mut self;
        let wrong = |why| Err(TraceError::Wrong(why));
        if trace.runs.is_empty() {
            return wrong("it has no runs");
        }
        if trace.runs.len() > RUNS_MAX {
            return wrong("it has more than a million runs");
        }
        if trace.group.min > trace.group.max || trace.group.max == 0 {
            return wrong("its group has no room: 0 <= min <= max, and max is at least 1");
        }
        if trace.boot_ms.0 > trace.boot_ms.1 {
            return wrong("its boots take longer at least than at most");
        }
        if trace.length_ms == 0 || trace.runs.iter().any(|run| run.at_ms > trace.length_ms) {
            return wrong("a run comes after its end");
        }
        trace.runs.sort_by_key(|run| run.at_ms);
        Ok(self)
    }

    /// The traces that this repository promises things on.
    #[must_use]
    pub fn known() -> Vec<Trace> {
        [burst(), working_day(), drift_night(), shortage(), flapping(), spot_day()].to_vec()
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Trace> {
        Self::known().into_iter().find(|trace| trace.name == name)
    }
}

fn trace(name: &str, about: &str, seed: u64, hours: u64, max: u32) -> Trace {
    Trace {
        name: name.to_owned(),
        about: about.to_owned(),
        length_ms: hours * 60 * MINUTE_MS,
        seed,
        group: Bounds { min: 0, max },
        boot_ms: (90_000, 150_000),
        boot_fails_percent: 0,
        runs: vec![],
        shortages: vec![],
        interruptions_at: vec![],
        throttles: vec![],
    }
}

fn between(dice: &mut fastrand::Rng, least: Ms, most: Ms) -> Ms {
    dice.u64(least..=most)
}

fn push(trace: &mut Trace, mut runs: Vec<Run>) {
    trace.runs.append(&mut runs);
    trace.runs.retain(|run| run.at_ms <= trace.length_ms);
    trace.runs.sort_by_key(|run| run.at_ms);
}

/// A change of a module that everybody uses: forty stacks at once, four times.
fn burst() -> Trace {
    let mut it = trace("burst", "Forty runs within five seconds, every two hours", 11, 8, 40);
    let mut dice = fastrand::Rng::with_seed(it.seed);
    for hour in [1, 3, 5, 7] {
        let start = hour * 60 * MINUTE_MS;
        let runs = (0..40).map(|_| Run {
            at_ms: start + between(&mut dice, 0, 5_000),
            takes_ms: between(&mut dice, 120_000, 360_000),
        });
        let runs = runs.collect();
        push(&mut it, runs);
    }
    it
}

/// Eight to eighteen, with a rush after nine and after lunch.
fn working_day() -> Trace {
    let about =
        "A day of 24 hours: 20 to 60 runs an hour from eight to six, two rushes, quiet at night";
    let mut it = trace("working-day", about, 23, 24, 30);
    let mut dice = fastrand::Rng::with_seed(it.seed);
    let an_hour =
        [1, 0, 0, 0, 0, 1, 2, 6, 20, 60, 45, 30, 15, 50, 45, 35, 30, 20, 8, 4, 2, 2, 1, 1];
    for (hour, runs) in an_hour.into_iter().enumerate() {
        let start = hour as u64 * 60 * MINUTE_MS;
        let runs = (0..runs).map(|_| Run {
            at_ms: start + between(&mut dice, 0, 60 * MINUTE_MS - 1),
            takes_ms: between(&mut dice, 60_000, 600_000),
        });
        let runs = runs.collect();
        push(&mut it, runs);
    }
    it
}

/// Three hundred stacks look for drift from two o'clock on, a few every minute; a person now and
/// then.
fn drift_night() -> Trace {
    let mut it =
        trace("drift-night", "300 short runs from two to four, and a few people", 37, 8, 20);
    let mut dice = fastrand::Rng::with_seed(it.seed);
    let drift = (0..300).map(|_| Run {
        at_ms: 120 * MINUTE_MS + between(&mut dice, 0, 120 * MINUTE_MS),
        takes_ms: between(&mut dice, 40_000, 120_000),
    });
    let drift = drift.collect();
    push(&mut it, drift);
    let people = (0..12).map(|_| Run {
        at_ms: between(&mut dice, 0, 470 * MINUTE_MS),
        takes_ms: between(&mut dice, 120_000, 600_000),
    });
    let people = people.collect();
    push(&mut it, people);
    it
}

/// For twenty minutes hardly anything can be launched, and then it can: what was frozen has to thaw.
fn shortage() -> Trace {
    let about =
        "Thirty runs at a time; ten more while only four machines can be had, for 20 minutes";
    let mut it = trace("shortage", about, 41, 8, 30);
    let mut dice = fastrand::Rng::with_seed(it.seed);
    for (minute, count) in
        [(60, 30), (100, 10), (150, 30), (210, 30), (270, 30), (330, 30), (390, 30), (450, 30)]
    {
        let runs = (0..count).map(|_| Run {
            at_ms: minute * MINUTE_MS + between(&mut dice, 0, 20_000),
            takes_ms: between(&mut dice, 120_000, 420_000),
        });
        let runs = runs.collect();
        push(&mut it, runs);
    }
    it.shortages.push(Shortage {
        from_ms: 95 * MINUTE_MS,
        to_ms: 115 * MINUTE_MS,
        machines_max: 4,
    });
    it
}

/// A few runs every ten minutes: what goes too early has to boot again.
fn flapping() -> Trace {
    let mut it = trace("flapping", "Six runs every nine to thirteen minutes", 53, 8, 20);
    let mut dice = fastrand::Rng::with_seed(it.seed);
    let mut at = 10 * MINUTE_MS;
    while at < it.length_ms {
        let runs = (0..6).map(|_| Run {
            at_ms: at + between(&mut dice, 0, 15_000),
            takes_ms: between(&mut dice, 60_000, 180_000),
        });
        let runs = runs.collect();
        push(&mut it, runs);
        at += between(&mut dice, 9 * MINUTE_MS, 13 * MINUTE_MS);
    }
    it
}

/// A working day on Spot: machines are taken, boots fail, AWS throttles.
fn spot_day() -> Trace {
    let mut it = working_day();
    it.name = "spot-day".to_owned();
    it.about = "The working day, with 40 interruptions, 5 % of boots failing and a throttled hour"
        .to_owned();
    it.seed = 67;
    it.boot_fails_percent = 5;
    let mut dice = fastrand::Rng::with_seed(it.seed);
    it.interruptions_at =
        (0..40).map(|_| between(&mut dice, 480 * MINUTE_MS, 1_080 * MINUTE_MS)).collect();
    it.interruptions_at.sort_unstable();
    it.throttles.push(Span { from_ms: 600 * MINUTE_MS, to_ms: 615 * MINUTE_MS });
    it
}
