//! What functions may do, held against what they were seen to do.
//!
//! The API server lets everybody do everything and writes down who asked for what. A call that no
//! statement of the caller's role allows would have been refused on AWS; a statement that no call
//! ever needed allows too much.
use super::runtime::lock;
use super::stack::Stack;
use super::template::{self, Template};
use emulator::{ACCOUNT, Call, REGION};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a stack is called in the record, whatever it was called while it lived.
pub const ANY_STACK: &str = "any-stack";
/// … and a pool's.
pub const ANY_POOL: &str = "any-pool";
/// Statements with such an id are for what Lambda itself does in a role's name: the box's pollers
/// and logs are not recorded as the function's.
const BY_LAMBDA: &str = "ByLambda";
/// Not a word that a run may say: what is a secret to the worker is masked in its logs.
pub const WORKER: &str = "access-key-of-workers";

/// One kind of call: who, what, on which resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    pub caller: String,
    pub action: String,
    pub arn: String,
}

/// Calls on the resources of this stack, as what they need to be allowed, under [`ANY_STACK`].
pub fn used(calls: &[Call], stack: &str) -> BTreeSet<Used> {
    let own = |call: &&Call| {
        let after = call.resource.trim_start_matches('/').strip_prefix(stack);
        after.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let ours = |call: &&Call| call.caller == WORKER || call.caller.starts_with("fn-");
    let calls = calls.iter().filter(own).filter(ours);
    calls
        .map(|call| Used {
            caller: call.caller.clone(),
            action: action(call),
            arn: arn(call).replace(stack, ANY_STACK),
        })
        .collect()
}

/// Calls of a pool's functions, as what they need to be allowed, under [`ANY_POOL`] and
/// [`ANY_STACK`]: `names` are the pool's and its control plane's.
pub fn used_by_pool(calls: &[Call], stack: &Stack, names: [&str; 2]) -> BTreeSet<Used> {
    // What its workers may do the control plane's template says.
    let functions: BTreeSet<String> =
        stack.functions.iter().map(|function| format!("fn-{}", function.logical)).collect();
    let calls = calls.iter().filter(|call| functions.contains(&call.caller));
    let calls = calls.map(|call| {
        let mut call = call.clone();
        // An end names the machine; its group is what a role names.
        if let Some(group) = stack.groups.first()
            && call.action == "TerminateInstanceInAutoScalingGroup"
        {
            call.resource.clone_from(&group.name);
        }
        let arn = arn(&call).replace(names[0], ANY_POOL).replace(names[1], ANY_STACK);
        Used { caller: call.caller.clone(), action: action(&call), arn }
    });
    calls.collect()
}

/// The template of a pool, as it would be for a stack and a control plane of these names.
///
/// # Errors
/// When it is not understood.
pub fn any_pool() -> anyhow::Result<Stack> {
    let body = template::translate(&crate::fleet::pool::template())?;
    let parameters = [
        ("Kind", "windlass"),
        ("WorkerPoolId", crate::fleet::pool::POOL),
        ("Subnets", "subnet-0"),
        ("SecurityGroups", "sg-0"),
        ("Bucket", &format!("{ANY_STACK}-bucket")),
        ("QueueUrlPrefix", ANY_STACK),
        ("SecretsPrefix", ANY_STACK),
        ("WorkerPolicyArn", ANY_STACK),
        ("LauncherS3Bucket", "programs"),
        ("LauncherS3Key", "windlass"),
        ("PackagesBucket", "programs"),
    ];
    let parameters = parameters.map(|(name, value)| (name, value.to_owned()));
    Stack::of(&Template::new(ANY_POOL, body, &parameters)?)
}

/// By which action IAM allows a call: batches count as what they are made of.
fn action(call: &Call) -> String {
    let name = call.action.strip_suffix("Batch").unwrap_or(&call.action);
    format!("{}:{name}", call.service)
}

fn arn(call: &Call) -> String {
    let Call { service, resource, .. } = call;
    match service.as_str() {
        // A list is of the bucket, whatever its prefix.
        "s3" if call.action.starts_with("ListBucket") => {
            format!("arn:aws:s3:::{}", resource.split('/').next().unwrap_or_default())
        }
        "s3" => format!("arn:aws:s3:::{resource}"),
        "ssm" => {
            let name = resource.trim_matches('/');
            format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}")
        }
        "autoscaling" => format!(
            "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:2cd2fb3c:autoScalingGroupName/{resource}"
        ),
        "ec2" => format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{resource}"),
        _ => format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"),
    }
}

/// What each caller may do, by the names under which their calls are recorded.
pub fn roles(stack: &Stack) -> BTreeMap<String, Vec<Value>> {
    let functions =
        stack.functions.iter().map(|f| (format!("fn-{}", f.logical), f.allowed.clone()));
    functions.chain([(WORKER.to_owned(), stack.worker_allowed.clone())]).collect()
}

