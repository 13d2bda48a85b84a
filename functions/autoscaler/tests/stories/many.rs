//! Many machines that wait at once: whoever is reached too late loses its run.
use super::world::World;
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass_core::drain::Notice;
use windlass_ports::Fault;
use windlass_ports::fleet::{Answer, By, Hooks};

/// Hooks that take a while to answer, and the most questions that were open at once.
struct Slow {
    hooks: Arc<dyn Hooks>,
    open: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Hooks for Slow {
    async fn waiting(&self, group: &str) -> Result<Vec<Notice>, Fault> {
        self.hooks.waiting(group).await
    }
    async fn heartbeat(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.hooks.heartbeat(notice, by).await
    }
    async fn complete(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        self.hooks.complete(notice, by).await
    }
}

/// Rule: a tick looks at many machines side by side, and at not too many.
#[tokio::test]
async fn a_large_group_is_refreshed() {
    let world = World::new();
    world.fleet.change(|group| group.max = 40);
    let world = world.with(40);
    for machine in world.fleet.in_service() {
        assert!(world.crew.claim(&machine));
        world.fleet.refresh(&machine);
    }
    let hooks = world.fleet.clone();
    let slow = Arc::new(Slow { hooks, open: 0.into(), most: 0.into() });
    let deps = drainer::Deps { hooks: slow.clone(), ..world.drainer(true) };
    let report = drainer::tick(&deps).await.expect("a tick");
    assert_eq!((report.waiting, report.failed), (40, 0));
    assert_eq!(slow.most.load(Ordering::SeqCst), 16);
    world.nobody_busy_ended();
}
