//! `windlass validate`: the definitions of a work tree, all of their faults at once, no server.
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use windlass_core::definition::slug;
use windlass_core::id::RepoName;
use windlass_definitions::{
    Definitions, Problem, ROOT_FILES, SourceFile, World, includes, parse, render,
};

/// Files that a work tree without Git is searched for.
const FILES_MAX: usize = 200_000;
const NEVER: [&str; 3] = [".git", ".terraform", "node_modules"];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass validate\n  windlass validate ../infra --json\n\nExit \
                        code 2 if there is a fault. Names that other repositories or the server \
                        define (their stacks, secrets) are not known here and not checked."
)]
pub(crate) struct Args {
    /// The work tree, or any folder in it
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    /// The branch that stacks track unless they say otherwise
    #[arg(long, default_value = "main", value_name = "BRANCH")]
    branch: String,
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    files: Vec<&'a str>,
    problems: &'a [Problem],
    stacks: Vec<&'a str>,
}

pub(crate) fn run(out: &Out, args: &Args) -> Outcome {
    let root = root_of(&args.path)?;
    let files = read(&root)?;
    let read_files = || files.iter().map(|file| file.path.as_str()).collect();
    let repo = RepoName(slug(&root.file_name().unwrap_or_default().to_string_lossy()));
    match parse(&repo, &args.branch, &files, &World::default()) {
        Ok(definitions) => {
            let stacks = definitions.stacks.iter().map(|stack| stack.slug.as_str()).collect();
            let report = Report { valid: true, files: read_files(), problems: &[], stacks };
            out.show(&report, |_| summary(&definitions, files.len()))?;
            Ok(Exit::Done)
        }
        Err(problems) => {
            let report =
                Report { valid: false, files: read_files(), problems: &problems, stacks: vec![] };
            out.show(&report, |_| render(&problems))?;
            Ok(Exit::Usage)
        }
    }
}

fn summary(definitions: &Definitions, files: usize) -> String {
    let count = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let parts = [
        count(definitions.stacks.len(), "stack", "stacks"),
        count(definitions.contexts.len(), "context", "contexts"),
        count(definitions.spaces.len(), "space", "spaces"),
        count(definitions.worker_pools.len(), "worker pool", "worker pools"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = if parts.is_empty() { "nothing is defined".to_owned() } else { parts.join(", ") };
    let of = if files == 1 { String::new() } else { format!(" in {files} files") };
    format!("The definitions are valid: {what}{of}.")
}

/// The nearest folder above that holds a root file; else the folder itself.
fn root_of(path: &Path) -> Result<PathBuf, Failure> {
    let start = path
        .canonicalize()
        .map_err(|e| Failure::usage(format!("there is no folder {}", path.display())).because(e))?;
    let holds = |folder: &&Path| ROOT_FILES.iter().any(|name| folder.join(name).is_file());
    Ok(start.ancestors().find(holds).unwrap_or(&start).to_owned())
}

/// The root file and those that it includes; nothing if there is no root file.
fn read(root: &Path) -> Result<Vec<SourceFile>, Failure> {
    let Some(name) = ROOT_FILES.iter().find(|name| root.join(name).is_file()) else {
        return Ok(Vec::new());
    };
    let first = text(root, name)?;
    let mut files = Vec::new();
    // A root file that can't be read is reported by the parser, with everything else in it.
    if let Ok(matcher) = includes(&first) {
        for path in listed(root)? {
            if matcher.matches(&path) {
                files.push(text(root, &path)?);
            }
        }
    }
    files.insert(0, first);
    Ok(files)
}

fn text(root: &Path, path: &str) -> Result<SourceFile, Failure> {
    let text = std::fs::read(root.join(path))
        .map_err(|e| Failure::usage(format!("{path} can't be read")).because(e))?;
    Ok(SourceFile { path: path.to_owned(), text: String::from_utf8_lossy(&text).into_owned() })
}

/// Paths of the work tree as Git knows them (what it ignores is left out), or all of them.
fn listed(root: &Path) -> Result<Vec<String>, Failure> {
    let git = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    let mut paths = match git {
        Ok(output) if output.status.success() => {
            let names = output.stdout.split(|byte| *byte == 0);
            let utf8 = names.filter_map(|name| std::str::from_utf8(name).ok());
            // Deleted but not committed yet: Git still lists it.
            utf8.filter(|name| !name.is_empty() && root.join(name).is_file())
                .map(str::to_owned)
                .collect()
        }
        _ => walked(root)?,
    };
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn walked(root: &Path) -> Result<Vec<String>, Failure> {
    let (mut paths, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let unreadable =
            |e| Failure::usage(format!("{} can't be read", folder.display())).because(e);
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            let name = entry.file_name();
            if kind.is_dir() && !NEVER.iter().any(|never| name == *never) {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Ok(path) = entry.path().strip_prefix(root)
                && let Some(path) = path.to_str()
            {
                paths.push(path.to_owned());
            }
        }
        if paths.len() > FILES_MAX {
            let why = format!("{} holds more than {FILES_MAX} files", root.display());
            return Err(Failure::usage(why));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::time::UnixMs;

    const ROOT: &str = "version: 1\ninclude: ['stacks/*.yaml']\nstacks:\n  - name: network\n    \
                        project_root: network\n";

    type Tree<'a> = &'a [(&'a str, &'a str)];

    fn check(files: Tree, from: &str) -> u8 {
        let temp = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = temp.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let (out, _) = Out::kept(true, UnixMs(0));
        let args = Args { path: temp.path().join(from), branch: "main".into() };
        run(&out, &args).unwrap().code()
    }

    #[test]
    fn exit_codes() {
        let more = ("stacks/more.yaml", "stacks:\n  - name: cluster\n    project_root: cluster\n");
        let wrong = ("stacks/more.yaml", "stacks:\n  - nme: cluster\n");
        #[rustfmt::skip]
        let table: [(&str, Tree, &str, u8); 6] = [
            // name                     files                                        from      exit
            ("valid",                   &[("windlass.yaml", ROOT), more],            "",       0),
            ("from a folder below",     &[("windlass.yaml", ROOT), more],            "stacks", 0),
            ("an include is wrong",     &[("windlass.yaml", ROOT), wrong],           "",       2),
            ("the root file is wrong",  &[("windlass.yaml", "version: 1\nstaks: []\n")], "",   2),
            ("not YAML",                &[("windlass.yaml", "a: [")],                "",       2),
            ("no file at all",          &[("README.md", "")],                        "",       2),
        ];
        for (name, files, from, expect) in table {
            assert_eq!(check(files, from), expect, "{name}");
        }
    }

    #[test]
    fn what_git_ignores_is_not_read() {
        let temp = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = temp.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("windlass.yaml", ROOT);
        write("stacks/a.yaml", "");
        write("stacks/b.yaml", "");
        write(".gitignore", "b.yaml\n");
        assert_eq!(read(temp.path()).unwrap().len(), 3);
        let init = Command::new("git").current_dir(temp.path()).args(["init", "-q"]).status();
        assert!(init.unwrap().success());
        assert_eq!(read(temp.path()).unwrap().len(), 2);
    }
}