/// Calls that nothing allows.
pub fn missing<'a>(
    roles: &BTreeMap<String, Vec<Value>>,
    used: &'a BTreeSet<Used>,
) -> Vec<&'a Used> {
    let refused = |one: &&Used| {
        let statements = roles.get(&one.caller).map(Vec::as_slice).unwrap_or_default();
        !statements.iter().any(|statement| allows(statement, &one.action, &one.arn))
    };
    used.iter().filter(refused).collect()
}

/// Actions and resources of statements that no call needed: role, statement, which.
pub fn unused(
    roles: &BTreeMap<String, Vec<Value>>,
    used: &BTreeSet<Used>,
) -> Vec<(String, String, String)> {
    let mut idle = Vec::new();
    for (role, statements) in roles {
        for statement in statements {
            let sid = statement["Sid"].as_str().unwrap_or("(no Sid)");
            if sid.ends_with(BY_LAMBDA) {
                continue;
            }
            let own = || used.iter().filter(|one| one.caller == *role);
            let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            let any = |action: &str| {
                resources.iter().any(|r| own().any(|u| fits(action, &u.action) && fits(r, &u.arn)))
            };
            for action in actions.iter().filter(|action| !any(action)) {
                idle.push((role.clone(), sid.to_owned(), (*action).to_owned()));
            }
            let any = |resource: &str| {
                actions.iter().any(|a| own().any(|u| fits(a, &u.action) && fits(resource, &u.arn)))
            };
            for resource in resources.iter().filter(|resource| !any(resource)) {
                idle.push((role.clone(), sid.to_owned(), (*resource).to_owned()));
            }
        }
    }
    idle
}

fn allows(statement: &Value, action: &str, arn: &str) -> bool {
    statement["Effect"] == "Allow"
        && texts(&statement["Action"]).iter().any(|pattern| fits(pattern, action))
        && texts(&statement["Resource"]).iter().any(|pattern| fits(pattern, arn))
}

/// One text or several.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `*` stands for anything, slashes too.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Where boxes leave what they saw, for a look at all of it when all stories are told.
fn records() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from).join("calls-on-the-box")
}

/// One file for each of the tests' programs: none of them knows of the others.
fn record() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.split('-').next().unwrap_or_default();
    std::fs::create_dir_all(records())?;
    Ok(records().join(format!("{name}.tsv")))
}

/// Adds what one box saw. The first one of a process begins the record anew.
///
/// # Errors
/// When the record can't be written.
pub fn remember(used: &BTreeSet<Used>) -> std::io::Result<()> {
    use std::io::Write as _;
    static BEGUN: Mutex<bool> = Mutex::new(false);
    let mut begun = lock(&BEGUN);
    let mut options = std::fs::File::options();
    let mut file =
        options.create(true).write(true).append(*begun).truncate(!*begun).open(record()?)?;
    *begun = true;
    let line = |one: &Used| format!("{}\t{}\t{}\n", one.caller, one.action, one.arn);
    file.write_all(used.iter().map(line).collect::<String>().as_bytes())
}

/// What all boxes of the last run of one of the tests' programs saw; None if there was none.
pub fn remembered(program: &str) -> Option<BTreeSet<Used>> {
    let text = std::fs::read_to_string(records().join(format!("{program}.tsv"))).ok()?;
    let parse = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(Used { caller: fields.next()?, action: fields.next()?, arn: fields.next()? })
    };
    Some(text.lines().filter_map(parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        #[rustfmt::skip]
        let table = [
            ("a",         "a",             true),
            ("a",         "ab",            false),
            ("a*",        "ab/c",          true),
            ("a/*/c",     "a/b/b/c",       true),
            ("a/*/c",     "a/b",           false),
            ("state/*.l", "state/x/y.l",   true),
            ("state/*.l", "state/x/y.lo",  false),
            ("*",         "",              true),
        ];
        for (pattern, text, expect) in table {
            assert_eq!(fits(pattern, text), expect, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_idle() {
        let call = |action: &str, arn: &str| Used {
            caller: "fn-A".to_owned(),
            action: action.to_owned(),
            arn: arn.to_owned(),
        };
        let used = BTreeSet::from([call("s3:GetObject", "b/x/1"), call("s3:PutObject", "b/y/1")]);
        let statement = |resources: Value| {
            json!([
                { "Sid": "Some", "Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObject"], "Resource": resources },
                { "Sid": "PolledByLambda", "Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": "*" },
            ])
        };
        let roles = |resources: Value| {
            let all = statement(resources).as_array().cloned().unwrap_or_default();
            BTreeMap::from([("fn-A".to_owned(), all)])
        };
        let found = roles(json!(["b/x/*", "b/z/*"]));
        let first = missing(&found, &used);
        assert_eq!(first, [&call("s3:PutObject", "b/y/1")]);
        let idle: Vec<String> =
            unused(&found, &used).into_iter().map(|(_, _, what)| what).collect();
        assert_eq!(idle, ["s3:DeleteObject", "b/z/*"]);
    }
}
