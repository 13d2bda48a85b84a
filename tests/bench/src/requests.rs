//! What a run costs in requests, and how soon a push is a worker's job: counted and timed on the
//! cloud in a box, by the API server's own record.
use crate::crowd;
use anyhow::{Result, ensure};
use e2e::World;
use e2e::cloud::iam;
use e2e::cloud::place::InABox;
use emulator::{Call, Price};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use windlass_report::Report;
use windlass_report::stats::median;

/// Confirmed runs that are counted, after one that is not.
const RUNS: usize = 10;

struct Counts {
    put: f64,
    get: f64,
    sqs: f64,
    webhook: f64,
}

/// Counts a run's requests; with `others`, once more beside so many other stacks.
pub(crate) fn measure(others: usize) -> Result<Report> {
    let (world, cloud) = World::cloud_alone("terraform");
    world.define(&[("one", "")]);
    let up = world.up(1);
    let confirmed = |value: &str| {
        let sha = world.code("one", value).repo.commit("Another value");
        let run = up.reaches("one", &sha, "UNCONFIRMED");
        up.confirm(&run);
        up.reaches("one", &sha, "FINISHED");
    };
    // The first one brings the definitions, too.
    confirmed("first");
    confirmed("warm");
    // The run's last effects, and the workers' renewals of before.
    std::thread::sleep(Duration::from_secs(3));
    let emulator = cloud.deployed().cloud.aws.emulator.clone();
    let count = |round: &str| -> Result<(Vec<Call>, f64)> {
        emulator.forget_calls()?;
        let began = Instant::now();
        for n in 0..RUNS {
            confirmed(&format!("{round} {n}"));
            std::thread::sleep(Duration::from_millis(500));
        }
        std::thread::sleep(Duration::from_secs(3));
        let calls = emulator.calls()?;
        ensure!(!calls.is_empty(), "nothing was asked of AWS");
        tell(&calls, RUNS);
        Ok((calls, began.elapsed().as_secs_f64() / 60.0))
    };
    let (calls, minutes) = count("alone")?;
    let counts = counts(&calls, RUNS);
    let among = (others > 0).then(|| {
        crowd::join(&cloud.deployed(), "one", others)?;
        eprintln!("beside {others} other stacks:");
        count("among others").map(|(calls, _)| self::counts(&calls, RUNS))
    });
    let among = among.transpose()?;
    let about = "AWS requests of a tracked run with confirmation (push, plan, confirm, apply), as \
                 the API server counted them, all functions and the worker. Apart: parts of logs, \
                 looks at a control document, receives that bring nothing, ticks, what people's \
                 looking costs, and Terraform's own requests for its state and lock";
    let mut report = Report::new("requests", about);
    report.command = match others {
        0 => "cargo run --release -p bench -- requests".to_owned(),
        _ => format!("cargo run --release -p bench -- requests --others {others}"),
    };
    report.figure("put_class", counts.put, "", "PUT, POST, LIST").at_most = Some(20.0);
    report.figure("get_class", counts.get, "", "GET and HEAD").at_most = Some(40.0);
    report.figure("sqs", counts.sqs, "", "SQS").at_most = Some(25.0);
    report.figure("webhook", counts.webhook, "", "… of these, the webhook's").at_most = Some(3.0);
    if let Some(among) = among {
        let figures = [
            ("put_class_among_others", among.put, "PUT, POST, LIST, beside the others", 20.0),
            ("get_class_among_others", among.get, "… GET and HEAD", 40.0),
            ("sqs_among_others", among.sqs, "… SQS", 25.0),
        ];
        for (name, value, what, at_most) in figures {
            report.figure(name, value, "", what).at_most = Some(at_most);
        }
        let many = f64::from(u32::try_from(others)?);
        report.figure("others", many, "", "other stacks in the bucket");
    }
    for (what, count) in apart(&calls) {
        let each = f64::from(count) / minutes;
        report.figure(what.0, each, "/min", what.1);
    }
    report.figure("runs", f64::from(u32::try_from(RUNS)?), "", "runs counted");
    Ok(report)
}

/// What a run asks for, by who asks and of what, most first: where to look if it is too much.
fn tell(calls: &[Call], runs: usize) {
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for call in calls.iter().filter(|call| kind(call) == Kind::Run) {
        let name = call.resource.split_once('/').map_or(call.resource.as_str(), |(_, key)| key);
        let (first, last) = (name.split('/').next(), name.rsplit('/').next());
        let job = name.starts_with("jobs/").then_some(last).flatten().unwrap_or_default();
        let what = format!("{} {} {} {job}", call.caller, call.action, first.unwrap_or_default());
        *kinds.entry(what).or_insert(0) += 1;
    }
    let mut kinds: Vec<(u32, String)> = kinds.into_iter().map(|(what, n)| (n, what)).collect();
    kinds.sort_unstable_by(|a, b| b.cmp(a));
    for (n, what) in kinds {
        eprintln!("{:7.1}  {what}", f64::from(n) / f64::from(u32::try_from(runs).unwrap_or(1)));
    }
}

