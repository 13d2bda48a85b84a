//! The api function: wires the router to S3, SQS, the Parameter Store and GitHub.
use adapter_aws::{Aws, References};
use adapter_github::Github;
use adapter_s3::Bucket;
use adapter_secretsmanager::ManagerSecrets;
use adapter_sqs::Sqs;
use adapter_ssm::SsmSecrets;
use api::auth::DocSessions;
use api::config::Config;
use api::{Auth, BlobStates, Deps, behind_gateway, router};
use std::sync::Arc;
use windlass_lambda::{Error, github, init, started};
use windlass_ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?;
    let clock = Arc::new(SystemClock);
    let bucket = Arc::new(Bucket::new(&aws, &config.store.bucket));
    let queues = Sqs::new(&aws, &config.store.queue_url_prefix, bucket.clone());
    let (parameters, manager) = (SsmSecrets::absolute(&aws), ManagerSecrets::new(&aws));
    let references = Arc::new(References::new(Arc::new(parameters), Arc::new(manager)));
    let github = github(&config.github, &config.repositories, references);
    let deps = Deps {
        docs: bucket.clone(),
        queues: Arc::new(queues),
        blobs: bucket.clone(),
        secrets: Arc::new(SsmSecrets::new(&aws, &config.secrets_prefix)),
        source: Arc::new(Github::new(github)),
        state: Arc::new(BlobStates(bucket.clone())),
        clock: clock.clone(),
        // Actors commit in other processes: whoever waits looks again.
        wake: Arc::default(),
        auth: Auth::cloud(Arc::new(DocSessions::new(bucket, clock))),
    };
    lambda_http::run(behind_gateway(router(deps))).await
}
