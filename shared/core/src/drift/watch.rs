//! What a stack's head keeps of drift detection.
use super::found::Drifted;
use crate::id::{PoolId, RunId};
use crate::run::{Commit, StateName};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// Slots of the schedule up to this moment are dealt with.
    pub seen: UnixMs,
    /// When the next one falls due.
    pub next: Option<UnixMs>,
    /// A look that is due: it waits for a place in its pool's budget, or has one.
    pub turn: Option<Turn>,
    /// What was last applied well: the world is compared with it.
    pub applied: Option<Commit>,
    pub last: Option<Look>,
    /// A blocking run had the stack while a look was open.
    pub overtaken: bool,
    /// What differs now, as far as is known.
    pub found: Option<Found>,
}

/// One slot's claim on the pool's budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When the slot fell due.
    pub due: UnixMs,
    pub pool: PoolId,
    /// None: all places are taken.
    pub place: Option<u32>,
}

impl Turn {
    /// What its ticket and its place are recognised by.
    #[must_use]
    pub fn minute(&self) -> u64 {
        self.due.minute()
    }
}

/// How the last look went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub at: UnixMs,
    pub run: Option<RunId>,
    pub looked: Looked,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Looked {
    Clean,
    Drifted,
    /// The run did not get to an end that says anything.
    Broken {
        state: StateName,
    },
    /// A blocking run had the stack meanwhile: its own plan tells.
    Overtaken,
    /// There was no run.
    Skipped {
        why: Unfit,
    },
}

/// Why a stack that is due is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unfit {
    Locked {
        by: String,
    },
    /// A blocking run has the stack or waits for it: its plan will tell.
    Busy {
        run: RunId,
    },
    /// There is nothing that the world could differ from.
    NeverApplied,
    /// `ignore_state: true` looks all the same.
    NotFinished {
        state: StateName,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Locked { by } => write!(f, "{by} locked the stack"),
            Unfit::Busy { run } => write!(f, "run {run} has the stack or waits for it"),
            Unfit::NeverApplied => write!(f, "nothing was ever applied"),
            Unfit::NotFinished { state } => {
                write!(f, "its last run is {state} (`ignore_state: true` looks all the same)")
            }
        }
    }
}

/// Resources that differ, and since when exactly these do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub since: UnixMs,
    /// The run that saw it first.
    pub run: RunId,
    pub drifted: Drifted,
}
