//! A pool, its group of machines and both functions, over ports that fail by plan.
use super::crew::Crew;
use autoscaler::{Call, Occasion, Outcome, Report, Store};
use drainer::Fate;
use serde_json::json;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use windlass_core::drain::DrainRecord;
use windlass_core::fleet::{Group, Ledger, Policy, Why};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::keys;
use windlass_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use windlass_ports::fake::{
    Death, FakeClock, FakeFleet, FakeHook, Faults, Faulty, GoneBy, MemDocs,
};
use windlass_ports::{Clock, Delivery, Fault, Pool, WriteIds, cas};

/// Monday, 2026-11-23, 12:00 UTC.
pub(crate) const NOON: UnixMs = UnixMs(1_795_435_200_000);
pub(crate) const HOOK_MS: u64 = 300 * SECOND_MS;
pub(crate) const GROUP: &str = "workers";
pub(crate) const QUEUE: &str = "hook";

pub(crate) fn min(n: u64) -> u64 {
    n * MINUTE_MS
}
pub(crate) fn pool_id() -> PoolId {
    "default".into()
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: FakeClock,
    pub(crate) docs: Arc<MemDocs>,
    pub(crate) fleet: Arc<FakeFleet>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) faults: Faults,
    pub(crate) policy: Policy,
    pub(crate) slots: u32,
    pub(crate) hooked: bool,
    /// As in the official Spacelift module: no store, no tombstones.
    pub(crate) guest: bool,
    /// What the pool does itself is counted and struck, and not what is asked of it.
    pub(crate) deep: bool,
    /// Its worker never registers again.
    pub(crate) dud: Option<InstanceId>,
    write_ids: Arc<WriteIds>,
}

impl World {
    /// Of 0 to 20 machines, none there yet, with a hook on their ends.
    pub(crate) fn new() -> Self {
        let clock = FakeClock::at(NOON);
        let group = Group { name: GROUP.into(), desired: 0, min: 0, max: 20, launches_failed: 0 };
        let fleet = Arc::new(FakeFleet::new(clock.shared(), group));
        fleet.set_hook(Some(FakeHook { name: "drain".into(), timeout_ms: HOOK_MS }));
        Self {
            docs: Arc::new(MemDocs::new(clock.shared())),
            crew: Arc::new(Crew::new(&clock)),
            clock,
            fleet,
            faults: Faults::none(),
            policy: Policy::default(),
            slots: 1,
            hooked: true,
            guest: false,
            deep: false,
            dud: None,
            write_ids: Arc::new(WriteIds::new("t")),
        }
    }
    pub(crate) fn guest() -> Self {
        let world = Self::new();
        Self { guest: true, crew: Arc::new(Crew::plain(&world.clock)), ..world }
    }
    /// With so many machines, their workers idle since half an hour.
    pub(crate) fn idle(machines: u32) -> Self {
        Self::new().with(machines)
    }
    pub(crate) fn with(self, machines: u32) -> Self {
        self.clock.set(UnixMs(NOON.0 - min(40)));
        self.fleet.change(|group| group.desired = machines);
        self.settle();
        let machines = self.fleet.in_service();
        at_once(windlass_ports::Fleet::protect(&*self.fleet, &machines, true)).expect("protected");
        self.clock.set(NOON);
        self.crew.beat(machines);
        self
    }
    /// An independent copy at the same moment.
    pub(crate) fn fork(&self) -> Self {
        let clock = FakeClock::at(self.now());
        Self {
            docs: Arc::new(self.docs.fork_at(clock.shared())),
            fleet: Arc::new(self.fleet.fork_at(clock.shared())),
            crew: Arc::new(self.crew.fork_at(&clock)),
            faults: Faults::none(),
            write_ids: Arc::new(WriteIds::new("f")),
            clock,
            ..self.clone()
        }
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }
    /// Time goes by; workers are heard of all the while.
    pub(crate) fn pass(&self, ms: u64) {
        self.clock.advance(ms);
        self.crew.beat(self.fleet.machines().into_iter().map(|seen| seen.id));
    }
    /// The group does what it does in a minute; workers of new machines register, and those of gone
    /// machines are heard of no more.
    pub(crate) fn settle(&self) {
        self.fleet.settle();
        self.bury();
        let serving = self.fleet.in_service().into_iter();
        for instance in serving.filter(|instance| self.dud.as_ref() != Some(instance)) {
            self.crew.register(&instance, self.slots);
        }
    }
    /// Says how many runs went with their machines since the last time.
    pub(crate) fn bury(&self) -> u32 {
        self.fleet.deaths().iter().map(|death| self.crew.vanish(&death.instance)).sum()
    }
    pub(crate) fn machine(&self, n: usize) -> InstanceId {
        self.fleet.machines()[n - 1].id.clone()
    }
    pub(crate) fn desired(&self) -> u32 {
        self.fleet.group().desired
    }
    pub(crate) fn busy(&self, machines: &[usize]) {
        for n in machines {
            assert!(self.crew.claim(&self.machine(*n)));
        }
    }

