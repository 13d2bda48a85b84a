//! The worker pool's module and its examples: every name leads somewhere, and nothing is left over.
use crate::root;
use infra::terraform::{Module, attribute, label, text};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

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

#[test]
fn examples_give_what_the_module_takes_and_ask_for_what_it_gives() {
    let module = Module::read(&folder()).unwrap();
    let variables = module.variables();
    let outputs: BTreeSet<String> = module.of("output").map(|block| label(block, 0)).collect();
    for (name, path) in examples() {
        let example = Module::read(&path).unwrap();
        let call = example.of("module").next().expect("an example calls the module");
        let source = attribute(call.body(), "source").and_then(text);
        assert_eq!(source.as_deref(), Some("../../"), "{name}");
        let given: BTreeSet<String> = call
            .body()
            .attributes()
            .map(|one| one.key().to_owned())
            .filter(|key| key != "source")
            .collect();
        let unknown: Vec<&String> =
            given.iter().filter(|key| !variables.contains_key(*key)).collect();
        assert!(unknown.is_empty(), "{name} gives what the module does not take: {unknown:?}");
        let required = variables.iter().filter(|(_, required)| **required).map(|(name, _)| name);
        let missing: Vec<&String> = required.filter(|key| !given.contains(*key)).collect();
        assert!(missing.is_empty(), "{name} does not give {missing:?}");
        let text = std::fs::read_to_string(path.join("main.tf")).unwrap();
        for asked in text.split("module.worker_pool.").skip(1) {
            let asked: String =
                asked.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(outputs.contains(&asked), "{name} asks for the output {asked}");
        }
    }
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
