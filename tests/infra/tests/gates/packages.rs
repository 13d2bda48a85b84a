//! Every function is built by one of the two commands that people are told of.
use crate::root;
use e2e::cloud::template::translate;
use serde_json::Value;
use std::collections::BTreeSet;

/// The words of the list that begins so.
fn list(file: &str, before: &str, after: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{file} has no {before}"));
    let (inside, _) = rest.split_once(after).unwrap();
    let words = inside.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// What the functions of a template are made of: `Binary` of their build, or their package's name.
fn named(file: &str) -> BTreeSet<String> {
    let template = translate(&root().join(file)).unwrap();
    let resources = template["Resources"].as_object().unwrap().values();
    let functions = resources.filter(|one| one["Type"] == "AWS::Lambda::Function");
    let name = |function: &Value| {
        let built = function["Metadata"]["BuildProperties"]["Binary"].as_str();
        let key = function["Properties"]["Code"]["S3Key"]["Ref"].as_str();
        let package = key.and_then(|name| template["Parameters"][name]["Default"].as_str());
        let package = package.and_then(|file| file.strip_suffix(".zip"));
        built.or(package).expect("a function says what it is made of").to_owned()
    };
    functions.map(name).collect()
}

#[test]
fn each_function_has_a_package() {
    let crates: BTreeSet<String> = std::fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let control = named("infra/template.yaml");
    let pool = named("infra/worker-pool.yaml");
    assert_eq!(list("CargoLambda.toml", "packages = [", "]"), control);
    assert_eq!(list("infra/build", "for function in ", ";"), control);
    assert_eq!(list("infra/package", "PACKAGES=(", ")"), pool);
    assert_eq!(control.union(&pool).cloned().collect::<BTreeSet<_>>(), crates);
    // The module's functions are those of the template.
    let module = infra::terraform::Module::read(&crate::pool_module::folder()).unwrap();
    let called = module.of("module").map(|call| infra::terraform::label(call, 0));
    assert_eq!(called.collect::<BTreeSet<_>>(), pool);
}
