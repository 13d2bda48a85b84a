//! `kill -9` of workers, in every phase.
use super::phases::at_every_moment;
use e2e::place::Death;
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
        held.recovers(&up, &runs, held.world.cause(Death::WorkerAlone));
        held.world.prove(&up, Times::Killed);
    });
}

#[test]
fn what_a_lost_apply_made_reaches_its_dependents_after_a_retry() {
    let world = crate::world("terraform");
    let gate = world.tool.gate("base.shell");
    let uses = "autodeploy: true\n\
                depends_on: [{ stack: base, references: [{ output: it, input: TF_VAR_base }] }]";
    world.define(&[("base", "autodeploy: true"), ("app", uses)]).slow_code("base", "x", &gate);
    let app = "variable \"base\" { type = string }\noutput \"got\" { value = var.base }\n";
    let sha = world.repo.write("stacks/app/main.tf", app).commit("A base and an app");
    let up = world.up(1);
    gate.wait_reached(LONG);
    let lost = up.reaches("base", &sha, "APPLYING");
    up.kill_worker_of(id(&lost));
    gate.open();
    up.becomes(id(&lost), "FAILED");
    let skipped = up.reaches("app", &sha, "SKIPPED");

    // There is nothing left to apply, and now it is known what there is.
    let again = up.becomes(&up.retry(id(&lost)), "FINISHED");
    assert_eq!(again["delta"], serde_json::json!({ "add": 0, "change": 0, "delete": 0 }));
    // The app was tried again with it.
    let app = until("another try of the app", LONG, || {
        let newer = up.run(id(&skipped))["superseded_by"].as_str().map(str::to_owned);
        newer.ok_or_else(|| "none".to_owned())
    });
    up.becomes(&app, "FINISHED");
    let outputs = up.ask("/stacks/app/outputs");
    assert_eq!(outputs["outputs"][0]["value"], "x", "{outputs}");
    world.prove(&up, Times::Killed);
}
