//! The adapter passes the port's contract, over HTTP, as far as such a pool can.
mod common;

use async_trait::async_trait;
use common::{Bench, on};
use spacelift_server::{Pool as There, SpaceliftServer};
use std::sync::Arc;
use windlass_core::id::InstanceId;
use windlass_ports::clock::SystemClock;
use windlass_ports::contract::RealTime;
use windlass_ports::contract::pool::{self, Can, Crew, Dock};

/// Workers of one slot each, as Spacelift has them; it hands out runs by itself.
struct Launchers(Arc<SpaceliftServer>);

impl Launchers {
    fn of(
        pool: &There,
        machine: &InstanceId,
        with: fn(&spacelift_server::Worker) -> bool,
    ) -> Option<String> {
        let name = format!("\"{machine}\"");
        let mut there = pool.workers.iter().filter(|worker| worker.metadata.contains(&name));
        there.find(|worker| with(worker)).map(|worker| worker.id.clone())
    }
}

#[async_trait]
impl Crew for Launchers {
    async fn start(&self, machine: &InstanceId, slots: u32) -> bool {
        self.0.pool(|pool| {
            for slot in 0..slots {
                pool.workers.push(on(&format!("{machine}-{slot}"), machine.as_str()));
            }
        });
        true
    }
    async fn take(&self, machine: &InstanceId) -> bool {
        self.0.pool(|pool| {
            let free = Self::of(pool, machine, |worker| !worker.busy && !worker.drained);
            free.is_some_and(|id| pool.run(&id))
        })
    }
    async fn finish(&self, machine: &InstanceId) {
        self.0.pool(|pool| {
            if let Some(id) = Self::of(pool, machine, |worker| worker.busy) {
                pool.finish(&id);
            }
        });
    }
    async fn lose(&self, _: &InstanceId) {}
    async fn operate(&self, _: &InstanceId, _: bool) -> bool {
        false
    }
    async fn queue(&self, runs: u32, _: u32) {
        self.0.pool(|pool| pool.pending = runs.into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool() {
    let Bench { server, spacelift } = Bench::with(&[]);
    let server = Arc::new(server);
    let dock = Dock {
        pool: Arc::new(spacelift),
        crew: Box::new(Launchers(server.clone())),
        can: Can::NONE,
        time: Arc::new(RealTime),
        clock: Arc::new(SystemClock),
    };
    pool::all(&dock).await;
    assert_eq!(server.minted(), 1, "one token is enough for an hour");
}
