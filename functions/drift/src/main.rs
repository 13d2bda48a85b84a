//! The drift function: wires the giving out of places to S3 and SQS.
use adapter_aws::Aws;
use adapter_s3::Bucket;
use adapter_sqs::Sqs;
use drift::config::Config;
use drift::{Deps, handle};
use serde_json::json;
use std::sync::Arc;
use windlass_lambda::{Error, init, run, started, write_ids};
use windlass_ports::Clock as _;
use windlass_ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?;
    let bucket = Arc::new(Bucket::new(&aws, &config.store.bucket));
    let queues = Sqs::new(&aws, &config.store.queue_url_prefix, bucket.clone());
    let deps = Deps { docs: bucket, queues: Arc::new(queues), write_ids: Arc::new(write_ids()?) };
    run(async |_, _| {
        let report = handle(&deps, SystemClock.now()).await?;
        Ok(json!({ "admitted": report.admitted, "waiting": report.waiting }))
    })
    .await
}
