//! Module, CloudFormation template and functions name the same variables and permissions.
use crate::pool_module::{FUNCTION, folder};
use crate::root;
use e2e::cloud::template::translate;
use infra::terraform::{Module, object_keys};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use windlass_lambda::Configured as _;

fn module() -> Module {
    Module::read(&folder()).unwrap()
}

/// What the module says of each function, and what it says of both.
fn allowed(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut statements = module().statements(document);
    if ["autoscaler", "drainer"].contains(&document) {
        let both = Module::read(&folder().join(FUNCTION)).unwrap();
        statements.extend(both.statements("function"));
    }
    statements
}

fn yaml() -> Value {
    translate(&root().join("infra/worker-pool.yaml")).unwrap()
}

fn module_env(function: &str) -> BTreeSet<String> {
    let module = module();
    let mut names = object_keys(module.local("functions_env").unwrap());
    names.extend(object_keys(module.local(&format!("{function}_env")).unwrap()));
    names
}

fn yaml_env(function: &str) -> BTreeSet<String> {
    let variables = yaml()["Resources"][function]["Properties"]["Environment"]["Variables"].clone();
    variables.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn both_tell_the_functions_the_same() {
    for (in_module, in_yaml) in [("autoscaler", "Autoscaler"), ("drainer", "Drainer")] {
        let names = module_env(in_module);
        assert!(names.len() > 9, "{names:?}");
        assert_eq!(names, yaml_env(in_yaml), "{in_module}");
    }
}

/// Statements behind `Fn::If` are statements.
fn statements(value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(fields) if fields.contains_key("Action") && fields.contains_key("Sid") => {
            let actions = match &fields["Action"] {
                Value::Array(all) => {
                    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                one => one.as_str().map(str::to_owned).into_iter().collect(),
            };
            found.insert(fields["Sid"].as_str().unwrap().to_owned(), actions);
        }
        Value::Object(fields) => fields.values().for_each(|inner| statements(inner, found)),
        Value::Array(items) => items.iter().for_each(|inner| statements(inner, found)),
        _ => {}
    }
}

#[test]
fn both_allow_the_functions_the_same() {
    let yaml = yaml();
    for (document, role) in [
        ("autoscaler", "AutoscalerRole"),
        ("drainer", "DrainerRole"),
        ("functions", "FunctionsPolicy"),
        ("hook", "HookRole"),
    ] {
        let mut here = allowed(document);
        // In CloudFormation the API key's parameter has SSM's own key.
        here.remove("ApiKeyKey");
        let mut there = BTreeMap::new();
        let properties = &yaml["Resources"][role]["Properties"];
        statements(&properties["Policies"], &mut there);
        statements(&properties["PolicyDocument"], &mut there);
        assert!(!here.is_empty(), "{document}");
        assert_eq!(here, there, "{document}");
    }
}

/// Who may do what about machines: each function its own part.
#[test]
fn each_function_may_do_what_it_is_for() {
    let module = module();
    let of = |document: &str| -> BTreeSet<String> {
        module.statements(document).into_values().flatten().collect()
    };
    let (autoscaler, drainer) = (of("autoscaler"), of("drainer"));
    let only: Vec<&String> =
        autoscaler.union(&drainer).filter(|action| action.contains('*')).collect();
    assert!(only.is_empty(), "actions are named one by one: {only:?}");
    for action in [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:SetInstanceProtection",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "ec2:DescribeInstances",
        "ec2:TerminateInstances",
    ] {
        assert!(autoscaler.contains(action), "{action}");
    }
    for action in
        ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    {
        assert!(drainer.contains(action) && !autoscaler.contains(action), "{action}");
    }
    for action in [
        "ec2:TerminateInstances",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:SetDesiredCapacity",
    ] {
        assert!(!drainer.contains(action), "the drainer ends nothing: {action}");
    }
    assert!(
        !autoscaler.contains("autoscaling:DetachInstances"),
        "a detached machine is a leaked one"
    );
}

/// Variables that a function reads and that only other modules than ours set, each with its reason.
const ONLY_ELSEWHERE: &[(&str, &str)] = &[
    ("AUTOSCALING_CAPACITY_SANITY_CHECK", "Spacelift's module; we never lower a group by number"),
    (
        "SPACELIFT_CA_BUNDLE_SECRET_ARN",
        "Spacelift's module; ours gives the certificates themselves",
    ),
];

#[test]
fn functions_read_what_they_are_told_and_are_told_what_they_read() {
    for (function, vars) in [
        ("autoscaler", autoscaler::config::Config::VARS),
        ("drainer", drainer::config::Config::VARS),
    ] {
        let read: BTreeSet<String> = vars.iter().map(|name| (*name).to_owned()).collect();
        let mut told = module_env(function);
        told.extend(ONLY_ELSEWHERE.iter().map(|(name, _)| (*name).to_owned()));
        let untold: Vec<&String> = read.difference(&told).collect();
        assert!(untold.is_empty(), "{function} reads what nobody sets: {untold:?}");
        let unread: Vec<String> = module_env(function).difference(&read).cloned().collect();
        assert!(unread.is_empty(), "{function} is told what it does not read: {unread:?}");
    }
}

/// Called only as a guest, in the role that Spacelift's module gives.
const GUEST_ONLY: &str = "autoscaling:DetachInstances";

#[test]
fn permissions_are_what_the_adapters_call() {
    let mut called = BTreeSet::new();
    let mut sources = String::new();
    for adapter in ["asg", "ec2"] {
        let folder = root().join(format!("shared/adapters/{adapter}/src"));
        for entry in std::fs::read_dir(folder).unwrap() {
            sources.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let of_machines = |text: &&str| {
        let named = text.strip_prefix("autoscaling:").or_else(|| text.strip_prefix("ec2:"));
        named.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    for line in sources.lines() {
        called.extend(line.split('"').filter(of_machines).map(str::to_owned));
    }
    assert!(called.remove(GUEST_ONLY), "{called:?}");
    let module = module();
    let both = ["autoscaler", "drainer"].map(|document| module.statements(document));
    let allowed = both.into_iter().flat_map(BTreeMap::into_values).flatten();
    let allowed: BTreeSet<String> = allowed.filter(|one| of_machines(&one.as_str())).collect();
    assert_eq!(allowed, called);
    // The adapter finds a wait by its hook's name, and machines by their tag.
    for (name, files) in [
        ("DrainWorkerLifecycleHook", ["drainer.tf", "../../worker-pool.yaml"]),
        ("WorkerPoolID", ["locals.tf", "../../worker-pool.yaml"]),
    ] {
        assert!(sources.contains(&format!("\"{name}\"")), "{name}");
        for file in files {
            let text = std::fs::read_to_string(folder().join(file)).unwrap();
            assert!(text.contains(name), "{file}: {name}");
        }
    }
}
