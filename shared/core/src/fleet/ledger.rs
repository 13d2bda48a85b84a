//! What a pool's ticks leave for each other and for people: one document per pool.
use super::census::{Census, Standing, Unit, count};
use super::{Action, Alarm, Memory, Notice, Plan, Policy, Snapshot, Unmet, Why};
use crate::id::InstanceId;
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `fleet/<pool>/ledger.json`. Whoever holds it decides about the pool, and nobody else does; its
/// age by the store's own clock is the age of the hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The tick that decides right now.
    #[serde(default)]
    pub holder: Option<String>,
    /// Somebody came meanwhile: the holder looks once more before it lets go.
    #[serde(default)]
    pub again: bool,
    /// A tick was among them, so the next look is a tick's, whoever makes it.
    #[serde(default)]
    pub ticked: bool,
    /// What the provider said of machines that are still there, until they are gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notices: BTreeMap<InstanceId, Notice>,
    #[serde(default)]
    pub memory: Memory,
    /// The last decision, stored before its first action.
    #[serde(default)]
    pub explained: Option<Explanation>,
}

impl Ledger {
    /// Keeps a notice. That a machine is taken is not taken back by advice to leave it.
    pub fn warn(&mut self, instance: &InstanceId, notice: Notice) {
        let known = self.notices.entry(instance.clone()).or_insert(notice);
        if notice == Notice::Spot {
            *known = notice;
        }
    }
}

/// A decision, with what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub at: UnixMs,
    pub due: UnixMs,
    pub seen: Seen,
    pub actions: Vec<Action>,
    pub why: Why,
    pub unmet: Option<Unmet>,
    pub alarms: BTreeSet<Alarm>,
}

/// A look in numbers, and every machine of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub group: String,
    pub desired: u32,
    pub min: u32,
    pub max: u32,
    /// Machines of the group that are launched or in service.
    pub machines_in_group: u32,
    pub machines_booting: u32,
    /// Workers that are heard of, on those.
    pub workers_live: u32,
    pub slots_open: u32,
    pub slots_busy: u32,
    pub schedulable: u32,
    pub oldest_ms: u64,
    pub machines: Vec<SeenMachine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMachine {
    pub id: InstanceId,
    pub is: Kind,
    pub busy: u32,
    /// Since when it has no run, where that is known.
    pub idle_since: Option<UnixMs>,
    pub launched_at: UnixMs,
}

/// A standing, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Open,
    Occupied,
    Drained,
    Doomed,
    Warned,
    Booting,
    Overdue,
    SilentAndBusy,
    Silent,
    Lost,
    Leaked,
    Stranded,
    Leaving,
    Standby,
}

impl Explanation {
    #[must_use]
    pub fn of(policy: &Policy, s: &Snapshot, plan: &Plan) -> Self {
        Self {
            at: s.now,
            due: s.due,
            seen: Seen::of(policy, s),
            actions: plan.actions.clone(),
            why: plan.why.clone(),
            unmet: plan.unmet,
            alarms: plan.alarms.clone(),
        }
    }
}

impl Seen {
    #[must_use]
    pub fn of(policy: &Policy, s: &Snapshot) -> Self {
        let census = Census::take(policy, s);
        Self {
            group: s.group.name.clone(),
            desired: s.group.desired,
            min: s.group.min,
            max: s.group.max,
            machines_in_group: census.in_group(),
            machines_booting: census.booting(),
            workers_live: census.live,
            slots_open: census.open_slots(),
            slots_busy: count(s.workers.iter().map(|w| w.busy as usize).sum()),
            schedulable: s.demand.schedulable,
            oldest_ms: s.demand.oldest_ms,
            machines: census.units.iter().map(SeenMachine::of).collect(),
        }
    }
}

impl SeenMachine {
    fn of(unit: &Unit<'_>) -> Self {
        let idle_since = match unit.standing {
            Standing::Open { idle_since, .. } => idle_since,
            _ => None,
        };
        Self {
            id: unit.id.clone(),
            is: Kind::of(&unit.standing),
            busy: unit.workers.iter().map(|worker| worker.busy).sum(),
            idle_since,
            launched_at: unit.launched_at,
        }
    }
}

impl Kind {
    fn of(standing: &Standing) -> Self {
        match standing {
            Standing::Open { .. } => Self::Open,
            Standing::Occupied { .. } => Self::Occupied,
            Standing::Drained { doomed: true, .. } => Self::Doomed,
            Standing::Drained { .. } => Self::Drained,
            Standing::Warned { .. } => Self::Warned,
            Standing::Booting => Self::Booting,
            Standing::Overdue => Self::Overdue,
            Standing::SilentAndBusy => Self::SilentAndBusy,
            Standing::Silent => Self::Silent,
            Standing::Lost => Self::Lost,
            Standing::Leaked => Self::Leaked,
            Standing::Stranded => Self::Stranded,
            Standing::Leaving => Self::Leaving,
            Standing::Standby => Self::Standby,
        }
    }
}