    pub(crate) fn scaler(&self, faulty: bool) -> autoscaler::Deps {
        let store = Store {
            docs: self.wrap(faulty, &self.docs),
            write_ids: self.write_ids.clone(),
            pool: pool_id(),
        };
        autoscaler::Deps {
            pool: self.pool(faulty),
            fleet: self.wrap(faulty, &self.fleet),
            policy: self.policy.clone(),
            store: (!self.guest).then_some(store),
            fences: !self.guest && crate::pool::CAN.fence,
            clock: self.clock.shared(),
            remember: {
                let crew = self.crew.clone();
                Arc::new(move |ops| crew.remember(ops))
            },
        }
    }
    fn pool(&self, faulty: bool) -> Arc<dyn Pool> {
        match self.crew.behind(&self.faults).filter(|_| faulty && self.deep) {
            Some(pool) => pool,
            None => self.wrap(faulty, &self.crew),
        }
    }
    /// Counted and struck by the plan; or never, for calls in the middle of a plan.
    fn wrap<P>(&self, faulty: bool, port: &Arc<P>) -> Arc<Faulty<P>> {
        let never = Faults::none();
        Arc::new(Faulty::new(port.clone(), if faulty { &self.faults } else { &never }))
    }
    pub(crate) fn drainer(&self, faulty: bool) -> drainer::Deps {
        drainer::Deps {
            docs: self.wrap(faulty, &self.docs),
            write_ids: self.write_ids.clone(),
            pool: self.pool(faulty),
            hooks: self.wrap(faulty, &self.fleet),
            clock: self.clock.shared(),
            pool_id: pool_id(),
            groups: vec![GROUP.into()],
            timeout_ms: HOOK_MS,
            fences: !self.guest && crate::pool::CAN.fence,
        }
    }

