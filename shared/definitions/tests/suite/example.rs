//! The canonical file, verbatim.
use crate::{file, good, read};
use std::collections::BTreeSet;
use windlass_core::definition::{
    DependsOn, Drift, EnvValue, EnvVar, FileMount, Hooks, OnDelete, Reference, StackDef, Timeouts,
    Tool,
};
use windlass_core::id::RepoName;
use windlass_core::time::MINUTE_MS;
use windlass_definitions::{OtherStack, World, includes, is_definition_file, parse};

pub(crate) const EXAMPLE: &str = include_str!("../windlass.example.yaml");

/// The example waits for a stack that it doesn't declare.
pub(crate) fn world() -> World {
    let network =
        OtherStack { repository: "net".into(), space: "root".into(), depends_on: Vec::new() };
    World {
        stacks: [("network".into(), network)].into(),
        secrets: Some(["cluster/token".to_owned()].into()),
        ..World::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: EnvValue::Value(value.to_owned()) }
}

#[test]
fn the_canonical_file_parses_verbatim() {
    let definitions = read(EXAMPLE, &world()).unwrap();
    let expect = StackDef {
        slug: "cluster".into(),
        name: "cluster".to_owned(),
        description: String::new(),
        space: "platform".into(),
        repository: "infra".into(),
        branch: "main".to_owned(),
        project_root: "stacks/cluster".to_owned(),
        additional_project_globs: strings(&["modules/eks/**"]),
        labels: BTreeSet::from(["aws".to_owned()]),
        tool: Tool::Auto,
        version: Some(">= 1.6, < 2".to_owned()),
        workspace: "default".to_owned(),
        worker_pool: "default".into(),
        autodeploy: false,
        protect_from_deletion: true,
        on_delete: OnDelete::Keep,
        timeouts: Timeouts { run_ms: 70 * MINUTE_MS, silence_ms: 7 * MINUTE_MS },
        env: vec![
            variable("TF_VAR_owner", "platform"),
            variable("TF_VAR_size", "3"),
            EnvVar {
                name: "ro_TOKEN".to_owned(),
                value: EnvValue::Secret("cluster/token".to_owned()),
            },
        ],
        files: vec![FileMount {
            path: "conf/a.tfvars".to_owned(),
            source: "shared/a.tfvars".to_owned(),
        }],
        hooks: Hooks {
            before_plan: strings(&["tflint"]),
            after_apply: strings(&["./notify"]),
            ..Hooks::default()
        },
        drift: Some(Drift {
            schedule: strings(&["0 7 * * 1-5"]),
            timezone: "Europe/Berlin".to_owned(),
            reconcile: false,
            ignore_state: false,
        }),
        depends_on: vec![DependsOn {
            stack: "network".into(),
            references: vec![Reference {
                output: "vpc_id".to_owned(),
                input: "TF_VAR_vpc_id".to_owned(),
                trigger_always: false,
            }],
        }],
        manage_state: true,
        administrative: false,
    };
    assert_eq!(definitions.stacks, [expect]);
    assert_eq!(definitions.spaces[0].slug.0, "platform");
    assert_eq!(definitions.worker_pools[0].slug.0, "default");
    assert_eq!(definitions.contexts[0].slug, "common");
}

#[test]
fn the_example_alone_says_what_it_lacks() {
    let problems = read(EXAMPLE, &World::default()).unwrap_err();
    let seen = windlass_definitions::render(&problems);
    let expect = "\
windlass.yaml:38:16: unknown stack `network`
   |
38 |       - stack: network
   |                ^^^^^^^

1 fault";
    assert_eq!(seen, expect);
}

#[test]
fn what_is_not_said_has_a_default() {
    let stack = good("version: \"1\"\nstacks: [{ name: My Stack }]").stacks.remove(0);
    let expect = StackDef {
        slug: "my-stack".into(),
        name: "My Stack".to_owned(),
        description: String::new(),
        space: "root".into(),
        repository: "infra".into(),
        branch: "main".to_owned(),
        project_root: String::new(),
        additional_project_globs: Vec::new(),
        labels: BTreeSet::new(),
        tool: Tool::Auto,
        version: None,
        workspace: "default".to_owned(),
        worker_pool: "default".into(),
        autodeploy: false,
        protect_from_deletion: false,
        on_delete: OnDelete::Keep,
        timeouts: Timeouts::default(),
        env: Vec::new(),
        files: Vec::new(),
        hooks: Hooks::default(),
        drift: None,
        depends_on: Vec::new(),
        manage_state: true,
        administrative: false,
    };
    assert_eq!(stack, expect);
}

