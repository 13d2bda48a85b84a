//! What one tick leaves for the next. Only hints: a pool without it (Spacelift's own module gives
//! no store) decides the same, less patiently.
use crate::id::{InstanceId, derive};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// False where there is no store: nothing of it comes back, so nothing waits for a second look.
    pub kept: bool,
    pub looked_at: Option<UnixMs>,
    pub scaled_out_at: Option<UnixMs>,
    pub scaled_in_at: Option<UnixMs>,
    /// Machines that were going to be ended, with what for; stored before the call that does it.
    pub ops: BTreeMap<InstanceId, Op>,
    /// Machines that looked broken, since when: ended only if they still do at the next look.
    pub suspects: BTreeMap<InstanceId, UnixMs>,
    /// Boots that failed since the last one that succeeded.
    pub boot_failures: u32,
    pub boot_failed_at: Option<UnixMs>,
    /// Workers that were heard of, less those whose machines were going to be ended.
    pub workers_live: u32,
    /// Machines that the group counted.
    pub machines: u32,
    /// The last look was not believed.
    pub doubted: bool,
    /// What the group's size was when we last decided.
    pub desired: Option<u32>,
    /// Somebody made the group smaller than what was there, and it is not yet as small.
    pub lowered: bool,
}

impl Memory {
    /// For a pool that has a store, before the first tick.
    #[must_use]
    pub fn fresh() -> Self {
        Self { kept: true, ..Self::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    pub id: OpId,
    pub decrement: bool,
    pub because: super::Because,
    pub at: UnixMs,
}

/// Names one removal, so that finishing it twice is finishing it once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub String);

impl OpId {
    #[must_use]
    pub fn of(instance: &InstanceId, now: UnixMs) -> Self {
        Self(derive(&["retire", &instance.0, &now.0.to_string()]))
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
