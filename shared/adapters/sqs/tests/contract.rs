//! The queues keep the port's promises, over HTTP and through the SDK.
mod yard;

use adapter_sqs::BODY_BYTES_MAX;
use emulator::Emulator;
use std::sync::Arc;
use windlass_ports::contract::{self, Ground, RealTime, queues::Yard};
use windlass_ports::{Blobs, Outgoing, Queues};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues() {
    let server = Emulator::start().unwrap();
    let (deployed, _) = yard::deployed(&server, "contract-");
    let ground = Ground::new(Arc::new(deployed) as Arc<dyn Queues>, "t", RealTime);
    contract::queues::all(&Yard { ground, receives_max: yard::RECEIVES_MAX, waits: true }).await;
}

/// Whatever the bytes, they come back; a large body goes with its message.
#[tokio::test]
async fn bodies() {
    let server = Emulator::start().unwrap();
    let (deployed, blobs) = yard::deployed(&server, "bodies-");
    let large = BODY_BYTES_MAX + 1;
    for (n, (body, beside)) in [
        (vec![], 0),
        (vec![0, 1, 255], 0),
        ("{\"ä\":\"☃\"}\r\n".into(), 0),
        (vec![b'x'; BODY_BYTES_MAX], 0),
        (vec![b'x'; large], 1),
        (vec![255; large], 1),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = Outgoing { body: body.clone(), ..Outgoing::default() };
        deployed.send("q", sent).await.unwrap();
        assert_eq!(blobs.list("messages/", None, 10).await.unwrap().len(), beside, "{n}");
        let first = deployed.receive("q", 1, 1_000, 60_000).await.unwrap();
        assert!(first[0].body == body, "{n}");
        // Handed back, and got again whole.
        deployed.extend("q", &first[0].receipt, 0).await.unwrap();
        let again = deployed.receive("q", 1, 1_000, 60_000).await.unwrap();
        assert!(again[0].body == body, "{n}");
        deployed.delete("q", &again[0].receipt).await.unwrap();
        assert!(blobs.list("messages/", None, 10).await.unwrap().is_empty(), "{n}");
        assert_eq!(deployed.depth("q").await.unwrap(), 0, "{n}");
    }
}

/// A receipt that has lapsed takes no body away from who holds the message now.
#[tokio::test]
async fn a_lapsed_receipt_leaves_the_body() {
    let server = Emulator::start().unwrap();
    let (deployed, blobs) = yard::deployed(&server, "lapsed-");
    let message = Outgoing {
        body: vec![b'x'; BODY_BYTES_MAX + 1],
        group: Some("a".to_owned()),
        dedup: Some("a".to_owned()),
        delay_ms: 0,
    };
    deployed.send("q.fifo", message.clone()).await.unwrap();
    let first = deployed.receive("q.fifo", 1, 1_000, 1_000).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    deployed.delete("q.fifo", &first[0].receipt).await.unwrap();
    let second = deployed.receive("q.fifo", 1, 1_000, 60_000).await.unwrap();
    assert!(second[0].body == message.body);
    deployed.delete("q.fifo", &second[0].receipt).await.unwrap();
    assert!(blobs.list("messages/", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named() {
    let server = Emulator::shared();
    let (sqs, _) = yard::sqs(&server, "nowhere-");
    let url = server.queue_url_prefix("nowhere-q");
    let message = || Outgoing { body: b"x".into(), ..Outgoing::default() };
    for fault in [
        sqs.send("q", message()).await.unwrap_err(),
        sqs.receive("q", 1, 0, 1_000).await.unwrap_err(),
        sqs.depth("q").await.unwrap_err(),
        sqs.delete("q", "receipt").await.unwrap_err(),
    ] {
        let chain = fault.chain();
        assert!(fault.is_retryable() && chain.contains("there is no queue http"), "{chain}");
        assert!(chain.contains(&url), "{chain}");
    }
}