    pub(crate) fn call(&self) -> Call {
        let until = self.now().plus_ms(45 * SECOND_MS);
        Call { occasion: Occasion::Tick, due: self.now(), until }
    }
    pub(crate) async fn try_tick(&self) -> Result<Report, Fault> {
        autoscaler::handle(&self.scaler(true), self.call()).await
    }
    pub(crate) async fn tick_due(&self, due: UnixMs) -> Report {
        let call = Call { due, ..self.call() };
        autoscaler::handle(&self.scaler(true), call).await.expect("a tick")
    }
    pub(crate) async fn tick(&self) -> Report {
        self.tick_due(self.now()).await
    }
    /// Somebody wakes it, between ticks.
    pub(crate) async fn try_woken(&self, occasion: Occasion) -> Result<Report, Fault> {
        autoscaler::handle(&self.scaler(true), Call { occasion, ..self.call() }).await
    }
    pub(crate) async fn woken(&self, occasion: Occasion) -> Report {
        self.try_woken(occasion).await.expect("a look")
    }
    pub(crate) async fn woken_due(&self, occasion: Occasion, due: UnixMs) -> Report {
        let call = Call { occasion, due, ..self.call() };
        autoscaler::handle(&self.scaler(true), call).await.expect("a look")
    }
    /// A whole look of this kind over ports that never fail, in the middle of another call.
    pub(crate) fn woken_meanwhile(&self, occasion: Occasion) -> Report {
        let call = Call { occasion, ..self.call() };
        at_once(autoscaler::handle(&self.scaler(false), call)).expect("a look")
    }
    /// A tick, and its reason.
    pub(crate) async fn why(&self) -> Why {
        match self.tick().await.outcome {
            Outcome::Decided(why) => why,
            other => panic!("{other:?}"),
        }
    }
    /// A whole tick over ports that never fail, in the middle of another call.
    pub(crate) fn tick_meanwhile(&self) -> Report {
        at_once(autoscaler::handle(&self.scaler(false), self.call())).expect("a tick")
    }
    pub(crate) async fn drains(&self) -> Result<drainer::Report, Fault> {
        drainer::tick(&self.drainer(true)).await
    }
    pub(crate) fn drains_meanwhile(&self) -> drainer::Report {
        at_once(drainer::tick(&self.drainer(false))).expect("a tick")
    }
    /// The message that AWS sends of this wait, if it waits.
    pub(crate) fn message(&self, instance: &InstanceId) -> Option<String> {
        let notice = self.fleet.notice(instance)?;
        let body = json!({
            "LifecycleHookName": notice.hook,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "AutoScalingGroupName": notice.group,
            "EC2InstanceId": notice.instance,
            "LifecycleActionToken": notice.token,
        });
        Some(body.to_string())
    }
    pub(crate) async fn deliver(&self, body: &str) -> Fate {
        let delivery = Delivery {
            body: body.into(),
            group: None,
            receipt: "r".into(),
            receives: 1,
            message_id: windlass_core::id::derive(&[body]),
        };
        drainer::handle_message(&self.drainer(true), QUEUE, &delivery).await
    }
    /// A whole event of the drainer's, as Lambda hands it on.
    pub(crate) async fn invoke(
        &self,
        event: serde_json::Value,
    ) -> Result<serde_json::Value, Fault> {
        let until = self.now().plus_ms(45 * SECOND_MS);
        drainer::invocation::handle(&self.drainer(true), event, until).await
    }
    pub(crate) async fn ledger(&self) -> Ledger {
        let key = keys::fleet_ledger(&pool_id());
        cas::load::<Ledger>(&*self.docs, &key).await.expect("a ledger").expect("a ledger").value
    }
    pub(crate) async fn drain_record(&self, instance: &InstanceId) -> Option<DrainRecord> {
        let key = keys::drain(&pool_id(), instance);
        cas::load::<DrainRecord>(&*self.docs, &key).await.expect("read").map(|found| found.value)
    }

    /// Calls so far whose name begins so.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.faults.trace().iter().filter(|call| call.name.starts_with(name)).count()
    }
    /// Machines that were ended with a run on them: by us, or because their hook was completed, or
    /// not put off. Weather is nobody's fault, nor is what a group without a hook does by itself.
    /// To be asked before anybody is buried.
    pub(crate) fn busy_deaths(&self) -> Vec<Death> {
        let deaths = self.fleet.deaths().into_iter();
        let fault = |death: &Death| match death.by {
            GoneBy::Us | GoneBy::Lapse => true,
            GoneBy::Group => self.hooked,
            GoneBy::Weather => false,
        };
        let buried = |death: &Death| self.crew.is_buried(&death.instance);
        let fresh = deaths.filter(|death| fault(death) && !buried(death));
        fresh.filter(|death| self.crew.busy(&death.instance) > 0).collect()
    }
    #[track_caller]
    pub(crate) fn nobody_busy_ended(&self) {
        let busy = self.busy_deaths();
        assert!(busy.is_empty(), "{busy:?}\n{}", self.faults.story());
    }
    pub(crate) fn gone(&self) -> Vec<InstanceId> {
        self.fleet.deaths().into_iter().map(|death| death.instance).collect()
    }
}

/// For futures over ports in memory, which never wait.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a port in memory waits"),
    }
}
