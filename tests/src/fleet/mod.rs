//! The fleet: a group of machines, the functions that look after it, and who has runs there.
//!
//! - [`group`]: an Auto Scaling group of the emulator's, as an operator made it.
//! - [`pool`]: a pool of `infra/worker-pool.yaml`, deployed; [`machines`]: real workers on its machines.
//! - [`dice`]: chance from a seed.
pub mod dice;
pub mod group;
pub mod machines;
pub mod pool;

pub use dice::Dice;
pub use group::{Group, Sizes};
pub use machines::Machines;
pub use pool::Pool;
