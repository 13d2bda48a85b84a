//! The bucket keeps the ports' promises, over HTTP and through the SDK.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use adapter_aws::Aws;
use adapter_s3::Bucket;
use emulator::Emulator;
use std::sync::Arc;
use windlass_ports::contract::{self, Ground, RealTime};

pub(crate) async fn bucket(server: &Emulator, name: &str) -> Arc<Bucket> {
    let vars = server.env("s3-contract").into_iter().map(|(name, value)| (name.to_owned(), value));
    let aws = Aws::from_vars(&vars.collect()).unwrap();
    let config = aws_sdk_s3::config::Builder::from(&aws.config_for("S3")).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    client.create_bucket().bucket(name).send().await.unwrap();
    Arc::new(Bucket::new(&aws, name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents() {
    let server = Emulator::shared();
    let bucket = bucket(&server, "contract-docs").await;
    contract::docs::all(&Ground::new(bucket, "t", RealTime)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs() {
    let server = Emulator::shared();
    let bucket = bucket(&server, "contract-blobs").await;
    contract::blobs::all(&Ground::new(bucket, "t", RealTime)).await;
}
