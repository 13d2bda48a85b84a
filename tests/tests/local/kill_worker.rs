//! `kill -9` of workers, in every phase.
use crate::phases::at_every_moment;
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{LONG, until};

#[test]
fn killed_workers_lose_nothing_plans_repeat_and_applies_end_with_the_cause() {
    at_every_moment(|held| {
        let (up, runs) = held.up();
        for (_, run) in &runs {
            up.kill_worker_of(id(run));
        }
        // What may not be repeated waits for the tool's end, whoever asks how long.
        for (moment, run) in runs.iter().filter(|(moment, _)| !moment.repeatable()) {
            until("the silence to be told", LONG, || {
                let run = up.run(id(run));
                assert_eq!(run["state"], moment.state(), "the tool still runs: {run}");
                let told = run["silent_since"].is_string();
                told.then_some(()).ok_or_else(|| run.to_string())
            });
            let stack = up.stack(moment.stack());
            assert_eq!(stack["active"]["id"], run["id"], "the stack stays taken: {stack}");
        }
        held.open();
        held.recovers(&up, &runs, "killed by signal 9");
        held.world.prove(&up, Times::Killed);
    });
}
