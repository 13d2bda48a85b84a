//! Workers' tokens, and the facts that each decision wants.
use crate::allow::{Denied, Facts, JobFacts, Needs, allowed, needs};
use crate::server::Gate;
use crate::wire::{Call, Hello};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::id::{Digest, InstanceId, PoolId, derive};
use windlass_core::instance::{Instance, Slot};
use windlass_core::job::{Claim, JobSpec};
use windlass_core::keys;
use windlass_ports::{Docs, Fault, cas};

/// What a worker proves itself with. Given by environment or standard input, never by argument.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text, for the one place that hands it to a child.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Lets workers in by tokens made from one secret, and holds each call against stored facts.
///
/// A token is a function of the secret, the worker and its pool: a worker that outlives the
/// control plane is let in again by the next one, and no list of tokens needs to be kept.
pub struct Authority {
    secret: String,
    docs: Arc<dyn Docs>,
    /// Specs and claims never change, so those of claimed jobs are loaded once.
    claimed: Mutex<BTreeMap<String, Arc<(JobSpec, Claim)>>>,
}

/// Jobs remembered; beyond that the memory starts afresh.
const CLAIMED_MAX: usize = 1_024;
const SECRET_BYTES: usize = 32;

impl Authority {
    #[must_use]
    pub fn new(secret: String, docs: Arc<dyn Docs>) -> Self {
        Self { secret, docs, claimed: Mutex::new(BTreeMap::new()) }
    }

    /// With the secret in this file, which is made (for this user only) on first use.
    pub fn open(path: &Path, docs: Arc<dyn Docs>) -> io::Result<Self> {
        let secret = match fs::read_to_string(path) {
            Ok(secret) => {
                let mode = fs::metadata(path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    let path = path.display();
                    let what = format!("{path} can be read by others; run: chmod 600 '{path}'");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
                }
                secret
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => make_secret(path)?,
            Err(e) => return Err(e),
        };
        if secret.len() < SECRET_BYTES {
            let what = format!("{} is too short to be a secret; delete it", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self::new(secret, docs))
    }

    /// The token of one worker.
    #[must_use]
    pub fn token(&self, worker: &InstanceId, pool: &PoolId) -> Token {
        let parts = ["windlass worker", &self.secret, pool.as_str(), worker.as_str()];
        Token(derive(&parts))
    }

    async fn facts(
        &self,
        worker: &InstanceId,
        pool: &PoolId,
        call: &Call,
        body: &[u8],
    ) -> Result<Facts, Fault> {
        let ids = match needs(call, body) {
            Needs::Nothing => Vec::new(),
            Needs::Job(id) => vec![id],
            Needs::Held => self.held(worker, pool).await?,
        };
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            jobs.push(self.job(id).await?);
        }
        Ok(Facts { jobs })
    }

    async fn held(&self, worker: &InstanceId, pool: &PoolId) -> Result<Vec<String>, Fault> {
        let record = cas::load::<Instance>(&*self.docs, &keys::instance(pool, worker)).await?;
        let slots = record.map(|record| record.value.slots).unwrap_or_default();
        let busy = slots.into_iter().filter_map(|slot| match slot {
            Slot::Busy { job } => Some(job.to_string()),
            Slot::Idle | Slot::Void { .. } => None,
        });
        Ok(busy.collect())
    }

    async fn job(&self, id: String) -> Result<JobFacts, Fault> {
        let docs = &*self.docs;
        let ended = docs.get(&format!("jobs/{id}/result")).await?.is_some();
        if let Some(known) = self.remembered(&id) {
            let (spec, claim) = (Some(known.0.clone()), Some(known.1.clone()));
            return Ok(JobFacts { id, spec, claim, ended });
        }
        let spec = cas::load::<JobSpec>(docs, &format!("jobs/{id}/spec")).await?;
        let claim = cas::load::<Claim>(docs, &format!("jobs/{id}/claim")).await?;
        let (spec, claim) = (spec.map(|s| s.value), claim.map(|c| c.value));
        if let (Some(spec), Some(claim)) = (&spec, &claim) {
            self.remember(&id, spec, claim);
        }
        Ok(JobFacts { id, spec, claim, ended })
    }

    fn remembered(&self, id: &str) -> Option<Arc<(JobSpec, Claim)>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn remember(&self, id: &str, spec: &JobSpec, claim: &Claim) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.len() >= CLAIMED_MAX {
            claimed.clear();
        }
        claimed.insert(id.to_owned(), Arc::new((spec.clone(), claim.clone())));
    }
}

#[async_trait]
impl Gate for Authority {
    fn admit(&self, hello: &Hello) -> Result<(), Denied> {
        let right = self.token(&hello.worker, &hello.pool);
        // Digests are compared, so that the time it takes tells nothing about the token.
        match Digest::of(right.0.as_bytes()) == Digest::of(hello.token.as_bytes()) {
            true => Ok(()),
            false => Err(Denied(format!(
                "the token is not that of worker {} of pool {}",
                hello.worker, hello.pool
            ))),
        }
    }

    async fn check(
        &self,
        worker: &InstanceId,
        pool: &PoolId,
        call: &Call,
        body: &[u8],
    ) -> Result<(), Fault> {
        let facts = self.facts(worker, pool, call, body).await?;
        allowed(worker, pool, call, body, &facts)
            .map_err(|denied| Fault::poison(denied.to_string()))
    }
}

fn make_secret(path: &Path) -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}
