//! Every file under `events/` reads as what it is, and comes back the same.
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use windlass_core::delivery::{Headers, Intake, LiveSecrets, VerifiedDelivery, intake, verify};
use windlass_core::event::Intent;
use windlass_core::job::{Attempt, JobId, Phase, Report};
use windlass_core::keys::job_spec;
use windlass_core::wire::github::{PushPayload, Ref};

macro_rules! events { ($($path:literal)+) => {
    const EVENTS: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("../../../events/", $path)))),+];
}; }

events! {
    "apigw/console.json"
    "apigw/webhook-base64.json"
    "apigw/webhook.json"
    "asg/lifecycle-eventbridge.json"
    "asg/lifecycle-sqs.json"
    "asg/test-notification-sqs.json"
    "ec2/rebalance-recommendation.json"
    "ec2/spot-warning.json"
    "github/ping.json"
    "github/pull-request.json"
    "github/push-bot.json"
    "github/push-cut.json"
    "github/push-deleted.json"
    "github/push-forced.json"
    "github/push-merge.json"
    "github/push-new-branch.json"
    "github/push-tag.json"
    "github/push.json"
    "s3/job-created.json"
    "schedule/drift.json"
    "schedule/tick.json"
    "sqs/intents.json"
    "sqs/reports.json"
}

fn bytes(path: &str) -> &'static [u8] {
    EVENTS.iter().find(|(known, _)| *known == path).map(|(_, bytes)| *bytes).expect(path)
}

fn json(path: &str) -> Value {
    serde_json::from_slice(bytes(path)).expect(path)
}

#[test]
fn the_list_is_whole_and_each_file_comes_back_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut found = BTreeSet::new();
    for source in folder.read_dir().expect("events").flatten().filter(|e| e.path().is_dir()) {
        for file in source.path().read_dir().expect("a folder").flatten() {
            let (folder, file) = (source.file_name(), file.file_name());
            found.insert(format!("{}/{}", folder.to_string_lossy(), file.to_string_lossy()));
        }
    }
    let listed: BTreeSet<String> = EVENTS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(found, listed);
    let readme = include_str!("../../../events/README.md");
    for (path, bytes) in EVENTS {
        let value: Value = serde_json::from_slice(bytes).expect(path);
        let again: Value = serde_json::from_str(&value.to_string()).expect(path);
        assert_eq!(value, again, "{path}");
        assert!(readme.contains(&format!("`{path}`")), "{path} is not in the README");
    }
}

#[test]
fn pushes_say_what_they_are() {
    let push = |name: &str| -> PushPayload {
        serde_json::from_slice(bytes(&format!("github/{name}.json"))).expect(name)
    };
    for (name, reference, plain, gone, files) in [
        ("push", Ref::Branch("main"), true, false, Some(4)),
        ("push-new-branch", Ref::Branch("feature/two-zones"), false, false, Some(1)),
        ("push-deleted", Ref::Branch("feature/two-zones"), false, true, None),
        ("push-forced", Ref::Branch("main"), false, false, None),
        ("push-tag", Ref::Tag("v1.4.0"), false, false, None),
        ("push-cut", Ref::Branch("main"), true, false, None),
        ("push-merge", Ref::Branch("main"), true, false, None),
        ("push-bot", Ref::Branch("main"), true, false, Some(1)),
    ] {
        let push = push(name);
        assert_eq!(push.moved(), reference, "{name}");
        assert_eq!((push.is_plain(), push.is_deletion()), (plain, gone), "{name}");
        assert_eq!(push.files().map(|files| files.len()), files, "{name}");
    }
    let (author, subject) = push("push").author_and_subject();
    assert_eq!((author.as_str(), subject.as_str()), ("Ada Example", "Drop the old bastion"));
    assert_eq!(push("push-bot").author_and_subject().0, "renovate[bot]");
}

