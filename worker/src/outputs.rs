//! Outputs as a stack publishes them, inputs as the next one takes them, and what a state holds.
use crate::plan::strings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::changes::Resource;
use windlass_core::id::{Digest, StackId};
use windlass_core::job::{Input, OutputInfo, Outputs};

/// The blob under `keys::output_values`: values by name.
pub type Values = BTreeMap<String, OutputValue>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputValue {
    pub value: Value,
    #[serde(default)]
    pub sensitive: bool,
}

impl OutputValue {
    /// As a variable holds it: a string as it is, everything else as JSON.
    fn text(&self) -> String {
        self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned)
    }

    /// What logs must not show of it if it is sensitive: the whole, and every string in it.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let mut secrets = BTreeSet::from([self.text()]);
        strings(&self.value, &mut secrets);
        secrets
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{what} can't be read")]
pub(crate) struct Unreadable {
    what: &'static str,
    #[source]
    source: serde_json::Error,
}

/// Reads `output -json`.
pub(crate) fn parse(json: &[u8]) -> Result<Values, Unreadable> {
    let json = if json.trim_ascii().is_empty() { b"{}" } else { json };
    serde_json::from_slice(json).map_err(|source| Unreadable { what: "the outputs' JSON", source })
}

/// What a result says about them: digests, never values.
#[must_use]
pub(crate) fn published(key: String, values: &Values) -> Outputs {
    let info = |output: &OutputValue| OutputInfo {
        digest: Digest::of(output.value.to_string().as_bytes()),
        sensitive: output.sensitive,
    };
    let values = values.iter().map(|(name, output)| (name.clone(), info(output))).collect();
    Outputs { key, values }
}

/// One input, ready for the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub name: String,
    pub value: String,
    /// What logs must not show of it: nothing, unless the output is sensitive.
    pub secrets: BTreeSet<String>,
}

/// Fills inputs from the outputs that were found under each key: strings as they are, everything
/// else as JSON. What is missing is named, all of it: `network.vpc_id => TF_VAR_vpc_id`.
pub(crate) fn fill(
    inputs: &[Input],
    found: &BTreeMap<String, Values>,
) -> Result<Vec<Filled>, String> {
    let (mut filled, mut missing) = (Vec::new(), Vec::new());
    for input in inputs {
        let output = found.get(&input.outputs_key).and_then(|values| values.get(&input.output));
        let Some(output) = output else {
            missing.push(name(&input.from, &input.output, &input.name));
            continue;
        };
        let (text, sensitive) = (output.text(), &output.sensitive);
        let secrets = if *sensitive { output.secrets() } else { BTreeSet::new() };
        filled.push(Filled { name: input.name.clone(), value: text, secrets });
    }
    if missing.is_empty() {
        Ok(filled)
    } else {
        Err(format!("inputs missing: {}", missing.join(", ")))
    }
}

