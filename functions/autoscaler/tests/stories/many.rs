//! Many machines: those that wait at once must all be reached, those that are gone cost nothing.
use super::world::{World, min};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass_core::drain::Notice;
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_ports::fleet::{Answer, By, Ended, Fleet, Hooks, Machines, Way};

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

/// A group that counts of how many machines it was asked by name.
struct Asked {
    fleet: Arc<dyn Fleet>,
    named: AtomicUsize,
}

#[async_trait]
impl Fleet for Asked {
    async fn look(&self, named: &[InstanceId]) -> Result<Machines, Fault> {
        self.named.store(named.len(), Ordering::SeqCst);
        self.fleet.look(named).await
    }
    async fn set_desired(&self, to: u32) -> Result<(), Fault> {
        self.fleet.set_desired(to).await
    }
    async fn end(&self, instance: &InstanceId, way: Way) -> Result<Ended, Fault> {
        self.fleet.end(instance, way).await
    }
    async fn protect(&self, instances: &[InstanceId], protected: bool) -> Result<(), Fault> {
        self.fleet.protect(instances, protected).await
    }
}

/// Rule: records outlive their machines by days, and are not asked after for so long.
#[tokio::test]
async fn the_dead_are_not_asked_after() {
    let world = World::idle(20);
    world.busy(&[1, 2]);
    (1..=20).for_each(|n| world.fleet.lose(&world.machine(n)));
    world.fleet.change(|group| group.desired = 0);
    world.settle();
    let asked = Arc::new(Asked { fleet: world.fleet.clone(), named: 0.into() });
    let deps = autoscaler::Deps { fleet: asked.clone(), ..world.scaler(true) };
    for minutes in [1, 120] {
        world.pass(min(minutes));
        autoscaler::handle(&deps, world.call()).await.expect("a tick");
        let named = asked.named.load(Ordering::SeqCst);
        assert!(named <= if minutes == 1 { 20 } else { 0 }, "{named} after {minutes} minutes");
    }
}
