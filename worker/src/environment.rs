//! The environment of a step: a clean one, the run's facts, the stack's variables, its inputs.
//!
//! Of the worker's own environment only what a tool needs to reach the world passes, and the
//! credentials that whoever started Windlass had in their shell. Nothing of Windlass itself does:
//! not its token, not its data folder.
use crate::script::exportable;
use std::collections::BTreeMap;
use windlass_core::definition::{EnvValue, EnvVar};
use windlass_core::job::{JobSpec, Step};

/// By name.
pub type Env = BTreeMap<String, String>;

const PASSED: [&str; 26] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];
const PASSED_PREFIXES: [&str; 9] =
    ["LC_", "AWS_", "GOOGLE_", "CLOUDSDK_", "ARM_", "AZURE_", "TF_VAR_", "TF_TOKEN_", "KUBE"];
/// A variable of the worker's own environment whose name has one of these holds a secret.
const SECRET_WORDS: [&str; 6] =
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIALS", "ACCESS_KEY"];

/// What of the worker's own environment a job may see. `exists` tells whether a file exists.
#[must_use]
pub(crate) fn base(own: &Env, exists: impl Fn(&str) -> bool) -> Env {
    let passes = |name: &str| {
        PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut env: Env = own
        .iter()
        .filter(|(name, _)| exportable(name) && passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // A tool refuses to start with a configuration file that isn't there.
    for name in ["TF_CLI_CONFIG_FILE", "TOFU_CLI_CONFIG_FILE"] {
        if let Some(file) = own.get(name).filter(|file| exists(file)) {
            env.insert(name.to_owned(), file.clone());
        }
    }
    env.entry("PATH".into()).or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".into());
    // Nothing may ask: not the tool, not git or ssh when they fetch modules.
    for (name, value) in [
        ("TF_IN_AUTOMATION", "1"),
        ("TF_INPUT", "0"),
        ("CHECKPOINT_DISABLE", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("SSH_ASKPASS_REQUIRE", "force"),
        ("SSH_ASKPASS", "false"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    env
}

/// Values among these that logs must not show.
pub(crate) fn secrets_of(base: &Env) -> impl Iterator<Item = &str> {
    let secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    base.iter().filter(move |(name, _)| secret(name)).map(|(_, value)| value.as_str())
}

/// What a run is told about itself.
#[must_use]
pub(crate) fn info(spec: &JobSpec, account: &str, workspace_root: &str, state: &str) -> Env {
    let facts: [(&str, String); 16] = [
        ("account_name", account.to_owned()),
        ("commit_branch", spec.branch.clone()),
        ("commit_sha", spec.commit.0.clone()),
        ("local_preview", "false".into()),
        ("project_root", spec.project_root.clone()),
        ("repository", spec.repository.0.clone()),
        ("run_id", spec.id.run.0.clone()),
        ("run_state", state.to_owned()),
        ("run_trigger", spec.triggered_by.clone()),
        ("run_type", spec.run_type.as_str().to_owned()),
        ("space_id", spec.space.clone()),
        ("stack_branch", spec.stack_branch.clone()),
        ("stack_id", spec.stack.0.clone()),
        ("stack_labels", spec.labels.join(",")),
        ("stack_labels_list", serde_json::Value::from(spec.labels.clone()).to_string()),
        ("workspace_root", workspace_root.to_owned()),
    ];
    facts.into_iter().map(|(name, value)| (format!("TF_VAR_spacelift_{name}"), value)).collect()
}

/// Which of a stack's variables a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Init and plan.
    Read,
    /// Apply, destroy, task.
    Write,
}

impl Access {
    #[must_use]
    pub(crate) fn of(step: Step) -> Access {
        match step {
            Step::Preparing | Step::Initializing | Step::Planning => Access::Read,
            Step::Applying | Step::Destroying | Step::Performing => Access::Write,
        }
    }
}

/// A later entry of one name wins; `${OTHER}` names any variable that the step has, this list's
/// first; a secret is taken as it is.
#[must_use]
pub(crate) fn resolve(
    vars: &[EnvVar],
    access: Access,
    around: &Env,
    secrets: &BTreeMap<String, String>,
) -> Env {
    let other = if access == Access::Read { "wo_" } else { "ro_" };
    let chosen: BTreeMap<&str, &EnvValue> = vars
        .iter()
        .filter(|var| !var.name.starts_with(other))
        .map(|var| (plain_name(&var.name), &var.value))
        .filter(|(name, _)| exportable(name))
        .collect();
    let scope = Scope { chosen: &chosen, around, secrets };
    chosen.keys().map(|name| ((*name).to_owned(), scope.value(name, &mut Vec::new()))).collect()
}

/// The name that the tool sees.
#[must_use]
pub(crate) fn plain_name(name: &str) -> &str {
    name.strip_prefix("ro_").or_else(|| name.strip_prefix("wo_")).unwrap_or(name)
}

struct Scope<'a> {
    chosen: &'a BTreeMap<&'a str, &'a EnvValue>,
    around: &'a Env,
    secrets: &'a BTreeMap<String, String>,
}

impl Scope<'_> {
    /// A circle or an unknown name stays as written.
    fn value(&self, name: &str, open: &mut Vec<String>) -> String {
        match self.chosen.get(name) {
            Some(EnvValue::Secret(key)) => self.secrets.get(key).cloned().unwrap_or_default(),
            Some(EnvValue::Value(text)) => {
                open.push(name.to_owned());
                let found = self.expand(text, open);
                open.pop();
                found
            }
            None => self.around.get(name).cloned().unwrap_or_default(),
        }
    }

    fn expand(&self, text: &str, open: &mut Vec<String>) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find("${") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let name = from[2..].split('}').next().unwrap_or_default();
            let closed = from[2..].contains('}');
            let known = self.chosen.contains_key(name) || self.around.contains_key(name);
            let own = open.last().is_some_and(|last| last == name);
            if own && self.around.contains_key(name) {
                // `PATH=/opt/bin:${PATH}` adds to what is around.
                out.push_str(&self.around[name]);
                rest = &from[name.len() + 3..];
            } else if closed && known && !open.iter().any(|n| n == name) {
                out.push_str(&self.value(name, open));
                rest = &from[name.len() + 3..];
            } else {
                out.push_str("${");
                rest = &from[2..];
            }
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn only_what_a_tool_needs_passes() {
        let own = env(&[
            ("PATH", "/bin"),
            ("HOME", "/h"),
            ("LC_ALL", "C"),
            ("https_proxy", "p"),
            ("AWS_PROFILE", "x"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("TF_VAR_a", "1"),
            ("TF_TOKEN_app_terraform_io", "tok-123"),
            ("TF_LOG", "trace"),
            ("EDITOR", "vi"),
            ("WINDLASS_TOKEN", "t"),
            ("WINDLASS_DATA", "/d"),
            ("TF_CLI_CONFIG_FILE", "/gone"),
            ("TF_INPUT", "1"),
            ("AWS_BAD-NAME", "x"),
            ("CARGO", "c"),
        ]);
        let base = base(&own, |_| false);
        let names: Vec<&str> = base.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "AWS_PROFILE",
                "AWS_SECRET_ACCESS_KEY",
                "CHECKPOINT_DISABLE",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "LC_ALL",
                "PATH",
                "SSH_ASKPASS",
                "SSH_ASKPASS_REQUIRE",
                "TF_INPUT",
                "TF_IN_AUTOMATION",
                "TF_TOKEN_app_terraform_io",
                "TF_VAR_a",
                "https_proxy",
            ]
        );
        assert_eq!(base["TF_INPUT"], "0");
        assert_eq!(secrets_of(&base).collect::<Vec<_>>(), ["hunter2", "tok-123"]);
        assert!(super::base(&own, |_| true).contains_key("TF_CLI_CONFIG_FILE"));
        assert!(super::base(&Env::new(), |_| true).contains_key("PATH"));
    }

    #[test]
    fn variables() {
        let value = |text: &str| EnvValue::Value(text.into());
        let secret = |key: &str| EnvValue::Secret(key.into());
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        type Vars = Vec<(&'static str, EnvValue)>;
        #[rustfmt::skip]
        let same: [(&str, Vars, Pairs<'_>); 7] = [
            ("plain",           vec![("A", value("1"))],                        &[("A", "1")]),
            ("later wins",      vec![("A", value("1")), ("A", value("2"))],     &[("A", "2")]),
            ("interpolates",    vec![("A", value("${B}-${HOME}")), ("B", value("b"))], &[("A", "b-/h"), ("B", "b")]),
            ("adds",            vec![("PATH", value("/opt:${PATH}"))],          &[("PATH", "/opt:/bin")]),
            ("circle, unknown", vec![("A", value("${B}")), ("B", value("${A} ${C} ${"))],
                &[("A", "${A} ${C} ${"), ("B", "${B} ${C} ${")]),
            ("secret, literal", vec![("A", secret("k")), ("B", value("x:${A}"))], &[("A", "p${HOME}w"), ("B", "x:p${HOME}w")]),
            ("a bad name",      vec![("A-B", value("1"))],                      &[]),
        ];
        #[rustfmt::skip]
        let different: [(&str, Vars, Pairs<'_>, Pairs<'_>); 2] = [
            ("prefixes",        vec![("ro_A", value("r")), ("wo_A", value("w"))], &[("A", "r")], &[("A", "w")]),
            ("later prefix",    vec![("A", value("1")), ("ro_A", value("r"))],  &[("A", "r")], &[("A", "1")]),
        ];
        let same = same.into_iter().map(|(name, vars, expect)| (name, vars, expect, expect));
        let table = same.chain(different);
        let around = env(&[("HOME", "/h"), ("PATH", "/bin")]);
        let secrets = env(&[("k", "p${HOME}w")]);
        for (name, vars, read, write) in table {
            let vars: Vec<EnvVar> =
                vars.into_iter().map(|(n, value)| EnvVar { name: n.into(), value }).collect();
            assert_eq!(resolve(&vars, Access::Read, &around, &secrets), env(read), "{name}");
            assert_eq!(resolve(&vars, Access::Write, &around, &secrets), env(write), "{name}");
        }
    }
}
