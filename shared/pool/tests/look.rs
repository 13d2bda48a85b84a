//! What a look costs, whose clock it believes, and what it counts.
mod common;
use common::{NOON, World, is_retryable, machine, open};
use windlass_core::fleet::{Demand, Lease};
use windlass_core::job::{LEASE_IDLE_MS, LEASE_MS};
use windlass_core::keys;
use windlass_core::time::{MINUTE_MS, SECOND_MS};
use windlass_pool::FORGET_MS;
use windlass_ports::fake::Strike;
use windlass_ports::{Clock as _, Docs as _, Expect, Pool as _};

/// Calls of one look.
async fn cost(world: &World) -> u64 {
    let before = world.calls.calls();
    world.workers().await;
    world.calls.calls() - before
}

#[tokio::test]
async fn a_look_reads_only_what_changed() {
    let world = World::new();
    for n in 0..50 {
        world.register(&machine(n), 1).await.unwrap();
        world.summary(&format!("s{n}"), vec![]).await;
    }
    let lists = 2;
    assert_eq!(cost(&world).await, lists + 100);
    assert_eq!(cost(&world).await, lists);
    world.pass(MINUTE_MS);
    for n in 0..3 {
        world.renew(&machine(n)).await;
    }
    world.summary("s1", vec![open("r", false)]).await;
    assert_eq!(cost(&world).await, lists + 4);
    assert_eq!(cost(&world).await, lists);
}

/// A worker is silent when the store says so, whatever happens to the clocks of whoever looks.
#[tokio::test]
async fn only_the_store_calls_a_worker_silent() {
    // How far the store's clock goes on, and the looker's two; reads; what the worker is then.
    #[rustfmt::skip]
    let table = [
        (LEASE_MS - 1, LEASE_MS - 1,  LEASE_MS - 1,  0, Lease::Live),
        (LEASE_MS,     LEASE_MS,      LEASE_MS,      1, Lease::Lapsed { for_ms: 0 }),
        // Frozen meanwhile: the wall clock makes it look again.
        (LEASE_MS + 5, LEASE_MS + 5,  0,             1, Lease::Lapsed { for_ms: 5 }),
        // The wall clock was put back: the steady one does.
        (LEASE_MS + 5, 0,             LEASE_MS + 5,  1, Lease::Lapsed { for_ms: 5 }),
        // The wall clock was put forward by ten minutes: a read says otherwise.
        (SECOND_MS,    10 * MINUTE_MS, SECOND_MS,    1, Lease::Live),
    ];
    for (store_ms, wall_ms, steady_ms, reads, expected) in table {
        let world = World::new();
        world.register(&machine(1), 1).await.unwrap();
        world.claim(&machine(1), "r").await.unwrap();
        assert_eq!(world.workers().await[0].lease, Lease::Live);
        world.store.advance(store_ms);
        world.wall.advance(wall_ms);
        world.steady.advance(steady_ms);
        let before = world.calls.calls();
        let seen = world.workers().await;
        assert_eq!(seen[0].lease, expected, "{store_ms} {wall_ms} {steady_ms}");
        assert_eq!(world.calls.calls() - before, 2 + reads);
    }
}

/// A dead machine's record costs one read, at its lapse, and none after that.
#[tokio::test]
async fn the_dead_are_not_read_again_and_again() {
    let world = World::new();
    world.register(&machine(1), 1).await.unwrap();
    world.workers().await;
    let mut reads = 0;
    for _ in 0..60 {
        world.pass(MINUTE_MS);
        reads += cost(&world).await - 2;
    }
    let lapsed = Lease::Lapsed { for_ms: 60 * MINUTE_MS - LEASE_IDLE_MS };
    assert_eq!((reads, world.workers().await[0].lease), (1, lapsed));
}

