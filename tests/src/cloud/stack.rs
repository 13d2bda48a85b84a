//! What a template asks for, as far as the box makes it.
use super::bus;
use super::machine_group::{self, MachineGroup};
use super::permissions;
use super::template::{Template, plain};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that is made of one template.
#[derive(Clone, Debug)]
pub struct Stack {
    pub buckets: Vec<Bucket>,
    pub queues: Vec<Queue>,
    pub functions: Vec<Function>,
    pub sources: Vec<Source>,
    pub schedules: Vec<Schedule>,
    pub rules: Vec<Rule>,
    pub routes: Vec<Route>,
    pub throttle: Option<Throttle>,
    pub groups: Vec<MachineGroup>,
    /// Statements of the managed policies that people attach to their workers' role.
    pub worker_allowed: Vec<Value>,
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    pub versioned: bool,
    /// It tells EventBridge of its objects.
    pub tells: bool,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub logical: String,
    pub name: String,
    /// As `CreateQueue` takes them; the redrive policy names its queue by ARN.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Function {
    /// Its name in the template.
    pub logical: String,
    /// The program.
    pub binary: String,
    pub name: String,
    pub arn: String,
    pub env: BTreeMap<String, String>,
    pub timeout: Duration,
    pub memory_mb: u64,
    /// Reserved concurrency, where there is any.
    pub concurrency: Option<usize>,
    /// `RecursiveLoop: Allow`.
    pub may_recur: bool,
    pub unattended: Unattended,
    /// Statements of all policies of its role.
    pub allowed: Vec<Value>,
}

/// A queue whose messages invoke a function.
#[derive(Clone, Debug)]
pub struct Source {
    pub function: String,
    pub queue: String,
    pub queue_arn: String,
    pub batch: usize,
    pub window: Duration,
    /// `ReportBatchItemFailures`: the function says which messages failed.
    pub partial: bool,
    pub concurrency: usize,
}

#[derive(Clone, Debug)]
pub struct Schedule {
    pub logical: String,
    pub function: String,
    pub expression: String,
    /// None: the event that EventBridge itself makes of a time.
    pub input: Option<String>,
    /// The queue that takes what could not be delivered.
    pub undelivered: Option<String>,
}

/// Events that invoke a function.
#[derive(Clone, Debug)]
pub struct Rule {
    pub function: String,
    pub pattern: Value,
}

/// What Lambda does with an invocation that nobody waits for.
#[derive(Clone, Debug, Default)]
pub struct Unattended {
    pub retries: u32,
    /// The queue that hears of those that failed for good.
    pub failures: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Route {
    /// None: any.
    pub method: Option<String>,
    /// None: whatever no other route takes.
    pub path: Option<String>,
    pub function: String,
}

#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    pub burst: f64,
    pub rate: f64,
}

/// What the box makes, or takes into account.
const MADE: [&str; 17] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::EC2::LaunchTemplate",
    "AWS::Events::Rule",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::RolePolicy",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::Scheduler::Schedule",
];
/// What makes no difference to a function: who may invoke it, where its words go, who is alarmed.
const NOT_MADE: [&str; 7] = [
    "AWS::CloudWatch::Alarm",
    "AWS::IAM::InstanceProfile",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
];

/// AWS polls a standard queue with five pollers at first, and hardly more are needed here.
const CONCURRENCY_USUAL: usize = 5;
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>.
const RETRIES_USUAL: u32 = 2;

impl Stack {
    /// # Errors
    /// When something in the template is not understood.
    pub fn of(template: &Template) -> Result<Self> {
        for kind in template.types() {
            let known = MADE.contains(&kind) || NOT_MADE.contains(&kind);
            anyhow::ensure!(known, "the box does not know what to make of an {kind}");
        }
        Ok(Self {
            buckets: buckets(template)?,
            queues: queues(template)?,
            functions: functions(template)?,
            sources: sources(template)?,
            schedules: schedules(template)?,
            rules: rules(template)?,
            routes: routes(template)?,
            throttle: throttle(template)?,
            worker_allowed: permissions::of_workers(template)?,
            groups: machine_group::all(template)?,
        })
    }
}

fn buckets(template: &Template) -> Result<Vec<Bucket>> {
    let mut buckets = Vec::new();
    for (logical, bucket) in template.of_type("AWS::S3::Bucket")? {
        let versioned = bucket["VersioningConfiguration"]["Status"] == "Enabled";
        let told = &bucket["NotificationConfiguration"]["EventBridgeConfiguration"];
        let tells = told["EventBridgeEnabled"] == true;
        buckets.push(Bucket { name: template.physical(&logical)?, versioned, tells });
    }
    Ok(buckets)
}

