//! What a tick does, whole: nothing in it is left to choose.
use super::Memory;
use super::memory::OpId;
use crate::id::InstanceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// Why there is nothing, or nothing more, to do.
    pub why: Why,
    /// Slots that are asked for and will not be there, and what is in the way.
    pub unmet: Option<Unmet>,
    pub alarms: BTreeSet<Alarm>,
    /// What the next tick is told; stored before the first action.
    pub memory: Memory,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Upward for need; downward only where no machine stands behind the number, so that the group
    /// never chooses a victim.
    SetDesired { from: u32, to: u32 },
    /// The first `count` of these that let themselves be drained are doomed and ended. A claim that
    /// came first makes the drain fail: then it is the next one's turn.
    Retire { count: u32, candidates: Vec<Victim> },
    /// It has a run: it takes no more, and goes when the run has ended.
    Drain { victim: Victim },
    /// Drained by an earlier tick, and idle: doomed (if it is not yet) and ended under the same op.
    Finish { victim: Victim },
    /// It is wanted again, and nothing irrevocable was done.
    Undrain { instance: InstanceId, workers: Vec<String>, op: OpId },
    /// It is broken. Where no worker registered, a tombstone is created first, and if one did after
    /// all the machine is left alone.
    End { victim: Victim },
}

/// A machine to be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    pub instance: InstanceId,
    /// All workers on it: they drain together.
    pub workers: Vec<String>,
    pub op: OpId,
    /// Whether the group gets smaller by it, or replaces it.
    pub decrement: bool,
    pub because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Idle for long enough, and not needed.
    Surplus,
    /// The group was made smaller than what is there, by somebody else.
    AboveDesired,
    /// A person or hook drained it, and it is idle now.
    Drained,
    /// Its worker never registered.
    BootFailed,
    /// Its worker fell silent, idle; or was declared lost.
    Lost,
    /// It runs, has the pool's tag, and no group knows it.
    Leaked,
    /// The provider will take it, or advises to leave it.
    Notice,
}

impl Because {
    /// What should not happen to a healthy fleet: bounded by the blast radius.
    #[must_use]
    pub fn abnormal(self) -> bool {
        matches!(self, Because::BootFailed | Because::Lost | Because::Leaked)
    }
}

/// Why a plan does no more than it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// The tick is older than it may be.
    Stale {
        age_ms: u64,
    },
    /// Nobody looked for a while: the first look only observes.
    FirstLook {
        gap_ms: u64,
    },
    /// Too many workers vanished at once to be believed.
    Implausible {
        live: u32,
        before: u32,
    },
    /// There is as much as is wanted; this much of it is still booting.
    RightSized {
        booting: u32,
    },
    /// No more is wanted, and all else is left to the next tick.
    Woken,
    /// More machines were asked for.
    Grown,
    /// Fewer machines are wanted, and these go.
    Shrunk,
    AtMax,
    AtMin,
    /// Its owner lets nothing be added, or nothing taken away: a step of 0.
    NeverGrows,
    NeverShrinks,
    /// More was asked for recently, or less.
    CoolingDown {
        left_ms: u64,
    },
    /// Machines can't be launched: there is no capacity.
    CapacityBlocked,
    /// New machines don't come up.
    BootsFail {
        in_a_row: u32,
    },
    /// Too much is there, but runs wait that are about to be claimed.
    RunsWait {
        schedulable: u32,
    },
    /// Too much is there, but nothing was idle for long enough.
    NoneIdleLongEnough,
    /// Somebody made the group smaller than what is there; nothing is added until it has shrunk.
    ShrinkingByHand {
        excess: u32,
    },
}

/// Slots wanted and not to be had in this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    pub slots: u32,
    pub cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Max,
    Step,
    Capacity,
    BootsFail,
    CoolingDown,
    ByHand,
}

/// What a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "alarm", rename_all = "snake_case")]
pub enum Alarm {
    /// Runs wait, and the group may not grow.
    QueueAtMax,
    CapacityBlocked,
    /// The image or the network is broken.
    BootsFail,
    Implausible,
    /// A worker names another group.
    OtherGroup {
        worker: String,
    },
    /// A worker does not say which machine it is on: it can't be counted, nor ended.
    Unidentified {
        worker: String,
    },
    /// A worker with a run is silent; nobody ends it.
    SilentAndBusy {
        instance: InstanceId,
    },
    /// More machines are broken than one tick may end.
    BlastRadius,
}
