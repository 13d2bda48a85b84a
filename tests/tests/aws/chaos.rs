//! Chaos: many pushes over many stacks, while workers and functions are killed at random. The seed is
//! printed; `CHAOS_SEED` runs the same choices again, `CHAOS_PUSHES` and `CHAOS_STACKS` make it longer
//! (200 and 30 are what a release is held against).
use e2e::proofs::no_plan_applied_twice;
use e2e::up::brief;
use e2e::{LONG, Up, World, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PUSHES: u64 = 12;
const STACKS: u64 = 5;
const WORKERS: u16 = 3;

/// A small generator: what matters is that a seed means the same choices.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn pushes_while_workers_and_functions_are_killed_at_random() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs());
    let seed = number("CHAOS_SEED", now).max(1);
    let (pushes, stacks) = (number("CHAOS_PUSHES", PUSHES), number("CHAOS_STACKS", STACKS));
    println!("CHAOS_SEED={seed} CHAOS_PUSHES={pushes} CHAOS_STACKS={stacks}");
    let mut dice = Dice(seed);
    let (world, cloud) = World::cloud_alone("terraform");
    let names: Vec<String> = (0..stacks).map(|n| format!("s{n:02}")).collect();
    // Every third one uses what the one before it made.
    let keys: Vec<String> = (0..stacks)
        .map(|n| match n % 3 {
            2 => format!("autodeploy: true\ndepends_on: [{{ stack: s{:02} }}]", n - 1),
            _ => "autodeploy: true".to_owned(),
        })
        .collect();
    let defined: Vec<(&str, &str)> =
        names.iter().zip(&keys).map(|(n, k)| (n.as_str(), k.as_str())).collect();
    world.define(&defined);
    for name in &names {
        world.code(name, "start");
    }
    world.repo.commit("Everything");
    let up = world.up(WORKERS);
    let lambda = cloud.deployed().cloud.lambda.clone();
    let mut values: BTreeMap<&str, String> =
        names.iter().map(|name| (name.as_str(), "start".to_owned())).collect();
    for push in 0..pushes {
        let name = &names[usize::try_from(dice.below(stacks)).unwrap_or(0)];
        let value = format!("push {push}");
        world.code(name, &value).repo.commit("Another value");
        values.insert(name, value);
        std::thread::sleep(Duration::from_millis(dice.below(1_500)));
        match dice.below(4) {
            0 => lambda.kill(),
            1 => {
                let workers: Vec<String> = up.workers().into_keys().collect();
                if !workers.is_empty() {
                    let unlucky = usize::try_from(dice.below(workers.len() as u64)).unwrap_or(0);
                    up.kill_worker(&workers[unlucky]);
                }
            }
            _ => {}
        }
    }
    // Whatever came last is there, whoever died on the way.
    for (name, value) in &values {
        until(&format!("{name} to be {value}"), 4 * LONG, || {
            settled(&up, name)?;
            let outputs = up.api.get(&format!("/stacks/{name}/outputs"));
            let outputs = outputs.map_err(|refusal| format!("{refusal:?}"))?;
            let found = &outputs["outputs"][0]["value"];
            if found == value { Ok(()) } else { Err(found.to_string()) }
        });
        let state = world.real_state(name);
        assert_eq!(state["values"]["outputs"]["it"]["value"], **value, "{name}, in its state");
    }
    // Every delivery came to an end, and nothing is locked.
    let deployed = cloud.deployed();
    let keys = deployed.keys();
    let ids = |end: &str| -> Vec<&str> {
        let all = keys.iter().filter_map(|key| key.strip_prefix("deliveries/"));
        all.filter_map(|key| key.strip_suffix(end)).collect()
    };
    let (seen, outcomes) = (ids("/seen"), ids("/outcome"));
    assert!(!seen.is_empty(), "no delivery was taken");
    let open: Vec<&&str> = seen.iter().filter(|id| !outcomes.contains(id)).collect();
    assert!(open.is_empty(), "deliveries without an outcome: {open:?}");
    let locks: Vec<&String> = keys.iter().filter(|key| key.ends_with(".tflock")).collect();
    assert!(locks.is_empty(), "locks that were left: {locks:?}");
    no_plan_applied_twice(&world.tool.calls());
}

/// Whether nothing is under way on a stack. A run that failed with its worker is tried again, as a
/// person would.
fn settled(up: &Up, name: &str) -> Result<(), String> {
    let stack = up.api.get(&format!("/stacks/{name}")).map_err(|r| format!("{r:?}"))?;
    let queued = stack["queue"].as_array().map_or(0, Vec::len);
    if stack["active"] != Value::Null || queued > 0 {
        return Err(format!("{name}: {}, {queued} queued", stack["active"]));
    }
    let list = up.api.get(&format!("/stacks/{name}/runs?limit=1"));
    let run = list.map_err(|r| format!("{r:?}"))?["runs"][0].clone();
    if run["state"] == "FAILED" {
        let _ = up.verb(e2e::up::id(&run), "retry");
    }
    match run["state"].as_str().unwrap_or_default() {
        "FINISHED" | "SKIPPED" => Ok(()),
        _ => Err(brief(&run)),
    }
}
