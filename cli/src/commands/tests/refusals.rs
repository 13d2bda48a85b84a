//! What is refused, with which exit code, and in which words.
use super::stage::{Stage, World};

#[test]
fn every_refusal_has_its_exit_code_and_its_sentence() {
    let stage = Stage::of(true, World::demo);
    let listed = stage.types(&["run", "list", "app-b", "--limit", "1", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let waits = list["runs"][0]["id"].as_str().unwrap();
    #[rustfmt::skip]
    let table: [(&[&str], u8, &str); 30] = [
        // usage
        (&["stack"],                                                  2, "Usage: windlass stack"),
        (&["stack", "lock", "network", "--for", "soon"],              2, "no span of time"),
        (&["run", "trigger", "network", "--type", "task"],            2, "possible values"),
        (&["run", "trigger", "network", "--timeout", "5s"],           2, "--wait"),
        (&["run", "confirm", waits, "--digest", "x"],                 2, "--revision"),
        (&["task", "network"],                                        2, "<CMD>"),
        (&["task", "network", "--", ""],                              2, "a task's command"),
        (&["run", "show", "01"],                                      4, "at least 4 characters"),
        (&["run", "list", "--type", "odd"],                           2, "does not parse"),
        // a person is needed, and none is here
        (&["run", "confirm", waits],                                  2, "no terminal; add --yes"),
        (&["run", "trigger", "network", "--type", "destroy"],         2, "no terminal; add --yes"),
        (&["secret", "rm", "cluster/token"],                          2, "no terminal; add --yes"),
        // not found
        (&["stack", "show", "netwrok"],                               4, "network"),
        (&["stack", "lock", "nowhere"],                               4, "nowhere"),
        (&["run", "trigger", "nowhere"],                              4, "nowhere"),
        (&["run", "show", "ZZZZZZZZ"],                                4, "ZZZZZZZZ"),
        (&["run", "show", "01ZZZZZZZZZZZZZZZZZZZZZZZZ"],              4, "there is no run"),
        (&["run", "logs", "ZZZZZZZZ"],                                4, "ZZZZZZZZ"),
        (&["secret", "rm", "cluster/token", "--yes"],                 4, "there is no secret"),
        (&["worker", "drain", "nobody"],                              4, "there is no worker"),
        (&["why", "nowhere"],                                         4, "nowhere"),
        (&["state", "pull", "app-b"],                                 4, "app-b"),
        (&["run", "trigger", "network", "--commit", "ffffffff"],      4, "ffffffff"),
        (&["stack", "show", "../../secrets"],                         4, ""),
        // the state does not allow it
        (&["stack", "unlock", "network"],                             5, "not locked"),
        (&["run", "stop", waits],                                     5, "UNCONFIRMED"),
        (&["run", "cancel", waits],                                   5, "UNCONFIRMED"),
        (&["run", "retry", waits],                                    5, "UNCONFIRMED"),
        (&["run", "confirm", waits, "--digest", "x", "--revision", "1"], 5, "changed since you looked"),
        (&["run", "trigger", "infra-definitions", "--type", "destroy", "--yes"], 5, "administrative"),
    ];
    for (line, exit, words) in table {
        let ended = stage.types(line);
        assert_eq!(ended.exit, exit, "{line:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{line:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{line:?}");
        // A usage error of the parser comes before `--json` is known.
        if ended.stderr.starts_with("windlass:") && !line.contains(&"--") {
            let scripts = stage.types(&[line, &["--json"]].concat());
            let document: serde_json::Value = serde_json::from_str(&scripts.stdout).unwrap();
            assert_eq!(document["error"]["exit_code"], exit, "{line:?}");
            let message = document["error"]["message"].as_str().unwrap();
            assert!(message.contains(words), "{line:?}: {message}");
        }
    }
}

#[test]
fn another_token_is_not_allowed_in() {
    let mut stage = Stage::of(false, World::demo);
    stage.client = stage.client.clone().with_token("a token of another server");
    let ended = stage.types(&["stack", "list"]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (7, ""), "{ended:?}");
}

#[test]
fn help_has_examples_everywhere() {
    fn look(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.is_hide_set() {
            return;
        }
        if !command.has_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&path[1..]), "{path}: {after}");
        }
        command.get_subcommands().for_each(|inner| look(inner, &path));
    }
    look(&crate::frame::command(), "");
}

/// The table of docs/cli.md: its first column names each command, or its parent alone for all below
/// it; `stack list`, `show` in one cell are two commands of `stack`.
fn documented() -> std::collections::BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| command |")).skip(2);
    let mut named = std::collections::BTreeSet::new();
    for row in table.take_while(|line| line.starts_with("| ")) {
        let cell = row.split(" | ").next().unwrap();
        let mut parent = String::new();
        for said in cell.split('`').skip(1).step_by(2) {
            let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase());
            let words: Vec<&str> = said.split(' ').take_while(is_word).collect();
            match words.as_slice() {
                [verb] => named.insert(format!("{parent}{verb}")),
                [above, verb] => {
                    parent = format!("{above} ");
                    named.insert(format!("{above} {verb}"))
                }
                other => panic!("{row}: {other:?} names no command"),
            };
        }
    }
    named
}

#[test]
fn every_command_stands_in_the_docs() {
    let cli = crate::frame::command();
    let (named, mut exist) = (documented(), std::collections::BTreeSet::new());
    for verb in cli.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        exist.insert(name.to_owned());
        for inner in verb.get_subcommands() {
            let whole = format!("{name} {}", inner.get_name());
            assert!(
                named.contains(&whole) || (named.contains(name) && name == "bench"),
                "docs/cli.md does not name `{whole}`"
            );
            exist.insert(whole);
        }
        let told = verb.has_subcommands() || named.contains(name);
        assert!(told, "docs/cli.md does not name `{name}`");
    }
    for name in named {
        assert!(exist.contains(&name), "docs/cli.md names `{name}`, which does not exist");
    }
}
