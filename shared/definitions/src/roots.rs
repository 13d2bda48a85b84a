//! A proposal for a repository without definitions: its roots, each as a stack.
//!
//! A root is a folder whose code has a backend, cloud or provider block. Where no folder has one,
//! it is a top-most folder with code that no other folder calls as a module.
use crate::format;
use crate::model::SourceFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use windlass_core::definition::slug;

/// Larger files hold data, not the blocks that are looked for.
const CODE_BYTES_MAX: usize = 1024 * 1024;
/// Folders that hold no roots of their own.
const NEVER: [&str; 2] = [".terraform", ".git"];
/// Folders that hold roots only where a block says so.
const SELDOM: [&str; 6] = ["modules", "module", "examples", "example", "tests", "test"];
const NAME_CHARS_MAX: usize = 60;

/// A folder that is planned and applied as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRoot {
    /// From the root of the repository; empty is that root.
    pub path: String,
    /// Unique among those found, also as a slug.
    pub name: String,
    /// The code keeps its state itself: it has a backend or cloud block.
    pub own_state: bool,
    /// Local modules outside of the folder, called directly or through others.
    pub modules: Vec<String>,
    /// What gave it away, in words.
    pub why: String,
}

#[derive(Default)]
struct Folder {
    own_state: bool,
    provider: bool,
    calls: BTreeSet<String>,
}

/// The roots among these files, sorted by path; files that hold no Terraform are passed over, and
/// code that does not parse tells nothing.
#[must_use]
pub fn find_roots(files: &[SourceFile]) -> Vec<FoundRoot> {
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for file in files {
        let (path, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let code = name.ends_with(".tf") || name.ends_with(".tofu");
        let json = name.ends_with(".tf.json") || name.ends_with(".tofu.json");
        let usable = path.is_empty() || format::folder(path).is_ok_and(|normal| normal == path);
        if !(code || json) || !usable || has_part(path, &NEVER) {
            continue;
        }
        let folder = folders.entry(path.to_owned()).or_default();
        if code && file.text.len() <= CODE_BYTES_MAX {
            folder.look(path, &file.text);
        }
    }
    let called: BTreeSet<&String> = folders.values().flat_map(|folder| &folder.calls).collect();
    let marked = |folder: &Folder| folder.own_state || folder.provider;
    let mut paths: Vec<&String> = folders
        .iter()
        .filter(|(path, folder)| marked(folder) && !called.contains(path))
        .map(|(path, _)| path)
        .collect();
    if paths.is_empty() {
        let free: Vec<&String> = folders
            .keys()
            .filter(|path| !called.contains(path) && !has_part(path, &SELDOM))
            .collect();
        paths = top_most(&free);
    }
    let names = names(&paths);
    paths.iter().zip(names).map(|(path, name)| found(path, name, &folders)).collect()
}

fn found(path: &str, name: String, folders: &BTreeMap<String, Folder>) -> FoundRoot {
    let folder = folders.get(path);
    let own_state = folder.is_some_and(|folder| folder.own_state);
    let why = if own_state {
        "its code has a backend"
    } else if folder.is_some_and(|folder| folder.provider) {
        "its code has a provider"
    } else {
        "no other folder calls it"
    };
    let modules = modules_of(path, folders);
    FoundRoot { path: path.to_owned(), name, own_state, modules, why: why.to_owned() }
}

impl Folder {
    fn look(&mut self, path: &str, text: &str) {
        let Ok(body) = hcl::parse(text) else { return };
        for block in body.blocks() {
            match block.identifier() {
                "provider" => self.provider = true,
                "terraform" => {
                    let mut inner = block.body().blocks().map(hcl::Block::identifier);
                    self.own_state |= inner.any(|name| matches!(name, "backend" | "cloud"));
                }
                "module" => {
                    let source = block.body().attributes().find(|one| one.key() == "source");
                    let source = match source.map(hcl::Attribute::expr) {
                        Some(hcl::Expression::String(source)) => source,
                        _ => continue,
                    };
                    self.calls.extend(local(path, source));
                }
                _ => {}
            }
        }
    }
}

/// The folder that a local module's source means; None when it is elsewhere.
fn local(path: &str, source: &str) -> Option<String> {
    if !source.starts_with("./") && !source.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Modules that a change of which touches this root, but which lie outside of it.
fn modules_of(path: &str, folders: &BTreeMap<String, Folder>) -> Vec<String> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec![path];
    while let Some(next) = open.pop() {
        for called in folders.get(next).into_iter().flat_map(|folder| &folder.calls) {
            if called != path && known.insert(called) {
                open.push(called);
            }
        }
    }
    known.into_iter().filter(|module| !is_below(module, path)).map(str::to_owned).collect()
}

fn is_below(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn has_part(path: &str, parts: &[&str]) -> bool {
    path.split('/').any(|part| parts.contains(&part))
}

/// Those that lie in no other one. Sorted paths put a folder right before what is below it, but
/// for names that continue it (`a`, `a-b`, `a/c`), so every ancestor is asked for.
fn top_most<'p>(paths: &[&'p String]) -> Vec<&'p String> {
    let all: BTreeSet<&str> = paths.iter().map(|path| path.as_str()).collect();
    let ancestors = |path: &'p str| {
        let ends = path.match_indices('/').map(|(end, _)| &path[..end]);
        ends.chain((!path.is_empty()).then_some(""))
    };
    paths.iter().copied().filter(|path| !ancestors(path).any(|one| all.contains(one))).collect()
}

