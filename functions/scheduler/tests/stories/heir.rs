//! Rule E1 where the control plane runs on none of the workers' machines: what it knows of a dead
//! worker is what the next agent on that machine wrote, or nothing.
use crate::scenarios::{applying, planning};
use crate::world::World;
use scheduler::DocPresence;
use std::sync::Arc;
use windlass_core::audit::AuditEntry;
use windlass_core::instance::Instance;
use windlass_core::job::{Gone, JobId, News, Report, SeenLocks};
use windlass_core::keys;
use windlass_core::run::{FailReason, State};
use windlass_ports::queues::Outgoing;
use windlass_ports::{Change, Docs, Expect, Queues, cas};

const LOCK: &str = "state/net/terraform.tfstate.tflock";

/// The worker is dead, and only documents tell.
fn bereaved(mut world: World) -> World {
    world.crew.clear();
    world.deps.presence = Arc::new(DocPresence::new(world.deps.docs.clone()));
    world
}

async fn tell(world: &World, job: &JobId) {
    let cause = "worker w1 ended and took its tool with it".to_owned();
    let gone = Gone { cause, by: "w1".into(), at: world.now() };
    cas::create(&*world.docs, &keys::job_gone(job), "heir", &gone).await.expect("stored");
    let (worker, stack) = ("w1".into(), "net".into());
    let report = Report { job: job.clone(), stack, worker, at: world.now(), news: News::Gone };
    let message = Outgoing {
        body: serde_json::to_vec(&report).expect("json"),
        group: Some(keys::stack_group(&"net".into())),
        dedup: Some("heir".to_owned()),
        delay_ms: 0,
    };
    world.queues.send(keys::REPORTS, message).await.expect("sent");
}

async fn put_lock(world: &World, id: &str) {
    let lock = serde_json::json!({"ID": id, "Operation": "OperationTypeApply",
        "Who": "ann@laptop", "Created": "2026-11-25T08:00:00Z"});
    world.docs.put(LOCK, Expect::Absent, lock.to_string().into_bytes()).await.expect("stored");
}

async fn see_lock(world: &World, job: &JobId, id: &str) {
    let seen = SeenLocks { ids: vec![id.to_owned()] };
    cas::create(&*world.docs, &keys::job_lock(job), "seen", &seen).await.expect("stored");
}

async fn cause(world: &World) -> String {
    match world.newest("net").await.state {
        State::Failed { reason: FailReason::WorkerLost { cause } } => cause,
        other => panic!("not lost: {other:?}"),
    }
}

#[tokio::test]
async fn proof_frees_the_stack_at_once() {
    let mut world = bereaved(applying().await);
    let job = world.job("net").await;
    world.running.clear();
    tell(&world, &job).await;
    world.settle_messages().await;
    assert_eq!(cause(&world).await, "worker w1 ended and took its tool with it");
    assert!(world.head("net").await.active.is_none());
    let audit = world.docs.list(keys::AUDIT, None, 1_000).await.unwrap();
    let mut freed = 0;
    for listed in audit {
        let entry = world.load::<AuditEntry>(&listed.key).await.unwrap();
        freed += usize::from(entry.action == "free the stack");
    }
    assert_eq!(freed, 1);
}

#[tokio::test]
async fn a_dead_plan_is_made_again_at_once() {
    let mut world = bereaved(planning().await);
    let job = world.job("net").await;
    world.running.clear();
    tell(&world, &job).await;
    world.settle_messages().await;
    let again = world.job("net").await;
    assert_eq!((again.run, again.attempt), (job.run, job.attempt.next()));
}

/// Its lease ends, and nobody can say more: the run keeps its stack for all of its time, and not
/// for ever. A lock goes only if it was seen to be that run's.
#[tokio::test]
async fn a_machine_that_never_comes_back_keeps_the_stack_for_its_time_only() {
    for (name, held, seen, left) in [
        ("no lock", None, None, false),
        ("seen", Some("a"), Some("a"), false),
        ("another's by now", Some("b"), Some("a"), true),
        ("never seen", Some("a"), None, true),
    ] {
        let mut world = bereaved(applying().await);
        let job = world.job("net").await;
        if let Some(id) = held {
            put_lock(&world, id).await;
        }
        if let Some(id) = seen {
            see_lock(&world, &job, id).await;
        }
        world.pass_minutes(60).await;
        let active = world.head("net").await.active.expect("it has its time");
        assert!(active.state.held().is_some_and(|held| held.silent.is_some()), "{name}");
        assert_eq!(world.docs.get(LOCK).await.unwrap().is_some(), held.is_some(), "{name}");
        world.running.clear();
        world.pass_minutes(30).await;
        let cause = cause(&world).await;
        assert!(cause.contains("nobody can see what became of its tool"), "{name}: {cause}");
        assert!(world.head("net").await.active.is_none(), "{name}");
        assert_eq!(world.docs.get(LOCK).await.unwrap().is_some(), left, "{name}");
        assert_eq!(cause.contains("force-unlock"), left, "{name}: {cause}");
        assert_eq!(cause.contains("was removed"), held.is_some() && !left, "{name}: {cause}");
    }
}

/// Its worker came back, found the tool, and was never heard of again: with the run ends what its
/// record says of it, or its machine would wait for ever.
#[tokio::test]
async fn what_a_worker_found_and_never_told_is_forgotten_with_its_run() {
    let mut world = bereaved(applying().await);
    let job = world.job("net").await;
    let key = keys::instance(&"default".into(), &"w1".into());
    let found = cas::update(&*world.docs, &key, "heir", |record: Option<&Instance>| {
        let record = record.expect("the worker's");
        let (id, pool) = (&record.id, &record.pool);
        let next = Instance::register(Some(record), id, pool, 1, "heir", None, world.now());
        let next = next.expect("it may");
        Ok(Change::Write(Instance { leftovers: vec![job.clone()], ..next }, ()))
    });
    found.await.expect("written");
    let leftovers = async |world: &World| {
        let record = cas::load::<Instance>(&*world.docs, &key).await.expect("a store");
        record.expect("a record").value.leftovers
    };
    world.pass_minutes(60).await;
    assert_eq!(leftovers(&world).await, [job], "it has its time");
    world.running.clear();
    world.pass_minutes(30).await;
    assert!(world.head("net").await.active.is_none());
    assert_eq!(leftovers(&world).await, []);
}

/// Rule E2: a worker whose clock is behind does not have less time for it.
#[tokio::test]
async fn the_time_of_a_job_goes_by_the_stores_clock() {
    let mut world = bereaved(applying().await);
    world.wall.advance(3 * 3_600_000);
    let _ = scheduler::tick(&world.deps).await;
    world.pass_minutes(10).await;
    assert!(world.head("net").await.active.is_some());
}
