//! A pool's machines in an Auto Scaling group, and its lifecycle hooks.
//!
//! - [`Asg`]: the group, in two forms. The full one ends a machine by one call of the group
//!   (`TerminateInstanceInAutoScalingGroup`), which its hooks see, and protects machines. The
//!   guest's keeps to what Spacelift's own autoscaler may do: it describes, sets the size, and ends
//!   machines by that call or, where the role does not have it, by detaching and terminating them.
//! - [`AsgHooks`]: one hook on termination.
//!
//! A machine's launch time and the machines outside of the group come from EC2.
mod ending;
mod failures;
mod group;
mod hooks;
mod look;
mod place;
mod words;

pub use group::Asg;
pub use hooks::AsgHooks;

/// The hook that holds machines, as `infra/terraform/worker-pool` names it (and Spacelift's module).
pub const DRAIN_HOOK: &str = "DrainWorkerLifecycleHook";
/// The pool tag's name, as both modules have it.
pub const POOL_TAG: &str = "WorkerPoolID";

/// The tag that every machine of a pool has: its name and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTag {
    pub name: String,
    pub value: String,
}
