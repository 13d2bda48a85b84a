//! Answers that get lost between a real server and us: what `cas` makes of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use adapter_aws::Aws;
use adapter_s3::Bucket;
use emulator::{Emulator, Fault, When};
use windlass_ports::cas::{self, Change};

async fn bucket(server: &Emulator) -> Bucket {
    let vars = server.env("s3-lost").into_iter().map(|(name, value)| (name.to_owned(), value));
    let aws = Aws::from_vars(&vars.collect()).unwrap();
    let config = aws_sdk_s3::config::Builder::from(&aws.config_for("S3")).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    client.create_bucket().bucket("lost").send().await.unwrap();
    Bucket::new(&aws, "lost")
}

/// The SDK repeats a write whose answer it did not get, and is told that something is stored.
#[tokio::test]
async fn a_lost_answer_counts_once() {
    let server = Emulator::start().unwrap();
    let bucket = bucket(&server).await;
    for (n, (when, status)) in
        [(When::Before, 0), (When::After, 0), (When::Before, 500), (When::After, 500)]
            .into_iter()
            .enumerate()
    {
        let case = format!("{when:?} {status}");
        let fault = Fault {
            service: Some("s3".to_owned()),
            action: Some("PutObject".to_owned()),
            when,
            status: Some(status),
            nth: Some(1),
            ..Fault::default()
        };
        let key = format!("count-{n}");
        for round in 1..=3_u64 {
            server.set_faults(std::slice::from_ref(&fault)).unwrap();
            let more = |n: Option<&u64>| {
                let n = n.copied().unwrap_or(0) + 1;
                Ok(Change::Write(n, n))
            };
            let told = cas::update(&bucket, &key, &format!("w{round}"), more).await.unwrap();
            assert_eq!(server.struck().unwrap(), [1], "{case}");
            assert_eq!(told, round, "{case}");
        }
        let stored = cas::load::<u64>(&bucket, &key).await.unwrap().unwrap();
        assert_eq!((stored.value, stored.revision), (3, 3), "{case}");
    }
}

/// Every answer to a write is lost: nobody knows, so it may be tried again.
#[tokio::test]
async fn what_is_unknown_stays_so() {
    let server = Emulator::start().unwrap();
    let bucket = bucket(&server).await;
    for (when, landed) in [(When::Before, false), (When::After, true)] {
        let key = format!("unknown-{landed}");
        let fault = Fault {
            service: Some("s3".to_owned()),
            action: Some("PutObject".to_owned()),
            when,
            status: Some(0),
            ..Fault::default()
        };
        server.set_faults(&[fault]).unwrap();
        let told = cas::create(&bucket, &key, "mine", &1_u64).await;
        assert!(told.is_err_and(|fault| fault.is_retryable()));
        server.set_faults(&[]).unwrap();
        assert_eq!(cas::load::<u64>(&bucket, &key).await.unwrap().is_some(), landed);
        // The message comes again: the write is its own, and counts once.
        assert_eq!(cas::create(&bucket, &key, "mine", &1_u64).await.unwrap(), None);
        assert_eq!(cas::create(&bucket, &key, "other", &2_u64).await.unwrap(), Some(1));
    }
}
