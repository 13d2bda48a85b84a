//! protocol.md §2 (e): leases and the state's lock. Each test names the rule that it passes by.
use crate::scenarios::{applying, planning};
use crate::world::{Stage, World};
use windlass_core::keys;
use windlass_core::run::{FailReason, State};
use windlass_ports::presence::Evidence;

async fn failed_of_loss(world: &World) -> bool {
    let state = world.newest("net").await.state;
    matches!(state, State::Failed { reason: FailReason::WorkerLost { .. } })
}

/// Rule E2: ages go by the store's own clock; a handler's clock that is wrong loses nobody.
#[tokio::test]
async fn e1_an_observer_whose_clock_is_ahead_declares_nobody_lost() {
    for mut world in [planning().await, applying().await] {
        let job = world.job("net").await;
        world.wall.advance(600_000);
        let _ = scheduler::tick(&world.deps).await;
        world.settle_messages().await;
        assert_eq!(world.result_of(&job).await, None);
        let active = world.head("net").await.active.expect("it goes on");
        assert!(active.state.held().is_some_and(|held| held.silent.is_none()), "nor silent");
        world.quiet_down().await;
        assert_eq!(world.state("net").await, "FINISHED");
    }
}

/// Rule E2, the clock that jumps back: nothing is lost, and what waits is woken again.
#[tokio::test]
async fn e1_a_clock_that_jumps_back_delays_and_loses_nothing() {
    let mut world = planning().await;
    world.wall.set(windlass_core::time::UnixMs(world.now().0 - 300_000));
    world.kill("w1", true);
    world.pass_minutes(10).await;
    world.quiet_down().await;
    assert_eq!(world.state("net").await, "FINISHED");
}

/// Rule E1: a machine that pauses **with its tool** and resumes finds its stack still its own.
#[tokio::test]
async fn e2_a_machine_that_pauses_with_its_tool_keeps_the_stack() {
    let mut world = applying().await;
    let run = world.job("net").await.run;
    world.touch("net").await;
    world.pass_minutes(30).await;
    let active = world.head("net").await.active.expect("it keeps the stack");
    assert_eq!((active.id(), active.state.name().as_str()), (&run, "APPLYING"));
    assert!(active.state.held().is_some_and(|held| held.silent.is_some()), "and says so");
    world.quiet_down().await;
    assert_eq!(world.run(&run).await.state, State::Finished, "its result counts");
    assert_eq!((world.state("net").await.as_str(), world.applies("net")), ("FINISHED", 3));
}

/// Rules E1 and E3: an agent that hangs is not gone, and neither is its stack free; once the tool
/// has ended and the agent says nothing for a minute more, the run ends and tells why.
#[tokio::test]
async fn e3_an_agent_that_hangs_frees_its_stack_only_when_the_tool_has_ended() {
    let mut world = applying().await;
    let (job, claim) = (world.job("net").await, world.running[0].claim.clone());
    world.crew.clear();
    world.pass_minutes(5).await;
    assert_eq!(world.newest("net").await.state.name().as_str(), "APPLYING");
    world.end_tool(&claim);
    world.pass_minutes(3).await;
    assert!(failed_of_loss(&world).await);
    assert!(world.head("net").await.active.is_none());
    // The agent wakes: what it has to say is kept, and changes nothing.
    world.work_until("w1", |stage| matches!(stage, Stage::Stored)).await;
    world.work("w1").await;
    world.settle_messages().await;
    assert!(failed_of_loss(&world).await);
    assert!(world.load::<serde_json::Value>(&keys::job_late_result(&job)).await.is_some());
}

/// Rule E1: a dead worker is no proof that its tool is dead; a machine that is gone proves both.
#[tokio::test]
async fn e3_a_dead_worker_alone_does_not_free_the_stack() {
    let mut world = applying().await;
    world.crew.clear();
    world.presence.worker_gone(&"w1".into(), "worker w1 was killed by signal 9");
    world.pass_minutes(5).await;
    assert!(world.head("net").await.active.is_some());
    world.presence.set_tools_of(&"w1".into(), Evidence::Gone { cause: "terminated".to_owned() });
    world.running.clear();
    world.pass_minutes(2).await;
    assert!(failed_of_loss(&world).await);
}
