//! The fakes keep the ports' promises, and the fault injector does what its plan says.
#![cfg(feature = "fakes")]
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use windlass_core::fleet::{Demand, Group};
use windlass_core::id::{InstanceId, Sha};
use windlass_core::time::UnixMs;
use windlass_ports::clock::SystemClock;
use windlass_ports::contract::fleet::{Spec, Stand};
use windlass_ports::contract::pool::{Can, Dock};
use windlass_ports::contract::{self, Ground, RealTime, queues::Yard};
use windlass_ports::fake::{
    Death, FakeClock, FakeFleet, FakeForge, FakeHook, FakePool, FakeSource, Faults, Faulty, GoneBy,
    MemBlobs, MemDocs, MemQueues, MemSecrets, Strike,
};
use windlass_ports::{
    Clock as _, Docs, Expect, Fault, Fleet as _, Found, Listed, Outgoing, PutError, Queues, Version,
};

fn clock() -> FakeClock {
    FakeClock::at(UnixMs(1_700_000_000_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn documents() {
    let clock = clock();
    let docs = Arc::new(MemDocs::new(clock.shared()));
    contract::docs::all(&Ground::new(docs, "t", clock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_by_a_fake_clock() {
    let clock = clock();
    let queues = Arc::new(MemQueues::new(clock.shared()));
    queues.set_receives_max(3);
    let ground = Ground::new(queues as Arc<dyn Queues>, "t", clock);
    contract::queues::all(&Yard { ground, receives_max: 3, waits: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_by_the_real_clock() {
    let queues = Arc::new(MemQueues::waiting(Arc::new(SystemClock)));
    let ground = Ground::new(queues as Arc<dyn Queues>, "t", RealTime);
    let yard = Yard { ground, receives_max: 3, waits: true };
    tokio::join!(
        contract::queues::wakes_on_send(&yard),
        contract::queues::wakes_when_the_group_is_free(&yard),
        contract::queues::wakes_on_a_lapse(&yard),
        contract::queues::a_lapse_gives_back_in_order(&yard),
        contract::queues::nothing_is_lost_or_doubled(&yard),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_and_secrets() {
    contract::blobs::all(&Ground::new(Arc::new(MemBlobs::new()), "t", clock())).await;
    contract::secrets::all(&Ground::new(Arc::new(MemSecrets::new()), "t", clock())).await;
}

/// A repository of the fake source, as others push to it.
struct FakeOrigin(Arc<FakeSource>);

impl contract::source::Origin for FakeOrigin {
    fn push(&self, branch: &str, written: &[(&str, &str)], removed: &[&str]) -> Sha {
        self.0.push_change("infra", branch, written, removed)
    }
    fn set_branch(&self, branch: &str, sha: &Sha) {
        self.0.set_branch("infra", branch, sha);
    }
    fn delete_branch(&self, branch: &str) {
        self.0.delete_branch("infra", branch);
    }
    fn set_tag(&self, tag: &str, sha: &Sha) {
        self.0.set_tag("infra", tag, sha);
    }
}

#[tokio::test]
async fn source() {
    let source = Arc::new(FakeSource::new());
    let origin = Box::new(FakeOrigin(source.clone()));
    let orchard = contract::source::Orchard { source, origin, repo: "infra".into() };
    contract::source::all(&orchard).await;
}

#[tokio::test]
async fn forge() {
    let forge = Arc::new(FakeForge::new());
    forge.delete("nobodys");
    let seen = forge.clone();
    let shown = Box::new(move || seen.told());
    let (repo, sha) = ("infra".into(), "c0ffee".into());
    contract::forge::all(&contract::forge::Square { forge, repo, sha, shown }).await;
}

/// Groups of the fake, each made when a row asks for it.
struct FakeProvider {
    clock: FakeClock,
    groups: Mutex<BTreeMap<String, Arc<FakeFleet>>>,
}

impl FakeProvider {
    fn of(&self, stand: &Stand) -> Arc<FakeFleet> {
        self.groups.lock().expect("a lock")[&stand.name].clone()
    }
}

#[async_trait::async_trait]
impl contract::fleet::Provider for FakeProvider {
    async fn group(&self, spec: Spec) -> Stand {
        let Spec { min, max, desired, hook_ms } = spec;
        let mut groups = self.groups.lock().expect("a lock");
        let name = format!("workers-{}", groups.len());
        let group = Group { name: name.clone(), desired, min, max, launches_failed: 0 };
        let fleet = Arc::new(FakeFleet::new(self.clock.shared(), group));
        fleet.set_hook(hook_ms.map(|timeout_ms| FakeHook { name: "drain".into(), timeout_ms }));
        fleet.settle();
        groups.insert(name.clone(), fleet.clone());
        Stand { fleet: fleet.clone(), hooks: fleet, name, hook: "drain".into() }
    }
    async fn settle(&self, stand: &Stand) {
        self.of(stand).settle();
    }
    async fn stray(&self, stand: &Stand, tagged: bool) -> InstanceId {
        self.of(stand).stray(tagged)
    }
}

#[tokio::test]
async fn fleet() {
    let clock = clock();
    let provider = Box::new(FakeProvider { clock: clock.clone(), groups: Mutex::default() });
    contract::fleet::all(&contract::fleet::Herd { provider, time: Arc::new(clock) }).await;
}

/// What the group does by itself: it chooses the unprotected, and nothing can be launched beyond
/// what there is.
#[tokio::test]
async fn a_group_has_a_will_of_its_own() {
    let clock = clock();
    let group = Group { name: "workers".into(), desired: 3, min: 0, max: 9, launches_failed: 0 };
    let fleet = FakeFleet::new(clock.shared(), group);
    fleet.settle();
    let machines = fleet.in_service();
    fleet.protect(&machines[..2], true).await.unwrap();
    fleet.change(|group| group.desired = 0);
    fleet.settle();
    assert_eq!(fleet.in_service(), machines[..2]);
    let death = Death { instance: machines[2].clone(), by: GoneBy::Group, at: clock.now() };
    assert_eq!(fleet.deaths(), [death]);
    fleet.set_capacity(2);
    fleet.change(|group| group.desired = 5);
    for failed in 1..=2 {
        fleet.settle();
        assert_eq!((fleet.in_service().len(), fleet.group().launches_failed), (2, failed));
    }
    fleet.set_capacity(3);
    fleet.lose(&machines[0]);
    fleet.settle();
    assert_eq!(fleet.in_service().len(), 3);
}

/// What one create under each strike answers, and what is stored then.
#[tokio::test]
async fn a_strike_falls_before_or_after_the_effect() {
    for (strike, answer, stored) in [
        (None, "ok", true),
        (Some(Strike::Before), "retryable", false),
        (Some(Strike::After), "retryable", true),
        (Some(Strike::Repeated), "conflict", true),
        (Some(Strike::CrashBefore), "retryable", false),
        (Some(Strike::CrashAfter), "retryable", true),
    ] {
        let docs = Arc::new(MemDocs::new(clock().shared()));
        let faults = Faults::by(move |n, _| strike.filter(|_| n == 1));
        let faulty = Faulty::new(docs.clone(), &faults);
        let got = match faulty.put("k", Expect::Absent, vec![]).await {
            Ok(_) => "ok",
            Err(PutError::Conflict) => "conflict",
            Err(PutError::Fault(Fault::Retryable { .. })) => "retryable",
            Err(PutError::Fault(Fault::Poison { .. })) => "poison",
        };
        assert_eq!((got, docs.dump().contains_key("k")), (answer, stored), "{strike:?}");
        let crashed = matches!(strike, Some(Strike::CrashBefore | Strike::CrashAfter));
        assert_eq!(faulty.get("k").await.is_err(), crashed, "{strike:?}");
        faults.revive();
        assert!(faulty.get("k").await.is_ok(), "{strike:?}");
        assert_eq!(faults.calls(), 3);
    }
}

#[tokio::test]
async fn all_ports_share_one_count_and_one_trace() {
    let clock = clock();
    let faults = Faults::at(3, Strike::CrashAfter);
    let docs = Faulty::new(Arc::new(MemDocs::new(clock.shared())), &faults);
    let queues = Faulty::new(Arc::new(MemQueues::new(clock.shared())), &faults);
    docs.put("a", Expect::Absent, vec![]).await.unwrap();
    docs.get("a").await.unwrap();
    assert!(queues.send("q", Outgoing::default()).await.is_err());
    assert!(faults.crashed() && docs.get("a").await.is_err());
    assert_eq!(queues.inner().peek("q").len(), 1);
    assert_eq!(
        faults.story(),
        "   1 docs.put a\n   2 docs.get a\n   3 queues.send q  <- CrashAfter\n   \
         4 docs.get a  <- CrashBefore\n"
    );
}

#[tokio::test]
async fn a_seed_strikes_the_same_calls_again_and_about_as_many_as_told() {
    let strikes = async |seed| {
        let faults = Faults::seeded(seed, 100);
        let docs = Faulty::new(Arc::new(MemDocs::new(clock().shared())), &faults);
        for _ in 0..2_000 {
            let _ = docs.get("a").await;
        }
        let calls = faults.trace().into_iter();
        calls.filter_map(|call| call.strike.map(|s| (call.number, s))).collect::<Vec<_>>()
    };
    let first = strikes(7).await;
    assert_eq!(first, strikes(7).await);
    assert_ne!(first, strikes(8).await);
    assert!((120..280).contains(&first.len()), "{}", first.len());
}

/// A store whose last writer wins.
struct LastWins(MemDocs);

#[async_trait::async_trait]
impl Docs for LastWins {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        self.0.get(key).await
    }
    async fn put(&self, key: &str, _: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        let found = self.0.get(key).await?;
        let expect = found.map_or(Expect::Absent, |found| Expect::At(found.version));
        self.0.put(key, expect, body).await
    }
    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        self.0.delete(key, expect).await
    }
    async fn list(&self, p: &str, after: Option<&str>, n: usize) -> Result<Vec<Listed>, Fault> {
        self.0.list(p, after, n).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_has_teeth() {
    let docs = Arc::new(LastWins(MemDocs::new(clock().shared())));
    let ground = Arc::new(Ground::new(docs as Arc<dyn Docs>, "t", clock()));
    let row = |n: usize| {
        let ground = ground.clone();
        tokio::spawn(async move {
            match n {
                0 => contract::docs::creates_once(&ground).await,
                1 => contract::docs::swaps_what_it_saw(&ground).await,
                _ => contract::docs::one_of_fifty_creates(&ground).await,
            }
        })
    };
    for n in 0..3 {
        assert!(row(n).await.is_err(), "row {n} let it pass");
    }
}

/// The workers of a fake pool.
struct FakeCrew(Arc<FakePool>);

#[async_trait::async_trait]
impl contract::pool::Crew for FakeCrew {
    async fn start(&self, machine: &InstanceId, slots: u32) -> bool {
        self.0.register(machine, slots as usize).is_ok()
    }
    async fn take(&self, machine: &InstanceId) -> bool {
        self.0.take(machine).is_ok()
    }
    async fn finish(&self, machine: &InstanceId) {
        self.0.finish(machine).expect("a run");
    }
    async fn lose(&self, machine: &InstanceId) {
        self.0.void(machine).expect("registered");
    }
    async fn operate(&self, machine: &InstanceId, drains: bool) -> bool {
        self.0.operate(machine, drains).is_ok()
    }
    async fn queue(&self, runs: u32, drift: u32) {
        self.0.set_demand(Demand { schedulable: runs, drift, ..Demand::default() });
    }
}

/// With all that our own pools can, and with nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn pools() {
    let nothing = Can { drift: true, ..Can::NONE };
    for can in [Can::ALL, nothing] {
        let clock = clock();
        let pool = Arc::new(FakePool::that(can, clock.shared()));
        let crew = Box::new(FakeCrew(pool.clone()));
        let time = Arc::new(clock.clone());
        contract::pool::all(&Dock { pool, crew, can, time, clock: clock.shared() }).await;
    }
}
