//! Auto Scaling groups of a template, with their launch templates and hooks, made by the calls that
//! CloudFormation makes.
use super::aws::{Aws, CALLER};
use super::template::{Template, plain};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug)]
pub struct MachineGroup {
    pub name: String,
    /// As the template has it, worked out.
    properties: Map<String, Value>,
    launch: Value,
    launch_name: String,
}

/// Of a group's properties, those that `CreateAutoScalingGroup` takes under the same name.
const TAKEN: [&str; 10] = [
    "AutoScalingGroupName",
    "DesiredCapacity",
    "HealthCheckGracePeriod",
    "HealthCheckType",
    "MaxSize",
    "MinSize",
    "MixedInstancesPolicy",
    "NewInstancesProtectedFromScaleIn",
    "TerminationPolicies",
    "VPCZoneIdentifier",
];
/// … and those that are made in another way, or taken together with others.
const OTHERWISE: [&str; 2] = ["LifecycleHookSpecificationList", "Tags"];

/// EC2 names the members of its lists in the singular.
const IN_EC2: [(&str, &str); 4] = [
    ("BlockDeviceMappings", "BlockDeviceMapping"),
    ("SecurityGroupIds", "SecurityGroupId"),
    ("TagSpecifications", "TagSpecification"),
    ("Tags", "Tag"),
];

/// Every group of the template.
///
/// # Errors
/// When one of them is not understood.
pub fn all(template: &Template) -> Result<Vec<MachineGroup>> {
    let launches = template.of_type("AWS::EC2::LaunchTemplate")?;
    let mut groups = Vec::new();
    for (logical, properties) in template.of_type("AWS::AutoScaling::AutoScalingGroup")? {
        let properties = properties.as_object().cloned().unwrap_or_default();
        for name in properties.keys() {
            let known = TAKEN.contains(&name.as_str()) || OTHERWISE.contains(&name.as_str());
            ensure!(known, "{logical}: the box does not know a group's {name}");
        }
        let named = &properties["MixedInstancesPolicy"]["LaunchTemplate"];
        let named = &named["LaunchTemplateSpecification"]["LaunchTemplateId"];
        let mut launch = None;
        for (of, body) in &launches {
            if *named == template.physical(of)? {
                launch = Some((template.physical(of)?, body["LaunchTemplateData"].clone()));
            }
        }
        let launch = launch.with_context(|| format!("{logical} names no launch template"));
        let (launch_name, launch) = launch?;
        let name = template.physical(&logical)?;
        groups.push(MachineGroup { name, properties, launch, launch_name });
    }
    Ok(groups)
}

impl MachineGroup {
    /// The script that its machines run when they boot.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn user_data(&self) -> Result<String> {
        let encoded = self.launch["UserData"].as_str().context("no user data")?;
        String::from_utf8(STANDARD.decode(encoded)?).context("user data that is no text")
    }

    pub(super) fn make(&self, aws: &Aws) -> Result<()> {
        let launch = json!({
            "Action": "CreateLaunchTemplate",
            "LaunchTemplateName": self.launch_name,
            "LaunchTemplateData": self.launch,
        });
        let made = self.call(aws, "ec2", &launch)?;
        let id = between(&made, "<launchTemplateId>", "<").context("the launch template's id")?;
        self.call(aws, "autoscaling", &self.creation(id))?;
        for hook in self.list("LifecycleHookSpecificationList") {
            let mut words = hook.clone();
            words["Action"] = "PutLifecycleHook".into();
            words["AutoScalingGroupName"] = self.name.clone().into();
            self.call(aws, "autoscaling", &words)?;
        }
        Ok(())
    }

    fn creation(&self, launch_id: &str) -> Value {
        let mut words = json!({ "Action": "CreateAutoScalingGroup" });
        for name in TAKEN {
            if let Some(value) = self.properties.get(name) {
                words[name] = value.clone();
            }
        }
        // The id is AWS's own, and known only now.
        words["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"] =
            launch_id.into();
        let subnets = self.list("VPCZoneIdentifier").iter().filter_map(Value::as_str);
        words["VPCZoneIdentifier"] = subnets.collect::<Vec<_>>().join(",").into();
        let tags = self.list("Tags").iter().map(|tag| {
            let mut tag = tag.clone();
            tag["ResourceId"] = self.name.clone().into();
            tag["ResourceType"] = "auto-scaling-group".into();
            tag
        });
        words["Tags"] = tags.collect();
        words
    }

    fn list(&self, name: &str) -> &[Value] {
        self.properties.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn call(&self, aws: &Aws, service: &str, words: &Value) -> Result<String> {
        let mut form = Vec::new();
        flatten(service == "ec2", String::new(), words, &mut form);
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let (status, text) = aws.emulator.query(CALLER, service, &form)?;
        ensure!(status == 200, "the group {}: {}: {text}", self.name, words["Action"]);
        Ok(text)
    }
}

/// JSON as the query protocols write it: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>.
fn flatten(in_ec2: bool, name: String, value: &Value, form: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let singular = IN_EC2.iter().find(|(plural, _)| in_ec2 && plural == field);
                let field = singular.map_or(field.as_str(), |(_, one)| one);
                let dot = if name.is_empty() { "" } else { "." };
                flatten(in_ec2, format!("{name}{dot}{field}"), value, form);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                let member = if in_ec2 { "" } else { "member." };
                flatten(in_ec2, format!("{name}.{member}{}", n + 1), item, form);
            }
        }
        _ => form.extend(plain(value).map(|text| (name, text))),
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_written_as_each_service_wants_them() {
        let words =
            json!({ "A": 1, "Tags": [{ "Key": "k" }, { "Key": true }], "B": { "C": ["x"] } });
        for (in_ec2, expect) in [
            (true, ["A=1", "B.C.1=x", "Tag.1.Key=k", "Tag.2.Key=true"]),
            (false, ["A=1", "B.C.member.1=x", "Tags.member.1.Key=k", "Tags.member.2.Key=true"]),
        ] {
            let mut form = Vec::new();
            flatten(in_ec2, String::new(), &words, &mut form);
            let mut form: Vec<_> = form.iter().map(|(k, v)| format!("{k}={v}")).collect();
            form.sort();
            assert_eq!(form, expect);
        }
    }
}
