//! The main job, whole: from a commit to applied changes, and outputs to whoever uses them.
use e2e::proofs::Times;
use e2e::up::{Up, id};
use e2e::{LONG, World, repo, until};
use serde_json::{Value, json};

const SECRET: &str = "correct horse battery";
/// The same in base64.
const SECRET_BASE64: &str = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";

const BASE: &str = r#"
variable "size" { type = string }
variable "token" {
  type      = string
  sensitive = true
}
resource "terraform_data" "it" {
  input = { size = var.size, mounted = file("mounted/note.txt") }
}
resource "terraform_data" "hidden" {
  input = var.token
}
output "name" {
  value = "base-of-${terraform_data.it.output.size}"
}
output "note" {
  value = terraform_data.it.output.mounted
}
output "token" {
  value     = var.token
  sensitive = true
}
"#;

const APP: &str = r#"
variable "base_name" { type = string }
variable "base_token" {
  type      = string
  sensitive = true
}
resource "terraform_data" "it" {
  input = "app on ${var.base_name}"
}
output "it" { value = terraform_data.it.output }
output "length" { value = nonsensitive(length(var.base_token)) }
"#;

const BASE_KEYS: &str = r#"
autodeploy: true
labels: [core]
env:
  - { name: TF_VAR_size, value: "7" }
  - { name: TF_VAR_token, secret: base/token }
  - { name: ro_ONLY_PLANS, value: seen-by-plans }
  - { name: wo_ONLY_APPLIES, value: seen-by-applies }
files:
  - { path: mounted/note.txt, source: shared/note.txt }
hooks:
  before_init: ["export CARRIED=over && echo before-init-spoke"]
  before_plan: ["echo plan-sees:$ONLY_PLANS:$ONLY_APPLIES.", "echo $TF_VAR_token", "printf %s \"$TF_VAR_token\" | base64"]
  after_plan: ["ls windlass.plan && echo after-plan-spoke"]
  before_apply: ["echo apply-sees:$ONLY_PLANS:$ONLY_APPLIES."]
  after_apply: ["echo after-apply-spoke"]
  after_run: ["echo the-run-is-$TF_VAR_spacelift_final_run_state"]
"#;

const APP_KEYS: &str = r#"
depends_on:
  - stack: base
    references:
      - { output: name, input: TF_VAR_base_name }
      - { output: token, input: TF_VAR_base_token }
"#;

/// A server whose `base` applies by itself and whose `app` waits for a person; both were applied.
fn applied(world: &World) -> Up {
    let first = world.define(&[("other", "")]).code("other", "x").repo.commit("Only one stack");
    let up = world.up(2);
    let unwanted = up.reaches("other", &first, "UNCONFIRMED");
    up.verb(id(&unwanted), "discard").expect("a waiting run can be discarded");
    up.becomes(id(&unwanted), "DISCARDED");
    up.api.put("/secrets/base/token", &json!({ "value": SECRET })).expect("a secret can be set");
    world.define(&[("other", ""), ("base", BASE_KEYS), ("app", APP_KEYS)]);
    world.repo.write("stacks/base/main.tf", BASE).write("stacks/app/main.tf", APP);
    world.repo.write("shared/note.txt", "hello");
    let sha = world.repo.commit("Add the base and the app on it");
    up.reaches("base", &sha, "FINISHED");
    let run = up.reaches("app", &sha, "UNCONFIRMED");
    assert_eq!(run["can"], json!(["confirm", "discard", "replan"]), "{run}");
    up.confirm(&run);
    up.becomes(id(&run), "FINISHED");
    up
}

#[track_caller]
fn output(up: &Up, stack: &str, name: &str) -> Value {
    let outputs = up.ask(&format!("/stacks/{stack}/outputs"));
    let all = outputs["outputs"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|output| output["name"] == name).unwrap_or_default()
}

