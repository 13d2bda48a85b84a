//! Who is provably gone, by what workers left in the store: for a control plane that runs on none
//! of their machines.
//!
//! The next agent on a machine sees that an earlier one's process and tool are gone, and writes so.
//! A machine that never comes back writes nothing: then nobody knows, until all of the job's time
//! has passed.
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::job::{Claim, Gone, JobId};
use windlass_core::keys;
use windlass_ports::{Docs, Evidence, Fault, Presence, cas};

pub struct DocPresence {
    docs: Arc<dyn Docs>,
}

impl DocPresence {
    #[must_use]
    pub fn new(docs: Arc<dyn Docs>) -> Self {
        Self { docs }
    }

    async fn proof(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        if let Claim::Tombstone { .. } = claim {
            return Ok(Evidence::Gone { cause: "nobody started it".to_owned() });
        }
        let gone = cas::load::<Gone>(&*self.docs, &keys::job_gone(job)).await?;
        Ok(match gone {
            Some(found) => Evidence::Gone { cause: found.value.cause },
            None => Evidence::Unknown,
        })
    }
}

#[async_trait]
impl Presence for DocPresence {
    async fn worker(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        self.proof(job, claim).await
    }

    async fn tool(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        self.proof(job, claim).await
    }

    /// Only an agent on that machine can, and does: of a plan at once, of all else after its time.
    async fn end_tool(&self, _: &JobId, _: &Claim) -> Result<(), Fault> {
        Ok(())
    }
}
