//! A refresh: the group ends every machine, whatever it is at.
use super::*;
use e2e::fleet::pool::HOOK_TIMEOUT_S;
use e2e::proofs::Times;
use emulator::{Hook, Why};

/// Beyond a heartbeat's time. After it, and one more heartbeat's, a hook still holds.
const STEP_MS: u64 = 80_000;
const STEPS: usize = 5;

#[test]
fn a_refresh_of_six_busy_machines_waits_for_each_run_and_applies_nothing_twice() {
    let stacks = ["a", "b", "c", "d", "e", "f"];
    let yard = Yard::open(&stacks, 12, 600_000);
    let group = yard.pool.group.clone();
    let (sha, gates) = yard.push_held(&stacks, "first");
    yard.pool.cloud.start();
    gates.iter().for_each(|gate| gate.wait_reached(LONG));
    let old: Vec<String> = group.standing().instances.into_keys().collect();
    assert_eq!(old.len(), stacks.len(), "a machine for each run");

    // Under load: each stack has more to do, which the new machines will.
    let next = yard.push(&stacks, "second");
    group.did(
        "StartInstanceRefresh",
        &[
            ("Preferences.MinHealthyPercentage", "0"),
            ("Preferences.ScaleInProtectedInstances", "Refresh"),
        ],
    );
    until("six old machines to wait and six new ones to serve", LONG, || {
        let (waiting, serving) = (group.at("Terminating:Wait"), group.at("InService"));
        match waiting == old && serving.len() == old.len() {
            true => Ok(()),
            false => Err(format!("{waiting:?} wait, {serving:?} serve")),
        }
    });
    // They wait for more than twice the hook's time, by heartbeats alone.
    let mut ahead_ms = 0;
    for _ in 0..STEPS {
        yard.pool.pass(&mut ahead_ms, STEP_MS);
        until("each hook to be put off", LONG, || {
            let held = group.standing().held_ms;
            assert!(held.keys().eq(&old), "nobody goes, but of {old:?} these wait: {held:?}");
            let put_off = held.values().all(|ms| *ms > HOOK_TIMEOUT_S * 1_000 - STEP_MS);
            if put_off { Ok(()) } else { Err(format!("{held:?}")) }
        });
    }

    // Each goes when its own run has ended, and no other does.
    for (n, (stack, gate)) in stacks.iter().zip(&gates).enumerate() {
        let run = yard.up.reaches(stack, &sha, "APPLYING");
        let machine = run["worker"].as_str().expect("who has it").to_owned();
        gate.open();
        yard.up.becomes(id(&run), "FINISHED");
        let ends = until("its machine to go", LONG, || {
            let ends = group.ends();
            let gone = ends.iter().any(|end| end.instance == machine);
            if gone { Ok(ends) } else { Err(format!("{machine} waits, {ends:?} went")) }
        });
        assert_eq!(ends.len(), n + 1, "no other went: {ends:#?}");
    }
    for end in group.ends() {
        assert_eq!((end.why, end.hook), (Why::Refresh, Hook::Completed), "{end:?}");
    }
    yard.finished(&stacks, &next);
    yard.pool.prove();
    yard.world.prove(&yard.up, Times::Peaceful);
}
