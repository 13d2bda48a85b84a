//! What a role allows: enough of IAM's language for the policies that the template has, and a
//! refusal of the rest of it. (What a role allows against what is really asked: the box's `iam`.)
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// One allowing statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub sid: String,
    pub actions: Vec<String>,
    /// Patterns of ARNs.
    pub resources: Vec<String>,
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

/// Whether some statement allows it.
#[must_use]
pub fn allows(statements: &[Statement], action: &str, resource: &str) -> bool {
    statements.iter().any(|statement| {
        statement.actions.iter().any(|known| like(known, action))
            && statement.resources.iter().any(|known| like(known, resource))
    })
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
