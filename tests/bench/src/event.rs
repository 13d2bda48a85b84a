//! What each function is started with, and what it must answer.
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use emulator::{Emulator, REGION};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const BUCKET: &str = "windlass-bench";
/// Before the name of every queue.
pub(crate) const QUEUES: &str = "bench-";
/// No round takes longer, on most machines.
const ROUND_MAX: Duration = Duration::from_secs(10);
const SECRET: &str = "bench-webhook-secret";
const SECRET_NAME: &str = "/bench/config/webhook-secrets";

/// Variables of all functions; each takes what it knows.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    let text = |value: &str| value.to_owned();
    vec![
        ("WINDLASS_BUCKET", text(BUCKET)),
        ("WINDLASS_REPOSITORIES", text("infra=example/infra@main")),
        ("WINDLASS_SECRETS_PREFIX", text("/bench/secrets/")),
        ("WINDLASS_WEBHOOK_SECRETS", text(SECRET_NAME)),
        ("WINDLASS_URL", text("https://windlass.example")),
        ("WINDLASS_GITHUB_API", text("https://api.github.invalid")),
        ("WINDLASS_GITHUB_TOKEN", text("/bench/config/github-token")),
        ("WINDLASS_GITHUB_APP_ID", String::new()),
        ("WINDLASS_GITHUB_APP_KEY", String::new()),
    ]
}

/// Bucket, queues and the webhook's secret.
pub(crate) fn prepare(emulator: &Emulator) -> Result<()> {
    let client = Client::of(emulator);
    client.call("s3", "PUT", &format!("/{BUCKET}"), None, &Value::Null)?;
    let fifo = ["intents.fifo", "intents-dead.fifo", "reports.fifo", "reports-dead.fifo"];
    let plain = ["jobs-control-first", "jobs-control-first-dead"];
    for name in fifo.iter().chain(&plain) {
        let attributes =
            if name.ends_with(".fifo") { json!({"FifoQueue": "true"}) } else { json!({}) };
        let body = json!({"QueueName": format!("{QUEUES}{name}"), "Attributes": attributes});
        client.call("sqs", "POST", "/", Some("AmazonSQS.CreateQueue"), &body)?;
    }
    let body = json!({"Name": SECRET_NAME, "Value": SECRET, "Type": "SecureString"});
    client.call("ssm", "POST", "/", Some("AmazonSSM.PutParameter"), &body)
}

struct Client<'a> {
    emulator: &'a Emulator,
    agent: ureq::Agent,
}

impl<'a> Client<'a> {
    fn of(emulator: &'a Emulator) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { emulator, agent: config.into() }
    }

    fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        target: Option<&str>,
        body: &Value,
    ) -> Result<()> {
        let credential = format!("Credential=bench/20260101/{REGION}/{service}/aws4_request");
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.emulator.endpoint()))
            .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"));
        if let Some(target) = target {
            let kind = format!("application/x-amz-json-1.{}", u8::from(service != "sqs"));
            request = request.header("x-amz-target", target).header("content-type", kind);
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = self.agent.run(request.body(text)?).context("the AWS API is away")?;
        let status = answer.status();
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        ensure!(status.is_success(), "{service} {path}: {status} {said}");
        Ok(())
    }
}

/// A round's event: a delivery is never the same twice.
pub(crate) fn of(name: &str, round: usize) -> String {
    let event = match name {
        "webhook" | "node" | "python" => push(&format!("bench-{name}-{round}")),
        "api" => http("GET", "/api/v1/health", &[("host", "windlass.example")], ""),
        "scheduler" => json!({"tick": true}),
        _ => json!({}),
    };
    event.to_string()
}

/// Waits for a minute in which a tick asks S3 alone, as most do: each fifth also looks at GitHub, each
/// tenth at dead letters.
pub(crate) fn quiet_minute() {
    let looks = |ahead: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ((now + ahead).as_secs() / 60).is_multiple_of(scheduler::WATCH_MINUTES)
    };
    while looks(Duration::ZERO) || looks(ROUND_MAX) {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// As GitHub sends it, through API Gateway.
fn push(delivery: &str) -> Value {
    let body = json!({
        "ref": "refs/heads/main",
        "before": "1".repeat(40),
        "after": "2".repeat(40),
        "created": false, "deleted": false, "forced": false,
        "repository": {"full_name": "example/infra", "default_branch": "main"},
        "pusher": {"name": "somebody"},
        "commits": [{"id": "2".repeat(40), "message": "A change", "added": [],
                     "modified": ["stacks/one/main.tf"], "removed": []}],
        "head_commit": {"id": "2".repeat(40), "message": "A change"},
    });
    let body = body.to_string();
    let signature = sign(body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("host", "windlass.example"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signature.as_str()),
    ];
    http("POST", "/webhooks/github", &headers, &body)
}

fn sign(body: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256=".to_owned();
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// API Gateway's payload, version 2.0.
fn http(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": emulator::ACCOUNT,
            "apiId": "bench",
            "domainName": "windlass.example",
            "domainPrefix": "windlass",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                     "sourceIp": "192.0.2.1", "userAgent": "bench"},
            "requestId": "bench",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": base64::engine::general_purpose::STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

/// What comes of the event has to have come of it, or nothing was measured.
pub(crate) fn check(name: &str, answer: &str) -> Result<()> {
    let said: Value = serde_json::from_str(answer).unwrap_or(Value::Null);
    let right = match name {
        "webhook" | "node" | "python" => said["statusCode"] == 202,
        "api" => said["statusCode"] == 200,
        _ => said["errorMessage"].is_null(),
    };
    ensure!(right, "{name} answered {answer}");
    Ok(())
}
