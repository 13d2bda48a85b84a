//! A pool's workers and its queue, whoever keeps them: our own records, or Spacelift.
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, OpId, SeenWorker, Victim};
pub use windlass_core::fleet::{Drained, IfBusy};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;

/// Workers and demand at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staff {
    pub workers: Vec<SeenWorker>,
    pub demand: Demand,
}

/// Workers on machines, for the autoscaler and the drainer. A machine is one unit: all its workers
/// drain together, and a machine with one busy slot is busy.
#[async_trait]
pub trait Pool: Send + Sync {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault>;
    /// Marks the victim's workers as draining under its op. A claim that came first wins. Where an
    /// operator drains it already that does as well, and stays theirs until it is doomed.
    async fn drain(&self, victim: &Victim, if_busy: IfBusy, now: UnixMs) -> Result<Drained, Fault>;
    /// From here there is no way back (rule C2): written before the call that ends the machine.
    /// Anything but `Idle`: it was not doomed, and must not be ended. A machine that nobody drains
    /// (any more) is `Theirs`.
    async fn doom(&self, victim: &Victim, now: UnixMs) -> Result<Drained, Fault>;
    /// Takes back a drain of this very op that is not doomed. False: there is none.
    async fn undrain(
        &self,
        instance: &InstanceId,
        workers: &[String],
        op: &OpId,
    ) -> Result<bool, Fault>;
    /// Keeps workers from registering on a machine that has none; true the second time too. False:
    /// a worker was there first, or this pool has no such fence.
    async fn tombstone(&self, instance: &InstanceId, op: &OpId, now: UnixMs)
    -> Result<bool, Fault>;
    /// Who holds this machine. It is `Open` while a drain of it could still be taken back, by an
    /// operator or a tick: only [`Self::close`] makes it safe to let it go.
    async fn holder(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault>;
    /// For a hook: drains what is there, or creates the tombstone if nothing is, in one swap where
    /// the pool has one (rule C4). Says who holds it then.
    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault>;
    /// Asks the machine's runs to stop in good time. False: this pool can't be asked.
    async fn ask_to_stop(&self, instance: &InstanceId, now: UnixMs) -> Result<bool, Fault>;
}
