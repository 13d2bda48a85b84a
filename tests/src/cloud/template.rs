//! A template as plain CloudFormation, and its functions (`Ref`, `Fn::Sub`, …) worked out for one
//! stack. What is not understood is refused: a box that guesses proves nothing.
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::{ACCOUNT, REGION};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const SUFFIX: &str = "amazonaws.com";

/// A translated template with a stack's name and its parameters.
#[derive(Clone, Debug)]
pub struct Template {
    stack: String,
    body: Value,
    parameters: BTreeMap<String, String>,
}

/// What AWS makes of a SAM template, worked out once per process.
///
/// # Errors
/// When the translator refuses the template; its words are in the error.
pub fn translate(template: &Path) -> Result<Value> {
    static DONE: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(template).context("the template can't be read")?;
    if let Some(body) = done.get(&text) {
        return Ok(body.clone());
    }
    let python = emulator::venv::ensure("requirements-gates.txt")?.join("python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud/translate.py");
    let output = Command::new(python).arg(script).arg(template).output()?;
    if !output.status.success() {
        bail!("the template can't be translated: {}", String::from_utf8_lossy(&output.stderr));
    }
    let body: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    done.insert(text, body.clone());
    Ok(body)
}

impl Template {
    /// # Errors
    /// When a parameter is not the template's, one without a default is missing, or together they
    /// are what the template's rules refuse.
    pub fn new(stack: &str, body: Value, given: &[(&str, String)]) -> Result<Self> {
        let mut parameters = BTreeMap::new();
        for (name, parameter) in body["Parameters"].as_object().into_iter().flatten() {
            let given = given.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let value = given.or_else(|| plain(&parameter["Default"]));
            let value = value.with_context(|| format!("the parameter {name} has no value"))?;
            parameters.insert(name.clone(), value);
        }
        for (name, _) in given {
            anyhow::ensure!(parameters.contains_key(*name), "the template has no parameter {name}");
        }
        let template = Self { stack: stack.to_owned(), body, parameters };
        template.refuse()?;
        Ok(template)
    }

