//! Small stories that every kind of disturbance is tried on.
use crate::world::{Stage, Tool, World, one};
use std::pin::Pin;
use windlass_core::event::Command;
use windlass_core::run::RunType;

pub(crate) type Act = for<'a> fn(&'a mut World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
pub(crate) type Setup = fn() -> Pin<Box<dyn Future<Output = World>>>;

/// A world at rest, and what somebody then does to it.
pub(crate) struct Scenario {
    pub(crate) setup: Setup,
    pub(crate) act: Act,
}

macro_rules! scenarios { ($($name:ident($setup:expr) |$world:ident| $act:block)+) => {$(
    pub(crate) fn $name() -> Scenario {
        async fn act($world: &mut World) $act
        Scenario { setup: || Box::pin($setup), act: |world| Box::pin(act(world)) }
    }
)+}; }

scenarios! {
    a_first_commit(async { World::new() }) |world| {
        world.define(&one(true), &["net"]).await;
    }
    an_automatic_apply(World::one()) |world| {
        world.touch("net").await;
    }
    a_confirmation(waiting()) |world| {
        world.confirm("net").await;
    }
    a_cancel_of_a_ready_run(ready()) |world| {
        world.crew.clear();
        let run = world.job("net").await.run;
        world.command("net", Command::Cancel { run, note: None }).await;
    }
    a_stop_of_a_plan(planning()) |world| {
        world.crew.clear();
        let run = world.job("net").await.run;
        world.command("net", Command::Stop { run, note: None }).await;
    }
    a_retry(failed()) |world| {
        world.tools.clear();
        let run = world.newest("net").await.id().clone();
        world.command("net", Command::Retry { run }).await;
    }
    a_trigger_with_dependents(pair()) |world| {
        world.trigger("net", RunType::Tracked).await;
    }
    a_destroy(World::one()) |world| {
        world.trigger("net", RunType::Destroy).await;
    }
    a_lost_plan(planning()) |world| {
        world.kill("w1", true);
        world.pass_minutes(3).await;
    }
    a_lost_apply(applying()) |world| {
        world.kill("w1", true);
        world.pass_minutes(3).await;
    }
    changed_definitions(World::one()) |world| {
        world.define(PAIR, &["net", "app"]).await;
    }
    a_stack_that_leaves(leaving()) |world| {
        world.confirm("infra-definitions").await;
    }
}

/// net → app, both applied.
pub(crate) const PAIR: &str = r"
version: 1
stacks:
  - { name: net, project_root: stacks/net, autodeploy: true }
  - name: app
    project_root: stacks/app
    autodeploy: true
    depends_on: [{ stack: net }]
";

pub(crate) async fn pair() -> World {
    World::with(PAIR, &["net", "app"]).await
}

/// A run that a person is asked to confirm.
pub(crate) async fn waiting() -> World {
    World::with(&one(false), &["net"]).await
}

/// A run whose job waits for a worker.
pub(crate) async fn ready() -> World {
    let mut world = World::one().await;
    world.touch("net").await;
    world.settle_messages().await;
    world
}

pub(crate) async fn planning() -> World {
    let mut world = ready().await;
    world.work_until("w1", |stage| *stage == Stage::Running).await;
    world.began("w1").await;
    world
}

pub(crate) async fn applying() -> World {
    let mut world = ready().await;
    world.work("w1").await;
    world.settle_messages().await;
    world.work_until("w1", |stage| *stage == Stage::Running).await;
    world.began("w1").await;
    world
}

/// A run whose plan failed.
pub(crate) async fn failed() -> World {
    let mut world = World::one().await;
    let broken = Tool { plan_fails: Some("main.tf:1: broken".to_owned()), ..Tool::default() };
    world.tools.insert("net".into(), broken);
    world.touch("net").await;
    world.settle().await;
    world
}

/// The definitions no longer name `app`, which has a state: a person is asked.
async fn leaving() -> World {
    let mut world = pair().await;
    world.define(&one(true), &["net"]).await;
    world.settle().await;
    world
}
