//! The tool's locks on states in a bucket: noted while the tool runs, removed when it was killed.
//!
//! A tool that ends by itself removes its lock; one that is killed leaves it, and nobody could
//! apply that stack again. A lock is removed for the attempt that left it and for no other, by a
//! delete that fails if another lock lies there by then (rule E1).
use crate::Deps;
use crate::agent::Shared;
use crate::record::WriteIds;
use crate::state::StateHome;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use windlass_core::job::{JobId, JobSpec, Phase, SeenLocks};
use windlass_core::keys;
use windlass_core::state_lock::{Life, StateLock};
use windlass_core::time::UnixMs;
use windlass_ports::{Change, Fault, PutError, cas};

/// A tool has its lock a moment after its start.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// As the tool calls whoever it works for: `user@host`. None if the user has no name here; then no
/// lock is known by it.
fn who() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok()??;
    let host = nix::unistd::gethostname().ok()?.into_string().ok()?;
    Some(format!("{}@{host}", user.name))
}

/// Where a lock of this job's tool would lie, if the tool keeps its locks in the store. A plan takes
/// none, and runs beside others of its stack: what lies there is never a plan's.
fn key(shared: &Shared, spec: &JobSpec) -> Option<String> {
    let stored = matches!(shared.config.state, StateHome::S3(_))
        && spec.manage_state
        && !spec.id.phase.repeatable();
    stored.then(|| keys::state_lock(&keys::workspace_state(&spec.stack, &spec.workspace)))
}

/// Looks for locks until dropped, and notes those that the running tool made.
pub(crate) struct Watch(Option<JoinHandle<()>>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Watch {
    #[must_use]
    pub(crate) fn start(shared: &Shared, spec: &JobSpec) -> Self {
        let (Some(key), Some(who)) = (key(shared, spec), who()) else { return Self(None) };
        let eye = Eye {
            deps: shared.deps.clone(),
            job: spec.id.clone(),
            key,
            who,
            from: shared.deps.clock.now(),
        };
        let every = Duration::from_millis(shared.config.timing.control_poll_ms);
        Self(Some(tokio::spawn(eye.keep_looking(shared.ids.clone(), every))))
    }
}

struct Eye {
    deps: Arc<Deps>,
    job: JobId,
    key: String,
    who: String,
    from: UnixMs,
}

impl Eye {
    async fn keep_looking(self, ids: Arc<WriteIds>, every: Duration) {
        let mut noted = SeenLocks::default();
        tokio::time::sleep(FIRST_LOOK.min(every)).await;
        loop {
            match self.look_and_note(&noted, &ids).await {
                Ok(id) => noted.ids.extend(id),
                Err(fault) => {
                    tracing::debug!(job = %self.job, error = fault.chain(), "no look at the lock");
                }
            }
            // An apply takes one lock; what else a job runs may take several.
            if self.job.phase == Phase::Apply && !noted.ids.is_empty() {
                return;
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn look_and_note(
        &self,
        noted: &SeenLocks,
        ids: &WriteIds,
    ) -> Result<Option<String>, Fault> {
        let Some(id) = self.look(noted).await? else { return Ok(None) };
        self.note(&id, &ids.next()).await?;
        Ok(Some(id))
    }

    /// A lock that was made here since the tool began, and is not noted yet.
    async fn look(&self, noted: &SeenLocks) -> Result<Option<String>, Fault> {
        let Some(found) = self.deps.docs.get(&self.key).await? else { return Ok(None) };
        let life = Life { who: self.who.clone(), from: self.from, to: self.deps.clock.now() };
        let lock = StateLock::parse(&found.body).filter(|lock| lock.made_in(&life));
        Ok(lock.map(|lock| lock.id).filter(|id| !noted.ids.contains(id)))
    }

    async fn note(&self, id: &str, write_id: &str) -> Result<(), Fault> {
        let key = keys::job_lock(&self.job);
        cas::update(&*self.deps.docs, &key, write_id, |before: Option<&SeenLocks>| {
            let mut seen = before.cloned().unwrap_or_default();
            if seen.ids.iter().any(|known| known == id) {
                return Ok(Change::Keep(()));
            }
            seen.ids.push(id.to_owned());
            Ok(Change::Write(seen, ()))
        })
        .await
    }
}

/// Removes the lock that this attempt's tool left, if there is one; says which. To be called when
/// nothing of the tool runs any more, on the machine that it ran on; it was at work since `from`.
pub(crate) async fn release(
    shared: &Shared,
    spec: &JobSpec,
    from: UnixMs,
) -> Result<Option<String>, Fault> {
    let Some(key) = key(shared, spec) else { return Ok(None) };
    let docs = &*shared.deps.docs;
    let Some(found) = docs.get(&key).await? else { return Ok(None) };
    let Some(lock) = StateLock::parse(&found.body) else { return Ok(None) };
    let seen = cas::load::<SeenLocks>(docs, &keys::job_lock(&spec.id)).await?;
    let seen = seen.map(|seen| seen.value).unwrap_or_default();
    let life = who().map(|who| Life { who, from, to: shared.deps.clock.now() });
    if !lock.is_of(&seen, life.as_ref()) {
        let (job, held) = (&spec.id, lock.left(&spec.stack));
        tracing::warn!(%job, "{held}");
        return Ok(None);
    }
    match docs.delete(&key, &found.version).await {
        Ok(()) => {
            tracing::info!(job = %spec.id, lock = lock.id, "a lock that the tool left is removed");
            Ok(Some(lock.id))
        }
        // Another one by now.
        Err(PutError::Conflict) => Ok(None),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}