fn queues(template: &Template) -> Result<Vec<Queue>> {
    const TAKEN: [&str; 9] = [
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoQueue",
        "FifoThroughputLimit",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ];
    let mut queues = Vec::new();
    for (logical, queue) in template.of_type("AWS::SQS::Queue")? {
        let mut attributes = BTreeMap::new();
        for name in TAKEN {
            if let Some(value) = plain(&queue[name]) {
                attributes.insert(name.to_owned(), value);
            }
        }
        if queue["RedrivePolicy"].is_object() {
            attributes.insert("RedrivePolicy".to_owned(), queue["RedrivePolicy"].to_string());
        }
        queues.push(Queue { name: template.physical(&logical)?, logical, attributes });
    }
    Ok(queues)
}

fn functions(template: &Template) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for (logical, function) in template.of_type("AWS::Lambda::Function")? {
        let mut env = BTreeMap::new();
        for (name, value) in function["Environment"]["Variables"].as_object().into_iter().flatten()
        {
            let value = plain(value).with_context(|| format!("{logical}: {name} is no text"))?;
            env.insert(name.clone(), value);
        }
        let binary = binary(template.raw(&logical), &function);
        let binary = binary.with_context(|| format!("{logical} names no binary"))?.to_owned();
        functions.push(Function {
            binary,
            name: template.physical(&logical)?,
            arn: arn_of(template, &logical)?,
            env,
            timeout: Duration::from_secs(function["Timeout"].as_u64().unwrap_or(3)),
            memory_mb: function["MemorySize"].as_u64().unwrap_or(128),
            concurrency: number(&function["ReservedConcurrentExecutions"]),
            may_recur: function["RecursiveLoop"] == "Allow",
            unattended: unattended(template, &logical)?,
            allowed: permissions::of_function(template, &logical)?,
            logical,
        });
    }
    Ok(functions)
}

/// As the build is told, or as the package is called.
fn binary<'a>(raw: &'a Value, function: &'a Value) -> Option<&'a str> {
    let built = raw["Metadata"]["BuildProperties"]["Binary"].as_str();
    built.or_else(|| function["Code"]["S3Key"].as_str()?.strip_suffix(".zip"))
}

fn arn_of(template: &Template, logical: &str) -> Result<String> {
    let name = template.physical(logical)?;
    Ok(format!("arn:aws:lambda:{}:{}:function:{name}", emulator::REGION, emulator::ACCOUNT))
}

fn unattended(template: &Template, function: &str) -> Result<Unattended> {
    let physical = template.physical(function)?;
    for (_, config) in template.of_type("AWS::Lambda::EventInvokeConfig")? {
        if config["FunctionName"] == *physical {
            let retries = number(&config["MaximumRetryAttempts"]);
            let destination = &config["DestinationConfig"]["OnFailure"]["Destination"];
            return Ok(Unattended {
                retries: retries.and_then(|n| u32::try_from(n).ok()).unwrap_or(RETRIES_USUAL),
                failures: destination.as_str().map(|arn| name_of(arn).to_owned()),
            });
        }
    }
    Ok(Unattended { retries: RETRIES_USUAL, failures: None })
}

fn sources(template: &Template) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (logical, source) in template.of_type("AWS::Lambda::EventSourceMapping")? {
        if source["Enabled"] == false {
            continue;
        }
        let queue_arn = source["EventSourceArn"].as_str().unwrap_or_default().to_owned();
        let types = source["FunctionResponseTypes"].as_array().into_iter().flatten();
        let concurrency = number(&source["ScalingConfig"]["MaximumConcurrency"]);
        sources.push(Source {
            function: function_named(template, &source["FunctionName"])
                .with_context(|| format!("the function of {logical}"))?,
            queue: name_of(&queue_arn).to_owned(),
            queue_arn,
            batch: number(&source["BatchSize"]).unwrap_or(10),
            window: Duration::from_secs(
                source["MaximumBatchingWindowInSeconds"].as_u64().unwrap_or(0),
            ),
            partial: types.into_iter().any(|kind| kind == "ReportBatchItemFailures"),
            concurrency: concurrency.unwrap_or(CONCURRENCY_USUAL),
        });
    }
    Ok(sources)
}

fn schedules(template: &Template) -> Result<Vec<Schedule>> {
    let mut schedules = Vec::new();
    let mut add = |logical: &str, expression: &Value, target: &Value| -> Result<()> {
        let about = || format!("the schedule {logical}");
        let dead = target["DeadLetterConfig"]["Arn"].as_str();
        schedules.push(Schedule {
            logical: logical.to_owned(),
            function: function_named(template, &target["Arn"]).with_context(about)?,
            expression: expression.as_str().with_context(about)?.to_owned(),
            input: target["Input"].as_str().map(str::to_owned),
            undelivered: dead.map(|arn| name_of(arn).to_owned()),
        });
        Ok(())
    };
    for (logical, schedule) in template.of_type("AWS::Scheduler::Schedule")? {
        if schedule["State"] != "DISABLED" {
            add(&logical, &schedule["ScheduleExpression"], &schedule["Target"])?;
        }
    }
    for (logical, rule) in template.of_type("AWS::Events::Rule")? {
        if rule["ScheduleExpression"].is_string() && rule["State"] != "DISABLED" {
            for target in rule["Targets"].as_array().into_iter().flatten() {
                add(&logical, &rule["ScheduleExpression"], target)?;
            }
        }
    }
    Ok(schedules)
}