#[test]
fn a_commit_becomes_applied_changes_and_outputs_reach_their_dependents() {
    let world = crate::world("terraform");
    let up = applied(&world);
    let sha = world.repo.head();

    let run = up.reaches("base", &sha, "FINISHED");
    assert_eq!(run["commit"]["subject"], "Add the base and the app on it");
    assert_eq!(run["commit"]["author"], repo::AUTHOR);
    assert_eq!(run["delta"], json!({ "add": 2, "change": 0, "delete": 0 }));
    let log = up.log(id(&run));
    for said in [
        "before-init-spoke",
        "plan-sees:seen-by-plans:.",
        "after-plan-spoke",
        "apply-sees::seen-by-applies.",
        "after-apply-spoke",
        "the-run-is-FINISHED",
        "Apply complete!",
    ] {
        assert!(log.contains(said), "{said:?} is not in the log:\n{log}");
    }
    assert!(!log.contains(SECRET), "the secret stands in the log");
    assert!(!log.contains(SECRET_BASE64), "the secret stands in the log, in base64");

    assert_eq!(output(&up, "base", "name")["value"], "base-of-7");
    assert_eq!(output(&up, "base", "note")["value"], "hello");
    assert_eq!(output(&up, "base", "token")["value"], Value::Null, "it is sensitive");
    assert_eq!(output(&up, "app", "it")["value"], "app on base-of-7");
    assert_eq!(output(&up, "app", "length")["value"], SECRET.len(), "a sensitive input arrives");
    nothing_stored_shows_the_secret(&world);
    world.prove(&up, Times::Peaceful);
}

/// The one place that may hold it is the stack's own state (and its sealed form).
fn nothing_stored_shows_the_secret(world: &World) {
    for (name, body) in world.kept() {
        let found = body.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!found, "the secret stands in {name}");
    }
}

#[test]
fn only_what_a_commit_touches_runs_and_only_changed_outputs_go_on() {
    let world = crate::world("terraform");
    let up = applied(&world);

    // No stack has it.
    let sha = world.repo.write("README.md", "words").commit("Only words");
    let rollout = until("the commit to be looked at", LONG, || {
        let commit = up.api.get(&format!("/commits/{sha}")).map_err(|e| format!("{e:?}"))?;
        commit["rollouts"].get(0).cloned().ok_or_else(|| commit.to_string())
    });
    assert_eq!(rollout["runs"], json!([]), "{rollout}");
    assert!(rollout["nothing"].is_string(), "it says why: {rollout}");

    // The base changes, but not what the app uses of it.
    let sha = world.repo.write("shared/note.txt", "hello again").commit("Another note");
    let rollout = until("the commit to be looked at", LONG, || {
        let commit = up.api.get(&format!("/commits/{sha}")).map_err(|e| format!("{e:?}"))?;
        commit["rollouts"].get(0).cloned().ok_or_else(|| commit.to_string())
    });
    assert_eq!(rollout["runs"], json!([]), "a file that is mounted is not the stack's: {rollout}");
    let more = format!("{BASE}\nresource \"terraform_data\" \"more\" {{\n  input = 1\n}}\n");
    let sha = world.repo.write("stacks/base/main.tf", more).commit("More of the base");
    let base = up.reaches("base", &sha, "FINISHED");
    assert_eq!(base["changed_outputs"], json!(["note"]), "the mounted note is another");
    let app = up.reaches("app", &sha, "SKIPPED");
    assert!(app["note"].as_str().unwrap_or_default().contains("base"), "{app}");

    // Another branch is looked at, not applied.
    world.repo.git(&["checkout", "--quiet", "-b", "idea"]);
    let idea = BASE.replace("base-of-", "foundation-of-");
    let sha = world.repo.write("stacks/base/main.tf", idea).commit("An idea");
    world.repo.git(&["checkout", "--quiet", "main"]);
    let preview = up.reaches_as("base", &sha, "PROPOSED", "FINISHED");
    let calls = world.tool.calls();
    let of_preview: Vec<_> = calls.iter().filter(|call| call.of_run(id(&preview))).collect();
    assert!(of_preview.iter().all(|call| call.verb() != "apply"), "{of_preview:#?}");
    let plan = of_preview.iter().find(|call| call.verb() == "plan").expect("it planned");
    assert!(plan.says("-lock=false"), "{plan:?}");
    assert_eq!(output(&up, "base", "name")["value"], "base-of-7");
    world.prove(&up, Times::Peaceful);
}

#[test]
fn a_machine_that_has_only_opentofu_uses_it() {
    let world = crate::world("tofu");
    let sha = world.define(&[("one", "autodeploy: true\ntool: opentofu")]);
    let sha = sha.code("one", "x").repo.commit("One stack");
    let up = world.up(1);
    up.reaches("one", &sha, "FINISHED");
    world.prove(&up, Times::Peaceful);
}
