//! The same stories over a pool that somebody else keeps: no fence, no mark of doom, nobody to ask.
#[path = "pools/plain.rs"]
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
