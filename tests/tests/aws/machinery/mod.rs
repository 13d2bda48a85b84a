//! The box itself: what it promises to be like, on a function that does as it is told.
use aws_sdk_sqs::types::Message;
use e2e::cloud::environment::Failed;
use e2e::cloud::{Cloud, Settings, fresh_name, threads};
use e2e::{SHORT, until};
use emulator::Emulator;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Stub {
    cloud: Cloud,
    logs: TempDir,
}

impl Stub {
    fn new(parameters: Vec<(&str, String)>) -> Self {
        let logs = tempfile::tempdir().expect("a folder");
        let cloud = Cloud::deploy(&Settings {
            name: fresh_name(),
            template: &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/aws/machinery/template.yaml"),
            parameters,
            programs: &|_| PathBuf::from(env!("CARGO_BIN_EXE_stub-function")),
            logs: logs.path(),
            speed: 1,
            comes_back: Some(Duration::from_secs(1)),
            emulator: Emulator::shared(),
        });
        Self { cloud: cloud.expect("a deployment"), logs }
    }
    fn log(&self, function: &str) -> String {
        let file = self.logs.path().join(format!("{function}.log"));
        std::fs::read_to_string(file).unwrap_or_default()
    }
    fn url(&self, queue: &str) -> String {
        self.cloud.aws.queue_url(&format!("{}-{queue}", self.cloud.name))
    }
    fn send(&self, queue: &str, group: Option<&str>, body: &str) {
        let sqs = &self.cloud.aws.sqs;
        let asked = sqs.send_message().queue_url(self.url(queue)).message_body(body);
        let sent = asked.set_message_group_id(group.map(str::to_owned)).send();
        threads().block_on(sent).expect("a message is taken");
    }
    fn receive(&self, queue: &str) -> Vec<Message> {
        let asked = self.cloud.aws.sqs.receive_message().queue_url(self.url(queue));
        let received = threads().block_on(asked.max_number_of_messages(10).send());
        received.expect("an answer").messages.unwrap_or_default()
    }
    /// Waits until the function has got these messages, in this order.
    #[track_caller]
    fn got(&self, function: &str, expect: &[&str]) {
        until(&format!("{expect:?}"), SHORT, || {
            let log = self.log(function);
            let got: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("GOT ")).collect();
            if got == expect { Ok(()) } else { Err(format!("{got:?}")) }
        });
    }
}

#[test]
fn a_batch_is_deleted_but_for_what_failed_and_that_comes_back_until_it_is_dead() {
    let stub = Stub::new(vec![]);
    stub.cloud.start();
    stub.send("work", None, "fail 1");
    stub.got("Stub", &["fail 1 after \"1\"", "fail 1 after \"2\"", "fail 1 after \"3\""]);
    until("the dead letter", SHORT, || {
        let dead = stub.receive("Dead");
        if dead.len() == 1 { Ok(()) } else { Err(format!("{dead:?}")) }
    });
    assert!(stub.receive("work").is_empty());
}

#[test]
fn of_a_group_one_batch_is_in_flight_and_others_go_on() {
    let stub = Stub::new(vec![]);
    for (group, body) in [("a", "fail a1"), ("a", "ok a2"), ("b", "ok b1")] {
        stub.send("groups.fifo", Some(group), body);
    }
    stub.cloud.start();
    until("b to be done, and a to wait for its turn", SHORT, || {
        let log = stub.log("Stub");
        if log.contains("fail a1 after \"3\"") && log.contains("ok b1") { Ok(()) } else { Err(log) }
    });
    let log = stub.log("Stub");
    assert_eq!(log.matches("ok b1").count(), 1, "{log}");
}

