//! What a repository declares: stacks with everything that their contexts add, already merged.
//!
//! `windlass-definitions` turns text into these; the administrative stack's apply sends them to
//! the stack actors. Names follow Spacelift's Terraform provider where it has one.
use crate::id::{PoolId, RepoName, SpaceId, StackId};
use crate::time::{MINUTE_MS, SECOND_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One stack as its actor and its jobs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackDef {
    pub slug: StackId,
    /// As written; the slug derives from it and never changes.
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub space: SpaceId,
    pub repository: RepoName,
    /// The tracked branch.
    pub branch: String,
    /// Relative to the repository's root, `/`-separated, without `.` or `..`; empty is the root.
    pub project_root: String,
    #[serde(default)]
    pub additional_project_globs: Vec<String>,
    #[serde(default)]
    pub labels: BTreeSet<String>,
    #[serde(default)]
    pub tool: Tool,
    /// A version requirement such as `>= 1.6, < 2`; the tool found must satisfy it.
    #[serde(default)]
    pub version: Option<String>,
    pub workspace: String,
    pub worker_pool: PoolId,
    #[serde(default)]
    pub autodeploy: bool,
    #[serde(default)]
    pub protect_from_deletion: bool,
    #[serde(default)]
    pub on_delete: OnDelete,
    #[serde(default)]
    pub timeouts: Timeouts,
    /// In order of precedence: a later entry of one name wins.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    #[serde(default)]
    pub files: Vec<FileMount>,
    #[serde(default)]
    pub hooks: Hooks,
    #[serde(default)]
    pub drift: Option<Drift>,
    #[serde(default)]
    pub depends_on: Vec<DependsOn>,
    /// Windlass keeps the state; false when the code declares its own backend.
    #[serde(default = "yes")]
    pub manage_state: bool,
    /// The stack whose tool is Windlass itself: its plan is the diff of definitions.
    #[serde(default)]
    pub administrative: bool,
}

fn yes() -> bool {
    true
}

/// Which program plans and applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// `terraform` on PATH, else `tofu`.
    #[default]
    Auto,
    Terraform,
    Opentofu,
    /// The administrative stack's: the control plane reconciles definitions itself.
    Windlass,
}

/// What happens to the resources of a stack that left the definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    #[default]
    Keep,
    Destroy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the claim to the end of a job.
    pub run_ms: u64,
    /// Without a line of output.
    pub silence_ms: u64,
}

impl Default for Timeouts {
    /// Spacelift's: 70 minutes for a run, 7 without output.
    fn default() -> Self {
        Self { run_ms: 70 * MINUTE_MS, silence_ms: 7 * MINUTE_MS }
    }
}

/// From the interrupt to the kill of a tool that does not obey it.
pub const KILL_GRACE_MS: u64 = 60 * SECOND_MS;

/// One variable. The prefix `ro_` limits it to init and plan, `wo_` to apply, destroy and task;
/// the prefix is not part of the name that the tool sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    pub name: String,
    #[serde(flatten)]
    pub value: EnvValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvValue {
    Value(String),
    /// The name under which `windlass secret set` stored it; resolved when a job is claimed.
    Secret(String),
}

/// A file of the repository that a run sees at another place of its work tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// Where it appears, relative to the project root.
    pub path: String,
    /// Where it comes from, relative to the repository's root.
    pub source: String,
}

/// Shell commands around each phase. A phase's hooks share one shell with its tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    pub before_init: Vec<String>,
    pub after_init: Vec<String>,
    pub before_plan: Vec<String>,
    pub after_plan: Vec<String>,
    pub before_apply: Vec<String>,
    pub after_apply: Vec<String>,
    pub before_perform: Vec<String>,
    pub after_perform: Vec<String>,
    pub before_destroy: Vec<String>,
    pub after_destroy: Vec<String>,
    pub after_run: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Five-field cron lines.
    pub schedule: Vec<String>,
    /// An IANA name, e.g. `Europe/Berlin`.
    pub timezone: String,
    #[serde(default)]
    pub reconcile: bool,
    #[serde(default)]
    pub ignore_state: bool,
}

/// An edge: this stack runs after that one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DependsOn {
    pub stack: StackId,
    /// None: a plain edge, the dependent always follows. Some: it follows when one of them changed.
    #[serde(default)]
    pub references: Vec<Reference>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// The parent's output.
    pub output: String,
    /// The dependent's environment variable, usually `TF_VAR_…`.
    pub input: String,
    /// Follow even when the output did not change.
    #[serde(default)]
    pub trigger_always: bool,
}

/// The slug of a name: lower case, every run of other characters than `[a-z0-9_-]` becomes one `-`,
/// none at the ends. "Provider test stack X" → `provider-test-stack-x`.
#[must_use]
pub fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' | '_' => slug.push(letter),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The stack that reconciles a repository's definitions. It applies additions and changes by
/// itself; its plan warns, and so waits for a person, when a stack with state would go.
#[must_use]
pub fn administrative(repo: &RepoName, branch: &str) -> StackDef {
    let slug = administrative_slug(repo);
    StackDef {
        name: slug.0.clone(),
        slug,
        description: format!("The definitions in {repo}: stacks, contexts, spaces, pools"),
        space: "root".into(),
        repository: repo.clone(),
        branch: branch.to_owned(),
        project_root: String::new(),
        additional_project_globs: vec![],
        labels: BTreeSet::from(["administrative".to_owned()]),
        tool: Tool::Windlass,
        version: None,
        workspace: "default".to_owned(),
        worker_pool: crate::keys::CONTROL_POOL.into(),
        autodeploy: true,
        protect_from_deletion: true,
        on_delete: OnDelete::Keep,
        timeouts: Timeouts::default(),
        env: vec![],
        files: vec![],
        hooks: Hooks::default(),
        drift: None,
        depends_on: vec![],
        manage_state: false,
        administrative: true,
    }
}

/// The administrative stack's slug.
#[must_use]
pub fn administrative_slug(repo: &RepoName) -> StackId {
    StackId(format!("{}-definitions", slug(&repo.0)))
}

/// A stack with every default, for tests of any module.
#[cfg(test)]
pub(crate) fn fixture(slug: &str) -> StackDef {
    StackDef {
        slug: slug.into(),
        name: slug.to_owned(),
        description: String::new(),
        space: "root".into(),
        repository: "infra".into(),
        branch: "main".to_owned(),
        project_root: slug.to_owned(),
        additional_project_globs: vec![],
        labels: BTreeSet::new(),
        tool: Tool::Auto,
        version: None,
        workspace: "default".to_owned(),
        worker_pool: "default".into(),
        autodeploy: true,
        protect_from_deletion: false,
        on_delete: OnDelete::Keep,
        timeouts: Timeouts::default(),
        env: vec![],
        files: vec![],
        hooks: Hooks::default(),
        drift: None,
        depends_on: vec![],
        manage_state: true,
        administrative: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        #[rustfmt::skip]
        let table = [
            ("cluster",                "cluster"),
            ("Provider test stack X",  "provider-test-stack-x"),
            ("a/b  c",                 "a-b-c"),
            ("--x--",                  "x"),
            ("snake_case",             "snake_case"),
            ("Ünï",                    "n"),
            ("",                       ""),
        ];
        for (name, expect) in table {
            assert_eq!(slug(name), expect, "{name}");
        }
    }
}
