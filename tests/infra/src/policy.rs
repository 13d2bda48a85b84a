//! What a role allows: enough of IAM's language for the policies that the template has, and a
//! refusal of the rest of it.
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

/// One allowing statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub sid: String,
    pub actions: Vec<String>,
    /// Patterns of ARNs.
    pub resources: Vec<String>,
}

impl Statement {
    /// What Lambda itself does in the role's name (its log, its pollers): no code of ours is seen
    /// to do it. The template says so by the Sid.
    #[must_use]
    pub fn is_lambdas(&self) -> bool {
        self.sid.ends_with("ByLambda")
    }
}

/// Statements of a policy whose references are worked out.
///
/// # Errors
/// For what is not understood here: a `Deny`, a condition, a `NotAction`.
pub fn statements(policy: &[Value]) -> Result<Vec<Statement>> {
    policy.iter().map(statement).collect()
}

fn statement(value: &Value) -> Result<Statement> {
    let fields = value.as_object().context("a statement is an object")?;
    let sid = value["Sid"].as_str().unwrap_or_default().to_owned();
    for field in fields.keys() {
        let known = ["Sid", "Effect", "Action", "Resource"].contains(&field.as_str());
        ensure!(known, "{field} of the statement {sid:?} is not understood");
    }
    ensure!(value["Effect"] == "Allow", "the statement {sid:?} does not allow");
    let (actions, resources) = (words(&value["Action"])?, words(&value["Resource"])?);
    Ok(Statement { sid, actions, resources })
}

fn words(value: &Value) -> Result<Vec<String>> {
    let one = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
    match value {
        Value::Array(all) => all.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// A request as IAM sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `s3:PutObject`
    pub action: String,
    /// An ARN.
    pub resource: String,
}

impl Request {
    /// From how a request was recorded: `s3`, `PutObject`, `bucket/key`. None: it needs no
    /// permission of the caller's own, or none that a role states.
    ///
    /// # Errors
    /// For a service that no role of the template names.
    pub fn of(service: &str, action: &str, resource: &str, place: Place<'_>) -> Result<Self> {
        let Place { region, account } = place;
        let action = match (service, action) {
            ("s3", "HeadObject") => "GetObject",
            ("s3", "ListObjects" | "ListObjectsV2" | "HeadBucket") => "ListBucket",
            ("s3", "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload") => {
                "PutObject"
            }
            ("sqs", "SendMessageBatch") => "SendMessage",
            ("sqs", "DeleteMessageBatch") => "DeleteMessage",
            ("sqs", "ChangeMessageVisibilityBatch") => "ChangeMessageVisibility",
            (_, action) => action,
        };
        let resource = match service {
            _ if resource.starts_with("arn:") => resource.to_owned(),
            "s3" if action == "ListBucket" => {
                let bucket = resource.split('/').next().unwrap_or(resource);
                format!("arn:aws:s3:::{bucket}")
            }
            "s3" => format!("arn:aws:s3:::{resource}"),
            "sqs" => format!("arn:aws:sqs:{region}:{account}:{resource}"),
            "ssm" => {
                let name = resource.trim_start_matches('/').trim_end_matches('/');
                format!("arn:aws:ssm:{region}:{account}:parameter/{name}")
            }
            "secretsmanager" => {
                format!("arn:aws:secretsmanager:{region}:{account}:secret:{resource}")
            }
            other => anyhow::bail!("no role says anything about {other}"),
        };
        Ok(Self { action: format!("{service}:{action}"), resource })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub region: &'a str,
    pub account: &'a str,
}

/// Whether some statement allows it.
#[must_use]
pub fn allows(statements: &[Statement], action: &str, resource: &str) -> bool {
    statements.iter().any(|statement| {
        statement.actions.iter().any(|known| like(known, action))
            && statement.resources.iter().any(|known| like(known, resource))
    })
}

/// What a policy and the requests that were really made say about each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Made, and not allowed.
    pub missing: BTreeSet<Request>,
    /// Allowed, and never made: `Sid s3:PutObject`, `Sid arn:…`.
    pub unused: BTreeSet<String>,
}

#[must_use]
pub fn compare(statements: &[Statement], made: &BTreeSet<Request>) -> Difference {
    let missing = made.iter().filter(|r| !allows(statements, &r.action, &r.resource)).cloned();
    let mut unused = BTreeSet::new();
    for statement in statements.iter().filter(|statement| !statement.is_lambdas()) {
        let Statement { sid, actions, resources } = statement;
        let fits = |request: &&Request| {
            actions.iter().any(|known| like(known, &request.action))
                && resources.iter().any(|known| like(known, &request.resource))
        };
        let used: Vec<&Request> = made.iter().filter(fits).collect();
        let idle = |known: &&String| {
            !used.iter().any(|r| like(known, &r.action) || like(known, &r.resource))
        };
        let all = actions.iter().chain(resources);
        unused.extend(all.filter(idle).map(|known| format!("{sid} {known}")));
    }
    Difference { missing: missing.collect(), unused }
}

/// IAM's `*` and `?`.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and how much of the text it takes.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role() -> Vec<Statement> {
        statements(&[
            json!({ "Sid": "LogsByLambda", "Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:logs" }),
            json!({ "Sid": "Docs", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
                    "Resource": ["arn:aws:s3:::b/due/*", "arn:aws:s3:::b/runs/*"] }),
            json!({ "Sid": "Locks", "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::b/state/*.tflock" }),
        ])
        .unwrap()
    }

    #[test]
    fn a_role_allows_what_it_names() {
        for (action, resource, expect) in [
            ("s3:PutObject", "arn:aws:s3:::b/due/7/stack:a", true),
            ("s3:PutObject", "arn:aws:s3:::b/stacks/a", false),
            ("s3:DeleteObject", "arn:aws:s3:::b/due/7/stack:a", false),
            ("s3:DeleteObject", "arn:aws:s3:::b/state/a/terraform.tfstate.tflock", true),
            ("s3:DeleteObject", "arn:aws:s3:::b/state/a/terraform.tfstate", false),
        ] {
            assert_eq!(allows(&role(), action, resource), expect, "{action} {resource}");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_unused_are_both_named() {
        let place = Place { region: "eu-central-1", account: "1" };
        let made = [
            ("s3", "GetObject", "b/due/7/stack:a"),
            ("s3", "HeadObject", "b/stacks/a/head.json"),
            ("sqs", "SendMessageBatch", "w-intents.fifo"),
        ];
        let made: BTreeSet<Request> =
            made.iter().map(|(s, a, r)| Request::of(s, a, r, place).unwrap()).collect();
        let found = compare(&role(), &made);
        let missing: Vec<String> =
            found.missing.iter().map(|r| format!("{} {}", r.action, r.resource)).collect();
        assert_eq!(
            missing,
            [
                "s3:GetObject arn:aws:s3:::b/stacks/a/head.json",
                "sqs:SendMessage arn:aws:sqs:eu-central-1:1:w-intents.fifo",
            ]
        );
        let unused: Vec<&str> = found.unused.iter().map(String::as_str).collect();
        assert_eq!(
            unused,
            [
                "Docs arn:aws:s3:::b/runs/*",
                "Docs s3:PutObject",
                "Locks arn:aws:s3:::b/state/*.tflock",
                "Locks s3:DeleteObject",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for odd in [
            json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" }),
            json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "*" }),
            json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {} }),
        ] {
            assert!(statements(std::slice::from_ref(&odd)).is_err(), "{odd}");
        }
    }
}
