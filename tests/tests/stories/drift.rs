//! The world changes and nobody pushed anything.
use e2e::up::{Up, id};
use e2e::{LONG, World, until};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A stack whose resource is what a file outside of the repository says: the world.
pub(crate) fn worldly(keys: &str) -> (World, PathBuf) {
    let world = crate::world("terraform");
    let file = world.folder().join("world.txt");
    fs::write(&file, "as applied").expect("a world");
    world.define(&[("it", keys)]);
    let code = format!("resource \"terraform_data\" \"it\" {{\n  input = file({file:?})\n}}\n");
    world.repo.write("stacks/it/main.tf", code);
    (world, file)
}

/// Somebody asks for a look: its run, ended.
fn look(up: &Up) -> Value {
    let asked = up.api.post("/stacks/it/trigger", &json!({ "drift": true })).expect("a look");
    let run = asked["run"].as_str().expect("a run").to_owned();
    up.becomes(&run, "FINISHED")
}

/// The stack, once this is true of it.
pub(crate) fn stack_where(
    up: &Up,
    what: &str,
    patience: Duration,
    is: impl Fn(&Value) -> bool,
) -> Value {
    until(what, patience, || {
        let stack = up.stack("it");
        if is(&stack) { Ok(stack) } else { Err(stack["drift"].to_string()) }
    })
}

#[test]
fn drift_is_found_shown_and_reconciled() {
    let (world, file) = worldly("autodeploy: true");
    let sha = world.repo.commit("One stack");
    let up = world.up(1);
    up.reaches("it", &sha, "FINISHED");

    let run = look(&up);
    assert_eq!((&run["type"], &run["drift"]), (&json!("PROPOSED"), &json!(true)), "{run}");
    let stack = up.stack("it");
    assert_eq!(stack["drift"]["last"]["outcome"], "clean", "{stack}");
    assert_eq!(stack["drifted"], Value::Null);

    fs::write(&file, "as somebody made it by hand").expect("another world");
    let run = look(&up);
    let stack = up.stack("it");
    assert_eq!(stack["drifted"]["count"], 1, "{stack}");
    assert_eq!(stack["drift"]["addresses"], json!(["terraform_data.it"]));
    assert_eq!(stack["drift"]["found_by"], id(&run));
    assert_eq!(stack["state"], "FINISHED", "nobody is asked for anything");
    let shown = world.cli(&["why", "it"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("It has drifted: 1 differs: terraform_data.it"), "{shown}");
    // Seen again, it is the same finding.
    let since = stack["drifted"]["since"].clone();
    look(&up);
    assert_eq!(up.stack("it")["drifted"]["since"], since);

    // From now on what drifts is applied again, as autodeploy allows.
    world.define(&[(
        "it",
        "autodeploy: true\ndrift: { schedule: [\"0 0 1 1 *\"], reconcile: true }",
    )]);
    let sha = world.repo.commit("Reconcile");
    up.reaches("infra-definitions", &sha, "FINISHED");
    stack_where(&up, "the new definition", LONG, |stack| stack["drift"]["reconcile"] == true);
    look(&up);
    let stack = stack_where(&up, "the drift to be reconciled", LONG, |stack| {
        stack["drifted"].is_null() && stack["active"].is_null()
    });
    let run = up.run(stack["last_run"]["id"].as_str().expect("a run"));
    assert_eq!((&run["type"], &run["drift"]), (&json!("TRACKED"), &json!(true)), "{run}");
    assert_eq!(run["triggered_by"], "drift detection");
    look(&up);
    assert_eq!(up.stack("it")["drift"]["last"]["outcome"], "clean");
}
