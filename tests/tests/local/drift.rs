//! A schedule that falls due by the machine's own clock. On the box the clock is the story's, and
//! the schedule of the drift function is the template's.
use crate::stories::drift::{stack_where, worldly};
use e2e::LONG;
use std::fs;
use std::time::Duration;

#[test]
fn a_stack_is_looked_at_by_its_schedule() {
    // Every minute, late by less than half a minute, seen by the tick after the next full minute.
    let (world, file) = worldly("autodeploy: true\ndrift: { schedule: [\"* * * * *\"] }");
    let sha = world.repo.commit("One stack");
    let up = world.up(1);
    up.reaches("it", &sha, "FINISHED");
    assert!(up.stack("it")["drift"]["next"].is_string());
    fs::write(&file, "as somebody made it by hand").expect("another world");
    let patience = Duration::from_secs(180) + LONG;
    let stack = stack_where(&up, "somebody to look", patience, |stack| !stack["drifted"].is_null());
    assert_eq!(stack["drifted"]["count"], 1, "{stack}");
    assert_eq!(stack["drift"]["last"]["outcome"], "drifted", "{stack}");
    assert!(up.runs().iter().any(|run| run["drift"] == true && run["triggered_by"].is_null()));
}
