//! Files that are meant to hurt: each is refused, quickly, with a place.
use crate::{file, read};
use windlass_core::id::RepoName;
use windlass_definitions::{World, find_roots, parse};

fn refused(text: &str) -> String {
    let problems = read(text, &World::default()).unwrap_err();
    assert!(problems.len() <= 1_001, "{}", problems.len());
    problems[0].sentence()
}

#[test]
fn bombs() {
    let mut laughs = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    let mut chain = String::from("version: 1\na0: &a0 [x]\n");
    for n in 1..20 {
        let items = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs += &format!("a{n}: &a{n} [{items}]\n");
    }
    for n in 1..2_000 {
        chain += &format!("a{n}: &a{n} [*a{}]\n", n - 1);
    }
    let aliases = "aliases make this file too large or too deep to read";
    #[rustfmt::skip]
    let table: Vec<(&str, String, &str)> = vec![
        ("laughs",         laughs,                                    aliases),
        ("chain",          chain,                                     aliases),
        ("flow depth",     "[".repeat(100_000),                       "nested deeper than 32 levels"),
        ("map depth",      "{a: ".repeat(100_000),                    "nested deeper than 32 levels"),
        ("block depth",    "- ".repeat(100_000),                      "nested deeper than 32 levels"),
        ("itself",         "a: &a [*a]".to_owned(),                   "an alias inside of what it stands for"),
        ("large",          " ".repeat(1024 * 1024 + 1),               "the file has 1048577 bytes; at most 1048576 are read — spread it over several files with `include`"),
        ("directive",      "%YAML 1.1\n---\nversion: 1".to_owned(),   "not valid YAML: YAML directives are disallowed"),
        ("many keys",      (0..50_000).map(|n| format!("k{n}: 1\n")).collect(), "missing key `version` — start the file with `version: 1`"),
    ];
    for (name, text, expect) in table {
        assert_eq!(refused(&text), expect, "{name}");
    }
}

#[test]
fn one_fault_aliased_a_thousand_times_is_told_once() {
    let mut text = String::from("version: 1\nstacks:\n  - { name: a, labels: &l [[]] }\n");
    for n in 0..1_000 {
        text += &format!("  - {{ name: s{n}, labels: *l }}\n");
    }
    let problems = read(&text, &World::default()).unwrap_err();
    assert_eq!(problems.len(), 1);
}

#[test]
fn no_text_makes_it_panic() {
    // Every prefix of a good file, and every place of it with a letter that means something.
    let example = crate::example::EXAMPLE;
    for end in 0..example.len() {
        if example.is_char_boundary(end) {
            let _ = read(&example[..end], &World::default());
        }
    }
    for (at, _) in example.char_indices().step_by(11) {
        for letter in ["\t", "[", "}", "\"", ":", "*", "\u{feff}", "é", "\0"] {
            let text = format!("{}{letter}{}", &example[..at], &example[at..]);
            if let Err(problems) = read(&text, &World::default()) {
                assert!(!windlass_definitions::render(&problems).is_empty());
            }
        }
    }
}

#[test]
fn a_long_line_is_shown_around_the_fault() {
    let first = format!("{{ name: a, description: {} }}", "é".repeat(5_000));
    let long = format!("version: 1\nstacks: [{first}, {{ nme: x }}]");
    let problems = read(&long, &World::default()).unwrap_err();
    let shown = problems.iter().map(|one| one.text.chars().count()).max().unwrap();
    assert!(shown <= 120, "{shown}");
    let last = problems.last().unwrap();
    assert_eq!(last.text.chars().skip(last.offset).take(3).collect::<String>(), "nme");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let text = "\u{feff}version: 1\r\nstacks:\r\n  - name: a\r\n    brnach: x\r\n";
    let problems = read(text, &World::default()).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column, &*problems[0].text), (4, 5, "    brnach: x"));
}

#[test]
fn code_that_is_not_hcl_tells_nothing() {
    // Nested so deep that a careless parser would run out of stack.
    for part in ["[", "(", "{", "!", "-", "a {\n", "\"${", "f(", "a ? b : ", "x[", "[for x in "] {
        let deep = part.repeat(1_000_000 / part.len());
        let files = [
            file("a/m.tf", "provider {{{"),
            file("b/m.tf", &format!("a = {deep}")),
            file("c/m.tf", &deep),
        ];
        let paths: Vec<String> = find_roots(&files).into_iter().map(|root| root.path).collect();
        assert_eq!(paths, ["a", "b", "c"], "{part}");
    }
}

#[test]
fn two_root_files_the_first_counts() {
    let files = [
        file("windlass.yml", "not: read"),
        file("windlass.yaml", "version: 1\nstacks: [{ name: a }]"),
    ];
    let definitions = parse(&RepoName::from("infra"), "main", &files, &World::default()).unwrap();
    assert_eq!(definitions.stacks.len(), 1);
}
