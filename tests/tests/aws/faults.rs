//! Faults of the cloud that must lose nothing. Each story has an API server of its own, because what
//! goes wrong there goes wrong for everybody.
use e2e::cloud::place::InABox;
use e2e::proofs::Times;
use e2e::up::brief;
use e2e::{LONG, Up, World, until};
use emulator::{Fault, When};
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Stores that fail for as long as this.
const STORM_S: f64 = 60.0;

fn one_stack(keys: &str) -> (World, InABox, Up, String) {
    let (world, cloud) = World::cloud_alone("terraform");
    let sha = world.define(&[("one", keys)]).code("one", "first").repo.commit("One stack");
    let up = world.up(1);
    (world, cloud, up, sha)
}

fn value(up: &Up, stack: &str) -> Value {
    up.ask(&format!("/stacks/{stack}/outputs"))["outputs"][0]["value"].clone()
}

#[test]
fn stores_that_throttle_and_fail_for_a_minute_delay_and_lose_nothing() {
    let (world, cloud, up, sha) = one_stack("autodeploy: true");
    up.reaches("one", &sha, "FINISHED");
    let emulator = cloud.deployed().cloud.aws.emulator.clone();
    let some = |service: &str, status: u16, when: When, seed: u64| Fault {
        service: Some(service.to_owned()),
        status: Some(status),
        when,
        rate: Some(0.15),
        seed: Some(seed),
        for_s: Some(STORM_S),
        ..Fault::default()
    };
    let storm = [
        some("s3", 503, When::Before, 1),
        some("s3", 500, When::After, 2),
        some("s3", 0, When::After, 3),
        some("sqs", 400, When::Before, 4),
        some("sqs", 500, When::After, 5),
    ];
    emulator.set_faults(&storm).expect("rules are taken");
    let mut last = String::new();
    for round in 0..3 {
        last = world.code("one", &format!("round {round}")).repo.commit("Another value");
        std::thread::sleep(Duration::from_secs(15));
    }
    let struck: u64 = emulator.struck().expect("a count").iter().sum();
    assert!(struck > 50, "only {struck} calls went wrong");
    until("the last commit to be applied", 4 * LONG, || {
        let run = up.find("one", &last, "TRACKED")?;
        // A run whose tool met a failing store has failed; that is told, and can be done again.
        if run["state"] == "FAILED" {
            let _ = up.verb(e2e::up::id(&run), "retry");
        }
        if run["state"] == "FINISHED" { Ok(()) } else { Err(brief(&run)) }
    });
    // Who asks once may meet the storm's end himself.
    emulator.set_faults(&[]).expect("the storm is over");
    assert_eq!(value(&up, "one"), "round 2");
    e2e::proofs::no_plan_applied_twice(&world.tool.calls());
}

#[test]
fn a_function_that_is_killed_at_its_time_limit_loses_nothing() {
    let (world, cloud, up, sha) = one_stack("autodeploy: true");
    up.reaches("one", &sha, "FINISHED");
    let lambda = cloud.deployed().cloud.lambda.clone();
    let killed = || lambda.reports("Scheduler").iter().filter(|r| r.failed.is_some()).count();
    let mut took: Vec<Duration> = lambda.reports("Scheduler").iter().map(|r| r.took).collect();
    took.sort();
    // As long as an invocation takes on this machine: each part of it ends between two other calls.
    let whole = took[took.len() / 2];
    for part in [1, 2, 3, 4, 5, 6] {
        let before = killed();
        let (mut limit, mut value_now, mut sha) = (whole * part / 7, String::new(), String::new());
        // The machine may be faster by now than it was when that was taken.
        while killed() == before {
            lambda.kill_after("Scheduler", Some(limit));
            value_now = format!("part {part}, within {limit:?}");
            sha = world.code("one", &value_now).repo.commit("Another value");
            let patience = Instant::now() + Duration::from_secs(10);
            while killed() == before && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(50));
            }
            limit = limit * 3 / 4;
        }
        std::thread::sleep(Duration::from_secs(3));
        lambda.kill_after("Scheduler", None);
        up.reaches("one", &sha, "FINISHED");
        assert_eq!(value(&up, "one"), value_now);
    }
    world.prove(&up, Times::Peaceful);
}

