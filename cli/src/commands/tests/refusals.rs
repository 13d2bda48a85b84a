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
    use clap::CommandFactory as _;
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
    look(&crate::frame::Cli::command(), "");
}
