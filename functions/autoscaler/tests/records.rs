//! The same stories over Windlass's own pool: a record for each machine, kept in a store.
#[path = "pools/records.rs"]
mod pool;
mod stories {
    mod crash;
    mod crew;
    mod hooks;
    mod many;
    mod protocol;
    mod scaling;
    mod simulation;
    mod single;
    mod woken;
    mod world;
    pub(crate) use crew::Staffed;
    pub(crate) use world::{at_once, pool_id};
}