#[test]
fn messages_that_come_twice_and_late_change_nothing() {
    let (world, cloud) = World::cloud_alone("terraform");
    let uses = "autodeploy: true\n\
                depends_on: [{ stack: base, references: [{ output: it, input: TF_VAR_base }] }]";
    world.define(&[("base", "autodeploy: true"), ("app", uses), ("other", uses)]);
    let app = "variable \"base\" { type = string }\noutput \"it\" { value = var.base }\n";
    world.repo.write("stacks/app/main.tf", app).write("stacks/other/main.tf", app);
    let sha = world.code("base", "first").repo.commit("A base and what uses it");
    let up = world.up(2);
    let weather = cloud.deployed().cloud.weather.clone();
    weather.twice.store(true, Ordering::Relaxed);
    weather.late_ms.store(800, Ordering::Relaxed);
    for stack in ["base", "app", "other"] {
        up.reaches(stack, &sha, "FINISHED");
    }
    let sha = world.code("base", "second").repo.commit("Another base");
    for stack in ["base", "app", "other"] {
        up.reaches(stack, &sha, "FINISHED");
        assert_eq!(value(&up, stack), "second");
    }
    world.prove(&up, Times::Peaceful);
    let runs = up.runs();
    let tracked = runs.iter().filter(|run| run["stack"] != "infra-definitions").count();
    assert_eq!(tracked, 6, "no run was made twice: {runs:#?}");
}

#[test]
fn a_deployment_that_lacks_a_variable_fails_its_health_and_eats_no_message() {
    let (world, cloud, up, sha) = one_stack("autodeploy: true");
    up.reaches("one", &sha, "FINISHED");
    let lambda = cloud.deployed().cloud.lambda.clone();
    let bucket = cloud.deployed().cloud.bucket().to_owned();
    for function in ["Scheduler", "Api"] {
        lambda.set_variable(function, "WINDLASS_BUCKET", None);
    }
    let sick = until("the API to be gone", LONG, || match up.api.get("/health") {
        Err(refusal) => Ok(refusal),
        Ok(well) => Err(well.to_string()),
    });
    assert_eq!(sick.status, 500, "{sick:?}");
    let sha = world.code("one", "second").repo.commit("Another value");
    until("the scheduler to fail", LONG, || {
        let log = lambda.logs().find(|log| log.ends_with("Scheduler.log"));
        let said = std::fs::read_to_string(log.expect("a log")).unwrap_or_default();
        let met = said.contains("WINDLASS_BUCKET") && said.matches("INIT failed").count() > 2;
        met.then_some(()).ok_or(said)
    });
    for function in ["Scheduler", "Api"] {
        lambda.set_variable(function, "WINDLASS_BUCKET", Some(&bucket));
    }
    up.reaches("one", &sha, "FINISHED");
    assert_eq!(value(&up, "one"), "second");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn forty_stacks_in_a_row_are_all_skipped_beyond_what_lambda_lets_a_chain_pass() {
    const COUNT: usize = 40;
    let (world, _cloud) = World::cloud_alone("terraform");
    let name = |n: usize| format!("s{n:02}");
    let stacks: Vec<(String, String)> = (0..COUNT)
        .map(|n| {
            let uses = match n {
                0 => String::new(),
                _ => format!("depends_on: [{{ stack: {} }}]\n", name(n - 1)),
            };
            (name(n), uses)
        })
        .collect();
    let stacks: Vec<(&str, &str)> = stacks.iter().map(|(n, k)| (n.as_str(), k.as_str())).collect();
    world.define(&stacks);
    // The first one fails, so nothing below it may run.
    world
        .repo
        .write("stacks/s00/main.tf", "resource \"terraform_data\" \"it\" {\n  input = = 1\n}\n");
    for (stack, _) in &stacks[1..] {
        world.code(stack, "x");
    }
    let sha = world.repo.commit("Forty in a row");
    let up = world.up(1);
    up.reaches("s00", &sha, "FAILED");
    for (stack, _) in &stacks[1..] {
        up.reaches(stack, &sha, "SKIPPED");
    }
}
