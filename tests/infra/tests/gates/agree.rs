//! The template and the code name the same variables, keys, queues and numbers.
use crate::{root, template, translated};
use scheduler::REDRIVE_MINUTES;
use serde_json::Value;
use std::collections::BTreeSet;
use windlass_core::keys;
use windlass_lambda::{Configured, asked};
use windlass_ports::queues::{RECEIVES_MAX, dead_letters};

/// What a function takes that holds nothing.
const ROOM_BYTES: u64 = 64 * 1024 * 1024;

fn env(function: &str) -> BTreeSet<String> {
    let all = translated()["Resources"][function]["Properties"]["Environment"]["Variables"].clone();
    all.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn each_function_is_told_what_it_asks_for_and_no_more() {
    for (function, vars) in [
        ("Webhook", webhook::config::Config::VARS),
        ("Scheduler", scheduler::config::Config::VARS),
        ("Api", api::config::Config::VARS),
        ("Drift", drift::config::Config::VARS),
    ] {
        let asked: BTreeSet<String> = vars.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(env(function), asked, "{function}");
    }
}

#[test]
fn each_function_asks_for_what_it_says_that_it_asks_for() {
    assert_eq!(asked::<webhook::config::Config>(), webhook::config::Config::VARS);
    assert_eq!(asked::<scheduler::config::Config>(), scheduler::config::Config::VARS);
    assert_eq!(asked::<api::config::Config>(), api::config::Config::VARS);
    assert_eq!(asked::<drift::config::Config>(), drift::config::Config::VARS);
}

/// What is configured by the template's defaults is a configuration that the functions accept.
#[test]
fn the_defaults_are_a_configuration() {
    fn accepts<C: Configured>(function: &Value) {
        let env = function["Environment"]["Variables"].as_object().unwrap();
        let table: Vec<(&str, &str)> =
            env.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let read = windlass_lambda::read_from::<C>(&table);
        assert!(read.is_ok(), "{}", read.err().unwrap());
    }
    for (logical, function) in template().of_type("AWS::Lambda::Function").unwrap() {
        match logical.as_str() {
            "Webhook" => accepts::<webhook::config::Config>(&function),
            "Scheduler" => accepts::<scheduler::config::Config>(&function),
            "Api" => accepts::<api::config::Config>(&function),
            "Drift" => accepts::<drift::config::Config>(&function),
            other => panic!("the template has a function {other} that nobody here knows"),
        }
    }
}

/// First parts of all keys in core's table: of documents, of blobs.
fn prefixes() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = std::fs::read_to_string(root().join("shared/core/src/keys.rs")).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    let (documents, blobs) = text.split_once("\n// Blobs.\n").expect("the table has two parts");
    (first_parts(documents), first_parts(blobs))
}

fn first_parts(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        for literal in line.split('"').skip(1).step_by(2) {
            if let Some((first, _)) = literal.split_once('/')
                && !first.is_empty()
                && first.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            {
                found.insert(format!("{first}/"));
            }
        }
    }
    found
}

#[test]
fn lifecycle_rules_end_blobs_by_age_and_documents_never() {
    let bucket = &translated()["Resources"]["Bucket"]["Properties"];
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap().clone();
    let (documents, blobs) = prefixes();
    assert!(documents.len() > 12 && blobs.len() > 6, "{documents:?} {blobs:?}");
    assert!(documents.is_disjoint(&blobs));
    let prefix = |rule: &Value| rule["Prefix"].as_str().unwrap_or_default().to_owned();
    for rule in &rules {
        let (prefix, age) = (prefix(rule), &rule["ExpirationInDays"]);
        if prefix.is_empty() {
            let touches = ["ExpirationInDays", "NoncurrentVersionExpiration"];
            assert!(touches.iter().all(|field| rule[*field].is_null()), "{rule}");
            continue;
        }
        assert!(documents.contains(&prefix) || blobs.contains(&prefix), "nothing has {prefix}");
        assert!(age.is_null() || blobs.contains(&prefix), "{prefix} holds documents");
        // Nobody makes these again.
        let only = ["state/", "state-lists/", "private/"].contains(&prefix.as_str());
        assert!(age.is_null() || !only, "{prefix} is an only copy");
    }
    // Each prefix has one rule, so that what is superseded there ends, and no two dates compete.
    for known in documents.iter().chain(&blobs) {
        let own: Vec<&Value> = rules
            .iter()
            .filter(|rule| known.starts_with(&prefix(rule)) && !prefix(rule).is_empty())
            .collect();
        assert_eq!(own.len(), 1, "rules of {known}");
        assert!(own[0]["NoncurrentVersionExpiration"]["NoncurrentDays"].is_number(), "{known}");
    }
}