#[test]
fn deliveries_are_signed_over_the_file_s_bytes() {
    let secrets = LiveSecrets::of(["a secret of this test"]);
    for (path, bytes) in EVENTS.iter().filter(|(path, _)| path.starts_with("github/")) {
        let event = match *path {
            "github/ping.json" => "ping",
            "github/pull-request.json" => "pull_request",
            _ => "push",
        };
        let signature = secrets.sign(bytes).expect("a secret");
        let headers = Headers {
            content_type: Some("application/json"),
            event: Some(event),
            delivery: Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            signature: Some(&signature),
        };
        let delivery = verify(&headers, bytes, &secrets).expect(path);
        let repository = || "acme/infra".to_owned();
        let sorted = match event {
            "ping" => Intake::Ping { repository: Some(repository()) },
            _ => Intake::Keep { repository: repository() },
        };
        assert_eq!(intake(&delivery), sorted, "{path}");
    }
}

#[test]
fn what_an_http_api_hands_on_is_what_github_signed() {
    let secrets = LiveSecrets::of(["It's a Secret to Everybody"]);
    let request = json("apigw/webhook.json");
    let header = |name: &str| request["headers"][name].as_str();
    let headers = Headers {
        content_type: header("content-type"),
        event: header("x-github-event"),
        delivery: header("x-github-delivery"),
        signature: header("x-hub-signature-256"),
    };
    let body = request["body"].as_str().expect("a body");
    assert_eq!(body.as_bytes(), bytes("github/push.json"));
    let delivery: VerifiedDelivery = verify(&headers, body.as_bytes(), &secrets).expect("signed");
    assert_eq!(delivery.event(), "push");
    let coded = json("apigw/webhook-base64.json");
    assert_eq!(
        (&request["isBase64Encoded"], &coded["isBase64Encoded"]),
        (&false.into(), &true.into())
    );
    assert_eq!(request["headers"], coded["headers"]);
    let console = json("apigw/console.json");
    assert_eq!(console["requestContext"]["http"]["method"], "GET");
}

fn bodies(path: &str) -> Vec<String> {
    let batch = json(path);
    let records = batch["Records"].as_array().expect("records");
    records.iter().map(|r| r["body"].as_str().expect("a body").to_owned()).collect()
}

#[test]
fn messages_are_what_actors_read() {
    for body in bodies("sqs/intents.json") {
        let intent: Intent = serde_json::from_str(&body).expect(&body);
        let again = serde_json::to_value(&intent).expect("json");
        assert_eq!(again, serde_json::from_str::<Value>(&body).expect("json"));
    }
    let reports = bodies("sqs/reports.json");
    let (nonsense, reports) = reports.split_last().expect("some");
    assert!(serde_json::from_str::<Report>(nonsense).is_err());
    for body in reports {
        let report: Report = serde_json::from_str(body).expect(body);
        let again = serde_json::to_value(&report).expect("json");
        assert_eq!(again, serde_json::from_str::<Value>(body).expect("json"));
    }
}

#[test]
fn a_notice_of_a_hook_is_the_same_on_both_roads() {
    let body = bodies("asg/lifecycle-sqs.json").pop().expect("one");
    let notice: Value = serde_json::from_str(&body).expect("json");
    let event = json("asg/lifecycle-eventbridge.json");
    for (name, value) in event["detail"].as_object().expect("a detail") {
        assert_eq!(&notice[name], value, "{name}");
    }
    let test = bodies("asg/test-notification-sqs.json").pop().expect("one");
    assert!(test.contains("autoscaling:TEST_NOTIFICATION"));
}

/// An autoscaler's rule asks for exactly these keys.
#[test]
fn what_wakes_an_autoscaler_is_a_job_s_own_document() {
    let event = json("s3/job-created.json");
    let key = event["detail"]["object"]["key"].as_str().expect("a key");
    let run = "01KAP3F8T0000000000000NETW".into();
    let id = JobId { run, phase: Phase::Plan, round: 0, attempt: Attempt::FIRST };
    assert_eq!(key, job_spec(&id));
    for (path, kind) in [
        ("ec2/spot-warning.json", "EC2 Spot Instance Interruption Warning"),
        ("ec2/rebalance-recommendation.json", "EC2 Instance Rebalance Recommendation"),
    ] {
        let notice = json(path);
        let machine = notice["detail"]["instance-id"].as_str().expect("a machine");
        assert!(machine.starts_with("i-") && notice["detail-type"] == kind, "{path}");
    }
}

#[test]
fn schedules_send_a_tick() {
    for path in ["schedule/tick.json", "schedule/drift.json"] {
        assert_eq!(json(path), serde_json::json!({ "tick": true }), "{path}");
    }
}
