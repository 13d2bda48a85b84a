//! What S3 may answer, and what becomes of it.
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_s3::Bucket;
use stub::{Answer, Stub, xml};
use windlass_ports::{Blobs, Docs, Expect, Fault, PutError, Version};

fn told<T>(result: Result<T, PutError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(PutError::Conflict) => "conflict",
        Err(PutError::Fault(fault)) => kind(&fault),
    }
}

fn kind(fault: &Fault) -> &'static str {
    if fault.is_retryable() { "again" } else { "poison" }
}

fn plain<T>(result: Result<T, Fault>) -> &'static str {
    result.map_or_else(|fault| kind(&fault), |_| "done")
}

/// `expected` requests are made, and this is what the caller hears.
async fn check(answers: Vec<Answer>, op: &str, expected: (&str, usize)) {
    let case = format!("{op} {answers:?}");
    let stub = Stub::answering(answers).await;
    let bucket = Bucket::new(&stub.aws, "b");
    let version = Version("\"v\"".to_owned());
    let heard = match op {
        "create" => told(bucket_put(&bucket, Expect::Absent).await),
        "swap" => told(bucket_put(&bucket, Expect::At(version)).await),
        "delete" => told(Docs::delete(&bucket, "k", &version).await),
        "get" => plain(Docs::get(&bucket, "k").await),
        "list" => plain(Docs::list(&bucket, "k", None, 5).await),
        "put blob" => plain(Blobs::put(&bucket, "k", b"1".into()).await),
        "get blob" => plain(Blobs::get(&bucket, "k").await),
        "delete blob" => plain(Blobs::delete(&bucket, "k").await),
        _ => panic!("{op}"),
    };
    assert_eq!((heard, stub.requests().len()), expected, "{case}: {:?}", stub.requests());
}

async fn bucket_put(bucket: &Bucket, expect: Expect) -> Result<Version, PutError> {
    Docs::put(bucket, "k", expect, b"1".into()).await
}

fn done() -> Answer {
    Answer::With(200, "etag: \"v\"\r\n", String::new())
}

#[tokio::test]
async fn writes() {
    for (op, answers, heard, requests) in [
        ("create", vec![done()], "done", 1),
        ("create", vec![xml(412, "PreconditionFailed")], "conflict", 1),
        ("create", vec![xml(409, "ConditionalRequestConflict")], "conflict", 1),
        ("swap", vec![xml(412, "PreconditionFailed")], "conflict", 1),
        ("swap", vec![xml(409, "ConditionalRequestConflict")], "conflict", 1),
        ("swap", vec![xml(404, "NoSuchKey")], "conflict", 1),
        ("swap", vec![xml(404, "NoSuchBucket")], "again", 1),
        ("create", vec![xml(404, "NoSuchBucket")], "again", 1),
        ("create", vec![xml(403, "AccessDenied")], "again", 1),
        ("create", vec![xml(400, "EntityTooLarge")], "poison", 1),
        ("create", vec![xml(503, "SlowDown"), done()], "done", 2),
        ("create", vec![xml(503, "SlowDown")], "again", 3),
        ("create", vec![xml(500, "InternalError")], "again", 3),
        // The first try may have landed: `cas` looks whose write is stored.
        ("create", vec![Answer::Cut, xml(412, "PreconditionFailed")], "conflict", 2),
        ("create", vec![Answer::Cut], "again", 3),
        ("swap", vec![Answer::Silence], "again", 3),
        ("put blob", vec![xml(503, "SlowDown"), done()], "done", 2),
        ("put blob", vec![Answer::Silence, done()], "done", 2),
        ("put blob", vec![xml(400, "EntityTooLarge")], "poison", 1),
        ("put blob", vec![xml(404, "NoSuchBucket")], "again", 1),
    ] {
        check(answers, op, (heard, requests)).await;
    }
}

#[tokio::test]
async fn deletions() {
    let gone = || Answer::Status(404, String::new());
    for (op, answers, heard, requests) in [
        ("delete", vec![Answer::Status(204, String::new())], "done", 1),
        ("delete", vec![xml(404, "NoSuchKey")], "done", 1),
        ("delete", vec![xml(404, "NoSuchBucket")], "again", 1),
        ("delete", vec![xml(412, "PreconditionFailed"), done()], "conflict", 2),
        // Our own earlier try.
        ("delete", vec![Answer::Cut, xml(412, "PreconditionFailed"), gone()], "done", 3),
        ("delete", vec![xml(409, "ConditionalRequestConflict"), xml(503, "")], "again", 4),
        ("delete", vec![xml(503, "SlowDown")], "again", 3),
        ("delete blob", vec![xml(404, "NoSuchKey")], "done", 1),
        ("delete blob", vec![Answer::Cut, Answer::Status(204, String::new())], "done", 2),
    ] {
        check(answers, op, (heard, requests)).await;
    }
}

