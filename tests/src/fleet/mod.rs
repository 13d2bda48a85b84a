//! The fleet: a group of machines, the functions that look after it, and who has runs there.
//!
//! - [`group`]: an Auto Scaling group of the emulator's, as an operator made it.
//! - [`pool`]: a pool of `infra/worker-pool.yaml`, deployed; [`machines`]: real workers on its machines;
//!   [`metadata`]: what tells each of its end.
//! - [`functions`]: the functions as Lambda runs them, outside of our template; [`crew`]: workers of
//!   Spacelift's on the group's machines, and the runs that they have.
//! - [`dice`]: chance from a seed.
pub mod crew;
pub mod dice;
pub mod functions;
pub mod group;
pub mod machines;
pub mod metadata;
pub mod pool;

pub use crew::Crew;
pub use dice::Dice;
pub use functions::{Functions, Guise};
pub use group::{Group, Sizes};
pub use machines::Machines;
pub use pool::Pool;