/// The last part of each path; where two clash, as many parts as tell them apart.
fn names(paths: &[&String]) -> Vec<String> {
    let tail = |path: &str, count: usize| -> String {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let from = parts.len().saturating_sub(count);
        let name = slug(&parts[from..].join("-"));
        let name = name.get(name.len().saturating_sub(NAME_CHARS_MAX)..).unwrap_or(&name);
        if name.is_empty() { "main".to_owned() } else { name.to_owned() }
    };
    let deepest = paths.iter().map(|path| path.split('/').count()).max().unwrap_or(1);
    let mut names: Vec<String> = paths.iter().map(|path| tail(path, 1)).collect();
    for count in 2..=deepest {
        let clashes = clashing(&names);
        if clashes.is_empty() {
            break;
        }
        for (name, path) in names.iter_mut().zip(paths).filter(|(name, _)| clashes.contains(*name))
        {
            *name = tail(path, count);
        }
    }
    let mut taken = BTreeSet::new();
    for name in &mut names {
        let base = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            *name = format!("{base}-{number}");
        }
    }
    names
}

fn clashing(names: &[String]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| !seen.insert(*name)).cloned().collect()
}

/// The text of a `windlass.yaml` with one stack for each root.
#[must_use]
pub fn propose(roots: &[FoundRoot]) -> String {
    let mut text = String::from(
        "# Proposed by Windlass: one stack for each root that it found. Edit it, then commit it.\n\
         version: 1\n",
    );
    if roots.is_empty() {
        text.push_str("# No folder with Terraform or OpenTofu code was found.\nstacks: []\n");
        return text;
    }
    text.push_str("stacks:\n");
    for root in roots {
        let folder = if root.path.is_empty() { "." } else { &root.path };
        let _ = writeln!(text, "  - name: {}", word(&root.name));
        let _ = writeln!(text, "    project_root: {}  # {}", word(folder), root.why);
        if !root.modules.is_empty() {
            let globs: Vec<String> =
                root.modules.iter().map(|module| module_glob(module)).collect();
            let _ = writeln!(text, "    additional_project_globs: [{}]", globs.join(", "));
        }
        if root.own_state {
            text.push_str("    manage_state: false  # the code keeps its state itself\n");
        }
    }
    text
}

fn module_glob(module: &str) -> String {
    let glob =
        if module.is_empty() { "*".to_owned() } else { format!("{}/**", globset::escape(module)) };
    Value::String(glob).to_string()
}

/// As it is if nothing in it means anything to YAML, else in quotes.
fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["null", "true", "false", "yes", "no", "on", "off"].contains(&text)
        && text.contains(|c: char| c.is_ascii_alphabetic());
    if plain || text == "." { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}