#[test]
fn whoever_hangs_is_killed_and_whoever_crashes_is_replaced() {
    let stub = Stub::new(vec![]);
    stub.cloud.lambda.kill_after("Stub", Some(Duration::from_millis(500)));
    let batch = |body: &str| json!({ "Records": [{ "messageId": "1", "body": body }] }).to_string();
    let began = Instant::now();
    assert_eq!(stub.cloud.invoke("Stub", &batch("hang")), Err(Failed::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(5));
    let died = stub.cloud.invoke("Stub", &batch("crash"));
    assert!(matches!(&died, Err(Failed::Died(how)) if how.contains('7')), "{died:?}");
    let told = stub.cloud.invoke("Stub", r#"{"fail": true}"#);
    assert!(matches!(&told, Err(Failed::Error(how)) if how.contains("as it was told")), "{told:?}");
    let fine = stub.cloud.invoke("Stub", &batch("ok")).expect("an answer");
    assert!(fine.contains("batchItemFailures"), "{fine}");
    let cold: Vec<bool> =
        stub.cloud.lambda.reports("Stub").iter().map(|r| r.init.is_some()).collect();
    assert_eq!(cold, [true, true, true, false], "an error costs no environment, a death does");
    // Between two invocations it stands still.
    let pid = *stub.cloud.lambda.processes().values().next().expect("one environment");
    until("its process to be stopped", SHORT, || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.contains(") T ") { Ok(()) } else { Err(stat) }
    });
}

#[test]
fn a_function_that_does_not_start_eats_no_message() {
    let stub = Stub::new(vec![("Missing", "yes".to_owned())]);
    let init = stub.cloud.invoke("Stub", "{}");
    assert!(
        matches!(&init, Err(Failed::Init(why)) if why.contains("a variable is missing")),
        "{init:?}"
    );
    stub.send("work", None, "ok");
    stub.cloud.start();
    std::thread::sleep(Duration::from_millis(500));
    stub.cloud.stop(false);
    until("the message to be there", SHORT, || {
        let there = stub.receive("work");
        if there.len() == 1 { Ok(()) } else { Err(format!("{there:?}")) }
    });
}

#[test]
fn a_function_that_feeds_itself_is_cut_after_sixteen_passes() {
    let stub = Stub::new(vec![]);
    stub.cloud.start();
    let body = format!("again {}", stub.url("work"));
    stub.send("work", None, &body);
    let log = until("the end of it", SHORT, || {
        let log = stub.log("Stub");
        if log.contains("RECURSION") { Ok(log) } else { Err(log) }
    });
    assert_eq!(log.matches("GOT again").count(), 16, "{log}");
}

#[test]
fn a_schedule_that_fails_is_tried_again_and_told_to_the_queue_of_failures() {
    let stub = Stub::new(vec![]);
    let told = stub.cloud.tick();
    assert!(matches!(told, Err(Failed::Error(_))), "{told:?}");
    let dead = stub.receive("Dead");
    let body = dead.first().and_then(|message| message.body.as_deref()).unwrap_or_default();
    let told: Value = serde_json::from_str(body).expect("a record");
    assert_eq!(told["requestPayload"], r#"{"fail": true}"#, "{told}");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 2, "{told}");
    assert!(stub.receive("Undelivered").is_empty(), "it reached the function");
}

#[test]
fn the_front_speaks_payload_two_and_keeps_its_limits() {
    let stub = Stub::new(vec![]);
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let url = stub.cloud.front.url();
    let away = agent.get(format!("{url}/x")).call().expect("an answer");
    assert_eq!(away.status(), 503, "nothing runs yet");
    stub.cloud.start();
    let post = |kind: &str, body: &[u8]| {
        let asked = agent
            .post(format!("{url}/a/b?one=1&two=2&two=3"))
            .header("content-type", kind)
            .header("cookie", "a=1; b=2")
            .send(body);
        let mut answer = asked.expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_json::<Value>().unwrap_or_default())
    };
    let (status, event) = post("application/json", b"{\"x\":1}");
    assert_eq!(status, 200);
    assert_eq!(event["rawPath"], "/a/b");
    assert_eq!(event["rawQueryString"], "one=1&two=2&two=3");
    assert_eq!(event["queryStringParameters"], json!({ "one": "1", "two": "2,3" }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["cookie"], Value::Null);
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"x\":1}"), &json!(false)));
    let (_, event) = post("application/x-www-form-urlencoded", b"a=b");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("YT1i"), &json!(true)));
    let timed = agent.put(format!("{url}/timed/x")).send(&b""[..]).expect("an answer");
    let event: Value = timed.into_body().read_json().expect("an event");
    assert_eq!(event["pathParameters"], json!({ "name": "x" }), "another function, by its route");
    let (status, _) = post("application/json", &vec![b'1'; 11 * 1024 * 1024]);
    assert_eq!(status, 413, "above 10 MB");
    let (status, _) = post("application/octet-stream", &vec![0; 5 * 1024 * 1024]);
    assert_eq!(status, 413, "above what a function takes, once encoded");
}
