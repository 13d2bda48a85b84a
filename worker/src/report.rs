//! Progress reports, sent in order and in the background, and the one that ends a job.
use crate::Deps;
use crate::backoff::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use windlass_core::id::{InstanceId, StackId};
use windlass_core::job::{JobId, News, Report, Step};
use windlass_core::keys;
use windlass_ports::queues::Outgoing;
use windlass_ports::{Fault, Queues};

/// A step is reported once it has lasted so long: nobody could have seen it before. What is passed
/// sooner stands in the result.
const REPORTED_AFTER: Duration = Duration::from_secs(1);
/// How long the last progress report may delay the end of a job.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whose reports these are.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub job: JobId,
    pub stack: StackId,
    pub worker: InstanceId,
}

/// Sends one report. `dedup` must be another for news that has to arrive again.
pub(crate) async fn send(
    deps: &Deps,
    about: &About,
    news: News,
    dedup: String,
) -> Result<(), Fault> {
    let About { job, stack, worker } = about.clone();
    let group = keys::stack_group(&stack);
    let report = Report { job, stack, worker, at: deps.clock.now(), news };
    let body = serde_json::to_vec(&report)
        .map_err(|e| Fault::poison_from("a report does not serialise", e))?;
    let message = Outgoing { body, group: Some(group), dedup: Some(dedup), delay_ms: 0 };
    deps.queues.send(keys::REPORTS, message).await
}

/// Progress of one job. The tool never waits for it.
pub(crate) struct Progress {
    steps: mpsc::UnboundedSender<Step>,
    task: JoinHandle<()>,
}

impl Progress {
    #[must_use]
    pub(crate) fn start(deps: Arc<Deps>, about: About) -> Self {
        let (steps, mut began) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut step = began.recv().await;
            while let Some(current) = step {
                step = match tokio::time::timeout(REPORTED_AFTER, began.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        tell(&deps, &about, current).await;
                        began.recv().await
                    }
                };
            }
        });
        Self { steps, task }
    }

    pub(crate) fn began(&self, step: Step) {
        let _ = self.steps.send(step);
    }

    /// All reports that were due are sent, or none is sent any more.
    pub(crate) async fn finish(self) {
        drop(self.steps);
        let mut task = self.task;
        if tokio::time::timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn tell(deps: &Deps, about: &About, step: Step) {
    let mut backoff = Backoff::default();
    loop {
        let dedup = format!("{}-{}", about.job, step.as_str());
        match send(deps, about, News::Began(step), dedup).await {
            Err(fault) if fault.is_retryable() => tokio::time::sleep(backoff.next()).await,
            Err(fault) => {
                tracing::warn!(job = %about.job, error = fault.chain(), "a progress report is lost");
                return;
            }
            Ok(()) => return,
        }
    }
}

/// Acknowledges a pointer; if that fails it comes back and finds the result.
pub(crate) async fn acknowledge(queues: &dyn Queues, queue: &str, receipt: &str) {
    if let Err(fault) = queues.delete(queue, receipt).await {
        tracing::warn!(queue, error = fault.chain(), "a pointer was not deleted");
    }
}
