//! What SQS may answer, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_sqs::Sqs;
use std::sync::Arc;
use stub::{Answer, Stub, json};
use windlass_ports::fake::{Faults, Faulty, MemBlobs, Strike};
use windlass_ports::{Blobs, Fault, Outgoing, Queues};

fn told<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(fault) if fault.is_retryable() => "again",
        Err(_) => "poison",
    }
}

fn ok() -> Answer {
    Answer::Status(200, "{}".to_owned())
}

fn in_group() -> Outgoing {
    let (group, dedup) = (Some("stack:a".to_owned()), Some("d".to_owned()));
    Outgoing { body: b"{}".into(), group, dedup, delay_ms: 5_000 }
}

#[tokio::test]
async fn answers() {
    let prefixed = |code| json(400, &format!("com.amazonaws.sqs#{code}"));
    for (op, answers, heard, requests) in [
        ("send", vec![ok()], "done", 1),
        ("send", vec![json(400, "RequestThrottled"), ok()], "done", 2),
        ("send", vec![json(503, "ServiceUnavailable")], "again", 3),
        ("send", vec![Answer::Cut, ok()], "done", 2),
        ("send", vec![Answer::Cut], "again", 3),
        ("send", vec![Answer::Silence], "again", 3),
        ("send", vec![prefixed("QueueDoesNotExist")], "again", 1),
        ("send", vec![json(403, "AccessDenied")], "again", 1),
        ("send", vec![prefixed("KmsAccessDenied")], "again", 1),
        ("send", vec![prefixed("InvalidMessageContents")], "poison", 1),
        ("receive", vec![ok()], "done", 1),
        ("receive", vec![Answer::Cut, ok()], "done", 2),
        ("receive", vec![prefixed("QueueDoesNotExist")], "again", 1),
        ("delete", vec![ok()], "done", 1),
        ("delete", vec![prefixed("ReceiptHandleIsInvalid")], "done", 1),
        ("delete", vec![prefixed("InvalidParameterValue")], "done", 1),
        ("delete", vec![prefixed("QueueDoesNotExist")], "again", 1),
        ("delete", vec![json(500, "InternalError")], "again", 3),
        ("extend", vec![ok()], "done", 1),
        ("extend", vec![prefixed("MessageNotInflight")], "again", 1),
        ("extend", vec![prefixed("InvalidParameterValue")], "again", 1),
        ("hand back", vec![prefixed("MessageNotInflight")], "done", 1),
        ("hand back", vec![prefixed("InvalidParameterValue")], "done", 1),
        ("hand back", vec![Answer::Cut], "again", 3),
        ("depth", vec![ok()], "again", 1),
        ("depth", vec![json(400, "RequestThrottled")], "again", 3),
    ] {
        let case = format!("{op} {answers:?}");
        let stub = Stub::answering(answers).await;
        let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(MemBlobs::new()));
        let heard_now = match op {
            "send" => told(sqs.send("q.fifo", in_group()).await),
            "receive" => told(sqs.receive("q", 1, 0, 1_000).await),
            "delete" => told(sqs.delete("q", "r").await),
            "extend" => told(sqs.extend("q", "r", 1).await),
            "hand back" => told(sqs.extend("q", "r", 0).await),
            "depth" => told(sqs.depth("q").await),
            _ => panic!("{op}"),
        };
        assert_eq!((heard_now, stub.requests().len()), (heard, requests), "{case}");
    }
}

#[tokio::test]
async fn requests_say_what_was_asked() {
    let stub = Stub::answering(vec![ok()]).await;
    let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(MemBlobs::new()));
    sqs.send("q.fifo", in_group()).await.unwrap();
    sqs.send("q", in_group()).await.unwrap();
    sqs.receive("q", 50, 1_500, 30_000).await.unwrap();
    sqs.extend("q", "r", 0).await.unwrap();
    sqs.receive("q", 0, 0, 0).await.unwrap();
    sqs.delete("q", "").await.unwrap();
    let bodies: Vec<serde_json::Value> =
        stub.requests().iter().map(|request| body_of(request)).collect();
    let expected = [
        serde_json::json!({
            "QueueUrl": "http://q/1/w-q.fifo", "MessageBody": "{}",
            "MessageGroupId": "stack:a", "MessageDeduplicationId": "d",
        }),
        serde_json::json!({
            "QueueUrl": "http://q/1/w-q", "MessageBody": "{}",
            "MessageGroupId": "stack:a", "DelaySeconds": 5,
        }),
        serde_json::json!({
            "QueueUrl": "http://q/1/w-q", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 2,
            "VisibilityTimeout": 30,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "MessageGroupId"],
        }),
        serde_json::json!({
            "QueueUrl": "http://q/1/w-q", "ReceiptHandle": "r", "VisibilityTimeout": 0,
        }),
    ];
    assert_eq!(bodies, expected);
}

