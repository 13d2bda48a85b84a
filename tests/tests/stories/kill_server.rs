//! `kill -9` of the server while its workers live on.
use super::phases::at_every_moment;
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{LONG, until};
use std::time::Duration;

#[test]
fn a_killed_server_comes_back_to_runs_that_went_on_without_it() {
    at_every_moment(|held| {
        let (mut up, runs) = held.up();
        up.kill();
        held.open();
        let up = held.world.up(2);
        for (moment, run) in &runs {
            let run = up.becomes(id(run), "FINISHED");
            let jobs = run["jobs"].as_array().map_or(0, Vec::len);
            // Nobody kept what a plan found; what an apply did was kept until somebody came.
            assert!(moment.repeatable() || jobs == 2, "{moment:?}: {}", run["jobs"]);
        }
        held.world.prove(&up, Times::Killed);
    });
}

#[test]
fn a_server_that_comes_back_first_finds_its_workers_still_at_it() {
    at_every_moment(|held| {
        let (mut up, runs) = held.up();
        up.kill();
        let up = held.world.up(2);
        for (moment, run) in &runs {
            assert_eq!(up.run(id(run))["state"], moment.state(), "{moment:?} is still held");
        }
        held.open();
        for (_, run) in &runs {
            up.becomes(id(run), "FINISHED");
        }
        held.world.prove(&up, Times::Peaceful);
    });
}

#[test]
fn a_confirmation_outlives_the_server_that_took_it() {
    let world = crate::world("terraform");
    let sha = world.define(&[("one", "")]).code("one", "x").repo.commit("One stack");
    let mut up = world.up(1);
    let run = up.reaches("one", &sha, "UNCONFIRMED");
    up.stop();

    // Nobody there to apply it.
    let mut up = world.up(0);
    up.confirm(&up.becomes(id(&run), "UNCONFIRMED"));
    assert_eq!(up.run(id(&run))["state"], "CONFIRMED");
    up.kill();

    let up = world.up(1);
    up.becomes(id(&run), "FINISHED");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn a_server_killed_at_any_moment_around_a_confirmation_applies_once() {
    let world = crate::world("terraform");
    world.define(&[("one", "")]).code("one", "start").repo.commit("One stack");
    let mut up = world.up(1);
    let start = up.reaches("one", &world.repo.head(), "UNCONFIRMED");
    up.confirm(&start);
    up.becomes(id(&start), "FINISHED");
    for round in 0..4_u64 {
        let sha = world.code("one", &format!("round {round}")).repo.commit("Another value");
        let run = up.reaches("one", &sha, "UNCONFIRMED");
        let api = up.api.clone();
        std::thread::scope(|scope| {
            let asks = scope.spawn(|| up.confirm_as("ada", &run));
            // Not a wait for anything: another moment in each round.
            std::thread::sleep(Duration::from_millis(round * 15));
            up.strike();
            drop(api);
            let _ = asks.join();
        });
        up.kill();
        up = world.up(1);
        // Either it was heard, or it was not and can be asked again.
        until("the run to end", LONG, || {
            let now = up.run(id(&run));
            if now["state"] == "UNCONFIRMED" {
                let _ = up.confirm_as("ada", &now);
            }
            assert_ne!(now["state"], "FAILED", "{now}");
            if now["state"] == "FINISHED" { Ok(()) } else { Err(now["state"].to_string()) }
        });
        let state = world.real_state("one");
        let value = &state["values"]["outputs"]["it"]["value"];
        assert_eq!(*value, format!("round {round}"));
    }
    world.prove(&up, Times::Killed);
}
