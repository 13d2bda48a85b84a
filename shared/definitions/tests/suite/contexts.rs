//! What contexts bring, in Spacelift's order.
use crate::good;
use windlass_core::definition::{EnvValue, StackDef};

/// Every context sets `all`, and a variable of its own.
const TEXT: &str = r#"
version: 1
spaces: [{ name: p }, { name: inner, parent: p }, { name: q }]
contexts:
  - { name: n-low,  priority: 1, env: [{ name: all, value: n-low },  { name: n_low, value: 1 }],  files: [{ path: f, source: n-low }],  hooks: { before_plan: [n-low],  after_plan: [n-low] } }
  - { name: n-high, priority: 9, env: [{ name: all, value: n-high }, { name: n_high, value: 1 }], files: [{ path: f, source: n-high }], hooks: { before_plan: [n-high], after_plan: [n-high] } }
  - { name: n-tie,  priority: 9, env: [{ name: all, value: n-tie },  { name: n_tie, value: 1 }],  files: [{ path: f, source: n-tie }],  hooks: { before_plan: [n-tie],  after_plan: [n-tie] } }
  - { name: x-auto, labels: ["autoattach:aws"], env: [{ name: all, value: x-auto }, { name: x, value: 1 }], files: [{ path: f, source: x-auto }], hooks: { before_plan: [x-auto], after_plan: [x-auto] } }
  - { name: a-auto, labels: ["autoattach:*"],   env: [{ name: all, value: a-auto }, { name: a, value: 1 }], files: [{ path: f, source: a-auto }], hooks: { before_plan: [a-auto], after_plan: [a-auto] } }
  - { name: p-auto, labels: ["autoattach:*"], space: p, env: [{ name: p, value: 1 }] }
stacks:
  - { name: own,     labels: [aws], contexts: [n-high, n-low, n-tie], env: [{ name: all, value: own }], files: [{ path: f, source: own }], hooks: { before_plan: [own], after_plan: [own] } }
  - { name: named,   labels: [aws], contexts: [n-tie, n-high] }
  - { name: auto,    labels: [aws] }
  - { name: plain }
  - { name: both,    labels: [aws], contexts: [x-auto] }
  - { name: inside,  space: inner }
  - { name: outside, space: q }
"#;

fn told(stack: &StackDef) -> String {
    let value = |name: &str| {
        stack.env.iter().rev().find(|one| one.name == name).map_or("-", |one| match &one.value {
            EnvValue::Value(text) | EnvValue::Secret(text) => text,
        })
    };
    let names: Vec<&str> = stack.env.iter().map(|one| &*one.name).collect();
    format!(
        "{} | {} | {} | {} | {}",
        value("all"),
        names.join(" "),
        stack.files.iter().map(|one| &*one.source).collect::<Vec<_>>().join(" "),
        stack.hooks.before_plan.join(" "),
        stack.hooks.after_plan.join(" "),
    )
}

#[test]
fn precedence_and_order_of_hooks() {
    let stacks = good(TEXT).stacks;
    #[rustfmt::skip]
    let table = [
        // slug       who wins `all`, all variables, files, before_plan, after_plan
        ("own",     "own | x a n_tie n_high n_low all | own | n-low n-high n-tie x-auto a-auto own | own a-auto x-auto n-tie n-high n-low"),
        ("named",   "n-tie | x a n_high all n_tie | n-tie | n-tie n-high x-auto a-auto | a-auto x-auto n-high n-tie"),
        ("auto",    "a-auto | x all a | a-auto | x-auto a-auto | a-auto x-auto"),
        ("plain",   "a-auto | all a | a-auto | a-auto | a-auto"),
        ("both",    "x-auto | a all x | x-auto | x-auto a-auto | a-auto x-auto"),
        ("inside",  "a-auto | p all a | a-auto | a-auto | a-auto"),
        ("outside", "a-auto | all a | a-auto | a-auto | a-auto"),
    ];
    for (slug, expect) in table {
        let stack = stacks.iter().find(|stack| stack.slug.as_str() == slug).unwrap();
        assert_eq!(told(stack), expect, "{slug}");
    }
}

#[test]
fn the_order_of_files_and_lists_does_not_matter() {
    let lines: Vec<&str> = TEXT.lines().collect();
    let (head, stacks) =
        lines.split_at(lines.iter().position(|line| *line == "stacks:").unwrap() + 1);
    let turned: Vec<&str> = head.iter().copied().chain(stacks.iter().rev().copied()).collect();
    assert_eq!(good(TEXT), good(&turned.join("\n")));
}