    /// What CloudFormation does with `Rules` before it makes anything.
    fn refuse(&self) -> Result<()> {
        for (name, rule) in self.body["Rules"].as_object().into_iter().flatten() {
            let holds = |condition: &Value| {
                self.condition(condition).with_context(|| format!("the rule {name}"))
            };
            if rule.get("RuleCondition").map_or(Ok(true), holds)? {
                for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                    let why = assertion["AssertDescription"].as_str().unwrap_or(name);
                    anyhow::ensure!(holds(&assertion["Assert"])?, "{why}");
                }
            }
        }
        Ok(())
    }

    /// What the stack tells others, by the output's name.
    ///
    /// # Errors
    /// When there is no such output, or it is not understood.
    pub fn output(&self, name: &str) -> Result<String> {
        let about = || format!("the output {name}");
        let value = self.body["Outputs"].get(name).with_context(about)?;
        let value = self.resolve(&value["Value"]).with_context(about)?.unwrap_or_default();
        plain(&value).with_context(about)
    }

    /// Resources of this type that the stack really has, by logical name, worked out.
    ///
    /// # Errors
    /// When something in one of them is not understood.
    pub fn of_type(&self, kind: &str) -> Result<Vec<(String, Value)>> {
        let mut found = Vec::new();
        for (name, resource) in self.body["Resources"].as_object().into_iter().flatten() {
            if resource["Type"] != kind || !self.exists(resource)? {
                continue;
            }
            let resolved = self.resolve(&resource["Properties"]);
            let resolved = resolved.with_context(|| format!("the resource {name}"))?;
            found.push((name.clone(), resolved.unwrap_or_default()));
        }
        Ok(found)
    }

    /// Types of all resources.
    pub fn types(&self) -> BTreeSet<&str> {
        let all = self.body["Resources"].as_object().into_iter().flatten();
        all.filter_map(|(_, resource)| resource["Type"].as_str()).collect()
    }

    /// A resource as it is written.
    pub fn raw(&self, name: &str) -> &Value {
        &self.body["Resources"][name]
    }

    fn exists(&self, resource: &Value) -> Result<bool> {
        match resource["Condition"].as_str() {
            Some(name) => self.condition(&json!({ "Condition": name })),
            None => Ok(true),
        }
    }

    fn condition(&self, value: &Value) -> Result<bool> {
        if let Some(truth) = value.as_bool() {
            return Ok(truth);
        }
        let (function, argument) = only(value).context("a condition")?;
        let all = || argument.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(match function {
            "Condition" => {
                let name = argument.as_str().unwrap_or_default();
                let body = self.body["Conditions"].get(name);
                self.condition(body.with_context(|| format!("no condition {name}"))?)?
            }
            // CloudFormation compares texts: the parameter 0 and the number 0 are equal.
            "Fn::Equals" => {
                let text = |n: usize| -> Result<Option<String>> {
                    let value = self.resolve(&all()[n])?.unwrap_or_default();
                    Ok(plain(&value))
                };
                text(0)? == text(1)?
            }
            "Fn::Not" => !self.condition(&all()[0])?,
            "Fn::And" => all().iter().try_fold(true, |so_far, one| {
                Ok::<_, anyhow::Error>(so_far & self.condition(one)?)
            })?,
            "Fn::Or" => all().iter().try_fold(false, |so_far, one| {
                Ok::<_, anyhow::Error>(so_far | self.condition(one)?)
            })?,
            other => bail!("{other} is not understood in a condition"),
        })
    }

    /// The value; None for `AWS::NoValue`.
    fn resolve(&self, value: &Value) -> Result<Option<Value>> {
        match value {
            Value::Array(items) => {
                let items: Result<Vec<_>> = items.iter().map(|item| self.resolve(item)).collect();
                Ok(Some(items?.into_iter().flatten().collect()))
            }
            Value::Object(fields) => match only(value) {
                Some(("Ref", name)) => self.reference(name.as_str().unwrap_or_default()),
                Some((function, argument)) if function.starts_with("Fn::") => {
                    self.call(function, argument)
                }
                _ => {
                    let mut resolved = Map::new();
                    for (name, value) in fields {
                        if let Some(value) = self.resolve(value)? {
                            resolved.insert(name.clone(), value);
                        }
                    }
                    Ok(Some(Value::Object(resolved)))
                }
            },
            _ => Ok(Some(value.clone())),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>> {
        let at =
            |n: usize| argument.get(n).with_context(|| format!("{function} lacks an argument"));
        let text = |value: &Value| -> Result<String> {
            let value = self.resolve(value)?.unwrap_or_default();
            plain(&value).with_context(|| format!("{function}: no text: {value}"))
        };
        Ok(Some(match function {
            "Fn::If" => {
                let yes = self.condition(&json!({ "Condition": at(0)? }))?;
                return self.resolve(at(if yes { 1 } else { 2 })?);
            }
            "Fn::GetAtt" => {
                let (name, attribute) = match argument.as_str() {
                    Some(both) => both.split_once('.').context("Fn::GetAtt")?,
                    None => (at(0)?.as_str().unwrap_or(""), at(1)?.as_str().unwrap_or("")),
                };
                self.attribute(name, attribute)?.into()
            }
            "Fn::Sub" => match argument.as_str() {
                Some(pattern) => self.substitute(pattern, &Value::Null)?.into(),
                None => self.substitute(at(0)?.as_str().unwrap_or_default(), at(1)?)?.into(),
            },
            "Fn::Join" => {
                let parts = self.resolve(at(1)?)?.unwrap_or_default();
                let parts: Option<Vec<String>> =
                    parts.as_array().context("Fn::Join")?.iter().map(plain).collect();
                parts.context("Fn::Join of no text")?.join(&text(at(0)?)?).into()
            }
            "Fn::Base64" => STANDARD.encode(text(argument)?).into(),
            "Fn::Split" => {
                let (by, whole) = (text(at(0)?)?, text(at(1)?)?);
                whole.split(&by).collect::<Vec<_>>().into()
            }
            "Fn::Select" => {
                let index: usize = text(at(0)?)?.parse()?;
                let all = self.resolve(at(1)?)?.unwrap_or_default();
                all.get(index).context("Fn::Select beyond the end")?.clone()
            }
            other => bail!("{other} is not understood"),
        }))
    }

    fn substitute(&self, pattern: &str, own: &Value) -> Result<String> {
        let (mut done, mut rest) = (String::new(), pattern);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').context("Fn::Sub without an end")?;
            done.push_str(before);
            match (name.strip_prefix('!'), own.get(name), name.split_once('.')) {
                (Some(literal), ..) => done += &format!("${{{literal}}}"),
                (_, Some(value), _) => {
                    let value = self.resolve(value)?.unwrap_or_default();
                    done += &plain(&value).context("Fn::Sub of no text")?;
                }
                (_, _, Some((resource, attribute))) => {
                    done += &self.attribute(resource, attribute)?;
                }
                _ => {
                    let value = self.reference(name)?.unwrap_or_default();
                    done += &plain(&value).with_context(|| format!("{name} is no text"))?;
                }
            }
            rest = behind;
        }
        Ok(done + rest)
    }

    fn reference(&self, name: &str) -> Result<Option<Value>> {
        if let Some(value) = self.parameters.get(name) {
            let kind = self.body["Parameters"][name]["Type"].as_str().unwrap_or_default();
            let list = kind == "CommaDelimitedList" || kind.starts_with("List<");
            return Ok(Some(if list { value.split(',').collect() } else { value.clone().into() }));
        }
        Ok(Some(match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => REGION.into(),
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::Partition" => "aws".into(),
            "AWS::URLSuffix" => SUFFIX.into(),
            "AWS::StackName" => self.stack.clone().into(),
            resource => {
                let physical = self.physical(resource)?;
                match self.kind(resource)? {
                    "AWS::SQS::Queue" => {
                        format!("https://sqs.{REGION}.{SUFFIX}/{ACCOUNT}/{physical}").into()
                    }
                    "AWS::SecretsManager::Secret"
                    | "AWS::SNS::Topic"
                    | "AWS::IAM::ManagedPolicy" => self.attribute(resource, "Arn")?.into(),
                    _ => physical.into(),
                }
            }
        }))
    }

    /// # Errors
    /// When there is no such resource, or it has no ARN here.
    pub fn arn(&self, resource: &str) -> Result<String> {
        self.attribute(resource, "Arn")
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<String> {
        let kind = self.kind(resource)?;
        let name = self.physical(resource)?;
        let arn =
            |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
        Ok(match (kind, attribute) {
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{name}"),
            ("AWS::SQS::Queue", "Arn") => arn("sqs", &name),
            ("AWS::SQS::Queue", "QueueName") => name,
            ("AWS::SQS::Queue", "QueueUrl") => {
                format!("https://sqs.{REGION}.{SUFFIX}/{ACCOUNT}/{name}")
            }
            ("AWS::Lambda::Function", "Arn") => arn("lambda", &format!("function:{name}")),
            ("AWS::IAM::Role", "Arn") => format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
            ("AWS::IAM::ManagedPolicy", "Arn") => format!("arn:aws:iam::{ACCOUNT}:policy/{name}"),
            ("AWS::IAM::InstanceProfile", "Arn") => {
                format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}")
            }
            // A stack that is made has made one of each.
            ("AWS::EC2::LaunchTemplate", "LatestVersionNumber") => "1".to_owned(),
            ("AWS::Events::Rule", "Arn") => arn("events", &format!("rule/{name}")),
            ("AWS::Logs::LogGroup", "Arn") => arn("logs", &format!("log-group:{name}:*")),
            ("AWS::SecretsManager::Secret", "Arn" | "Id") => {
                arn("secretsmanager", &format!("secret:{name}"))
            }
            ("AWS::SNS::Topic", "Arn" | "TopicArn") => arn("sns", &name),
            ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => self.api_endpoint(resource)?,
            _ => bail!("{kind} has no attribute {attribute} here"),
        })
    }

    /// The address that an HTTP API of this logical name would have.
    ///
    /// # Errors
    /// When there is none.
    pub fn api_endpoint(&self, resource: &str) -> Result<String> {
        Ok(format!("https://{}.execute-api.{REGION}.{SUFFIX}", self.physical(resource)?))
    }

    fn kind(&self, resource: &str) -> Result<&str> {
        let kind = self.body["Resources"][resource]["Type"].as_str();
        kind.with_context(|| format!("the template has no {resource}"))
    }

    /// The name that the resource has in the account: its own, or one made of the stack's name.
    ///
    /// # Errors
    /// When its name is not understood.
    pub fn physical(&self, resource: &str) -> Result<String> {
        let kind = self.kind(resource)?;
        let own = match kind {
            "AWS::S3::Bucket" => "BucketName",
            "AWS::SQS::Queue" => "QueueName",
            "AWS::Lambda::Function" => "FunctionName",
            "AWS::IAM::Role" => "RoleName",
            "AWS::Logs::LogGroup" => "LogGroupName",
            "AWS::SNS::Topic" => "TopicName",
            "AWS::AutoScaling::AutoScalingGroup" => "AutoScalingGroupName",
            "AWS::EC2::LaunchTemplate" => "LaunchTemplateName",
            "AWS::IAM::ManagedPolicy" => "ManagedPolicyName",
            "AWS::IAM::InstanceProfile" => "InstanceProfileName",
            _ => "Name",
        };
        let properties = &self.body["Resources"][resource]["Properties"];
        if let Some(name) = properties.get(own).filter(|_| kind != "AWS::ApiGatewayV2::Api") {
            let name = self.resolve(name)?.unwrap_or_default();
            return plain(&name).with_context(|| format!("the name of {resource}"));
        }
        Ok(match kind {
            "AWS::S3::Bucket" => format!("{}-{resource}", self.stack).to_lowercase(),
            "AWS::ApiGatewayV2::Api" => format!("{resource}{}", self.stack).to_lowercase(),
            "AWS::SQS::Queue" if properties["FifoQueue"] == true => {
                format!("{}-{resource}.fifo", self.stack)
            }
            _ => format!("{}-{resource}", self.stack),
        })
    }
}

