//! A pool's machines: the group that launches and ends them, and the hooks that hold an end back.
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::drain::Notice;
use windlass_core::fleet::{Group, SeenInstance};
use windlass_core::id::InstanceId;

/// What the provider says at one look. Its parts may be of different moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    pub group: Group,
    /// Of the group, beside it with the pool's tag, and those that were asked for by name.
    pub instances: Vec<SeenInstance>,
}

/// What became of a machine that was to be ended. Both are success: ending is done twice harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Going,
    /// It was gone, or is not known (any more).
    Gone,
}

/// How a machine is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It leaves the group, which gets smaller by it, or launches another.
    InGroup { decrement: bool },
    /// No group knows it.
    Outside,
}

/// A group of machines, as an Auto Scaling group is one.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// `named`: machines that workers claim to be on. One that the group does not know is looked up;
    /// one that nobody knows is left out, and hinders no other.
    async fn look(&self, named: &[InstanceId]) -> Result<Machines, Fault>;
    /// Refused as `Poison` beyond the group's bounds.
    async fn set_desired(&self, to: u32) -> Result<(), Fault>;
    async fn end(&self, instance: &InstanceId, way: Way) -> Result<Ended, Fault>;
    /// Whether the group may choose these itself. Those that are not in service are passed over.
    async fn protect(&self, instances: &[InstanceId], protected: bool) -> Result<(), Fault>;
}

/// How a wait is named to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Token,
    /// By machine and hook alone, where a token was wrong.
    Instance,
}

/// What the provider says of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// It knows of no such wait: it is over, or was named wrongly.
    NoActiveAction,
}

/// Lifecycle hooks of terminating machines.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Every machine of this group that waits now, without a token where the provider does not tell
    /// it (rule C5: what is seen is handled; a message is only faster).
    async fn waiting(&self, group: &str) -> Result<Vec<Notice>, Fault>;
    async fn heartbeat(&self, notice: &Notice, by: By) -> Result<Answer, Fault>;
    /// Lets the machine go.
    async fn complete(&self, notice: &Notice, by: By) -> Result<Answer, Fault>;
}
