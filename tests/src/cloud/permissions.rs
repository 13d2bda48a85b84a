//! What roles may do, wherever a template says it: in the role, in policies that name it, or in
//! policies that it names.
use super::template::Template;
use anyhow::{Context as _, Result};
use serde_json::Value;

/// Statements of the policies of a function's role.
///
/// # Errors
/// When something is not understood.
pub fn of_function(template: &Template, function: &str) -> Result<Vec<Value>> {
    let role = &template.raw(function)["Properties"]["Role"]["Fn::GetAtt"][0];
    let role = role.as_str().with_context(|| format!("{function} has no role of the template"))?;
    let physical = template.physical(role)?;
    let mut documents: Vec<Value> = Vec::new();
    let mut named: Vec<Value> = Vec::new();
    for (logical, body) in template.of_type("AWS::IAM::Role")? {
        if logical == role {
            let own = body["Policies"].as_array().into_iter().flatten();
            documents.extend(own.map(|policy| policy["PolicyDocument"].clone()));
            named.extend(body["ManagedPolicyArns"].as_array().into_iter().flatten().cloned());
        }
    }
    for kind in ["AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"] {
        for (logical, body) in template.of_type(kind)? {
            let roles = body["Roles"].as_array().cloned().unwrap_or_default();
            let attached = roles.iter().chain([&body["RoleName"]]).any(|name| *name == physical);
            if attached || names(template, &named, kind, &logical)? {
                documents.push(body["PolicyDocument"].clone());
            }
        }
    }
    Ok(documents.iter().flat_map(statements).collect())
}

fn names(template: &Template, named: &[Value], kind: &str, policy: &str) -> Result<bool> {
    Ok(kind == "AWS::IAM::ManagedPolicy" && named.contains(&template.arn(policy)?.into()))
}

/// Statements of the managed policies that no role of the template has: people attach them to their
/// workers' role.
///
/// # Errors
/// When something is not understood.
pub fn of_workers(template: &Template) -> Result<Vec<Value>> {
    let roles = template.of_type("AWS::IAM::Role")?;
    let named = roles.iter().flat_map(|(_, role)| role["ManagedPolicyArns"].as_array());
    let named: Vec<Value> = named.flatten().cloned().collect();
    let mut free = Vec::new();
    for (logical, body) in template.of_type("AWS::IAM::ManagedPolicy")? {
        if body["Roles"].is_null() && !named.contains(&template.arn(&logical)?.into()) {
            free.extend(statements(&body["PolicyDocument"]));
        }
    }
    Ok(free)
}

fn statements(document: &Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}