/// The one field of an object that has one.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(name, value)| (name.as_str(), value))
}

/// Text of a text, number or truth value.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_worked_out_and_the_unknown_is_refused() {
        let body = json!({
            "Parameters": { "Name": { "Type": "String" }, "Token": { "Default": "" }, "Zero": { "Default": 0 }, "Zones": { "Type": "List<AWS::EC2::Subnet::Id>", "Default": "a,b" } },
            "Conditions": { "Never": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Zero" }, 0] }] }, "HasToken": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Token" }, ""] }] } },
            "Resources": {
                "Jobs": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": { "Fn::Sub": "${Name}-jobs" } } },
                "Own": { "Type": "AWS::SQS::Queue", "Properties": { "FifoQueue": true } },
                "Never": { "Type": "AWS::SQS::Queue", "Condition": "HasToken" },
            },
        });
        let template = Template::new("box", body, &[("Name", "w".into())]).unwrap();
        let account = ACCOUNT;
        #[rustfmt::skip]
        let table = [
            (json!({ "Ref": "Name" }),                          json!("w")),
            (json!({ "Ref": "Jobs" }),                          json!(format!("https://sqs.{REGION}.amazonaws.com/{account}/w-jobs"))),
            (json!({ "Fn::GetAtt": ["Own", "Arn"] }),           json!(format!("arn:aws:sqs:{REGION}:{account}:box-Own.fifo"))),
            (json!({ "Fn::Sub": "a-${Jobs.QueueName}-${!b}" }), json!("a-w-jobs-${b}")),
            (json!({ "Fn::Sub": ["${X}!", { "X": { "Ref": "Name" } }] }), json!("w!")),
            (json!({ "Fn::Join": [",", ["a", { "Ref": "Name" }]] }), json!("a,w")),
            (json!({ "Fn::Base64": { "Ref": "Name" } }), json!("dw==")),
            (json!({ "Ref": "Zones" }), json!(["a", "b"])),
            (json!({ "Fn::If": ["HasToken", 1, { "Ref": "AWS::NoValue" }] }), Value::Null),
            (json!({ "Fn::If": ["Never", 1, 2] }), json!(2)),
            (json!({ "a": { "Ref": "AWS::NoValue" }, "b": [{ "Ref": "AWS::NoValue" }, 1] }), json!({ "b": [1] })),
        ];
        for (written, expect) in table {
            let found = template.resolve(&written).unwrap().unwrap_or_default();
            assert_eq!(found, expect, "{written}");
        }
        assert!(template.resolve(&json!({ "Fn::Transform": {} })).is_err());
        assert!(template.resolve(&json!({ "Ref": "Nobody" })).is_err());
        let names: Vec<String> = template
            .of_type("AWS::SQS::Queue")
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["Jobs", "Own"], "a condition leaves one out");
    }

    #[test]
    fn rules_refuse_what_can_not_be_together() {
        let given = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
        let body = json!({
            "Parameters": { "Kind": {}, "Key": { "Default": "" } },
            "Rules": { "Ours": {
                "RuleCondition": { "Fn::Equals": [{ "Ref": "Kind" }, "ours"] },
                "Assertions": [{ "Assert": given("Key"), "AssertDescription": "Ours need a Key." }],
            } },
        });
        for (parameters, refused) in [
            (vec![("Kind", "theirs")], None),
            (vec![("Kind", "ours"), ("Key", "k")], None),
            (vec![("Kind", "ours")], Some("Ours need a Key.")),
            (vec![("Key", "k")], Some("the parameter Kind has no value")),
        ] {
            let parameters: Vec<_> =
                parameters.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
            let made = Template::new("box", body.clone(), &parameters);
            assert_eq!(made.err().map(|error| error.to_string()).as_deref(), refused);
        }
    }
}
