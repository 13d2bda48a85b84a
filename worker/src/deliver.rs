//! The end of a job: what it left, its result, the report. Tried until it is done.
//!
//! Order matters: the result may be seen only when what it names is there, and the report only
//! when the result is. Who finds another's result stores its own as evidence and still reports.
use crate::backoff::Backoff;
use crate::record::WriteIds;
use crate::report::{self, About};
use crate::spool::{Finished, Spool};
use crate::until::until;
use crate::{Deps, Shutdown};
use tokio::sync::watch;
use windlass_core::id::InstanceId;
use windlass_core::job::{JobResult, News};
use windlass_core::keys;
use windlass_ports::{Fault, cas};

/// Who delivers.
pub(crate) struct Postman<'a> {
    pub deps: &'a Deps,
    pub spool: &'a Spool,
    pub ids: &'a WriteIds,
    pub worker: &'a InstanceId,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    Yes,
    /// It waits on disk, or was given up because it can be repeated.
    NotYet,
}

impl Postman<'_> {
    /// Delivers, however long it takes; keeps it on disk from the first failure on if it can't be
    /// repeated. A shutdown ends the waiting.
    pub(crate) async fn deliver(
        &self,
        finished: &Finished,
        shutdown: &mut watch::Receiver<Shutdown>,
    ) -> Delivered {
        let mut backoff = Backoff::default();
        let job = &finished.result.job;
        loop {
            let fault = match self.once(finished).await {
                Ok(()) => {
                    if let Err(error) = self.spool.drop_delivered(finished) {
                        tracing::warn!(%job, %error, "a delivered result stays in the spool");
                    }
                    return Delivered::Yes;
                }
                Err(fault) => fault,
            };
            tracing::warn!(%job, error = fault.chain(), "a result is not delivered");
            if !job.phase.repeatable()
                && let Err(error) = self.spool.keep(finished)
            {
                tracing::error!(%job, %error, "a result can't be kept on disk");
            }
            if !fault.is_retryable() {
                return Delivered::NotYet;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = until(shutdown, |wanted| *wanted != Shutdown::Run) => {
                    // One last time: the shutdown may be what brought the store back.
                    return match self.once(finished).await {
                        Ok(()) => {
                            let _ = self.spool.drop_delivered(finished);
                            Delivered::Yes
                        }
                        Err(_) => Delivered::NotYet,
                    };
                }
            }
        }
    }

    async fn once(&self, finished: &Finished) -> Result<(), Fault> {
        for blob in &finished.blobs {
            self.deps.blobs.put(&blob.key, blob.body.clone()).await?;
        }
        let Finished { result, write_id, .. } = finished;
        let docs = &*self.deps.docs;
        let other: Option<JobResult> =
            cas::create(docs, &keys::job_result(&result.job), write_id, result).await?;
        if other.is_some() {
            let key = keys::job_late_result(&result.job);
            let _: Option<JobResult> = cas::create(docs, &key, write_id, result).await?;
        }
        self.ended(&About {
            job: result.job.clone(),
            stack: result.stack.clone(),
            worker: self.worker.clone(),
        })
        .await
    }

    /// Says that a result exists. Never dropped as a duplicate: who says it again has a reason.
    pub(crate) async fn ended(&self, about: &About) -> Result<(), Fault> {
        report::send(self.deps, about, News::Ended, self.ids.next()).await
    }
}
