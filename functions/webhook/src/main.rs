//! The webhook function: wires deliveries to S3, SQS and where the secrets lie.
use adapter_aws::{Aws, References};
use adapter_s3::Bucket;
use adapter_secretsmanager::ManagerSecrets;
use adapter_sqs::Sqs;
use adapter_ssm::SsmSecrets;
use lambda_http::service_fn;
use std::sync::Arc;
use webhook::config::Config;
use webhook::{Deps, WebhookSecrets, mount};
use windlass_lambda::{Error, init, started, write_ids};
use windlass_ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?.attempt_ms(mount::ATTEMPT_MS);
    let bucket = Arc::new(Bucket::new(&aws, &config.store.bucket));
    let queues = Sqs::new(&aws, &config.store.queue_url_prefix, bucket.clone());
    let (parameters, manager) = (SsmSecrets::absolute(&aws), ManagerSecrets::new(&aws));
    let references = Arc::new(References::new(Arc::new(parameters), Arc::new(manager)));
    let deps = Deps {
        docs: bucket,
        queues: Arc::new(queues),
        secrets: Arc::new(WebhookSecrets::new(references, config.secrets.clone())),
        clock: Arc::new(SystemClock),
        write_ids: Arc::new(write_ids()?),
        repositories: config.served(),
    };
    lambda_http::run(service_fn(|request| mount::answer(&deps, request))).await
}