/// Not before FORGET_MS, by the store's clock; never one with a run; never one that was written
/// since.
#[tokio::test]
async fn what_is_long_gone_is_forgotten() {
    let world = World::new();
    for n in 0..4 {
        world.register(&machine(n), 1).await.unwrap();
    }
    world.claim(&machine(1), "r").await.unwrap();
    let fence = windlass_core::fleet::OpId("op".into());
    assert!(world.pool.tombstone(&machine(9), &fence, NOON).await.unwrap());
    world.workers().await;
    world.pass(FORGET_MS - 1);
    world.workers().await;
    for n in [0, 1, 2, 3, 9] {
        assert!(world.record(&machine(n)).await.is_some(), "{n}");
    }
    world.renew(&machine(2)).await;
    world.pass(1);
    // A store that refuses deletions spoils no look.
    world.calls.replan(|_, call| call.starts_with("docs.delete").then_some(Strike::Before));
    assert_eq!(world.workers().await.len(), 4);
    assert!(world.record(&machine(0)).await.is_some());
    world.calls.replan(|_, _| None);
    world.workers().await;
    let mut left = Vec::new();
    for n in [0, 1, 2, 3, 9] {
        left.extend(world.record(&machine(n)).await.map(|_| n));
    }
    assert_eq!(left, [1, 2]);
}

/// The machines of a whole day may come of age in one minute: a look is not held up by them.
#[tokio::test]
async fn a_few_are_forgotten_at_a_time() {
    let world = World::new();
    for n in 0..250 {
        world.register(&machine(n), 1).await.unwrap();
    }
    world.pass(FORGET_MS);
    // The first look reads them all, as each that finds nothing known does.
    world.workers().await;
    let mut left = vec![];
    for _ in 0..3 {
        left.push(world.docs.dump().len());
        assert!(cost(&world).await <= 2 + 100);
    }
    assert_eq!(left, [150, 50, 0]);
}

#[tokio::test]
async fn demand_is_what_a_free_slot_would_start_now() {
    let world = World::new();
    world.register(&machine(1), 3).await.unwrap();
    let other = windlass_core::summary::OpenJob { pool: "other".into(), ..open("x", false) };
    world.summary("a", vec![open("r1", false), open("r2", true), other]).await;
    world.summary("b", vec![open("r3", true)]).await;
    world.pass(MINUTE_MS);
    let demand = async || world.pool.look(world.wall.now()).await.unwrap().demand;
    let is = |schedulable, drift, drift_running| Demand {
        schedulable,
        drift,
        drift_running,
        oldest_ms: if schedulable > 0 { MINUTE_MS } else { 0 },
    };
    assert_eq!(demand().await, is(3, 2, 0));
    // Claimed, and its stack does not know yet: it waits no more.
    world.claim(&machine(1), "r1").await.unwrap();
    assert_eq!(demand().await, is(2, 2, 0));
    world.claim(&machine(1), "r2").await.unwrap();
    assert_eq!(demand().await, is(1, 1, 1));
    world.claim(&machine(1), "r3").await.unwrap();
    assert_eq!(demand().await, is(0, 0, 2));
    // Declared lost: all of them want a slot again.
    world.void(&machine(1)).await;
    assert_eq!(demand().await, is(3, 2, 0));
    world.summary("a", vec![]).await;
    world.docs.delete(&keys::summary(&"b".into()), &version(&world, "b").await).await.unwrap();
    assert_eq!(demand().await, is(0, 0, 0));
}

async fn version(world: &World, stack: &str) -> windlass_ports::Version {
    let found = world.docs.get(&keys::summary(&stack.into())).await;
    found.expect("read").expect("a summary").version
}

/// One that can't be understood is left out and hinders no other; half a look is none.
#[tokio::test]
async fn broken_documents_and_stores() {
    let world = World::new();
    world.register(&machine(1), 1).await.unwrap();
    world.summary("a", vec![open("r", false)]).await;
    for key in [keys::instance(&"p".into(), &machine(2)), keys::summary(&"b".into())] {
        world.docs.put(&key, Expect::Absent, b"not json".into()).await.unwrap();
    }
    let staff = world.pool.look(NOON).await.unwrap();
    assert_eq!((staff.workers.len(), staff.demand.schedulable), (1, 1));

    for call in 1..=6 {
        let cold = world.cold();
        let before = world.calls.calls();
        world.calls.replan(move |n, _| (n == before + call).then_some(Strike::Before));
        assert!(is_retryable(&cold.look(NOON).await), "call {call}");
        world.calls.replan(|_, _| None);
        assert_eq!(cold.look(NOON).await.unwrap(), staff, "call {call}");
    }
}
