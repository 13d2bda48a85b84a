//! Chaos: bursts, drains, refreshes and ends by hand, while both functions are killed at random. The
//! seed is printed; `FLEET_SEED` makes the same choices again, `FLEET_ROUNDS` makes it longer.
use super::*;
use e2e::fleet::Dice;
use e2e::proofs::no_plan_applied_twice;
use std::collections::BTreeMap;
use std::time::Duration;

const ROUNDS: u64 = 14;
/// A tick takes less, so a death after it meets any call of one, or none.
const TICK_MS: u64 = 400;
/// Ticks come thirty times as fast as on AWS; who holds the ledger and is dead is old after one.
const MINUTE_MS: u64 = 60_000;

#[test]
fn functions_that_die_at_any_moment_end_nothing_busy_and_leave_no_hook_waiting() {
    let rounds = std::env::var("FLEET_ROUNDS").ok().and_then(|text| text.parse().ok());
    let mut dice = Dice::of("FLEET_SEED");
    let stacks = ["a", "b", "c", "d"];
    let yard = Yard::open(&stacks, 6, 2_000);
    let (group, lambda) = (yard.pool.group.clone(), yard.pool.cloud.lambda.clone());
    let mut values: BTreeMap<&str, String> =
        stacks.iter().map(|stack| (*stack, "first".to_owned())).collect();
    yard.push(&stacks, "first");
    yard.pool.cloud.start();
    for round in 0..rounds.unwrap_or(ROUNDS) {
        let stack = stacks[pick(&mut dice, stacks.len())];
        if dice.below(2) == 0 {
            values.insert(stack, format!("round {round}"));
            yard.push(&[stack], &values[stack]);
        }
        let function = ["Autoscaler", "Drainer"][pick(&mut dice, 2)];
        match dice.below(6) {
            0 | 1 => {
                let soon = Duration::from_millis(1 + dice.below(TICK_MS));
                println!("round {round}: {function} dies {} ms after each start", soon.as_millis());
                lambda.kill_after(function, Some(soon));
            }
            2 => lambda.kill(),
            3 => {
                let serving = group.at("InService");
                if !serving.is_empty() {
                    let machine = &serving[pick(&mut dice, serving.len())];
                    println!("round {round}: {machine} is ended by hand");
                    // Refused if it went since.
                    may(
                        &group,
                        "TerminateInstanceInAutoScalingGroup",
                        &[("InstanceId", machine), ("ShouldDecrementDesiredCapacity", "false")],
                    );
                }
            }
            4 => {
                println!("round {round}: a refresh");
                // Refused while the one before it is not over.
                may(
                    &group,
                    "StartInstanceRefresh",
                    &[
                        ("AutoScalingGroupName", &group.name),
                        ("Preferences.MinHealthyPercentage", "0"),
                        ("Preferences.ScaleInProtectedInstances", "Refresh"),
                    ],
                );
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(500 + dice.below(2_000)));
        lambda.kill_after(function, None);
        yard.lapse_the_hold();
    }
    yard.lapse_the_hold();
    for (stack, value) in &values {
        until(&format!("{stack} to be {value}"), 2 * LONG, || {
            let outputs = yard.up.api.get(&format!("/stacks/{stack}/outputs"));
            let outputs = outputs.map_err(|refusal| format!("{refusal:?}"))?;
            let found = &outputs["outputs"][0]["value"];
            if found == value { Ok(()) } else { Err(found.to_string()) }
        });
    }
    yard.empties();
    yard.pool.prove();
    for run in yard.up.runs() {
        assert!(run["state"] == "FINISHED" || run["state"] == "SKIPPED", "{}", brief(&run));
    }
    no_plan_applied_twice(&yard.world.tool.calls());
}

/// An operator asks, whatever the answer.
fn may(group: &Group, action: &str, form: &[(&str, &str)]) {
    let form: Vec<_> = [("Action", action)].into_iter().chain(form.iter().copied()).collect();
    group.emulator.query("operator", "autoscaling", &form).expect("an answer");
}

fn pick(dice: &mut Dice, among: usize) -> usize {
    usize::try_from(dice.below(among as u64)).unwrap_or(0)
}

impl Yard {
    /// A minute passes for whoever holds the ledger.
    fn lapse_the_hold(&self) {
        self.older(&format!("fleet/{}/ledger.json", e2e::fleet::pool::POOL), MINUTE_MS);
    }
}
