//! What roles allow, as far as it can be told without running anything. (Whether they allow what
//! the functions really ask, and no more, is told on the box.)
use crate::{root, template};
use e2e::cloud::stack::Stack;
use e2e::cloud::template::{Template, translate};
use infra::policy::{Statement, allows, statements};

fn worker() -> Vec<Statement> {
    worker_of(&template())
}

fn worker_of(template: &Template) -> Vec<Statement> {
    let policies = template.of_type("AWS::IAM::ManagedPolicy").unwrap();
    let (_, policy) = policies.iter().find(|(name, _)| name == "WorkerPolicy").unwrap();
    statements(policy["PolicyDocument"]["Statement"].as_array().unwrap()).unwrap()
}

fn roles() -> Vec<(String, Vec<Statement>)> {
    let stack = Stack::of(&template()).unwrap();
    let roles = stack.functions.iter();
    let mut roles: Vec<_> =
        roles.map(|f| (f.binary.clone(), statements(&f.allowed).unwrap())).collect();
    roles.push(("worker".to_owned(), worker()));
    roles
}

#[test]
fn a_role_names_actions_one_by_one_and_no_resource_of_others() {
    for (name, role) in roles() {
        for Statement { sid, actions, resources } in role {
            assert!(!sid.is_empty(), "{name}: every statement says what it is for");
            assert!(actions.iter().all(|action| !action.contains('*')), "{name} {sid}");
            let own = |arn: &String| arn.contains(":::windlass") || arn.contains("windlass");
            assert!(resources.iter().all(own), "{name} {sid}: {resources:?}");
        }
    }
}

/// Who may do what that matters most: `+` must be allowed, `-` must not.
#[test]
fn what_must_not_be_done_is_not_allowed() {
    let (region, account) = (emulator::REGION, emulator::ACCOUNT);
    let bucket = template().physical("Bucket").unwrap();
    let object = |key: &str| format!("arn:aws:s3:::{bucket}/{key}");
    let queue = |name: &str| format!("arn:aws:sqs:{region}:{account}:windlass-{name}");
    let secret = |name: &str| format!("arn:aws:ssm:{region}:{account}:parameter/windlass/{name}");
    let (roles, mut wrong) = (roles(), vec![]);
    for (role, allowed, action, resource) in [
        // The webhook only takes in.
        ("webhook", true, "s3:PutObject", object("due/000029922375/delivery:1:infra")),
        ("webhook", true, "sqs:SendMessage", queue("intents.fifo")),
        ("webhook", false, "s3:GetObject", object("stacks/app/head.json")),
        ("webhook", false, "sqs:ReceiveMessage", queue("intents.fifo")),
        ("webhook", false, "ssm:GetParameter", secret("secrets/cluster/token")),
        ("webhook", false, "ssm:GetParameter", secret("config/github-token")),
        // Nobody but a worker reads the values of people's secrets.
        ("scheduler", false, "ssm:GetParameter", secret("secrets/cluster/token")),
        ("api", false, "ssm:GetParameter", secret("secrets/cluster/token")),
        ("worker", true, "ssm:GetParameter", secret("secrets/cluster/token")),
        ("worker", false, "ssm:GetParameter", secret("config/github-token")),
        ("worker", false, "ssm:PutParameter", secret("secrets/cluster/token")),
        // Only a worker writes states; the scheduler removes locks.
        ("worker", true, "s3:PutObject", object("state/app/terraform.tfstate")),
        ("scheduler", false, "s3:GetObject", object("state/app/terraform.tfstate")),
        ("scheduler", false, "s3:PutObject", object("state/app/terraform.tfstate")),
        ("scheduler", false, "s3:DeleteObject", object("state/app/terraform.tfstate")),
        ("scheduler", true, "s3:DeleteObject", object("state/app/terraform.tfstate.tflock")),
        ("api", false, "s3:PutObject", object("state/app/terraform.tfstate")),
        // A worker reports, and asks for nothing.
        ("worker", true, "sqs:SendMessage", queue("reports.fifo")),
        ("worker", false, "sqs:SendMessage", queue("intents.fifo")),
        ("worker", false, "sqs:ReceiveMessage", queue("jobs-control-first")),
        ("worker", false, "sqs:ReceiveMessage", queue("jobs-other-first")),
        ("worker", false, "s3:PutObject", object("stacks/app/head.json")),
        // … and says what became of a job, not what the job is or what it is told.
        ("worker", true, "s3:GetObject", object("jobs/01.plan.1/spec")),
        ("worker", true, "s3:GetObject", object("jobs/01.plan.1/control")),
        ("worker", true, "s3:PutObject", object("jobs/01.plan.1/claim")),
        ("worker", true, "s3:PutObject", object("jobs/01.plan.1/result")),
        ("worker", true, "s3:PutObject", object("jobs/01.plan.1/late-result")),
        ("worker", true, "s3:PutObject", object("jobs/01.plan.1/gone")),
        ("worker", true, "s3:PutObject", object("jobs/01.plan.1/lock")),
        ("worker", false, "s3:PutObject", object("jobs/01.plan.1/spec")),
        ("worker", false, "s3:PutObject", object("jobs/01.plan.1/control")),
        ("worker", false, "s3:GetObject", object("messages/ab")),
        ("worker", false, "s3:PutObject", object("definitions/infra.json")),
        ("worker", false, "s3:PutObject", object("pools/other/instances/w1.json")),
        ("worker", false, "s3:GetObject", object("keys/ci-0123456789")),
        ("worker", false, "s3:GetObject", object("sessions/x")),
        // The API changes no stack and no run itself.
        ("api", true, "sqs:SendMessage", queue("intents.fifo")),
        ("api", true, "s3:PutObject", object("messages/ab")),
        ("api", false, "s3:PutObject", object("stacks/app/head.json")),
        ("api", false, "s3:PutObject", object("runs/01.json")),
        ("api", false, "s3:DeleteObject", object("audit/1")),
        // Documents end by nobody's hand, but for what is struck.
        ("scheduler", false, "s3:DeleteObject", object("stacks/app/head.json")),
        ("scheduler", false, "s3:DeleteObject", object("audit/1")),
        ("scheduler", false, "s3:PutObject", object("keys/mine")),
        ("drift", false, "s3:GetObject", object("stacks/app/head.json")),
        ("drift", true, "sqs:SendMessage", queue("intents.fifo")),
    ] {
        let (_, statements) = roles.iter().find(|(name, _)| name == role).unwrap();
        if allows(statements, action, &resource) != allowed {
            wrong.push(format!("{role} {action} {resource}: should be {allowed}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn workers_of_another_pool_may_do_the_same_there() {
    let bucket = template().physical("Bucket").unwrap();
    let given = [("Pool", "default".to_owned()), ("Bucket", bucket)];
    let pool = translate(&root().join("infra/pool.yaml")).unwrap();
    let pool = Template::new("pool", pool, &given).unwrap();
    assert_eq!(worker_of(&pool), worker());
    let names = |template: &Template| -> Vec<String> {
        let queues = template.of_type("AWS::SQS::Queue").unwrap();
        let name = |queue: &serde_json::Value| queue["QueueName"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = queues.iter().map(|(_, queue)| name(queue)).collect();
        names.retain(|name| name.contains("-jobs-default-"));
        names.sort();
        names
    };
    assert_eq!(names(&pool), names(&template()));
}
