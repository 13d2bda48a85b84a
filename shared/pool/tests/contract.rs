//! The pool keeps the port's promises.
mod common;
use common::World;
use std::sync::Arc;
use windlass_ports::contract::pool::{Can, Dock, all};

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_over_records() {
    let world = World::new();
    let (pool, clock) = (world.pool.clone(), world.wall.shared());
    let (crew, time) = (Box::new(world.clone()), Arc::new(world));
    all(&Dock { pool, crew, can: Can::ALL, time, clock }).await;
}