/// Everything that a run causes, divided by the runs.
fn counts(calls: &[Call], runs: usize) -> Counts {
    let runs = f64::from(u32::try_from(runs).unwrap_or(u32::MAX));
    let of_runs = || calls.iter().filter(|call| kind(call) == Kind::Run);
    let of = |price: Price| {
        let n = of_runs().filter(|call| call.price == price).count();
        f64::from(u32::try_from(n).unwrap_or(u32::MAX)) / runs
    };
    let webhook = of_runs().filter(|call| call.caller == "fn-Webhook").count();
    Counts {
        put: of(Price::Put),
        get: of(Price::Get),
        sqs: of(Price::Sqs),
        webhook: f64::from(u32::try_from(webhook).unwrap_or(u32::MAX)) / runs,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Run,
    Logs,
    Controls,
    EmptyReceives,
    Tick,
    /// The test's own questions to the API.
    Looking,
    /// The tool's own: Terraform's S3 backend, its state and its lock.
    Backend,
}

fn kind(call: &Call) -> Kind {
    let key = call.resource.split_once('/').map_or("", |(_, key)| key);
    if call.action == "ReceiveMessage" && call.empty {
        return Kind::EmptyReceives;
    }
    if call.service == "s3" && key.starts_with("logs/") {
        return Kind::Logs;
    }
    if call.service == "s3" && key.starts_with("jobs/") && key.ends_with("/control") {
        return Kind::Controls;
    }
    if call.caller == "fn-Api" && call.service == "s3" && call.action != "PutObject" {
        return Kind::Looking;
    }
    if call.caller == iam::WORKER && call.service == "s3" && key.starts_with("state/") {
        return Kind::Backend;
    }
    let tick = call.action == "ListBucket" && key.starts_with("due/");
    if tick || call.caller == "fn-Drift" || key.ends_with("-dead.fifo") {
        return Kind::Tick;
    }
    Kind::Run
}

fn apart(calls: &[Call]) -> BTreeMap<(&'static str, &'static str), u32> {
    let mut apart = BTreeMap::new();
    for call in calls {
        let what = match kind(call) {
            Kind::Run => continue,
            Kind::Logs => ("apart_logs", "apart: parts of logs"),
            Kind::Controls => ("apart_controls", "apart: looks at a control document"),
            Kind::EmptyReceives => ("apart_empty", "apart: receives that bring nothing"),
            Kind::Tick => ("apart_ticks", "apart: ticks (here one each two seconds)"),
            Kind::Looking => ("apart_looking", "apart: reads of the API for people"),
            Kind::Backend => ("apart_backend", "apart: Terraform's own, for its state and lock"),
        };
        *apart.entry(what).or_insert(0) += 1;
    }
    apart
}

/// From the signed push to the pointer in the hands of a worker: by the API server's clock.
pub(crate) fn latency(pushes: usize) -> Result<Report> {
    let (world, cloud) = World::cloud_alone("terraform");
    let sha = world.define(&[("one", "")]).code("one", "first").repo.commit("One stack");
    // No worker: a job is seen in its queue, and no tool takes the processor.
    let up = world.up(0);
    up.reaches("one", &sha, "READY");
    let emulator = cloud.deployed().cloud.aws.emulator.clone();
    let mut taken_ms = Vec::new();
    for n in 0..pushes {
        emulator.forget_calls()?;
        let branch = format!("branch-{n}");
        world.repo.git(&["checkout", "--quiet", "-b", &branch, "main"]);
        world.code("one", &format!("value {n}")).repo.commit("A preview");
        taken_ms.push(job_ms(&cloud)?);
        world.repo.git(&["checkout", "--quiet", "main"]);
    }
    let about = "From GitHub's delivery at the front door to the job's pointer in the pool's queue, \
                 warm, previews of one stack, on the cloud in a box";
    let mut report = Report::new("latency", about);
    report.command =
        "WINDLASS_TEST_PROFILE=lambda cargo run --release -p bench -- latency".to_owned();
    report.figure("median_ms", median(&taken_ms), "ms", "in the median").at_most = Some(250.0);
    let mut sorted = taken_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let p95 = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or_default();
    report.figure("p95_ms", p95, "ms", "95 of 100 within");
    report.figure("pushes", f64::from(u32::try_from(pushes)?), "", "pushes, one after the other");
    Ok(report)
}

fn job_ms(cloud: &InABox) -> Result<f64> {
    let emulator = cloud.deployed().cloud.aws.emulator.clone();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let calls = emulator.calls()?;
        let began = calls.iter().find(|call| call.caller == "fn-Webhook");
        let there = calls.iter().find(|call| {
            call.action == "SendMessage" && call.resource.ends_with("jobs-default-rest")
        });
        if let (Some(began), Some(there)) = (began, there) {
            return Ok((there.at - began.at) * 1_000.0);
        }
        ensure!(Instant::now() < deadline, "the push made no job");
        std::thread::sleep(Duration::from_millis(5));
    }
}
