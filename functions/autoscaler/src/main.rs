//! The autoscaler function: wires decisions about machines to Auto Scaling and to who keeps the
//! workers.
use adapter_asg::{Asg, POOL_TAG, PoolTag};
use adapter_aws::Aws;
use adapter_s3::Bucket;
use autoscaler::config::Config;
use autoscaler::{Deps, Store, event, handle};
use serde_json::json;
use std::sync::Arc;
use windlass_lambda::workers::{Staffed, workers};
use windlass_lambda::{Error, init, run, started, write_ids};
use windlass_ports::clock::SystemClock;
use windlass_ports::{Clock as _, Docs, Fault};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = init::<Config>()?;
    let aws = started(Aws::from_env())?;
    let deps = wire(&config, &aws).await?;
    tell(&config);
    run(async |event, turn| {
        let now = SystemClock.now();
        let call = event::call(event, now, now.plus_ms(turn.left_ms()))?;
        let report = handle(&deps, call).await?;
        Ok(json!({ "rounds": report.rounds, "failed": report.failed }))
    })
    .await
}

async fn wire(config: &Config, aws: &Aws) -> Result<Deps, Error> {
    let fleet = &config.fleet;
    if fleet.group.region != aws.region() {
        let why = "the function must run in its group's region";
        return started(Err(Fault::poison(why)));
    }
    let write_ids = Arc::new(write_ids()?);
    let docs =
        fleet.bucket.as_ref().map(|name| -> Arc<dyn Docs> { Arc::new(Bucket::new(aws, name)) });
    let staffed = workers(aws, fleet, docs.clone(), write_ids.clone()).await?;
    let Staffed { pool, fences, remember } = staffed;
    let tag = PoolTag { name: POOL_TAG.to_owned(), value: fleet.pool.0.clone() };
    let group = match fleet.is_guest() {
        true => Asg::guest(aws, &fleet.group.name, tag),
        false => Asg::new(aws, &fleet.group.name, tag),
    };
    Ok(Deps {
        pool,
        fleet: Arc::new(group),
        policy: config.policy.clone(),
        store: docs.map(|docs| Store { docs, write_ids, pool: fleet.pool.clone() }),
        fences,
        clock: Arc::new(SystemClock),
        remember,
    })
}

/// Once at the start: in which way it works, and what it was told in vain.
fn tell(config: &Config) {
    let (group, pool) = (&config.fleet.group.name, &config.fleet.pool);
    if config.fleet.is_guest() {
        tracing::info!(
            group, %pool,
            "a guest without a store: no cooldowns, no second looks, no protection"
        );
    } else {
        tracing::info!(group, %pool, "started");
    }
    for name in &config.idle_settings {
        tracing::info!(name, "it changes nothing: the group's size is never far from its need");
    }
}
