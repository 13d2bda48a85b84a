//! The repository that the overhead is measured on: one root, eight leaves that use its output,
//! and a second of sleep in each apply. Every round changes all nine.
use crate::demo::sample::Sample;
use crate::exit::Failure;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) const LEAVES: usize = 8;
pub(crate) const RUNS: usize = LEAVES + 1;
pub(crate) const ROOT: &str = "root";

#[must_use]
pub(crate) fn leaf(n: usize) -> String {
    format!("leaf-{n}")
}

fn definitions() -> String {
    let mut text = format!(
        "version: 1\nstacks:\n  - name: {ROOT}\n    project_root: {ROOT}\n    autodeploy: true\n"
    );
    for n in 1..=LEAVES {
        let leaf = leaf(n);
        let _ = write!(
            text,
            "  - name: {leaf}\n    project_root: {leaf}\n    autodeploy: true\n    depends_on:\n      \
             - stack: {ROOT}\n        references: [{{ output: id, input: TF_VAR_parent }}]\n"
        );
    }
    text
}

fn code(round: usize, has_parent: bool) -> String {
    let (variable, parent) = match has_parent {
        true => ("variable \"parent\" {\n  type = string\n}\n\n", "var.parent"),
        false => ("", "\"\""),
    };
    format!(
        "{variable}resource \"terraform_data\" \"work\" {{\n  input            = {parent}\n  \
         triggers_replace = [\"round {round}\"]\n\n  provisioner \"local-exec\" {{\n    command = \
         \"sleep 1\"\n  }}\n}}\n\noutput \"id\" {{\n  value = terraform_data.work.id\n}}\n"
    )
}

/// A repository with nothing in it yet.
pub(crate) fn create(folder: &Path) -> Result<Sample, Failure> {
    Sample::create(folder)
}

/// Commits one round; names the commit.
pub(crate) fn commit(sample: &Sample, round: usize) -> Result<String, Failure> {
    let definitions = definitions();
    let (root, leaf_code) = (code(round, false), code(round, true));
    let root_path = format!("{ROOT}/main.tf");
    let leaf_paths: Vec<String> = (1..=LEAVES).map(|n| format!("{}/main.tf", leaf(n))).collect();
    let mut files = vec![("windlass.yaml", definitions.as_str()), (root_path.as_str(), &root)];
    files.extend(leaf_paths.iter().map(|path| (path.as_str(), leaf_code.as_str())));
    sample.commit(&format!("Round {round}"), &files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_definitions::{SourceFile, World, parse};

    #[test]
    fn the_definitions_are_valid() {
        let file = SourceFile { path: "windlass.yaml".into(), text: definitions() };
        let parsed = parse(&"infra".into(), "main", &[file], &World::default()).unwrap();
        assert_eq!(parsed.stacks.len(), RUNS);
        assert_eq!(
            parsed.stacks.iter().filter(|stack| !stack.depends_on.is_empty()).count(),
            LEAVES
        );
    }
}