fn rules(template: &Template) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for (logical, rule) in template.of_type("AWS::Events::Rule")? {
        let pattern = &rule["EventPattern"];
        if !pattern.is_object() || rule["State"] == "DISABLED" {
            continue;
        }
        bus::understood(pattern).with_context(|| format!("the pattern of {logical}"))?;
        for target in rule["Targets"].as_array().into_iter().flatten() {
            let function = function_named(template, &target["Arn"]);
            let function = function.with_context(|| format!("the target of {logical}"))?;
            rules.push(Rule { function, pattern: pattern.clone() });
        }
    }
    Ok(rules)
}

fn routes(template: &Template) -> Result<Vec<Route>> {
    let mut routes = Vec::new();
    for (logical, api) in template.of_type("AWS::ApiGatewayV2::Api")? {
        for (path, methods) in api["Body"]["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                let integration = &operation["x-amazon-apigateway-integration"];
                let uri = integration["uri"].as_str().unwrap_or_default();
                let arn = uri.split_once("/functions/").map_or("", |(_, rest)| rest);
                let arn = Value::from(arn.trim_end_matches("/invocations"));
                let function = function_named(template, &arn);
                routes.push(Route {
                    method: (method != "x-amazon-apigateway-any-method")
                        .then(|| method.to_uppercase()),
                    path: (path != "$default").then(|| path.clone()),
                    function: function.with_context(|| format!("{logical}: {method} {path}"))?,
                });
            }
        }
    }
    let integrations = template.of_type("AWS::ApiGatewayV2::Integration")?;
    for (logical, route) in template.of_type("AWS::ApiGatewayV2::Route")? {
        let target = route["Target"].as_str().unwrap_or_default();
        let of_route = |(name, _): &&(String, Value)| {
            template.physical(name).is_ok_and(|id| target == format!("integrations/{id}"))
        };
        let (_, integration) = integrations.iter().find(of_route).context(logical.clone())?;
        let function = function_named(template, &integration["IntegrationUri"]);
        let key = route["RouteKey"].as_str().unwrap_or_default();
        let (method, path) = key.split_once(' ').map_or((None, None), |(m, p)| (Some(m), Some(p)));
        routes.push(Route {
            method: method.filter(|method| *method != "ANY").map(str::to_owned),
            path: path.map(str::to_owned),
            function: function.context(logical)?,
        });
    }
    // The more a route says, the earlier it is asked.
    routes.sort_by_key(|route| {
        let path = route.path.as_deref();
        let greedy = path.is_some_and(|path| path.contains("+}"));
        (path.is_none(), greedy, path.is_some_and(|p| p.contains('{')), route.method.is_none())
    });
    Ok(routes)
}

fn throttle(template: &Template) -> Result<Option<Throttle>> {
    let stages = template.of_type("AWS::ApiGatewayV2::Stage")?;
    Ok(stages.iter().find_map(|(_, stage)| {
        let settings = &stage["DefaultRouteSettings"];
        Some(Throttle {
            burst: settings["ThrottlingBurstLimit"].as_f64()?,
            rate: settings["ThrottlingRateLimit"].as_f64()?,
        })
    }))
}

/// The function of the template that has this name or ARN.
fn function_named(template: &Template, named: &Value) -> Result<String> {
    let named = named.as_str().context("no name of a function")?;
    for (logical, _) in template.of_type("AWS::Lambda::Function")? {
        if template.physical(&logical)? == named || arn_of(template, &logical)? == named {
            return Ok(logical);
        }
    }
    anyhow::bail!("no function is called {named}")
}

/// The last part of an ARN.
fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

fn number(value: &Value) -> Option<usize> {
    plain(value)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_understood_whole() {
        let stack = super::super::place::product("box").unwrap();
        assert!(!stack.worker_allowed.is_empty());
        let functions: Vec<&str> = stack.functions.iter().map(|f| f.binary.as_str()).collect();
        assert_eq!(functions, ["api", "drift", "scheduler", "webhook"]);
        for function in &stack.functions {
            assert!(!function.allowed.is_empty(), "{} may do something", function.binary);
            assert_eq!(function.env["WINDLASS_BUCKET"], stack.buckets[0].name);
            assert_eq!(function.may_recur, function.binary == "scheduler");
        }
        let polled: Vec<(&str, usize)> =
            stack.sources.iter().map(|s| (s.queue.as_str(), s.batch)).collect();
        assert_eq!(
            polled,
            [("box-jobs-control-first", 1), ("box-intents.fifo", 10), ("box-reports.fifo", 10)]
        );
        let scheduled: Vec<&str> = stack.schedules.iter().map(|s| s.function.as_str()).collect();
        assert_eq!(scheduled, ["Drift", "Scheduler"]);
        let routes: Vec<_> =
            stack.routes.iter().map(|r| (r.path.as_deref(), r.function.as_str())).collect();
        assert_eq!(routes, [(Some("/webhooks/github"), "Webhook"), (None, "Api")]);
    }
}
