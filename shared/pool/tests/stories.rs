//! The fleet's stories of the protocol, as far as records and decisions tell them: c1 to c3 and c5
//! to c8. (c4, a message that got lost, is the drainer's.) Each would end in a run that is killed,
//! a machine that drains for ever, or a person overruled, without the rule that it names.
mod common;
use common::{NOON, World, machine, open};
use windlass_core::drain::{Completion, DrainRecord, Holder, Notice, Step, decide as look_at};
use windlass_core::fleet::{
    Action, Group, Memory, Place, Plan, Policy, SeenInstance, Snapshot, decide,
};
use windlass_core::id::InstanceId;
use windlass_core::instance::Refused;
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Clock as _, Pool as _};

/// So long is a machine idle before it goes, and more.
const LONG_MS: u64 = 11 * MINUTE_MS;

/// One tick's decision about a group of these machines, all in service.
async fn tick(world: &World, machines: &[InstanceId], memory: &Memory) -> Plan {
    let now = world.wall.now();
    let staff = world.pool.look(now).await.expect("a look");
    let desired = u32::try_from(machines.len()).expect("few");
    let instances = machines.iter().map(|id| SeenInstance {
        id: id.clone(),
        place: Place::InService,
        launched_at: UnixMs(NOON.0 - 1),
        template: 1,
        protected: true,
        notice: None,
    });
    let snapshot = Snapshot {
        now,
        due: now,
        woken: false,
        group: Group { name: "g".into(), desired, min: 0, max: 9, launches_failed: 0 },
        instances: instances.collect(),
        workers: staff.workers,
        demand: staff.demand,
    };
    // Somebody looked a moment ago, so that this look may act.
    let memory = Memory { looked_at: Some(now), ..memory.clone() };
    decide(&Policy::default(), &snapshot, &memory)
}

/// A machine that a tick found idle for long enough, and what that tick planned.
async fn retired(world: &World) -> (InstanceId, Plan) {
    let id = machine(1);
    world.register(&id, 2).await.expect("registered");
    world.pass(LONG_MS);
    world.renew(&id).await;
    let plan = tick(world, std::slice::from_ref(&id), &Memory::fresh()).await;
    assert!(matches!(&plan.actions[..], [Action::Retire { .. }]), "{plan:?}");
    (id, plan)
}

