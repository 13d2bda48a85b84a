//! The scheduler function: wires the actors to S3, SQS and GitHub.
use adapter_aws::{Aws, References};
use adapter_github::{Github, GithubArchive};
use adapter_s3::Bucket;
use adapter_secretsmanager::ManagerSecrets;
use adapter_sqs::Sqs;
use adapter_ssm::SsmSecrets;
use scheduler::config::Config;
use scheduler::{Deps, DocPresence, invocation};
use std::sync::Arc;
use windlass_lambda::{Error, github, init, run, started, write_ids};
use windlass_ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?;
    let bucket = Arc::new(Bucket::new(&aws, &config.store.bucket));
    let queues = Sqs::new(&aws, &config.store.queue_url_prefix, bucket.clone());
    let (parameters, manager) = (SsmSecrets::absolute(&aws), ManagerSecrets::new(&aws));
    let references = Arc::new(References::new(Arc::new(parameters), Arc::new(manager)));
    let github = github(&config.github, &config.repositories, references);
    let github = Arc::new(Github::new(github));
    let deps = Deps {
        docs: bucket.clone(),
        queues: Arc::new(queues),
        blobs: bucket.clone(),
        secrets: Arc::new(SsmSecrets::new(&aws, &config.secrets_prefix)),
        presence: Arc::new(DocPresence::new(bucket.clone())),
        source: github.clone(),
        forge: github.clone(),
        links: Some(config.url.clone()),
        archive: Arc::new(GithubArchive::new((*github).clone(), bucket)),
        clock: Arc::new(SystemClock),
        write_ids: Arc::new(write_ids()?),
        repositories: config.served(),
        wake: Arc::default(),
        warm: Arc::default(),
    };
    let store = &config.store;
    run(async |event, turn| invocation::handle(&deps, store, event, turn).await).await
}
