//! protocol.md §2 (b): jobs, claims and leases. Each test names the rule that it passes by.
use crate::scenarios::{PAIR, applying, planning, ready, waiting};
use crate::world::{Stage, World};
use windlass_core::event::Command;
use windlass_core::id::Digest;
use windlass_core::instance::Instance;
use windlass_core::job::{Attempt, Claim, JobId, Pointer, Verdict};
use windlass_core::keys;
use windlass_core::run::State;
use windlass_ports::presence::Evidence;
use windlass_ports::{Outgoing, Queues};

/// The pointer of this job once more, as a standard queue may deliver it.
async fn duplicate(world: &World, job: &JobId) {
    let pointer = Pointer { job: job.clone(), stack: "net".into() };
    let body = serde_json::to_vec(&pointer).expect("json");
    let queue = keys::first_queue(&"default".into());
    world.queues.send(&queue, Outgoing { body, ..Outgoing::default() }).await.expect("sent");
}

async fn record(world: &World, worker: &str) -> Instance {
    let key = keys::instance(&"default".into(), &worker.into());
    world.load(&key).await.expect("a record")
}

async fn attempts(world: &World) -> Vec<u32> {
    let run = world.newest("net").await;
    let plans = run.jobs.iter().filter(|job| job.phase.repeatable());
    plans.map(|job| job.attempt.0).collect()
}

/// The worker is dead, and nobody can tell: only its lease runs out.
fn hide(world: &World, worker: &str) {
    world.presence.set_worker(&worker.into(), Evidence::Present);
}

/// Rule B1: the lease lies in the worker's record, so a claim alone never looks lapsed.
#[tokio::test]
async fn b1_a_second_pointer_does_not_make_a_living_worker_lost() {
    let mut world = ready().await;
    world.work_until("w1", |stage| *stage == Stage::Claimed).await;
    duplicate(&world, &world.job("net").await).await;
    world.work("w2").await;
    for _ in 0..3 {
        world.renew("w1").await;
        world.pass_minutes(1).await;
    }
    world.quiet_down().await;
    assert_eq!((attempts(&world).await, world.state("net").await.as_str()), (vec![1], "FINISHED"));
}

/// Rule B1, the other way: a claim whose worker died in the same breath has an owner all the same.
#[tokio::test]
async fn b1_a_claim_whose_worker_died_at_once_is_lost_when_its_record_lapses() {
    let mut world = ready().await;
    world.work_until("w1", |stage| *stage == Stage::Claimed).await;
    world.kill("w1", true);
    hide(&world, "w1");
    world.pass_minutes(1).await;
    assert_eq!(attempts(&world).await, [1], "not before its lease has passed");
    world.quiet_down().await;
    assert_eq!(attempts(&world).await, [1, 2]);
    assert_eq!(world.state("net").await, "FINISHED");
}

/// Rule B2: void and renewal are swaps of one record; who renewed since the look is not lost.
#[tokio::test]
async fn b1_a_worker_that_renews_before_it_is_voided_is_not_lost() {
    let mut world = planning().await;
    let job = world.job("net").await;
    world.advance(150_000);
    scheduler::tick(&world.deps).await.expect("ticked");
    let due = world.receive_of("net").await;
    let record = keys::instance(&"default".into(), &"w1".into());
    let slow = world.stop_before(keys::INTENTS, &due, (&record, 1)).await;
    world.renew("w1").await;
    slow.wake().await;
    assert_eq!(world.result_of(&job).await, None);
    world.quiet_down().await;
    assert_eq!((attempts(&world).await, world.state("net").await.as_str()), (vec![1], "FINISHED"));
}

/// Rule B3: the record stays busy, and is renewed, until the report is sent.
#[tokio::test]
async fn b2_a_worker_whose_report_is_slow_is_not_lost() {
    let mut world = planning().await;
    world.work_until("w1", |stage| matches!(stage, Stage::Ended(_))).await;
    duplicate(&world, &world.job("net").await).await;
    for _ in 0..4 {
        world.pass_minutes(1).await;
        world.renew("w1").await;
        world.work("w2").await;
    }
    world.quiet_down().await;
    assert_eq!((attempts(&world).await, world.state("net").await.as_str()), (vec![1], "FINISHED"));
}