fn candidate(plan: &Plan) -> windlass_core::fleet::Victim {
    match &plan.actions[..] {
        [Action::Retire { candidates, .. }] => candidates[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn hook() -> DrainRecord {
    let notice =
        Notice { group: "g".into(), hook: "h".into(), instance: machine(1), token: "t".into() };
    DrainRecord::new(notice, 300_000, NOON)
}

/// Rule C2. The call that ends a machine timed out here and takes effect later; meanwhile runs come
/// and a tick would like to have the machine back.
#[tokio::test]
async fn c1_a_call_takes_effect_after_the_machine_was_wanted_again() {
    let world = World::new();
    let (id, plan) = retired(&world).await;
    let victim = candidate(&plan);
    let drained = world.pool.drain(&victim, IfBusy::LetBe, world.wall.now()).await.unwrap();
    assert_eq!(drained, Drained::Idle);
    assert_eq!(world.pool.doom(&victim, world.wall.now()).await.unwrap(), Drained::Idle);
    world.summary("s", vec![open("r1", false), open("r2", false)]).await;
    let next = tick(&world, std::slice::from_ref(&id), &plan.memory).await;
    let again = Action::Finish { victim: victim.clone() };
    let more = Action::SetDesired { from: 1, to: 3 };
    assert_eq!(next.actions, [more, again], "finished, never undrained");
    assert!(!world.pool.undrain(&id, &victim.workers, &victim.op).await.unwrap());
    assert_eq!(world.claim(&id, "r1").await, Err(Refused::Draining));
    assert_eq!(world.register(&id, 2).await, Err(Refused::Doomed));
}

/// Rule C2: any tick that finds a drain of ours goes on with it, under its own op.
#[tokio::test]
async fn c2_a_tick_dies_after_its_drain() {
    let world = World::new();
    let (id, plan) = retired(&world).await;
    let victim = candidate(&plan);
    world.pool.drain(&victim, IfBusy::LetBe, world.wall.now()).await.unwrap();
    // With what the dead tick left to remember, and without.
    for memory in [plan.memory, Memory::fresh()] {
        world.pass(MINUTE_MS);
        let next = tick(&world, std::slice::from_ref(&id), &memory).await;
        assert_eq!(next.actions, [Action::Finish { victim: victim.clone() }]);
    }
    assert_eq!(world.pool.doom(&victim, world.wall.now()).await.unwrap(), Drained::Idle);
}

/// Rules C1 and C4: a worker registers while the drainer, which saw nobody, makes up its mind.
#[tokio::test]
async fn c3_a_worker_registers_while_a_hook_finds_nobody() {
    for worker_first in [true, false] {
        let world = World::new();
        let (id, now) = (machine(1), world.wall.now());
        let holder = world.pool.holder(&id, now).await.unwrap();
        let first = look_at(&hook(), holder, now);
        assert_eq!((holder, &first.steps[..]), (Holder::Nobody, &[Step::DrainOrTombstone][..]));
        if worker_first {
            world.register(&id, 1).await.unwrap();
            world.claim(&id, "r").await.unwrap();
        }
        let holder = world.pool.close(&id, now).await.unwrap();
        let second = look_at(&first.record, holder, now);
        if worker_first {
            assert_eq!(second.steps, [Step::Heartbeat], "it waits for the run");
            world.end_run(&id).await;
            assert_eq!(world.claim(&id, "r2").await, Err(Refused::Draining));
        } else {
            let because = Completion::NeverRegistered;
            assert_eq!(second.steps, [Step::Complete { because }]);
            assert_eq!(world.register(&id, 1).await, Err(Refused::Tombstone));
        }
    }
}

/// Rule C3: a drain is a mark beside a run; a worker that is never idle when looked at ends its run
/// and takes no other.
#[tokio::test]
async fn c5_a_worker_that_is_always_busy_when_looked_at() {
    for by_hook in [true, false] {
        let world = World::new();
        let id = machine(1);
        world.register(&id, 1).await.unwrap();
        world.claim(&id, "r1").await.unwrap();
        let (victim, now) = (world.victim(&id, "op"), world.wall.now());
        match by_hook {
            true => {
                let holder = world.pool.close(&id, now).await.unwrap();
                assert_eq!(holder, Holder::Draining { busy: 1 });
            }
            false => {
                let drained = world.pool.drain(&victim, IfBusy::DrainAlso, now).await.unwrap();
                assert_eq!(drained, Drained::Busy { slots: 1 });
            }
        }
        world.end_run(&id).await;
        assert_eq!(world.claim(&id, "r2").await, Err(Refused::Draining));
        let holder = world.pool.close(&id, now).await.unwrap();
        let because = Completion::Drained;
        assert_eq!(look_at(&hook(), holder, now).steps, [Step::Complete { because }]);
    }
}

/// Rules C4 and B2: an agent dies with its run; once that is declared lost the hook waits no more,
/// and whoever revives there takes no run.
#[tokio::test]
async fn c6_an_agent_dies_with_its_run() {
    let world = World::new();
    let (id, now) = (machine(1), world.wall.now());
    world.register(&id, 1).await.unwrap();
    world.claim(&id, "r1").await.unwrap();
    let holder = world.pool.close(&id, now).await.unwrap();
    assert_eq!(look_at(&hook(), holder, now).steps, [Step::Heartbeat], "it is held");
    world.void(&id).await;
    let holder = world.pool.holder(&id, now).await.unwrap();
    let because = Completion::WorkerLost;
    assert_eq!(look_at(&hook(), holder, now).steps, [Step::Complete { because }]);
    world.register(&id, 1).await.unwrap();
    assert_eq!(world.claim(&id, "r2").await, Err(Refused::Draining));
}

/// Rule C3: a person's drain stays, whatever a tick would like to have; and the other way round.
/// What both agree on, the machine's end, is the tick's from the doom on.
#[tokio::test]
async fn c7_an_operators_drain_is_not_undone() {
    let world = World::new();
    let id = machine(1);
    world.register(&id, 1).await.unwrap();
    world.operate(&id, true).await.unwrap();
    world.summary("s", vec![open("r", false)]).await;
    let plan = tick(&world, std::slice::from_ref(&id), &Memory::fresh()).await;
    let more = Action::SetDesired { from: 1, to: 2 };
    assert!(
        matches!(&plan.actions[..], [first, Action::Retire { .. }] if *first == more),
        "another, not this one: {plan:?}"
    );
    let (victim, now) = (world.victim(&id, "op"), world.wall.now());
    let drained = world.pool.drain(&victim, IfBusy::LetBe, now).await.unwrap();
    assert_eq!(drained, Drained::Idle);
    assert!(!world.pool.undrain(&id, &victim.workers, &victim.op).await.unwrap());
    assert_eq!(world.claim(&id, "r").await, Err(Refused::Draining));

    let other = machine(2);
    world.register(&other, 1).await.unwrap();
    let victim = world.victim(&other, "op");
    world.pool.drain(&victim, IfBusy::LetBe, now).await.unwrap();
    assert_eq!(world.operate(&other, false).await, Err(Refused::Theirs));
    assert_eq!(world.operate(&other, true).await, Err(Refused::Theirs));
    assert_eq!(world.claim(&other, "r").await, Err(Refused::Draining));
}

/// Rule C1: all slots of a machine drain, are doomed and come back as one, however two ticks take
/// turns: half-doomed is no state.
#[tokio::test]
async fn c8_two_ticks_over_two_slots() {
    // What tick 0 has done before tick 1, of another op, does all that it can.
    for done in 0..3 {
        let world = World::new();
        let (id, now) = (machine(1), world.wall.now());
        world.register(&id, 2).await.unwrap();
        let (zero, one) = (world.victim(&id, "op-0"), world.victim(&id, "op-1"));
        if done > 0 {
            world.pool.drain(&zero, IfBusy::LetBe, now).await.unwrap();
        }
        if done > 1 {
            assert_eq!(world.pool.doom(&zero, now).await.unwrap(), Drained::Idle);
        }
        let theirs = done > 0;
        let drained = world.pool.drain(&one, IfBusy::DrainAlso, now).await.unwrap();
        assert_eq!(drained == Drained::Theirs, theirs, "{done}");
        assert_eq!(world.pool.undrain(&id, &one.workers, &one.op).await.unwrap(), !theirs);
        assert_eq!(world.pool.doom(&one, now).await.unwrap(), Drained::Theirs);
        for run in ["r1", "r2"] {
            assert_eq!(world.claim(&id, run).await.is_ok(), !theirs, "{done}: both or none");
        }
        // Tick 0 goes on where it was, and ends only what has no run.
        let doomed = world.pool.doom(&zero, now).await.unwrap();
        assert_eq!(doomed == Drained::Idle, theirs);
        let record = world.record(&id).await.unwrap();
        assert!(!record.doomed() || !record.busy());
    }
}
