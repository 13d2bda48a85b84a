//! What handlers may touch, as traits named by role; the swap loop; the fakes.
//!
//! A port's errors are the few that any implementation can show, plus [`Fault`]. No SDK type, no
//! SQL, no path crosses this line.
pub mod blobs;
pub mod cas;
pub mod clock;
pub mod deliveries;
pub mod docs;
pub mod fault;
pub mod fleet;
pub mod forge;
pub mod notices;
pub mod pool;
pub mod presence;
pub mod queues;
pub mod secrets;
pub mod write_ids;

pub use blobs::Blobs;
pub use cas::Change;
pub use clock::Clock;
pub use docs::{Docs, Expect, Found, Listed, PutError, Version};
pub use fault::Fault;
pub use fleet::{Fleet, Hooks, Machines};
pub use forge::{Archive, ChangedFiles, CommitStatus, Forge, Source, StatusState};
pub use notices::{Notice, Notices};
pub use pool::{Pool, Staff};
pub use presence::{Evidence, Presence};
pub use queues::{Delivery, Outgoing, Queues};
pub use secrets::Secrets;
pub use write_ids::WriteIds;

#[cfg(feature = "fakes")]
pub mod contract;
#[cfg(feature = "fakes")]
pub mod fake;