/// Rule B2: to declare lost is to void the record, so nobody waits for a slot of the dead.
#[tokio::test]
async fn b3_the_record_of_a_lost_worker_is_not_busy() {
    let mut world = planning().await;
    world.kill("w1", true);
    world.quiet_down().await;
    let record = record(&world, "w1").await;
    assert!(!record.busy(), "{record:?}");
    assert_eq!(world.state("net").await, "FINISHED");
}

/// Rule B5: the sweep is the guarantee, not the pointer.
#[tokio::test]
async fn b4_a_worker_that_died_with_its_pointer_deleted_is_found() {
    let mut world = planning().await;
    for queue in ["jobs-default-first", "jobs-default-rest"] {
        world.advance(61_000);
        world.renew("w1").await;
        while let Some(pointer) =
            world.queues.receive(queue, 1, 0, 1_000).await.expect("received").pop()
        {
            world.queues.delete(queue, &pointer.receipt).await.expect("deleted");
        }
    }
    world.kill("w1", true);
    world.quiet_down().await;
    assert_eq!(
        (attempts(&world).await, world.state("net").await.as_str()),
        (vec![1, 2], "FINISHED")
    );
}

/// Rule B5: ready and unclaimed → the pointer again.
#[tokio::test]
async fn b5_a_pointer_that_was_lost_is_sent_again() {
    let mut world = ready().await;
    world.queues.set_receives_max(1);
    let queue = keys::first_queue(&"default".into());
    for bounced in [true, false] {
        let batch = world.queues.receive(&queue, 1, 0, 1_000).await.expect("received");
        assert_eq!(!batch.is_empty(), bounced);
        world.advance(2_000);
    }
    world.queues.set_receives_max(100);
    world.crew.clear();
    world.pass_minutes(2).await;
    world.crew.push("w1".to_owned());
    world.settle().await;
    assert_eq!(world.state("net").await, "FINISHED");
}

/// Rule B6: a cancel is a tombstone; a job that it withdrew never starts.
#[tokio::test]
async fn b6_a_cancelled_job_is_not_run() {
    let mut world = ready().await;
    let job = world.job("net").await;
    let (run, started) = (job.run.clone(), world.started.len());
    world.command("net", Command::Cancel { run, note: None }).await;
    world.settle_messages().await;
    assert_eq!(world.state("net").await, "CANCELED");
    world.settle().await;
    assert_eq!(world.started.len(), started);
    assert!(matches!(world.claim_of(&job).await, Some(Claim::Tombstone { .. })));
}

/// Rule B6: who loses the race for the claim has asked for a stop, and the stack stays taken.
#[tokio::test]
async fn b6_a_cancel_that_loses_the_race_is_a_stop() {
    let mut world = ready().await;
    let run = world.job("net").await.run;
    world.work_until("w1", |stage| *stage == Stage::Checked).await;
    world.command("net", Command::Cancel { run: run.clone(), note: None }).await;
    world.touch("net").await;
    world.settle_messages().await;
    let head = world.head("net").await;
    assert_eq!(head.active.as_ref().map(|run| run.id().clone()), Some(run.clone()));
    world.quiet_down().await;
    assert_eq!(world.run(&run).await.state.name().as_str(), "STOPPED");
    assert_eq!((world.state("net").await.as_str(), world.applies("net")), ("FINISHED", 2));
}

/// Rule E1: an apply that is only silent is not over; when its worker goes on, it counts.
#[tokio::test]
async fn b7_an_apply_whose_worker_pauses_is_not_declared_over() {
    let mut world = ready().await;
    world.work("w1").await;
    world.settle_messages().await;
    world.work_until("w1", |stage| *stage == Stage::Checked).await;
    world.pass_minutes(10).await;
    let run = world.head("net").await.active.expect("it keeps the stack");
    assert!(run.state.held().is_none_or(|held| held.silent.is_some()));
    world.quiet_down().await;
    assert_eq!((world.state("net").await.as_str(), world.applies("net")), ("FINISHED", 2));
}

/// Rule E1, the window that no check closes: a tool that starts under a void record. A plan may:
/// its result comes too late and is kept beside the one that counts.
#[tokio::test]
async fn b8_a_plan_that_starts_after_its_record_was_voided_changes_nothing() {
    let mut world = ready().await;
    let first = world.job("net").await;
    world.work_until("w1", |stage| *stage == Stage::Checked).await;
    world.crew = vec!["w2".to_owned()];
    world.quiet_down().await;
    assert_eq!(
        (attempts(&world).await, world.state("net").await.as_str()),
        (vec![1, 2], "FINISHED")
    );
    world.work("w1").await;
    world.quiet_down().await;
    assert!(world.load::<serde_json::Value>(&keys::job_late_result(&first)).await.is_some());
    let result = world.result_of(&first).await.expect("the verdict");
    assert!(matches!(result.verdict, Verdict::Lost { .. }));
    assert_eq!(world.applies("net"), 2);
}

