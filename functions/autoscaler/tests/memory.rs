//! Both functions of the fleet over working fakes: the scenarios by their numbers, the protocol's
//! stories (c) by theirs, a death at every call, and chance. Here the pool is one in memory.
#[path = "pools/memory.rs"]
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
}