fn name(from: &StackId, output: &str, input: &str) -> String {
    format!("{from}.{output} => {input}")
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    terraform_version: String,
    resources: Vec<StateResource>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StateResource {
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    provider: String,
    instances: Vec<Instance>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Instance {
    index_key: Value,
    deposed: Option<String>,
}

/// What a state file (version 4) holds. Reads no attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub resources: Vec<Resource>,
    pub tool_version: String,
}

/// Reads a state file; an empty one holds nothing.
pub(crate) fn state(json: &[u8]) -> Result<Held, Unreadable> {
    if json.trim_ascii().is_empty() {
        return Ok(Held::default());
    }
    let state: State = serde_json::from_slice(json)
        .map_err(|source| Unreadable { what: "the state file", source })?;
    let mut resources: Vec<Resource> = state
        .resources
        .iter()
        .filter(|resource| resource.mode == "managed")
        .flat_map(|resource| resource.instances.iter().map(move |i| listed(resource, i)))
        .collect();
    resources.sort();
    resources.dedup();
    Ok(Held { resources, tool_version: state.terraform_version })
}

fn listed(resource: &StateResource, instance: &Instance) -> Resource {
    let module = resource.module.as_ref().map(|module| format!("{module}."));
    let index = match &instance.index_key {
        Value::Null => String::new(),
        key => format!("[{key}]"),
    };
    let deposed = instance.deposed.as_ref().map(|key| format!(" (deposed {key})"));
    Resource {
        address: format!(
            "{}{}.{}{index}{}",
            module.unwrap_or_default(),
            resource.kind,
            resource.name,
            deposed.unwrap_or_default()
        ),
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        provider: provider(&resource.provider),
        module: resource.module.clone(),
    }
}

/// `module.m.provider["registry.terraform.io/hashicorp/aws"].west` → the address in the quotes.
fn provider(text: &str) -> String {
    let inside = text.split_once("[\"").and_then(|(_, rest)| rest.split_once("\"]"));
    inside.map_or(text, |(address, _)| address).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_are_published_by_digest() {
        let json = br#"{"a":{"sensitive":false,"type":"string","value":"x"},
            "b":{"sensitive":true,"type":["object",{}],"value":{"k":[1,true]}}}"#;
        let values = parse(json).unwrap();
        let outputs = published("key".into(), &values);
        assert_eq!(outputs.key, "key");
        assert_eq!(outputs.values["a"].digest, Digest::of(b"\"x\""));
        assert_eq!(outputs.values["b"].digest, Digest::of(br#"{"k":[1,true]}"#));
        assert!(outputs.values["b"].sensitive && !outputs.values["a"].sensitive);
        assert_eq!(parse(b"\n").unwrap(), Values::new());
        assert!(parse(b"Error").is_err());
    }

    #[test]
    fn inputs_are_filled_or_named() {
        let input = |name: &str, output: &str, key: &str| Input {
            name: name.into(),
            from: "network".into(),
            output: output.into(),
            outputs_key: key.into(),
        };
        let values = parse(
            br#"{"s":{"value":"raw"},"n":{"value":3},"l":{"value":["a",null]},
            "p":{"value":["pw"],"sensitive":true},"z":{"value":null}}"#,
        );
        let found = BTreeMap::from([("k".to_owned(), values.unwrap())]);
        let names = ["s", "n", "l", "p", "z"];
        let inputs: Vec<Input> = names.map(|n| input(&format!("TF_VAR_{n}"), n, "k")).to_vec();
        let filled = fill(&inputs, &found).unwrap();
        assert_eq!(filled[3].secrets, ["pw".to_owned(), "[\"pw\"]".into()].into());
        let filled: Vec<(String, bool)> =
            filled.into_iter().map(|f| (f.value, !f.secrets.is_empty())).collect();
        let expect = [
            ("raw", false),
            ("3", false),
            ("[\"a\",null]", false),
            ("[\"pw\"]", true),
            ("null", false),
        ];
        assert_eq!(filled, expect.map(|(value, sensitive)| (value.to_owned(), sensitive)));
        let missing = [input("A", "gone", "k"), input("B", "s", "other"), input("C", "s", "k")];
        assert_eq!(
            fill(&missing, &found).unwrap_err(),
            "inputs missing: network.gone => A, network.s => B"
        );
    }

    #[test]
    fn a_state_lists_its_resources() {
        let provider = "provider[\"terraform.io/builtin/terraform\"]";
        let json = json!({"version": 4, "terraform_version": "1.11.4", "resources": [
            {"mode": "managed", "type": "t", "name": "a", "provider": provider, "instances": [{}]},
            {"mode": "data", "type": "t", "name": "d", "provider": provider, "instances": [{}]},
            {"module": "module.m[\"x\"]", "mode": "managed", "type": "t", "name": "b",
             "provider": format!("module.m.{provider}.alias"),
             "instances": [{"index_key": 0}, {"index_key": "k"}, {"index_key": 0, "deposed": "ab"}]},
            {"mode": "managed", "type": "t", "name": "none", "provider": provider, "instances": []},
        ]});
        let held = state(json.to_string().as_bytes()).unwrap();
        let seen: Vec<_> = held.resources.iter().map(|r| r.address.as_str()).collect();
        let expect = [
            "module.m[\"x\"].t.b[\"k\"]",
            "module.m[\"x\"].t.b[0]",
            "module.m[\"x\"].t.b[0] (deposed ab)",
            "t.a",
        ];
        assert_eq!(seen, expect);
        assert!(held.resources.iter().all(|r| r.provider == "terraform.io/builtin/terraform"));
        assert_eq!(held.tool_version, "1.11.4");
        assert_eq!(state(b"").unwrap(), Held::default());
    }
}
