//! Job specs to shell text: what each step runs, pure.
//!
//! One shell, the leader, lives as long as its job. It reads commands from a pipe; its end is the
//! end of the pipe, so a leader whose worker died finishes what runs and goes. Each step is one
//! subshell: hooks and tool share it, each in braces, joined by `&&`. Before each part the shell
//! names it on the worker's pipe and looks whether a stop was asked. Values of variables travel
//! through the pipe and the environment, never through an argument list or a file.
use std::path::Path;

/// What the leader knows before its first step. A trap (not an ignored signal, which children
/// would inherit) lets it outlive the interrupt that its group gets. `mark` is how its processes
/// are found wherever they go.
#[must_use]
pub(crate) fn preamble(stop_file: &Path, (name, value): (&str, &str)) -> String {
    format!(
        "export {name}={value}\n\
         trap : INT TERM PIPE\n\
         exec 3>&1 1>/dev/null\n\
         windlass_say() {{ {{ echo \"$*\" >&3; }} 2>/dev/null || :; }}\n\
         windlass_part() {{ windlass_say part \"$1\"; [ ! -e {} ]; }}\n",
        quote(&stop_file.display().to_string())
    )
}

/// One part of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A user's command, by its phase (`before_plan`), run by the step's own shell.
    Hook { phase: &'static str, command: String },
    /// A tool process: its arguments, and the file that takes its standard output, if not the log.
    Tool { name: &'static str, argv: Vec<String>, output: Option<String> },
}

impl Part {
    #[must_use]
    pub(crate) fn hooks(phase: &'static str, commands: &[String]) -> Vec<Part> {
        commands.iter().map(|c| Part::Hook { phase, command: c.clone() }).collect()
    }
}

/// One step: parts that share one shell, a folder and an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Names its log and its return code: `init`, `plan`, …
    pub name: &'static str,
    pub folder: String,
    pub env: Vec<(String, String)>,
    pub parts: Vec<Part>,
}

/// Says which part ended the step, when it was the last.
pub(crate) const DONE: &str = "done";

