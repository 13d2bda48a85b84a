//! A dead worker's affairs outlive the server that began to settle them.
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{LONG, until};
use std::time::{Duration, Instant};

/// Its heir had registered under its name, so the record had forgotten the job.
#[test]
fn a_run_ends_with_its_tool_although_worker_heir_and_server_died() {
    let world = crate::world("terraform");
    let gate = world.tool.gate("base.shell");
    world.define(&[("base", "autodeploy: true")]).slow_code("base", "x", &gate);
    let sha = world.repo.commit("One apply");
    let mut up = world.up(1);
    gate.wait_reached(LONG);
    let run = up.reaches("base", &sha, "APPLYING");
    up.kill_worker_of(id(&run));
    until("the silence to be told", LONG, || {
        let run = up.run(id(&run));
        run["silent_since"].is_string().then_some(()).ok_or_else(|| run.to_string())
    });
    std::thread::sleep(Duration::from_secs(2));
    up.kill_all();
    up.kill_tools();
    gate.open();
    let up = world.up(1);
    let since = Instant::now();
    let failed = up.becomes(id(&run), "FAILED");
    let note = failed["note"].as_str().unwrap_or_default();
    assert!(note.contains("was killed by signal 9"), "{note}");
    assert!(since.elapsed() < Duration::from_secs(10), "it ended after {:?}", since.elapsed());
    world.prove(&up, Times::Killed);
}

/// The list of workers was lost with them: who has a claim is watched all the same.
#[test]
fn a_run_ends_with_its_tool_although_nobody_knows_its_worker() {
    let world = crate::world("terraform");
    let gate = world.tool.gate("base.shell");
    world.define(&[("base", "autodeploy: true")]).slow_code("base", "x", &gate);
    let sha = world.repo.commit("One apply");
    let mut up = world.up(1);
    gate.wait_reached(LONG);
    let run = up.reaches("base", &sha, "APPLYING");
    up.kill_all();
    std::fs::remove_file(world.data.join("workers.json")).expect("a list of workers");
    let up = world.up(1);
    assert_eq!(up.run(id(&run))["state"], "APPLYING", "its tool still runs");
    gate.open();
    let since = Instant::now();
    let failed = up.becomes(id(&run), "FAILED");
    let note = failed["note"].as_str().unwrap_or_default();
    assert!(note.contains("started by an earlier server, has ended"), "{note}");
    assert!(since.elapsed() < Duration::from_secs(30), "it ended after {:?}", since.elapsed());
    world.prove(&up, Times::Killed);
}
