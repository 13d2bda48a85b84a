//! Code and settings that can't work: each run fails, with its cause in a sentence, and never
//! hangs; its neighbours don't notice.
use e2e::proofs::Times;
use e2e::up::id;
use std::os::unix::fs::symlink;

#[test]
fn each_kind_of_bad_code_fails_its_own_run_with_a_sentence() {
    let world = crate::world("terraform");
    #[rustfmt::skip]
    let table = [
        // stack,            its keys,                                              what the note says
        ("wants-another",    "version: \">= 99\"",                                  &["wants version >= 99", "Terraform v1."][..]),
        ("without-root",     "",                                                    &["stacks/without-root"]),
        ("outside",          "",                                                    &["stacks/outside", "outside"]),
        ("broken",           "",                                                    &["main.tf", "line 2"]),
        ("asks",             "",                                                    &["No value for required variable"]),
        ("exits",            "hooks: { before_plan: [\"echo so-it-was; exit 3\"] }", &["before_plan", "3"]),
        ("misspelt",         "hooks: { before_plan: [\"if then\"] }",               &["before_plan"]),
        ("mounts-nothing",   "files: [{ path: a.txt, source: nowhere.txt }]",       &["nowhere.txt"]),
        ("reads-input",      "hooks: { before_init: [\"read answer\"] }",           &["before_init"]),
        ("fine",             "autodeploy: true",                                    &[]),
    ];
    let stacks: Vec<(&str, &str)> = table.iter().map(|(stack, keys, _)| (*stack, *keys)).collect();
    world.define(&stacks);
    for (stack, _, _) in &table {
        match *stack {
            "without-root" => {}
            "outside" => {
                let root = world.repo.folder.join("stacks");
                std::fs::create_dir_all(&root).expect("a folder");
                symlink("/usr/share", root.join("outside")).expect("a link");
            }
            "broken" => {
                world.repo.write(
                    "stacks/broken/main.tf",
                    "resource \"terraform_data\" \"it\" {\n  input = = 1\n}\n",
                );
            }
            "asks" => {
                world.repo.write("stacks/asks/main.tf", "variable \"name\" { type = string }\n");
            }
            _ => {
                world.code(stack, "x");
            }
        }
    }
    let sha = world.repo.commit("Everything that can be wrong");
    let up = world.up(2);
    for (stack, _, words) in table {
        let state = if words.is_empty() { "FINISHED" } else { "FAILED" };
        let run = up.reaches(stack, &sha, state);
        let note = run["note"].as_str().unwrap_or_default();
        for word in words {
            assert!(note.contains(word), "{stack}: {word:?} is not in the note: {note}");
        }
    }
    // What the tool said is in the log as well.
    let log = up.log(id(&up.reaches("broken", &sha, "FAILED")));
    assert!(log.contains("main.tf"), "{log}");

    // Mended by the next commit, not by hand.
    let sha = world.code("broken", "mended").repo.commit("Mend it");
    up.confirm(&up.reaches("broken", &sha, "UNCONFIRMED"));
    up.reaches("broken", &sha, "FINISHED");
    world.prove(&up, Times::Peaceful);
}
