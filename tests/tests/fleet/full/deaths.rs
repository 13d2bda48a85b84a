//! Workers and machines that die in the middle of a run.
use super::*;
use e2e::fleet::pool::POOL;
use e2e::proofs::no_plan_applied_twice;

/// More than a busy worker's lease.
const LEASE_MS: u64 = 130_000;
/// More than a run may take, with a kill's grace and a lease.
const RUN_MS: u64 = 80 * 60_000;

#[test]
fn a_machine_whose_worker_died_waits_for_the_tool_that_outlived_it() {
    let yard = Yard::open(&["a"], 2, 600_000);
    let group = yard.pool.group.clone();
    let (sha, gates) = yard.push_held(&["a"], "first");
    yard.pool.cloud.start();
    gates[0].wait_reached(LONG);
    let run = yard.up.reaches("a", &sha, "APPLYING");
    let machine = run["worker"].as_str().expect("who has it").to_owned();
    // Its machine's service manager starts another, which finds the tool at work.
    yard.pool.machines.kill_worker(&machine);
    until("another worker on the machine", LONG, || {
        let record = yard.pool.record(&machine);
        if record["epoch"].as_u64() > Some(1) { Ok(()) } else { Err(record.to_string()) }
    });
    end_by_hand(&group, &machine);
    yard.looks();
    assert_eq!(
        group.at("Terminating:Wait"),
        std::slice::from_ref(&machine),
        "it waits for the tool"
    );

    gates[0].open();
    let ended = yard.up.becomes(id(&run), "FAILED");
    let note = ended["note"].as_str().unwrap_or_default();
    assert!(note.contains("ended before it could say how"), "{note}");
    yard.goes(&machine);
    yard.pool.prove();
    no_plan_applied_twice(&yard.world.tool.calls());
}

#[test]
fn a_machine_that_fell_silent_in_a_run_is_let_go_when_the_runs_time_is_over() {
    let yard = Yard::open(&["a"], 2, 600_000);
    let group = yard.pool.group.clone();
    let (sha, gates) = yard.push_held(&["a"], "first");
    yard.pool.cloud.start();
    gates[0].wait_reached(LONG);
    let run = yard.up.reaches("a", &sha, "APPLYING");
    let machine = run["worker"].as_str().expect("who has it").to_owned();
    end_by_hand(&group, &machine);
    until("its hook to be remembered", LONG, || {
        let open = yard.pool.open_drains();
        if open.len() == 1 { Ok(()) } else { Err(format!("{open:?}")) }
    });
    yard.pool.machines.cut_power(&machine);
    let scheduler = yard.control.cloud.lambda.clone();
    yard.older(&format!("pools/{POOL}/instances/{machine}.json"), LEASE_MS);
    // By its own clock it only knows when to look again.
    scheduler.set_clock("Scheduler", i64::try_from(LEASE_MS).unwrap_or(0));
    until("its silence to be told", LONG, || {
        let run = yard.up.run(id(&run));
        if run["silent_since"].is_string() { Ok(()) } else { Err(brief(&run)) }
    });
    yard.looks();
    assert_eq!(
        group.at("Terminating:Wait"),
        std::slice::from_ref(&machine),
        "its tool may be at work"
    );

    yard.older(&format!("jobs/{}", id(&run)), RUN_MS);
    scheduler.set_clock("Scheduler", i64::try_from(RUN_MS).unwrap_or(0));
    let ended = yard.up.becomes(id(&run), "FAILED");
    let note = ended["note"].as_str().unwrap_or_default();
    assert!(note.contains("nobody can see what became of its tool"), "{note}");
    yard.goes(&machine);
    yard.pool.prove();
    no_plan_applied_twice(&yard.world.tool.calls());
}
