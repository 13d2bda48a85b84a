//! Hooks that misbehave.
use e2e::process::peak_kb;
use e2e::up::{Up, brief, id};
use e2e::{LONG, World, until};
use std::time::Duration;

const PRINTED_BYTES: u64 = 200_000_000;
const STORED_BYTES_MAX: usize = 20 * 1024 * 1024 + 64 * 1024;
const WORKER_KB_MAX: u64 = 150_000;

fn one_stack(keys: &str) -> (World, Up, String) {
    let world = crate::world("terraform");
    let sha = world.define(&[("one", keys)]).code("one", "x").repo.commit("One stack");
    let up = world.up(1);
    (world, up, sha)
}

#[test]
fn a_hook_that_ignores_an_interrupt_is_killed_after_the_grace() {
    let keys = "hooks: { before_plan: [\"trap '' INT; echo it-began; sleep 600; sleep 600\"] }";
    let (world, up, sha) = one_stack(keys);
    let run = up.reaches("one", &sha, "PLANNING");
    until("the hook to begin", LONG, || {
        let log = up.log(id(&run));
        if log.contains("it-began") { Ok(()) } else { Err(log) }
    });
    up.verb(id(&run), "stop").expect("a planning run can be stopped");
    let grace = Duration::from_secs(60);
    let run = until("the run to be stopped", grace + LONG, || {
        let run = up.run(id(&run));
        if run["state"] == "STOPPED" { Ok(run) } else { Err(brief(&run)) }
    });
    assert_eq!(run["can"], serde_json::json!(["retry"]), "{run}");
    assert!(world.tool.calls().iter().all(|call| call.verb() != "plan"), "it never got there");
    // The stack is free, and so is the worker.
    let sha = world.define(&[("one", "autodeploy: true")]).code("one", "y");
    let sha = sha.repo.commit("Without the hook");
    up.reaches("one", &sha, "FINISHED");
}

#[test]
fn a_hook_that_prints_without_end_is_cut_and_costs_no_memory() {
    let print = format!("yes 0123456789abcdef0123456789abcdef | head -c {PRINTED_BYTES}");
    let keys = format!(
        "autodeploy: true\nhooks: {{ before_plan: [\"echo the-first-line; {print}; echo the-last-line\"] }}"
    );
    let (world, up, sha) = one_stack(&keys);
    let workers = up.workers();
    let run = up.reaches("one", &sha, "FINISHED");
    let log = up.log(id(&run));
    assert!(log.len() <= STORED_BYTES_MAX, "{} bytes are stored", log.len());
    for words in ["the-first-line", "the-last-line"] {
        assert!(log.contains(words), "{words} is not in the log");
    }
    let between = log.lines().find(|line| line.contains("cut") || line.contains("left out"));
    assert!(between.is_some(), "a line says what is missing");
    for (name, pid) in workers.iter().chain(&up.processes()) {
        if let Some(peak) = peak_kb(*pid) {
            assert!(peak < WORKER_KB_MAX, "{name} used {peak} kB");
        }
    }
    drop(world);
}

#[test]
fn bytes_that_are_no_text_are_shown_as_far_as_they_are() {
    let keys = "autodeploy: true\nhooks: { before_plan: [\"printf 'caf\\\\351 \\\\377\\\\376 and-more\\\\n'\"] }";
    let (_world, up, sha) = one_stack(keys);
    let run = up.reaches("one", &sha, "FINISHED");
    let log = up.log(id(&run));
    assert!(log.contains("caf\u{fffd} ") && log.contains(" and-more"), "{log}");
}