fn body_of(request: &str) -> serde_json::Value {
    serde_json::from_str(&request[request.find('{').unwrap()..]).unwrap()
}

fn message(receipt: &str, body: &str) -> String {
    format!(r#"{{"MessageId":"m","ReceiptHandle":"{receipt}","Body":"{body}"}}"#)
}

/// The bucket is away while a message points into it: nothing is delivered, so order holds.
#[tokio::test]
async fn a_body_out_of_reach_hands_all_back() {
    let pair = format!("{},{}", message("r1", "{}"), message("r2", "windlass-blob:messages/a"));
    let received = Answer::Status(200, format!(r#"{{"Messages":[{pair}]}}"#));
    let stub = Stub::answering(vec![received, ok()]).await;
    let blobs = Faulty::new(Arc::new(MemBlobs::new()), &Faults::by(|_, _| Some(Strike::Before)));
    let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(blobs) as Arc<dyn Blobs>);
    assert_eq!(told(sqs.receive("q.fifo", 10, 0, 30_000).await), "again");
    let requests = stub.requests();
    for (request, receipt) in requests[1..].iter().zip(["r1", "r2"]) {
        assert!(request.contains("changemessagevisibility"), "{request}");
        assert!(request.contains(receipt), "{request}");
    }
    assert_eq!(requests.len(), 3);
}

/// SQS delivers an acknowledged message once more: its body is gone, and so is its work.
#[tokio::test]
async fn what_was_acknowledged_is_not_delivered_again() {
    let pair = format!("{},{}", message("r1", "windlass-blob:messages/a"), message("r2", "{}"));
    let received = Answer::Status(200, format!(r#"{{"Messages":[{pair}]}}"#));
    let stub = Stub::answering(vec![received, ok()]).await;
    let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(MemBlobs::new()));
    let taken = sqs.receive("q.fifo", 10, 0, 30_000).await.unwrap();
    assert_eq!(taken.iter().map(|d| d.receipt.as_str()).collect::<Vec<_>>(), ["r2"]);
    let requests = stub.requests();
    assert!(requests[1].contains("deletemessage") && requests[1].contains("r1"));
    assert_eq!(requests.len(), 2);
}

/// One of three goes through, one can never, one may later; a fourth is not mentioned.
#[tokio::test]
async fn each_entry_of_a_batch_has_its_outcome() {
    let mixed = r#"{
        "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}],
        "Failed": [
            {"Id": "1", "Code": "InvalidMessageContents", "SenderFault": true, "Message": "odd"},
            {"Id": "2", "Code": "InternalError", "SenderFault": false}
        ]
    }"#;
    let many = [
        (Answer::Status(200, mixed.to_owned()), ["done", "poison", "again", "again"], 1),
        (Answer::Cut, ["again"; 4], 3),
        (json(400, "com.amazonaws.sqs#QueueDoesNotExist"), ["again"; 4], 1),
        (json(403, "AccessDenied"), ["again"; 4], 1),
    ];
    for (answer, expected, requests) in many {
        let stub = Stub::answering(vec![answer]).await;
        let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(MemBlobs::new()));
        let sent = sqs.send_many("q.fifo", vec![in_group(); 4]).await;
        assert_eq!(sent.into_iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(stub.requests().len(), requests);
    }
}

/// A body goes with its message, but not with one that somebody else may hold.
#[tokio::test]
async fn deleting_many_clears_what_lay_beside() {
    let answer = r#"{
        "Successful": [{"Id": "0"}],
        "Failed": [
            {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": true},
            {"Id": "2", "Code": "InternalError", "SenderFault": false}
        ]
    }"#;
    let stub = Stub::answering(vec![Answer::Status(200, answer.to_owned())]).await;
    let blobs = Arc::new(MemBlobs::new());
    for key in ["messages/a", "messages/b", "messages/c"] {
        blobs.put(key, b"x".to_vec()).await.unwrap();
    }
    let sqs = Sqs::new(&stub.aws, "http://q/1/w-", blobs.clone());
    let receipts = ["messages/a r", "messages/b r", "messages/c r", ""];
    let outcomes = sqs.delete_many("q.fifo", &receipts).await;
    let heard: Vec<&str> = outcomes.into_iter().map(told).collect();
    assert_eq!(heard, ["done", "done", "again", "done"]);
    assert_eq!(blobs.list("", None, 10).await.unwrap(), ["messages/b", "messages/c"]);
}

/// An attempt at a long poll lasts as long as the poll and one attempt more.
#[tokio::test]
async fn patience_grows_with_the_wait() {
    for (wait_ms, requests) in [(0, 3), (1_000, 1)] {
        let stub = Stub::answering(vec![Answer::Late(900)]).await;
        let sqs = Sqs::new(&stub.aws, "http://q/1/w-", Arc::new(MemBlobs::new()));
        let received = sqs.receive("q", 1, wait_ms, 30_000).await;
        assert_eq!((received.is_ok(), stub.requests().len()), (requests == 1, requests));
    }
}
