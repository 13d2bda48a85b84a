//! What a commit would change, in lines, as a plan, and what it may not.
use crate::{good, read};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::changes::Action;
use windlass_definitions::{Definitions, OtherStack, World, diff, needs_person, refused};

const BEFORE: &str = r#"
version: 1
spaces: [{ name: p }, { name: gone }]
stacks:
  - name: changed
    branch: main
    labels: [b, a]
    env: [{ name: SIZE, value: 1 }, { name: GONE, value: x }, { name: KEY, value: plain }]
    timeouts: { run: 70m }
    hooks: { before_plan: [a, b] }
    depends_on: [{ stack: same }]
  - { name: same, env: [{ name: X, value: 1 }] }
  - { name: kept, protect_from_deletion: true }
  - { name: burnt, on_delete: destroy }
  - { name: empty }
"#;

const AFTER: &str = r#"
version: 1
spaces: [{ name: p, parent: q }, { name: q }]
worker_pools: [{ name: big }]
stacks:
  - name: changed
    branch: prod
    labels: [a, b]
    autodeploy: true
    env: [{ name: SIZE, value: 2 }, { name: KEY, secret: k }]
    timeouts: { run: 90s }
    hooks: { before_plan: [b, a] }
    depends_on: [{ stack: same, references: [{ output: o, input: I }] }]
  - { name: same, env: [{ name: X, value: 1 }] }
  - { name: added, project_root: x, env: [{ name: X, value: 1 }] }
"#;

#[test]
fn lines_for_the_log() {
    let seen = diff(&good(BEFORE), &good(AFTER)).lines().join("\n");
    let expect = r#"  - windlass_space.gone
  ~ windlass_space.p
      parent: "root" → "q"
  + windlass_space.q
      name: "q"
      parent: "root"
  + windlass_stack.added
      branch: "main"
      env.X: "1"
      manage_state: true
      name: "added"
      on_delete: "keep"
      project_root: "x"
      repository: "infra"
      space: "root"
      timeouts.run: "70m"
      timeouts.silence: "7m"
      tool: "auto"
      worker_pool: "default"
      workspace: "default"
  - windlass_stack.burnt
  ~ windlass_stack.changed
      autodeploy: false → true
      branch: "main" → "prod"
      depends_on.same: "always" → ["o → I"]
      env.GONE: "x" → (none)
      env.KEY: "plain" → "(secret k)"
      env.SIZE: "1" → "2"
      hooks.before_plan: ["a","b"] → ["b","a"]
      timeouts.run: "70m" → "90s"
  - windlass_stack.empty
  - windlass_stack.kept
  + windlass_worker_pool.big
      name: "big"
      space: "root"

Plan: 3 to add, 2 to change, 4 to remove."#;
    assert_eq!(seen, expect);
}

#[test]
fn a_plan_for_the_console() {
    let changes = diff(&good(BEFORE), &good(AFTER)).changes();
    let seen: Vec<(&str, Action)> =
        changes.resources.iter().map(|one| (&*one.address, one.action)).collect();
    #[rustfmt::skip]
    let expect = [
        ("windlass_space.gone",       Action::Delete),
        ("windlass_space.p",          Action::Update),
        ("windlass_space.q",          Action::Create),
        ("windlass_stack.added",      Action::Create),
        ("windlass_stack.burnt",      Action::Delete),
        ("windlass_stack.changed",    Action::Update),
        ("windlass_stack.empty",      Action::Delete),
        ("windlass_stack.kept",       Action::Delete),
        ("windlass_worker_pool.big",  Action::Create),
    ];
    assert_eq!(seen, expect);
    assert!(changes.resources.iter().all(|one| one.provider == "windlass"));
}

#[test]
fn the_same_is_no_change_and_order_is_one() {
    let definitions = good(BEFORE);
    assert!(diff(&definitions, &definitions).is_empty());
    let nothing = Definitions::default();
    assert_eq!(
        diff(&nothing, &nothing).lines(),
        ["No changes: the definitions are as this commit has them."]
    );
    // Stored and read back it is the same.
    let stored = serde_json::to_string(&definitions).unwrap();
    assert_eq!(serde_json::from_str::<Definitions>(&stored).unwrap(), definitions);

    let one = good(
        "version: 1\nstacks: [{ name: a, env: [{ name: X, value: 1 }, { name: ro_X, value: 2 }] }]",
    );
    let two = good(
        "version: 1\nstacks: [{ name: a, env: [{ name: ro_X, value: 2 }, { name: X, value: 1 }] }]",
    );
    let turned = diff(&one, &two);
    let paths: Vec<&str> = turned.changed[0].fields.iter().map(|field| &*field.path).collect();
    assert_eq!(paths, ["env"]);
}

#[test]
fn who_must_agree_to_a_removal() {
    let diff = diff(&good(BEFORE), &good(AFTER));
    let has_state =
        |slugs: &[&str]| slugs.iter().map(|slug| (*slug).into()).collect::<BTreeSet<_>>();
    assert_eq!(needs_person(&diff, &has_state(&["same", "changed"])), [""; 0]);
    assert_eq!(
        needs_person(&diff, &has_state(&["burnt", "kept"])),
        [
            "stack `burnt` would go, and all its resources be destroyed",
            "stack `kept` would go; its resources stay and nobody would manage them",
        ]
    );
    let child = OtherStack {
        repository: "apps".into(),
        space: "root".into(),
        depends_on: vec!["empty".into()],
    };
    let world = World { stacks: BTreeMap::from([("shop".into(), child)]), ..World::default() };
    assert_eq!(
        refused(&diff, &world),
        [
            "stack `kept` is protected from deletion: first commit `protect_from_deletion: false`",
            "stack `shop` of repository `apps` depends on `empty`",
        ]
    );
    assert!(read(AFTER, &world).is_ok());
}