/// The step as the leader reads it. On an interrupt its shell waits for the part that runs, which
/// got the interrupt too, and ends; a hook that sets another trap is stopped before the next part
/// by the stop file. The braces make a text that was cut off a syntax error instead
/// of half a step.
#[must_use]
pub(crate) fn step(script: &Script, log: &Path, code: &Path) -> String {
    let mut text = String::from("{ (\ntrap 'exit 130' INT TERM\ntrap : PIPE\n");
    for (name, value) in &script.env {
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    text.push_str(&format!("cd {}", quote(&script.folder)));
    for (index, part) in script.parts.iter().enumerate() {
        text.push_str(&format!(" &&\nwindlass_part {index} && {{ {}\n}} 3>&-", command(part)));
    }
    text.push_str(&format!(
        " &&\nwindlass_part {DONE}\n) </dev/null >>{} 2>&1\n\
         windlass_code=$?\necho $windlass_code >{}\nwindlass_say end $windlass_code\n}}\n",
        quote(&log.display().to_string()),
        quote(&code.display().to_string()),
    ));
    text
}

/// A hook goes through `eval`: a syntax error in it ends its own step, not the leader, and it can't
/// close the braces around it.
fn command(part: &Part) -> String {
    match part {
        Part::Hook { command, .. } => format!("eval {}", quote(command)),
        Part::Tool { argv, output, .. } => {
            let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
            let to = output.as_ref().map(|file| format!(" >{}", quote(file)));
            format!("{}{}", words.join(" "), to.unwrap_or_default())
        }
    }
}

/// A word that the shell takes literally.
#[must_use]
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A name that a shell can export.
#[must_use]
pub(crate) fn exportable(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The tool's commands of each step.
pub(crate) mod tool {
    use super::Part;

    /// The plan file, in the project root.
    pub const PLAN_FILE: &str = "windlass.plan";

    fn part(tool: &str, name: &'static str, words: &[&str], output: Option<&str>) -> Part {
        let argv = std::iter::once(tool).chain(words.iter().copied()).map(str::to_owned).collect();
        Part::Tool { name, argv, output: output.map(str::to_owned) }
    }

    /// `readonly`: an apply may not choose other providers than its plan did.
    #[must_use]
    pub(crate) fn init(tool: &str, readonly: bool) -> Part {
        let mut words = vec!["init", "-input=false"];
        if readonly {
            words.push("-lockfile=readonly");
        }
        part(tool, "init", &words, None)
    }

    #[must_use]
    pub(crate) fn workspace(tool: &str, name: &str) -> Option<Part> {
        let words = ["workspace", "select", "-or-create=true", name];
        (name != "default" && !name.is_empty())
            .then(|| part(tool, "workspace select", &words, None))
    }

    #[must_use]
    pub(crate) fn plan(tool: &str, destroy: bool, lock: bool, targets: &[String]) -> Part {
        let out = format!("-out={PLAN_FILE}");
        let targets: Vec<String> = targets.iter().map(|t| format!("-target={t}")).collect();
        let mut words = vec!["plan", "-input=false", out.as_str()];
        if destroy {
            words.push("-destroy");
        }
        if !lock {
            words.push("-lock=false");
        }
        words.extend(targets.iter().map(String::as_str));
        part(tool, "plan", &words, None)
    }

    #[must_use]
    pub(crate) fn show(tool: &str, output: &str) -> Part {
        part(tool, "show", &["show", "-json", PLAN_FILE], Some(output))
    }

    #[must_use]
    pub(crate) fn apply(tool: &str) -> Part {
        part(tool, "apply", &["apply", "-input=false", PLAN_FILE], None)
    }

    #[must_use]
    pub(crate) fn outputs(tool: &str, output: &str) -> Part {
        part(tool, "output", &["output", "-json"], Some(output))
    }

    #[must_use]
    pub(crate) fn task(command: &str) -> Part {
        let argv = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
        Part::Tool { name: "task", argv, output: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_literal() {
        #[rustfmt::skip]
        let table = [
            ("plan",            "plan"),
            ("-out=x.plan",     "-out=x.plan"),
            ("",                "''"),
            ("a b",             "'a b'"),
            ("it's $HOME `x`",  r"'it'\''s $HOME `x`'"),
            ("a\nb",            "'a\nb'"),
            ("a.b[\"c\"]",      "'a.b[\"c\"]'"),
            ("~",               "'~'"),
        ];
        for (word, expect) in table {
            assert_eq!(quote(word), expect);
            let said = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quote(word))])
                .output()
                .unwrap();
            assert_eq!(said.stdout, word.as_bytes());
        }
        for (name, expect) in
            [("A", true), ("_a1", true), ("", false), ("1A", false), ("A-B", false), ("A=1", false)]
        {
            assert_eq!(exportable(name), expect, "{name}");
        }
    }

    #[test]
    fn tool_commands() {
        let words = |part: Part| match part {
            Part::Tool { argv, output, .. } => {
                format!(
                    "{}{}",
                    argv.join(" "),
                    output.map(|o| format!(" > {o}")).unwrap_or_default()
                )
            }
            Part::Hook { command, .. } => command,
        };
        let targets = ["a.b".to_owned(), "c.d[0]".to_owned()];
        #[rustfmt::skip]
        let table = [
            (tool::init("tf", false),                     "tf init -input=false"),
            (tool::init("tf", true),                      "tf init -input=false -lockfile=readonly"),
            (tool::workspace("tf", "prod").unwrap(),      "tf workspace select -or-create=true prod"),
            (tool::plan("tf", false, true, &[]),          "tf plan -input=false -out=windlass.plan"),
            (tool::plan("tf", false, false, &targets),    "tf plan -input=false -out=windlass.plan -lock=false -target=a.b -target=c.d[0]"),
            (tool::plan("tf", true, true, &[]),           "tf plan -input=false -out=windlass.plan -destroy"),
            (tool::show("tf", "/r/show.json"),            "tf show -json windlass.plan > /r/show.json"),
            (tool::apply("tf"),                           "tf apply -input=false windlass.plan"),
            (tool::outputs("tf", "/r/o.json"),            "tf output -json > /r/o.json"),
            (tool::task("echo hi"),                       "/bin/sh -c echo hi"),
        ];
        for (part, expect) in table {
            assert_eq!(words(part), expect);
        }
        assert_eq!(tool::workspace("tf", "default"), None);
    }

    #[test]
    fn a_step_as_the_leader_reads_it() {
        let mut parts = Part::hooks("before_plan", &["export A='b'".into()]);
        parts.push(tool::show("/bin/tf", "/r/show.json"));
        let env = vec![("TOKEN".to_owned(), "a b".to_owned())];
        let script = Script { name: "plan", folder: "/r/tree/x y".into(), env, parts };
        let text = step(&script, Path::new("/r/plan.log"), Path::new("/r/plan.code"));
        assert_eq!(
            text,
            r"{ (
trap 'exit 130' INT TERM
trap : PIPE
export TOKEN='a b'
cd '/r/tree/x y' &&
windlass_part 0 && { eval 'export A='\''b'\'''
} 3>&- &&
windlass_part 1 && { /bin/tf show -json windlass.plan >/r/show.json
} 3>&- &&
windlass_part done
) </dev/null >>/r/plan.log 2>&1
windlass_code=$?
echo $windlass_code >/r/plan.code
windlass_say end $windlass_code
}
"
        );
    }
}