#[tokio::test]
async fn reads() {
    for op in ["get", "get blob"] {
        for (answers, heard, requests) in [
            (vec![done()], "done", 1),
            (vec![xml(404, "NoSuchKey")], "done", 1),
            (vec![xml(404, "NoSuchBucket")], "again", 1),
            (vec![xml(403, "AccessDenied")], "again", 1),
            (vec![Answer::Half("half of it")], "again", 1),
            (vec![xml(503, "SlowDown"), done()], "done", 2),
            (vec![Answer::Silence], "again", 3),
        ] {
            check(answers, op, (heard, requests)).await;
        }
    }
    check(vec![xml(404, "NoSuchBucket")], "list", ("again", 1)).await;
    check(vec![Answer::Status(200, "<odd".to_owned())], "list", ("again", 1)).await;
}

/// The machine's own clock is far from that of the server: it plays no part.
#[tokio::test]
async fn ages_are_the_servers() {
    for (head, age_ms) in [
        (
            "date: Tue, 14 Nov 2023 22:14:20 GMT\r\nlast-modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
            60_000,
        ),
        (
            "date: Tue, 14 Nov 2023 22:13:20 GMT\r\nlast-modified: Tue, 14 Nov 2023 22:13:21 GMT\r\n",
            0,
        ),
        ("last-modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n", 0),
    ] {
        let stub = Stub::answering(vec![Answer::With(200, head, "x".to_owned())]).await;
        let found = Docs::get(&Bucket::new(&stub.aws, "b"), "k").await.unwrap().unwrap();
        assert_eq!(found.age_ms, age_ms, "{head}");
    }
}

#[tokio::test]
async fn a_condition_goes_with_every_write() {
    let stub = Stub::answering(vec![done()]).await;
    let bucket = Bucket::new(&stub.aws, "b");
    let version = Version("\"seen\"".to_owned());
    Docs::put(&bucket, "a/b", Expect::Absent, vec![]).await.unwrap();
    Docs::put(&bucket, "a/b", Expect::At(version.clone()), vec![]).await.unwrap();
    Docs::delete(&bucket, "a/b", &version).await.unwrap();
    Docs::list(&bucket, "a/", Some("a/b"), 7).await.unwrap_err();
    let requests = stub.requests();
    for (request, line, header) in [
        (0, "put /b/a/b?", "if-none-match: *\r\n"),
        (1, "put /b/a/b?", "if-match: \"seen\"\r\n"),
        (2, "delete /b/a/b?", "if-match: \"seen\"\r\n"),
        (3, "get /b/?list-type=2&max-keys=7&prefix=a%2f&start-after=a%2fb ", ""),
    ] {
        let request = &requests[request];
        assert!(request.starts_with(line) && request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn a_fault_says_where_and_why() {
    let stub = Stub::answering(vec![xml(403, "AccessDenied")]).await;
    let fault = Docs::get(&Bucket::new(&stub.aws, "b"), "stacks/a/head.json").await.unwrap_err();
    assert_eq!(
        fault.chain(),
        "can't read stacks/a/head.json in the bucket b; it will be tried again: \
         AWS answered 403 AccessDenied: words of S3"
    );
    let fault = Docs::get(&Bucket::new(&stub::nobody().await, "b"), "k").await.unwrap_err();
    let chain = fault.chain();
    assert!(fault.is_retryable() && chain.contains("no answer: io error"), "{chain}");
    assert!(chain.ends_with("Connection refused (os error 111)"), "{chain}");
}

/// A large body may take as long as its size allows, in one attempt.
#[tokio::test]
async fn patience_grows_with_the_body() {
    for (bytes, requests) in [(10, 3), (1_000_000, 1)] {
        let stub = Stub::answering(vec![Answer::Late(800)]).await;
        let stored = Blobs::put(&Bucket::new(&stub.aws, "b"), "k", vec![b'x'; bytes]).await;
        assert_eq!(stub.requests().len(), requests, "{bytes}: {stored:?}");
        assert_eq!(stored.is_ok(), requests == 1, "{bytes}: {stored:?}");
    }
}

/// Whatever is built from one `Aws` uses its connections again.
#[tokio::test]
async fn clients_share_their_connections() {
    let stub = Stub::answering(vec![done()]).await;
    for bucket in ["a", "b", "c"] {
        let bucket = Bucket::new(&stub.aws, bucket);
        Blobs::put(&bucket, "k", vec![]).await.unwrap();
        Blobs::get(&bucket, "k").await.unwrap();
    }
    assert_eq!((stub.requests().len(), stub.connections()), (6, 1));
}
