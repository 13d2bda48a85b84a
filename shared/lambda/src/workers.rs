//! A pool's workers as the settings have them.
use crate::Error;
use crate::fleet::{CaBundle, Fleet, KEY_SECRET, SpaceliftAccess, Workers};
use crate::started;
use adapter_aws::{Aws, References};
use adapter_secretsmanager::ManagerSecrets;
use adapter_spacelift::{ANSWER_MAX, Config, Spacelift};
use adapter_ssm::SsmSecrets;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::fleet::Op;
use windlass_core::id::InstanceId;
use windlass_pool::{OpenRuns, WindlassPool};
use windlass_ports::clock::SteadyClock;
use windlass_ports::{Clock, Docs, Fault, Pool, Secrets as _, WriteIds};

/// Takes the removals that earlier ticks began.
type Remember = dyn Fn(&BTreeMap<InstanceId, Op>) + Send + Sync;

/// A pool, and what has to be known of it.
pub struct Staffed {
    pub pool: Arc<dyn Pool>,
    /// It can keep workers from registering on a machine.
    pub fences: bool,
    /// To be told before each look.
    pub remember: Arc<Remember>,
}

/// `docs` are those of the bucket that the settings name. A certificate that lies in a secret is
/// read here; the key's secret when it is needed.
///
/// # Errors
/// Why the function can't start; logged already.
pub async fn workers(
    aws: &Aws,
    fleet: &Fleet,
    docs: Option<Arc<dyn Docs>>,
    write_ids: Arc<WriteIds>,
) -> Result<Staffed, Error> {
    match (&fleet.workers, docs) {
        (Workers::Windlass, Some(docs)) => {
            let steady: Arc<dyn Clock> = Arc::new(SteadyClock::start());
            let open = Arc::new(OpenRuns::new(docs.clone(), steady.clone()));
            let pool = WindlassPool::new(docs, write_ids, steady, fleet.pool.clone(), open);
            Ok(Staffed { pool: Arc::new(pool), fences: true, remember: Arc::new(|_| {}) })
        }
        (Workers::Windlass, None) => {
            started(Err(Fault::poison("a pool of Windlass's needs the bucket that it lies in")))
        }
        (Workers::Spacelift(access), _) => {
            let config = started(spacelift(aws, fleet, access).await)?;
            let spacelift = started(Spacelift::new(config))?;
            let pool = Arc::new(spacelift.clone());
            Ok(Staffed {
                pool,
                fences: false,
                remember: Arc::new(move |ops| spacelift.remember(ops)),
            })
        }
    }
}

async fn spacelift(aws: &Aws, fleet: &Fleet, access: &SpaceliftAccess) -> Result<Config, Fault> {
    let manager = Arc::new(ManagerSecrets::new(aws));
    let ca_bundle = match &access.ca {
        None => None,
        Some(CaBundle::Text(bundle)) => Some(bundle.clone()),
        Some(CaBundle::Secret(arn)) => {
            let found = manager.get(arn).await?;
            Some(found.ok_or_else(|| Fault::retryable(format!("no secret is stored as {arn}")))?)
        }
    };
    let references = References::new(Arc::new(SsmSecrets::absolute(aws)), manager);
    // Spacelift's module takes any parameter's name, so this does too.
    let references = references.with_plain_names();
    if !references.takes(&access.key_secret) {
        // Not shown: it may be the secret itself.
        let rest =
            "names neither a parameter of SSM's nor, by its ARN, a secret of Secrets Manager";
        return Err(Fault::poison(format!("{KEY_SECRET} {rest}")));
    }
    Ok(Config {
        endpoint: access.endpoint.clone(),
        key_id: access.key_id.clone(),
        key_secret_name: access.key_secret.clone(),
        secrets: Arc::new(references),
        worker_pool: fleet.pool.0.clone(),
        group: fleet.group.name.clone(),
        ca_bundle,
        answer_max: ANSWER_MAX,
    })
}
