//! What the demo's tools say and do.
use super::Tool;
use std::collections::BTreeMap;
use windlass_core::changes::{
    Action, AttributeChange, Changes, OutputChange, Resource, ResourceChange,
};
use windlass_core::job::Delta;

fn attribute(path: &str, before: Option<&str>, after: Option<&str>) -> AttributeChange {
    AttributeChange {
        path: path.to_owned(),
        before: before.map(Into::into),
        after: after.map(Into::into),
        sensitive: false,
        known_after_apply: false,
        forces_replacement: false,
    }
}

fn change(address: &str, action: Action, attributes: Vec<AttributeChange>) -> ResourceChange {
    let kind = address.split('.').rev().nth(1).unwrap_or("terraform_data").to_owned();
    ResourceChange {
        address: address.to_owned(),
        kind,
        provider: "terraform.io/builtin/terraform".to_owned(),
        action,
        reason: None,
        previous_address: None,
        attributes,
    }
}

/// Every kind of change that a page has to tell apart.
pub(crate) fn rich_changes() -> Changes {
    let unknown = |path: &str| AttributeChange {
        after: Some(windlass_core::changes::UNKNOWN.into()),
        known_after_apply: true,
        ..attribute(path, None, None)
    };
    let secret = AttributeChange {
        sensitive: true,
        ..attribute(
            "input.password",
            Some(windlass_core::changes::SENSITIVE),
            Some(windlass_core::changes::SENSITIVE),
        )
    };
    let forces = AttributeChange {
        forces_replacement: true,
        ..attribute("triggers_replace[0]", Some("blue"), Some("green"))
    };
    let policy = |port: u16| {
        format!(
            "{{\n  \"allow\": [\n    \"10.0.0.0/8\"\n  ],\n  \"port\": {port},\n  \"tls\": true\n}}\n"
        )
    };
    let (old, new) = (policy(80), policy(443));
    Changes {
        resources: vec![
            change(
                "terraform_data.queue",
                Action::Create,
                vec![
                    attribute("input.name", None, Some("orders")),
                    AttributeChange {
                        after: Some(3.into()),
                        ..attribute("input.retries", None, None)
                    },
                    unknown("id"),
                    unknown("output"),
                ],
            ),
            change(
                "module.web.terraform_data.server[0]",
                Action::Update,
                vec![
                    attribute("input.size", Some("t3.small"), Some("t3.large")),
                    attribute("input.policy", Some(&old), Some(&new)),
                    secret,
                ],
            ),
            ResourceChange {
                reason: Some("replace_because_cannot_update".to_owned()),
                ..change(
                    "module.web.terraform_data.colour",
                    Action::Replace,
                    vec![
                        forces,
                        AttributeChange { before: Some("0d5cf1b8".into()), ..unknown("id") },
                    ],
                )
            },
            ResourceChange {
                reason: Some("delete_because_no_resource_config".to_owned()),
                ..change(
                    "terraform_data.old",
                    Action::Delete,
                    vec![attribute("input.name", Some("legacy"), None)],
                )
            },
        ],
        outputs: vec![OutputChange {
            name: "url".to_owned(),
            action: Action::Update,
            before: Some("http://orders.example".into()),
            after: Some("https://orders.example".into()),
            sensitive: false,
        }],
    }
}

const PLAN_LOG: &str =
    "\u{1b}[0m\u{1b}[1mterraform_data.old: Refreshing state... [id=9f3a]\u{1b}[0m\n
Terraform used the selected providers to generate the following execution plan.
Resource actions are indicated with the following symbols:
  \u{1b}[32m+\u{1b}[0m create\u{1b}[0m
  \u{1b}[33m~\u{1b}[0m update in-place\u{1b}[0m
\u{1b}[31m-\u{1b}[0m/\u{1b}[32m+\u{1b}[0m destroy and then create replacement\u{1b}[0m

Terraform will perform the following actions:

\u{1b}[1m  # terraform_data.queue\u{1b}[0m will be created
\u{1b}[0m  \u{1b}[32m+\u{1b}[0m resource \"terraform_data\" \"queue\" {
      \u{1b}[32m+\u{1b}[0m id     = (known after apply)
      \u{1b}[32m+\u{1b}[0m input  = {
          \u{1b}[32m+\u{1b}[0m name    = \"orders\"
          \u{1b}[32m+\u{1b}[0m retries = 3
        }
    }

\u{1b}[1mPlan:\u{1b}[0m 2 to add, 1 to change, 2 to destroy.
";

const APPLY_LOG: &str = "\u{1b}[1mterraform_data.queue: Creating...\u{1b}[0m
\u{1b}[1mterraform_data.queue: Creation complete after 0s [id=0a6c]\u{1b}[0m
\u{1b}[0m\u{1b}[1m\u{1b}[32m
Apply complete! Resources: 1 added, 0 changed, 0 destroyed.\u{1b}[0m
";

/// The demo's four stacks.
pub(crate) fn demo_tools() -> BTreeMap<String, Tool> {
    let resource = |address: &str| Resource {
        address: address.to_owned(),
        kind: "terraform_data".to_owned(),
        name: address.rsplit('.').next().unwrap_or_default().to_owned(),
        provider: "terraform.io/builtin/terraform".to_owned(),
        module: None,
    };
    let one = Tool {
        plan_log: PLAN_LOG.to_owned(),
        apply_log: APPLY_LOG.to_owned(),
        delta: Delta { add: 1, change: 0, delete: 0 },
        changes: Changes {
            resources: vec![change(
                "terraform_data.queue",
                Action::Create,
                vec![attribute("input", None, Some("orders"))],
            )],
            outputs: vec![],
        },
        resources: vec![resource("terraform_data.queue"), resource("terraform_data.topic")],
        ..Tool::default()
    };
    let network = Tool {
        outputs: vec![
            ("vpc_id".to_owned(), "vpc-0a1b2c".into(), false),
            ("subnets".to_owned(), serde_json::json!(["10.0.1.0/24", "10.0.2.0/24"]), false),
            ("vpn_key".to_owned(), "hunter2-very-secret".into(), true),
        ],
        ..one.clone()
    };
    let app_b = Tool {
        delta: Delta { add: 2, change: 1, delete: 2 },
        changes: rich_changes(),
        ..one.clone()
    };
    BTreeMap::from([
        ("network".to_owned(), network),
        ("cluster".to_owned(), one.clone()),
        ("app-a".to_owned(), one),
        ("app-b".to_owned(), app_b),
    ])
}
