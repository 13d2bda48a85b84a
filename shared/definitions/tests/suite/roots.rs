//! Proposals for repositories without definitions, each of which must parse.
use crate::{file, good};
use windlass_definitions::{find_roots, propose};

const BACKEND: &str = "terraform {\n  backend \"s3\" {}\n}";
const CLOUD: &str = "terraform {\n  cloud {}\n}";
const PROVIDER: &str = "provider \"aws\" {\n  region = \"x\" # a comment\n}";
const NOTHING: &str = "resource \"terraform_data\" \"a\" {}\n# provider \"x\" {}\n";

fn module(source: &str) -> String {
    format!("module \"m\" {{\n  source = \"{source}\"\n}}\n")
}

type Files<'a> = &'a [(&'a str, &'a str)];

/// `path=name`, with what it calls, and `!` when it keeps its own state.
fn found(files: Files<'_>) -> String {
    let files: Vec<_> = files.iter().map(|(path, text)| file(path, text)).collect();
    let roots = find_roots(&files);
    let definitions = good(&propose(&roots));
    assert_eq!(definitions.stacks.len(), roots.len());
    for root in &roots {
        let stack = definitions.stacks.iter().find(|stack| stack.name == root.name).unwrap();
        assert_eq!((&stack.project_root, stack.manage_state), (&root.path, !root.own_state));
        assert_eq!(stack.additional_project_globs.len(), root.modules.len());
    }
    let told = roots.iter().map(|root| {
        let mark = if root.own_state { "!" } else { "" };
        let modules: String = root.modules.iter().map(|module| format!("+{module}")).collect();
        format!("{}={}{mark}{modules}", root.path, root.name)
    });
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn roots_by_block_or_by_place() {
    let (up, deep) = (module("../../modules/vpc"), module("../subnet"));
    let outside = module("../../../x");
    #[rustfmt::skip]
    let table: &[(&str, Files<'_>, &str)] = &[
        ("none",             &[("README.md", PROVIDER)],                                        ""),
        ("at the top",       &[("main.tf", NOTHING)],                                           "=main"),
        ("by backend",       &[("a/main.tf", BACKEND), ("b/main.tf", NOTHING)],                 "a=a!"),
        ("by cloud",         &[("a/main.tf", CLOUD)],                                           "a=a!"),
        ("by provider",      &[("a/p.tf", PROVIDER), ("a/main.tf", NOTHING)],                   "a=a"),
        ("modules are none", &[("s/net/main.tf", &up), ("s/net/p.tf", PROVIDER), ("modules/vpc/main.tf", &deep), ("modules/subnet/main.tf", PROVIDER)], "s/net=net+modules/subnet+modules/vpc"),
        ("nobody calls it",  &[("s/net/main.tf", &up), ("modules/vpc/main.tf", NOTHING), ("modules/old/main.tf", NOTHING)], "s/net=net+modules/vpc"),
        ("top-most",         &[("a/main.tf", NOTHING), ("a/b/main.tf", NOTHING), ("a-b/main.tf", NOTHING)], "a=a a-b=a-b"),
        ("clash",            &[("dev/net/m.tf", BACKEND), ("prod/net/m.tf", BACKEND), ("prod/db/m.tf", BACKEND)], "dev/net=dev-net! prod/db=db! prod/net=prod-net!"),
        ("same slug",        &[("a b/m.tf", BACKEND), ("a-b/m.tf", BACKEND)],                   "a b=a-b! a-b=a-b-2!"),
        ("odd letters",      &[("日本/m.tf", BACKEND), ("x: #[y]/m.tf", BACKEND), ("null/m.tf", BACKEND)], "null=null! x: #[y]=x-y! 日本=main!"),
        ("outside",          &[("a/main.tf", &outside)],                                        "a=a"),
        ("not the cache",    &[("a/.terraform/modules/x/main.tf", BACKEND)],                    ""),
        ("JSON and tofu",    &[("a/main.tf.json", "{}"), ("b/main.tofu", NOTHING)],             "a=a b=b"),
    ];
    for (name, files, expect) in table {
        assert_eq!(&found(files), expect, "{name}");
    }
}

#[test]
fn the_text_of_a_proposal() {
    let files = [
        file("stacks/network/main.tf", BACKEND),
        file("stacks/app/main.tf", &(module("../../modules/web") + PROVIDER)),
        file("modules/web/main.tf", NOTHING),
    ];
    let expect = "\
# Proposed by Windlass: one stack for each root that it found. Edit it, then commit it.
version: 1
stacks:
  - name: app
    project_root: stacks/app  # its code has a provider
    additional_project_globs: [\"modules/web/**\"]
  - name: network
    project_root: stacks/network  # its code has a backend
    manage_state: false  # the code keeps its state itself
";
    assert_eq!(propose(&find_roots(&files)), expect);
    assert_eq!(good(&propose(&[])).stacks, []);
}
