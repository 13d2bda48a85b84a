//! The worker pool's module and its examples: every name leads somewhere, and nothing is left over.
use crate::root;
use hcl::Block;
use infra::terraform::{Module, attribute, label, text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The module of each function, within the pool's.
pub(crate) const FUNCTION: &str = "modules/function";

pub(crate) fn folder() -> PathBuf {
    root().join("infra/terraform/worker-pool")
}

/// Real Terraform, or OpenTofu.
pub(crate) fn terraform() -> Command {
    let found = ["terraform", "tofu"].into_iter().find(|name| {
        Command::new(name).arg("version").output().is_ok_and(|output| output.status.success())
    });
    let mut command = Command::new(found.expect("terraform or tofu is on PATH"));
    // A configuration that does not exist makes it warn on every command.
    command.env_remove("TF_CLI_CONFIG_FILE");
    command
}

fn examples() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder().join("examples")).unwrap();
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    all.sort();
    all
}

#[test]
fn it_is_formatted() {
    let output =
        terraform().args(["fmt", "-check", "-recursive", "-diff"]).arg(folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// References without a declaration, and declarations without a use.
fn loose(module: &Module) -> (Vec<String>, Vec<String>) {
    let (declared, references) = (module.declared(), module.references());
    let missing = references.difference(&declared).cloned().collect();
    let of_interest =
        |name: &&String| ["var.", "local.", "data."].iter().any(|prefix| name.starts_with(prefix));
    let idle = declared.difference(&references).filter(of_interest).cloned().collect();
    (missing, idle)
}

#[test]
fn every_reference_is_declared_and_every_declaration_is_used_and_described() {
    let mut folders = examples();
    assert_eq!(folders.len(), 11, "{folders:?}");
    folders.push(("the module".to_owned(), folder()));
    folders.push((FUNCTION.to_owned(), folder().join(FUNCTION)));
    for (name, path) in folders {
        let module = Module::read(&path).unwrap();
        let (missing, idle) = loose(&module);
        assert!(missing.is_empty(), "{name} refers to what is not there: {missing:?}");
        assert!(idle.is_empty(), "{name} declares what nobody uses: {idle:?}");
        for block in module.of("variable").chain(module.of("output")) {
            let said = attribute(block.body(), "description");
            assert!(said.is_some(), "{name}: {} has no description", label(block, 0));
        }
    }
}

/// A call gives what a module takes and all that it must have, and asks for what it gives.
fn call_fits(from: &str, path: &Path, call: &Block, module: &Module) {
    let variables = module.variables();
    let outputs: BTreeSet<String> = module.of("output").map(|block| label(block, 0)).collect();
    let given: BTreeSet<String> = call
        .body()
        .attributes()
        .map(|one| one.key().to_owned())
        .filter(|key| !["source", "count"].contains(&key.as_str()))
        .collect();
    let unknown: Vec<&String> = given.iter().filter(|key| !variables.contains_key(*key)).collect();
    assert!(unknown.is_empty(), "{from} gives what the module does not take: {unknown:?}");
    let required = variables.iter().filter(|(_, required)| **required).map(|(name, _)| name);
    let missing: Vec<&String> = required.filter(|key| !given.contains(*key)).collect();
    assert!(missing.is_empty(), "{from} does not give {missing:?}");
    let start = format!("module.{}", label(call, 0));
    for entry in std::fs::read_dir(path).unwrap() {
        let file = entry.unwrap().path();
        let text = if file.is_file() { std::fs::read_to_string(file).unwrap() } else { continue };
        for asked in text.split(&start).skip(1) {
            // One of several, or all of them.
            let asked = asked.trim_start_matches("[0]").trim_start_matches("[*]");
            let asked = asked.strip_prefix('.').unwrap_or_default();
            let asked: String =
                asked.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(outputs.contains(&asked), "{from} asks for the output {asked:?}");
        }
    }
}

#[test]
fn examples_give_what_the_module_takes_and_ask_for_what_it_gives() {
    let module = Module::read(&folder()).unwrap();
    for (name, path) in examples() {
        let example = Module::read(&path).unwrap();
        let call = example.of("module").next().expect("an example calls the module");
        let source = attribute(call.body(), "source").and_then(text);
        assert_eq!(source.as_deref(), Some("../../"), "{name}");
        call_fits(&name, &path, call, &module);
    }
}

#[test]
fn the_module_gives_its_own_what_it_takes() {
    let (module, own) = (Module::read(&folder()), Module::read(&folder().join(FUNCTION)));
    let (module, own) = (module.unwrap(), own.unwrap());
    let mut called = BTreeSet::new();
    for call in module.of("module") {
        let source = attribute(call.body(), "source").and_then(text);
        assert_eq!(source, Some(format!("./{FUNCTION}")), "{}", label(call, 0));
        call_fits(&label(call, 0), &folder(), call, &own);
        called.insert(label(call, 0));
    }
    assert_eq!(called.into_iter().collect::<Vec<_>>(), ["autoscaler", "drainer"]);
    let versions = |of: PathBuf| std::fs::read_to_string(of.join("versions.tf")).unwrap();
    assert_eq!(versions(folder()), versions(folder().join(FUNCTION)));
}

/// `| name | …` lines of the README between a heading and the next.
fn table(readme: &str, heading: &str) -> BTreeSet<String> {
    let part = readme.split(heading).nth(1).expect("the README has that heading");
    let part = part.split("\n## ").next().unwrap_or_default();
    let cell = |line: &str| {
        line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).map(str::to_owned)
    };
    part.lines().filter_map(cell).collect()
}

#[test]
fn the_readme_lists_all_inputs_and_outputs() {
    let module = Module::read(&folder()).unwrap();
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let inputs: BTreeSet<String> = module.variables().into_keys().collect();
    assert_eq!(table(&readme, "\n## Inputs"), inputs);
    let outputs: BTreeSet<String> = module.of("output").map(|block| label(block, 0)).collect();
    assert_eq!(table(&readme, "\n## Outputs"), outputs);
}
