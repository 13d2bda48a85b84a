//! Ten thousand stacks: about a second when optimised, and no part that grows with the square.
//! A build that is not optimised reads a fifth of them.
use crate::file;
use std::time::Instant;
use windlass_core::id::RepoName;
use windlass_definitions::{Definitions, SourceFile, World, diff, parse};

fn files(stacks: usize, wrong: bool) -> Vec<SourceFile> {
    let root = "version: 1\ninclude: [\"s/*.yaml\"]\ncontexts:\n  - name: all\n    labels: [\"autoattach:*\"]\n    env: [{ name: OWNER, value: x }]\n    hooks: { before_plan: [lint] }\n";
    let mut files = vec![file("windlass.yaml", root)];
    for n in 0..stacks {
        let before =
            if wrong { format!("typo-{n}") } else { format!("stack-{}", n.saturating_sub(1)) };
        let depends = if n == 0 {
            String::new()
        } else {
            format!(
                "    depends_on:\n      - stack: {before}\n        references: [{{ output: id, input: TF_VAR_id }}]\n"
            )
        };
        let text = format!(
            "stacks:\n  - name: stack-{n}\n    branch: main\n    labels: [aws, team-{}]\n    \
             additional_project_globs: [\"modules/m{n}/**\", \"shared/*.tf\"]\n    \
             version: \">= 1.6, < 2\"\n    env:\n      - {{ name: TF_VAR_size, value: \"3\" }}\n      \
             - {{ name: TF_VAR_name, value: stack-{n} }}\n    hooks: {{ before_plan: [tflint], \
             after_apply: [./notify] }}\n    drift: {{ schedule: [\"0 7 * * 1-5\"], timezone: \
             Europe/Berlin }}\n{depends}",
            n % 40
        );
        files.push(file(&format!("s/{n}.yaml"), &text));
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "a test of speed has to look at the clock")]
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, u128) {
    let start = Instant::now();
    let result = work();
    let ms = start.elapsed().as_millis();
    println!("{what}: {ms} ms");
    (result, ms)
}

fn read(files: &[SourceFile]) -> Result<Definitions, Vec<windlass_definitions::Problem>> {
    parse(&RepoName::from("infra"), "main", files, &World::default())
}

const STACKS: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };

#[test]
fn ten_thousand_stacks() {
    let (small, large) = (files(STACKS / 4, false), files(STACKS, false));
    let (_, small_ms) = timed("a quarter of the stacks", || read(&small).unwrap());
    let (definitions, large_ms) = timed("all stacks", || read(&large).unwrap());
    assert_eq!(definitions.stacks.len(), STACKS);
    // Four times the work; a quadratic part would make it sixteen.
    assert!(large_ms <= small_ms * 9 + 200, "{small_ms} ms, then {large_ms} ms");
    let (changes, _) = timed("their diff", || diff(&Definitions::default(), &definitions));
    assert_eq!(changes.added.len(), STACKS);
    let (problems, wrong_ms) =
        timed("as many unknown names", || read(&files(STACKS, true)).unwrap_err());
    assert_eq!(problems.len(), 1_001);
    assert!(wrong_ms <= large_ms * 10 + 1_000, "{wrong_ms} ms");
}