/// Rule E1: a tool that outlives its agent keeps the stack.
#[tokio::test]
async fn b9_an_orphaned_tool_keeps_its_stack_until_it_ends() {
    let mut world = applying().await;
    let (run, claim) = (world.job("net").await.run, world.running[0].claim.clone());
    world.kill("w1", false);
    world.touch("net").await;
    world.pass_minutes(15).await;
    let active = world.head("net").await.active.expect("it keeps the stack");
    assert_eq!(active.id(), &run, "{:#?}", world.run(&run).await.history);
    world.end_tool(&claim);
    world.quiet_down().await;
    assert_eq!(world.run(&run).await.state.name().as_str(), "FAILED");
    assert_eq!(world.state("net").await, "FINISHED");
}

/// Rule B7: artifacts are the attempt's own, and the apply names what a person saw.
#[tokio::test]
async fn b10_what_a_late_worker_planned_is_never_applied() {
    let mut world = waiting().await;
    world.confirm("net").await;
    world.settle().await;
    world.touch("net").await;
    world.settle_messages().await;
    let first = world.job("net").await;
    world.work_until("w1", |stage| *stage == Stage::Running).await;
    world.crew = vec!["w2".to_owned()];
    world.quiet_down().await;
    let State::Unconfirmed { planned } = world.newest("net").await.state else { panic!("waits") };
    world.work("w1").await;
    world.settle().await;
    world.confirm("net").await;
    world.settle().await;
    let applied: Option<Digest> = world.applied.last().map(|(_, digest)| digest.clone());
    assert_eq!(applied, Some(planned.plan.digest));
    let second = JobId { attempt: Attempt(2), ..first.clone() };
    assert_eq!(planned.plan.key, keys::plan_archive(&second));
    assert_ne!(keys::plan_archive(&first), keys::plan_archive(&second));
}

/// Rules B4 and B5: whoever finds a result tells of it: the sweep (the worker lives and renews,
/// but its report does not come through) …
#[tokio::test]
async fn b11_a_result_whose_report_was_never_sent_is_found_by_the_sweep() {
    let mut world = applying().await;
    world.work_until("w1", |stage| *stage == Stage::Stored).await;
    for _ in 0..3 {
        world.pass_minutes(1).await;
        world.renew("w1").await;
    }
    assert_eq!((world.state("net").await.as_str(), world.applies("net")), ("FINISHED", 2));
}

/// … or the next worker that meets the pointer.
#[tokio::test]
async fn b11_a_result_whose_report_was_never_sent_is_told_by_the_next_worker() {
    let mut world = applying().await;
    world.work_until("w1", |stage| *stage == Stage::Stored).await;
    world.kill("w1", true);
    world.queues.release_all();
    world.work("w2").await;
    world.settle_messages().await;
    assert_eq!((world.state("net").await.as_str(), world.applies("net")), ("FINISHED", 2));
}

/// Rule B3: idle comes last. Wherever a living worker is slow, its attempt is not lost.
#[tokio::test]
async fn b12_a_worker_that_is_slow_anywhere_is_not_lost() {
    for steps in 0..12 {
        let mut world = ready().await;
        for _ in 0..steps {
            world.work_step("w1").await;
        }
        for _ in 0..4 {
            world.renew("w1").await;
            world.pass_minutes(1).await;
        }
        world.quiet_down().await;
        let end = (attempts(&world).await, world.state("net").await);
        assert_eq!(end, (vec![1], "FINISHED".to_owned()), "after {steps} steps");
    }
}

/// Rule B9: an apply is a job of its own, and B1: two stacks' jobs do not meet.
#[tokio::test]
async fn b9_an_apply_after_an_automatic_plan_is_a_job_of_its_own() {
    let world = World::with(PAIR, &["net", "app"]).await;
    for stack in ["net", "app"] {
        let jobs: Vec<_> = world.newest(stack).await.jobs.iter().map(JobId::to_string).collect();
        assert_eq!(jobs.len(), 2);
        assert!(jobs[0].ends_with("-plan-1") && jobs[1].ends_with("-apply-1"), "{jobs:?}");
    }
}
