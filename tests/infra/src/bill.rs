//! What an installation costs in a month in which nothing happens, from the template as it is.
//!
//! AWS's list prices of us-east-1 in November 2026, and nothing of a free tier. Where AWS leaves a
//! number open, both ends are counted: how often Lambda polls an idle queue.
use serde_json::Value;
use std::fmt::Write as _;

/// 730 hours.
const MINUTES: f64 = 43_800.0;

/// <https://aws.amazon.com/sqs/pricing/>, per request.
const SQS_STANDARD: f64 = 0.40e-6;
const SQS_FIFO: f64 = 0.50e-6;
/// <https://aws.amazon.com/s3/pricing/>: PUT, COPY, POST and LIST; GET; a GB-month.
const S3_LIST: f64 = 5.0e-6;
const S3_GB: f64 = 0.023;
/// <https://aws.amazon.com/lambda/pricing/>: a request; a GB-second (x86).
const LAMBDA_REQUEST: f64 = 0.20e-6;
const LAMBDA_GB_SECOND: f64 = 0.000_016_666_7;
/// <https://aws.amazon.com/cloudwatch/pricing/>: an alarm on one metric; a GB of logs.
const ALARM: f64 = 0.10;
const LOG_GB: f64 = 0.50;

/// A poller asks again as soon as a long poll of 20 seconds has ended.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const POLLS_PER_MINUTE: f64 = 3.0;
/// Pollers of a queue at first, and of one with a maximum concurrency for ever; and how few Lambda
/// may leave of them where traffic is low and there is no maximum.
const POLLERS: f64 = 5.0;
const POLLERS_MIN: f64 = 2.0;
/// An idle tick is one small request to S3 in the same region, in a warm environment: 20 to 50 ms.
const TICK_SECONDS: f64 = 0.05;
/// The tick looks for dead letters once in so many minutes (scheduler: `REDRIVE_MINUTES`), in so
/// many queues.
pub const REDRIVE_MINUTES: u64 = 10;
/// Documents of an installation that has seen some use, and log lines of an idle one (restarts of
/// environments).
const STORED_GB: f64 = 0.05;
const LOGGED_GB: f64 = 0.001;

/// One line: what, how many, at what price each.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub what: String,
    pub count: f64,
    pub price: f64,
}

impl Item {
    fn new(what: impl Into<String>, count: f64, price: f64) -> Self {
        Self { what: what.into(), count, price }
    }
    #[must_use]
    pub fn dollars(&self) -> f64 {
        self.count * self.price
    }
}

/// The bill of a translated template whose references are worked out by `of_type` (resources of a
/// type, by logical name). `patient`: Lambda polls FIFO queues without a maximum as seldom as it
/// may; otherwise as often as it may.
pub fn idle(of_type: &dyn Fn(&str) -> Vec<(String, Value)>, patient: bool) -> Vec<Item> {
    let mut items = Vec::new();
    for (_, source) in of_type("AWS::Lambda::EventSourceMapping") {
        let arn = source["EventSourceArn"].as_str().unwrap_or_default();
        let queue = arn.rsplit(':').next().unwrap_or_default();
        let bounded = !source["ScalingConfig"]["MaximumConcurrency"].is_null();
        let pollers = if patient && !bounded { POLLERS_MIN } else { POLLERS };
        let polls = MINUTES * POLLS_PER_MINUTE * pollers;
        let what = format!("empty receives of `{queue}`, {pollers} pollers");
        items.push(Item::new(what, polls, sqs(queue)));
    }
    for (_, queue) in of_type("AWS::SQS::Queue") {
        let name = queue["QueueName"].as_str().unwrap_or_default();
        if name.trim_end_matches(".fifo").ends_with("-dead") {
            let what = format!("the tick looks into `{name}`");
            items.push(Item::new(what, MINUTES / REDRIVE_MINUTES as f64, sqs(name)));
        }
    }
    let mut runs = 0.0;
    for (logical, rule) in of_type("AWS::Events::Rule") {
        let times = MINUTES / minutes(rule["ScheduleExpression"].as_str().unwrap_or_default());
        runs += times;
        items.push(Item::new(format!("`{logical}` lists what is due (S3)"), times, S3_LIST));
    }
    let gb =
        of_type("AWS::Lambda::Function").into_iter().filter_map(|(_, f)| f["MemorySize"].as_f64());
    let gb = gb.fold(0.0, f64::max) / 1024.0;
    items.push(Item::new("invocations by schedules", runs, LAMBDA_REQUEST));
    items.push(Item::new("their GB-seconds", runs * TICK_SECONDS * gb, LAMBDA_GB_SECOND));
    let alarms = of_type("AWS::CloudWatch::Alarm").len() as f64;
    items.push(Item::new("alarms", alarms, ALARM));
    items.push(Item::new("GB stored in S3", STORED_GB, S3_GB));
    items.push(Item::new("GB of logs", LOGGED_GB, LOG_GB));
    items
}

fn sqs(queue: &str) -> f64 {
    if queue.ends_with(".fifo") { SQS_FIFO } else { SQS_STANDARD }
}

/// `rate(10 minutes)`; anything else is never.
fn minutes(expression: &str) -> f64 {
    let number = expression.trim_start_matches("rate(").split(' ').next().unwrap_or_default();
    number.parse().unwrap_or(f64::INFINITY)
}

#[must_use]
pub fn total(items: &[Item]) -> f64 {
    items.iter().map(Item::dollars).sum()
}

/// As a table of docs/aws.md.
#[must_use]
pub fn table(low: &[Item], high: &[Item]) -> String {
    let mut text = String::from("| what | a month | $ each | $ | if Lambda polls more |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    for (item, other) in low.iter().zip(high) {
        let more = if item == other { String::new() } else { format!("{:.3}", other.dollars()) };
        let (count, each) = (thousands(item.count), price(item.price));
        let _ =
            writeln!(text, "| {} | {count} | {each} | {:.3} | {more} |", item.what, item.dollars());
    }
    let _ = writeln!(text, "| **together** | | | **{:.2}** | {:.2} |", total(low), total(high));
    text
}

fn price(dollars: f64) -> String {
    if dollars >= 0.01 {
        format!("{dollars:.3}")
    } else {
        format!("{:.2} per million", dollars * 1e6)
    }
}

fn thousands(count: f64) -> String {
    if count < 100.0 {
        return format!("{count}");
    }
    let digits = format!("{count:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
