//! Groups of machines: how they boot, which launches fail, how their time passes, what became of
//! their machines.
use crate::Emulator;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// A machine that went.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct End {
    pub instance: String,
    pub group: String,
    pub why: Why,
    pub hook: Hook,
    /// Seconds since 1970, by the groups' time.
    pub at: f64,
    /// … and by the machine's, whatever time passed for groups alone.
    pub clock_at: f64,
}

/// Who let it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// `TerminateInstanceInAutoScalingGroup`.
    User,
    /// The group, by its own choice.
    ScaleIn,
    Refresh,
    Unhealthy,
    /// `TerminateInstances`, past the group.
    Ec2,
}

/// What its last hook came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// There was none.
    None,
    Completed,
    /// Nobody completed it in time.
    Lapsed,
}

/// Launches that fail; the group tries again every 30 seconds of its time.
#[derive(Clone, Debug, Default)]
pub struct Failing {
    /// As AWS names it: `InsufficientInstanceCapacity`.
    pub code: String,
    /// So many attempts, else all of them.
    pub times: Option<u32>,
    /// The group gets so many machines all the same.
    pub capacity: Option<u32>,
}

/// One group, as its machines stand.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Standing {
    pub desired: u32,
    /// By their id, in AWS's words: `InService`, `Terminating:Wait`.
    pub instances: BTreeMap<String, String>,
    /// How long hooks hold machines on, when nobody asks for more.
    pub held_ms: BTreeMap<String, u64>,
    /// Machines that were detached from it and still run.
    pub detached: Vec<String>,
}

#[derive(Deserialize)]
struct Told {
    groups: BTreeMap<String, Standing>,
    ends: Vec<End>,
}

impl Emulator {
    /// Machines that are launched from now on are `Pending` for so long.
    ///
    /// # Errors
    /// When the server is away.
    pub fn set_boot_ms(&self, ms: u64) -> Result<()> {
        self.tell("fleet", &json!({ "boot_ms": ms }))
    }

    /// Time passes for all groups and hooks, and for nothing else.
    ///
    /// # Errors
    /// When the server is away.
    pub fn pass_fleet_ms(&self, ms: u64) -> Result<()> {
        self.tell("fleet", &json!({ "pass_ms": ms }))
    }

    /// From now on a group's launches fail like this; with none, they succeed.
    ///
    /// # Errors
    /// When the server is away.
    pub fn fail_launches(&self, group: &str, failing: Option<&Failing>) -> Result<()> {
        let rule = failing.map(|failing| {
            json!({ "code": failing.code, "times": failing.times, "capacity": failing.capacity })
        });
        self.tell("fleet", &json!({ "launches": { group: rule } }))
    }

    /// A group's machines, as the server knows them.
    ///
    /// # Errors
    /// When the server is away, or knows no such group.
    pub fn standing(&self, group: &str) -> Result<Standing> {
        let mut told = self.told()?;
        told.groups.remove(group).with_context(|| format!("there is no group {group}"))
    }

    /// Every machine of a group that went, in order, with those that were detached from it before.
    ///
    /// # Errors
    /// When the server is away.
    pub fn ends(&self, group: &str) -> Result<Vec<End>> {
        Ok(self.told()?.ends.into_iter().filter(|end| end.group == group).collect())
    }

    /// From now on each of these callers may do only what is listed, as `autoscaling:Describe…`;
    /// the rest is refused as IAM refuses it. Other callers may do anything.
    ///
    /// # Errors
    /// When the server is away.
    pub fn set_roles(&self, roles: &[(&str, &[&str])]) -> Result<()> {
        let roles: BTreeMap<_, _> = roles.iter().copied().collect();
        self.tell("roles", &json!(roles))
    }

    fn told(&self) -> Result<Told> {
        serde_json::from_value(self.ask("fleet")?).context("the groups do not parse")
    }
}
