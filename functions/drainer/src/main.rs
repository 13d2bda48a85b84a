//! The drainer function: wires decisions about waiting machines to their group's hooks and to who
//! keeps the workers.
use adapter_asg::AsgHooks;
use adapter_aws::Aws;
use adapter_s3::Bucket;
use drainer::config::Config;
use drainer::{Deps, invocation};
use std::sync::Arc;
use windlass_lambda::workers::{Staffed, workers};
use windlass_lambda::{Error, init, run, started, write_ids};
use windlass_ports::Clock as _;
use windlass_ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?;
    let docs = Arc::new(Bucket::new(&aws, &config.bucket));
    let write_ids = Arc::new(write_ids()?);
    let staffed = workers(&aws, &config.fleet, Some(docs.clone()), write_ids.clone()).await?;
    let Staffed { pool, fences, .. } = staffed;
    let deps = Deps {
        docs,
        write_ids,
        pool,
        hooks: Arc::new(AsgHooks::new(&aws, &config.hook)),
        clock: Arc::new(SystemClock),
        pool_id: config.fleet.pool.clone(),
        groups: vec![config.fleet.group.name.clone()],
        timeout_ms: config.timeout_ms,
        fences,
    };
    run(async |event, turn| {
        let until = SystemClock.now().plus_ms(turn.left_ms());
        invocation::handle(&deps, event, until).await
    })
    .await
}
