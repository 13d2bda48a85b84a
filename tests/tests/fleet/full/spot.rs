//! Spot takes machines with runs on them: the machines are told, and EventBridge tells the pool.
use super::*;
use e2e::fleet::pool::POOL;
use e2e::proofs::no_plan_applied_twice;
use std::time::Duration;

#[test]
fn a_plan_moves_on_and_an_apply_ends_in_order_before_spot_takes_their_machines() {
    let yard = Yard::on_spot(&["a", "b"], 4, 600_000);
    let (pool, tool) = (&yard.pool, &yard.world.tool);
    let plan = tool.gate("b.plan");
    yard.world.code("b", "first");
    let (sha, apply) = yard.push_held(&["a"], "first");
    pool.cloud.start();
    apply[0].wait_reached(LONG);
    plan.wait_reached(LONG);
    let (a, b) = (yard.up.reaches("a", &sha, "APPLYING"), yard.up.reaches("b", &sha, "PLANNING"));
    let machines = [&a, &b].map(|run| run["worker"].as_str().expect("who has it").to_owned());
    let [of_apply, of_plan] = &machines;
    assert_ne!(of_apply, of_plan, "a machine has one run");
    // Less than an apply needs to stop in order, so it is told at once; a plan is in any case.
    for (machine, left_s) in [(of_apply, 70), (of_plan, 110)] {
        pool.machines.taken_in(machine, Duration::from_secs(left_s));
        pool.cloud.tell(&warning(machine));
    }

    let failed = yard.up.becomes(id(&a), "FAILED");
    let note = failed["note"].as_str().unwrap_or_default();
    let cause = "a Spot interruption of the worker's machine cut `terraform apply` short";
    assert!(note.starts_with(cause), "{note}");
    let log = yard.up.log(id(&a));
    assert!(log.contains("Interrupt received"), "Terraform ends in order: {log}");
    let finished = yard.up.becomes(id(&b), "FINISHED");
    let lost = format!("a Spot interruption took worker {of_plan} during the plan");
    assert!(finished.to_string().contains(&lost), "{finished:#}");
    let applied = tool.calls().into_iter().filter(|call| call.verb() == "apply");
    let applied: Vec<_> = applied.map(|call| call.folder).collect();
    assert_eq!(applied.iter().filter(|folder| folder.contains(id(&a))).count(), 1);
    let elsewhere = applied.iter().any(|folder| {
        folder.contains(id(&b)) && !machines.iter().any(|machine| folder.contains(machine))
    });
    assert!(elsewhere, "b was applied on a machine that stays: {applied:#?}");

    for machine in &machines {
        yard.goes(machine);
        let drain = &pool.record(machine)["drain"];
        assert_ne!(*drain, serde_json::Value::Null, "it took nothing more");
    }
    let left = |part: &str| {
        let keys = yard.control.keys().into_iter().filter(|key| key.contains(part));
        keys.collect::<Vec<_>>()
    };
    assert_eq!(left(".tflock"), Vec::<String>::new(), "locks that were left");
    assert_eq!(left("/errored/"), Vec::<String>::new(), "states that were not stored");
    // Nothing stands in the way of what comes next.
    let sha = yard.push(&["a", "b"], "second");
    yard.finished(&["a", "b"], &sha);
    pool.prove();
    no_plan_applied_twice(&tool.calls());
    let ledger = yard.control.object(&format!("fleet/{POOL}/ledger.json")).unwrap_or_default();
    let ledger = String::from_utf8_lossy(&ledger).into_owned();
    assert!(!machines.iter().any(|machine| ledger.contains(machine)), "over: {ledger}");
}

/// As EC2 tells EventBridge.
fn warning(machine: &str) -> serde_json::Value {
    let text = include_str!("../../../../events/ec2/spot-warning.json");
    let told = text.replace("i-0123456789abcdef0", machine);
    serde_json::from_str(&told).expect("an event")
}