#[test]
fn queues_are_what_the_ports_say() {
    let template = template();
    let queues = template.of_type("AWS::SQS::Queue").unwrap();
    let find = |name: &str| {
        let whole = format!("windlass-{name}");
        let found = queues.iter().find(|(_, queue)| queue["QueueName"] == *whole);
        found.unwrap_or_else(|| panic!("the template has no queue {name}")).1.clone()
    };
    let control = keys::first_queue(&keys::CONTROL_POOL.into());
    let pool = "default".into();
    let (first, rest) = (keys::first_queue(&pool), keys::rest_queue(&pool));
    for name in [keys::INTENTS, keys::REPORTS, &control, &first, &rest] {
        let (queue, dead) = (find(name), find(&dead_letters(name)));
        let redrive = &queue["RedrivePolicy"];
        assert_eq!(redrive["maxReceiveCount"], RECEIVES_MAX, "{name}");
        let target = redrive["deadLetterTargetArn"].as_str().unwrap();
        assert!(target.ends_with(&format!(":windlass-{}", dead_letters(name))), "{name}: {target}");
        for queue in [&queue, &dead] {
            assert_eq!(queue["FifoQueue"] == true, name.ends_with(".fifo"), "{name}");
            assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
            // Longer than any outage, and the bucket keeps large bodies for longer still.
            assert_eq!(queue["MessageRetentionPeriod"], 14 * 86_400, "{name}");
        }
    }
    assert_eq!(infra::bill::REDRIVE_MINUTES, REDRIVE_MINUTES);
}

#[test]
fn at_most_four_queues_are_polled_and_each_as_it_must_be() {
    let template = template();
    let queues = template.of_type("AWS::SQS::Queue").unwrap();
    let functions = template.of_type("AWS::Lambda::Function").unwrap();
    let sources = template.of_type("AWS::Lambda::EventSourceMapping").unwrap();
    assert!((1..=4).contains(&sources.len()));
    for (logical, source) in &sources {
        assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{logical}");
        let arn = source["EventSourceArn"].as_str().unwrap();
        let name = arn.rsplit(':').next().unwrap();
        let queue = &queues.iter().find(|(_, queue)| queue["QueueName"] == *name).unwrap().1;
        assert!(!queue["RedrivePolicy"].is_null(), "{name} has dead letters");
        let function = functions.iter().find(|(name, _)| name == "Scheduler").unwrap();
        let (visible, limit) = (&queue["VisibilityTimeout"], &function.1["Timeout"]);
        assert!(visible.as_u64() > limit.as_u64(), "{name}: nobody gets it while it is handled");
    }
}

