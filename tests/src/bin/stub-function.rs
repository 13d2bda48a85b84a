//! A function that does what its messages say: with it the box itself is tested.
//!
//! It speaks the Runtime API with nothing but HTTP. A message's body is a list of words:
//! `ok`, `fail`, `crash`, `hang`, `again QUEUE_URL` (sends the same message on); every message is
//! printed first. Any other event is sent back.
use serde_json::{Value, json};
use std::env::var;
use ureq::Agent;

fn main() {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(None).build();
    let agent: Agent = config.into();
    let api =
        format!("http://{}/2018-06-01/runtime", var("AWS_LAMBDA_RUNTIME_API").expect("an API"));
    if var("STUB_MISSING").is_ok_and(|missing| missing == "yes") {
        let told = json!({ "errorMessage": "a variable is missing", "errorType": "Config" });
        let _ = agent.post(format!("{api}/init/error")).send_json(told);
        std::process::exit(1);
    }
    loop {
        let next = agent.get(format!("{api}/invocation/next")).call();
        let mut next = next.expect("an invocation");
        let header = |name: &str| {
            let value = next.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (id, trace) =
            (header("lambda-runtime-aws-request-id"), header("lambda-runtime-trace-id"));
        let event: Value = next.body_mut().read_json().expect("JSON");
        let answer = match event["Records"].as_array() {
            Some(records) => batch(&agent, records, &trace),
            None if event["fail"] == true => {
                let told = json!({ "errorMessage": "as it was told", "errorType": "Told" });
                let _ = agent.post(format!("{api}/invocation/{id}/error")).send_json(told);
                continue;
            }
            None => event,
        };
        let sent = agent.post(format!("{api}/invocation/{id}/response")).send_json(answer);
        sent.expect("the answer is taken");
    }
}

fn batch(agent: &Agent, records: &[Value], trace: &str) -> Value {
    let mut failures = Vec::new();
    for record in records {
        let body = record["body"].as_str().unwrap_or_default();
        println!("GOT {body} after {}", record["attributes"]["ApproximateReceiveCount"]);
        let words: Vec<&str> = body.split(' ').collect();
        match words[..] {
            ["fail", ..] => failures.push(json!({ "itemIdentifier": record["messageId"] })),
            ["crash", ..] => std::process::exit(7),
            ["hang", ..] => std::thread::sleep(std::time::Duration::from_secs(600)),
            ["again", url, ..] => again(agent, url, body, trace),
            _ => {}
        }
    }
    json!({ "batchItemFailures": failures })
}

/// As an SDK in a function does: the trace of the invocation goes along.
fn again(agent: &Agent, url: &str, body: &str, trace: &str) {
    let sent = agent
        .post(var("AWS_ENDPOINT_URL").expect("an API server"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.SendMessage")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=fn-Stub/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0")
        .header("x-amzn-trace-id", trace)
        .send(json!({ "QueueUrl": url, "MessageBody": body }).to_string());
    let status = sent.expect("the API server").status();
    assert!(status.is_success(), "{status}");
}
