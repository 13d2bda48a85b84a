//! The fake pool, as it is.
use crate::stories::Staffed;
use std::sync::Arc;
use windlass_ports::contract::pool::Can;
use windlass_ports::fake::{FakeClock, FakePool};

pub(crate) const CAN: Can = Can::ALL;

pub(crate) fn new(clock: &FakeClock) -> Arc<dyn Staffed> {
    Arc::new(FakePool::new(clock.shared()))
}
