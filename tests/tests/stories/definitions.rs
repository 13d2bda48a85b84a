//! Definitions with faults: all told at once, and the last good ones stay in force.
use e2e::proofs::Times;
use e2e::up::id;
use e2e::world::resource;
use serde_json::Value;

const FAULTY: &str = "version: 1
stacks:
  - name: one
    project_root: stacks/one
    autodeploy: true
    brnach: main
  - name: two
    project_root: ../elsewhere
  - name: three
    project_root: /etc
  - name: four
    project_root: stacks/four
    depends_on: [{ stack: oen }]
    worker_pool: nowhere
";

#[test]
fn definitions_with_faults_keep_the_last_good_ones() {
    let world = crate::world("terraform");
    let sha = world.define(&[("one", "autodeploy: true")]).code("one", "x").repo.commit("Good");
    let up = world.up(1);
    up.reaches("one", &sha, "FINISHED");

    world.repo.write("windlass.yaml", FAULTY).write("stacks/four/main.tf", resource("x"));
    let faulty = world.code("one", "y").repo.commit("Everything at once");
    let run = up.reaches("infra-definitions", &faulty, "FAILED");
    let told = format!("{}\n{}", run["note"].as_str().unwrap_or_default(), up.log(id(&run)));
    for words in [
        "windlass.yaml:6:5",
        "did you mean `branch`?",
        "windlass.yaml:8:",
        "windlass.yaml:10:",
        "did you mean `one`?",
        "nowhere",
    ] {
        assert!(told.contains(words), "{words:?} is not told:\n{told}");
    }
    // The code that the same commit changed runs under the definitions that hold.
    up.reaches("one", &faulty, "FINISHED");
    let sha = world.code("one", "z").repo.commit("Only code");
    up.reaches("one", &sha, "FINISHED");
    let slugs = |up: &e2e::Up| -> Vec<Value> {
        let list = up.ask("/stacks");
        list["stacks"].as_array().into_iter().flatten().map(|s| s["slug"].clone()).collect()
    };
    let mut seen = slugs(&up);
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, ["infra-definitions", "one"]);

    // Mended, they hold at once.
    world.define(&[("one", "autodeploy: true"), ("four", "autodeploy: true")]);
    let sha = world.repo.commit("Mend them");
    up.reaches("infra-definitions", &sha, "FINISHED");
    up.reaches("four", &sha, "FINISHED");
    world.prove(&up, Times::Peaceful);
}