/// An alarm that can't fire is none.
#[test]
fn alarms_hear_of_what_is_counted_and_of_what_comes_again() {
    let alarms = template().of_type("AWS::CloudWatch::Alarm").unwrap();
    let find = |name: &str| alarms.iter().find(|(logical, _)| logical == name).unwrap().1.clone();
    // As the log counts it (lambda: log.rs).
    let attention = find("AttentionAlarm");
    let dimension = serde_json::json!([{ "Name": "installation", "Value": "windlass" }]);
    assert_eq!(
        (&attention["MetricName"], &attention["Dimensions"]),
        (&"Attention".into(), &dimension)
    );
    // What the door refuses is counted into the same, under the names that its log and route have.
    let filters = template().of_type("AWS::Logs::MetricFilter").unwrap();
    let (_, filter) = &filters[0];
    let counted = &filter["MetricTransformations"][0];
    assert_eq!(
        (&counted["MetricNamespace"], &counted["MetricName"]),
        (&attention["Namespace"], &attention["MetricName"])
    );
    assert_eq!(counted["Dimensions"][0]["Key"], dimension[0]["Name"]);
    let stage = &template().of_type("AWS::ApiGatewayV2::Stage").unwrap()[0].1;
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    let line: Value = serde_json::from_str(format).unwrap();
    assert_eq!(line["installation"], dimension[0]["Value"]);
    let pattern = filter["FilterPattern"].as_str().unwrap();
    let routes = template().of_type("AWS::ApiGatewayV2::Route").unwrap();
    let route = &routes.iter().find(|(name, _)| name == "WebhookRoute").unwrap().1["RouteKey"];
    let path = route.as_str().unwrap().trim_start_matches("ANY ");
    assert!(pattern.contains(&format!("$.path = \"{path}\"")), "{pattern}");
    assert_eq!(
        (&line["path"], &line["status"]),
        (&"$context.path".into(), &"$context.status".into())
    );
    assert!(stage["RouteSettings"][route.as_str().unwrap()].is_object(), "a measure of its own");
    // What kills its invocation comes again after the visibility, and so often it must be enough.
    let number = |of: &Value, name: &str| of[name].as_u64().unwrap();
    let queues = template().of_type("AWS::SQS::Queue").unwrap();
    let visible = queues.iter().map(|(_, queue)| queue["VisibilityTimeout"].as_u64().unwrap_or(30));
    let scheduler = find("SchedulerAlarm");
    let period = number(&scheduler, "Period");
    assert!(period >= visible.max().unwrap(), "each period has one");
    assert!(number(&scheduler, "DatapointsToAlarm") <= number(&scheduler, "EvaluationPeriods"));
    for function in ["Scheduler", "Webhook"] {
        let alarm = find(&format!("{function}Alarm"));
        let named = alarm["Dimensions"][0]["Value"].as_str().unwrap();
        assert_eq!(named, format!("windlass-{}", function.to_lowercase()));
    }
}

/// Who is cut off says nothing, so everybody has answered by then.
#[test]
fn who_answers_does_so_before_the_time_is_up() {
    let functions = template().of_type("AWS::Lambda::Function").unwrap();
    let find =
        |name: &str| functions.iter().find(|(logical, _)| logical == name).unwrap().1.clone();
    let limit_ms = find("Webhook")["Timeout"].as_u64().unwrap() * 1_000;
    assert!(webhook::mount::ANSWER_MS + 1_000 <= limit_ms);
    let twice_ms = 2 * webhook::mount::ATTEMPT_MS + 1_000;
    assert!(twice_ms <= webhook::mount::ANSWER_MS, "one that hangs, a pause, and another one");
    let scheduler = find("Scheduler");
    let memory = scheduler["MemorySize"].as_u64().unwrap() * 1024 * 1024;
    let archive = 2 * adapter_github::ARCHIVE_BYTES_MAX as u64;
    assert!(archive + ROOM_BYTES <= memory, "an archive, twice while it grows, and all the rest");
}

#[test]
fn nothing_is_deployed_that_costs_by_the_month_or_takes_from_the_account() {
    let all = translated();
    let text = all.to_string();
    for never in [
        "ReservedConcurrentExecutions",
        "VpcConfig",
        "KmsMasterKeyId",
        "KmsKeyId",
        "AWS::KMS::Key",
        "ProvisionedConcurrency",
    ] {
        assert!(!text.contains(never), "{never}");
    }
    let resources = all["Resources"].as_object().unwrap();
    let allowed: Vec<&String> = resources
        .iter()
        .filter(|(_, resource)| !resource["Properties"]["RecursiveLoop"].is_null())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(allowed, ["Scheduler"], "a loop is meant here only");
    for (name, resource) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::Lambda::Function") {
        let group = &resource["Properties"]["LoggingConfig"]["LogGroup"]["Ref"];
        let group = group.as_str().unwrap_or_else(|| panic!("{name} has a log group of its own"));
        assert!(!resources[group]["Properties"]["RetentionInDays"].is_null(), "{name}");
    }
}