#[test]
fn a_value_is_the_text_that_was_written() {
    #[rustfmt::skip]
    let table = [
        ("yes",        "yes"),
        ("010",        "010"),
        ("1.10",       "1.10"),
        ("1e3",        "1e3"),
        ("true",       "true"),
        ("0x1F",       "0x1F"),
        ("12:30:45",   "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("\"3\"",      "3"),
        ("'null'",     "null"),
        ("\"\"",       ""),
        ("!!str ~",    "~"),
        ("\"a\\nb\"",  "a\nb"),
    ];
    for (written, expect) in table {
        let text =
            format!("version: 1\nstacks: [{{ name: a, env: [{{ name: X, value: {written} }}] }}]");
        assert_eq!(good(&text).stacks[0].env, [variable("X", expect)], "{written}");
    }
    let stack =
        good("version: 1\nstacks: [{ name: 1.10, version: 1.10, branch: 2024 }]").stacks.remove(0);
    assert_eq!(
        (&*stack.name, stack.version.as_deref(), &*stack.branch),
        ("1.10", Some("1.10"), "2024")
    );
}

#[test]
fn included_files_declare_as_the_root_does() {
    let root = file(
        "windlass.yaml",
        "version: 1\ninclude: [\"stacks/**/windlass.yaml\", \"*.more.yml\"]\n\
         contexts: [{ name: c, labels: [\"autoattach:*\"], env: [{ name: X, value: 1 }] }]",
    );
    let matcher = includes(&root).unwrap();
    #[rustfmt::skip]
    let table = [
        ("windlass.yaml",              false, true),
        ("windlass.yml",               false, true),
        ("stacks/a/windlass.yaml",     true,  true),
        ("stacks/a/b/windlass.yaml",   true,  true),
        ("stacks/windlass.yaml",       true,  true),
        ("stacks/a/main.tf",           false, false),
        ("x.more.yml",                 true,  true),
        ("x/y.more.yml",               false, false),
    ];
    for (path, included, definition) in table {
        assert_eq!(matcher.matches(path), included, "{path}");
        assert_eq!(is_definition_file(path, Some(&matcher)), definition, "{path}");
    }
    assert!(!is_definition_file("stacks/a/windlass.yaml", None));

    let files = [
        file("stacks/b/windlass.yaml", "stacks: [{ name: b, depends_on: [{ stack: a }] }]"),
        root,
        file("stacks/a/windlass.yaml", "stacks: [{ name: a }, { name: z, project_root: z }]"),
    ];
    let definitions = parse(&RepoName::from("infra"), "main", &files, &World::default()).unwrap();
    let seen: Vec<(&str, &str, usize)> = definitions
        .stacks
        .iter()
        .map(|stack| (stack.slug.as_str(), &*stack.project_root, stack.env.len()))
        .collect();
    assert_eq!(seen, [("a", "stacks/a", 1), ("b", "stacks/b", 1), ("z", "z", 1)]);
}

#[test]
fn a_stack_may_have_its_code_elsewhere() {
    let world = World {
        repositories: Some([("apps".into(), "trunk".to_owned())].into()),
        ..World::default()
    };
    let files = [
        file("windlass.yaml", "version: 1\ninclude: [\"s/*.yaml\"]"),
        file("s/a.yaml", "stacks: [{ name: a, repository: apps }, { name: b, repository: infra }]"),
    ];
    let definitions = parse(&RepoName::from("infra"), "main", &files, &world).unwrap();
    let seen: Vec<(&str, &str, &str)> = definitions
        .stacks
        .iter()
        .map(|stack| (stack.repository.as_str(), &*stack.branch, &*stack.project_root))
        .collect();
    assert_eq!(seen, [("apps", "trunk", ""), ("infra", "main", "s")]);
}

#[test]
fn an_alias_repeats_a_value() {
    let text = "version: 1\nstacks:\n  - name: a\n    env: &env [{ name: X, value: 1 }]\n  - { name: b, env: *env }";
    let stacks = good(text).stacks;
    assert_eq!(stacks[0].env, stacks[1].env);
}

#[test]
fn what_includes_can_not_tell_is_an_error() {
    for text in ["include: x", "include: [\"a[\"]", "a: [", "include: [~]"] {
        assert!(includes(&file("windlass.yaml", text)).is_err(), "{text}");
    }
    assert!(!includes(&file("windlass.yaml", "")).unwrap().matches("a.yaml"));
    assert!(
        includes(&file("windlass.yaml", "brnach: 1\ninclude: [a.yaml]")).unwrap().matches("a.yaml")
    );
}
