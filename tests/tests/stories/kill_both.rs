//! Server and workers killed at once; and everything, as when the power goes.
use super::phases::at_every_moment;
use e2e::place::Death;
use e2e::proofs::Times;
use e2e::up::id;

#[test]
fn server_and_workers_killed_at_once_and_the_tools_finish_alone() {
    at_every_moment(|held| {
        let (mut up, runs) = held.up();
        up.kill_all();
        let up = held.world.up(2);
        for (moment, run) in runs.iter().filter(|(moment, _)| !moment.repeatable()) {
            let run = up.run(id(run));
            assert_eq!(run["state"], moment.state(), "the tool still runs: {run}");
        }
        held.open();
        held.recovers(&up, &runs, held.world.cause(Death::Everybody));
        held.world.prove(&up, Times::Killed);
    });
}

#[test]
fn everything_killed_at_once_tools_included() {
    at_every_moment(|held| {
        let (mut up, runs) = held.up();
        up.kill_all();
        up.kill_tools();
        held.open();
        let up = held.world.up(2);
        held.recovers(&up, &runs, held.world.cause(Death::Everybody));
        held.world.prove(&up, Times::Killed);
    });
}
