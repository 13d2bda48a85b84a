//! What a machine is told of its own end.
use crate::fault::Fault;
use async_trait::async_trait;
use windlass_core::time::UnixMs;

/// Whoever lends this machine, and may want it back.
#[async_trait]
pub trait Notices: Send + Sync {
    /// The most urgent notice that stands; None as long as the machine may stay.
    async fn standing(&self) -> Result<Option<Notice>, Fault>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is likely to be taken soon: better to begin nothing more on it.
    Rebalance,
    /// It is taken at this time, by its lender's clock.
    Interruption { at: UnixMs },
}
