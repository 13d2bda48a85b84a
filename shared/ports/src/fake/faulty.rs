//! Any port, failing by plan.
use super::faults::{Faults, Strike};
use crate::blobs::Blobs;
use crate::docs::{Docs, Expect, Found, Listed, PutError, Version};
use crate::fault::Fault;
use crate::fleet::{Answer, By, Ended, Fleet, Hooks, Machines, Way};
use crate::forge::{ChangedFiles, CommitInfo, CommitStatus, Forge, Source};
use crate::pool::{Drained, IfBusy, Pool, Staff};
use crate::presence::{Evidence, Presence};
use crate::queues::{Delivery, Outgoing, Queues};
use crate::secrets::Secrets;
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::drain::{Holder, Notice};
use windlass_core::fleet::{OpId, Victim};
use windlass_core::id::{InstanceId, RepoName, Sha};
use windlass_core::job::{Claim, JobId};
use windlass_core::time::UnixMs;

/// A port whose calls are counted, recorded and struck by a [`Faults`] plan.
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    faults: Faults,
}

impl<P: ?Sized> Clone for Faulty<P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), faults: self.faults.clone() }
    }
}

impl<P: ?Sized> Faulty<P> {
    #[must_use]
    pub fn new(inner: Arc<P>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }
    /// What is wrapped, for looking at it without being struck.
    #[must_use]
    pub fn inner(&self) -> &Arc<P> {
        &self.inner
    }

    /// `call` runs unless the strike comes before it; futures do nothing until awaited.
    async fn run<T, E: Struck>(
        &self,
        name: String,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let (number, strike) = self.faults.next(name.clone());
        let lost =
            |what: &str| Fault::retryable(format!("the {what} of call {number} ({name}) was lost"));
        match strike {
            None => call.await,
            Some(Strike::Before | Strike::CrashBefore) => Err(E::from(lost("request"))),
            Some(Strike::After | Strike::CrashAfter) => {
                let _ = call.await;
                Err(E::from(lost("reply")))
            }
            Some(Strike::Repeated) => {
                // A call that failed by itself has nothing to meet again.
                call.await?;
                Err(E::conflict().unwrap_or_else(|| E::from(lost("reply"))))
            }
        }
    }
}

/// Errors that a strike can make.
trait Struck: From<Fault> + Send {
    fn conflict() -> Option<Self> {
        None
    }
}
impl Struck for Fault {}
impl Struck for PutError {
    fn conflict() -> Option<Self> {
        Some(PutError::Conflict)
    }
}

#[async_trait]
impl<P: Docs + ?Sized> Docs for Faulty<P> {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        self.run(format!("docs.get {key}"), self.inner.get(key)).await
    }
    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        self.run(format!("docs.put {key}"), self.inner.put(key, expect, body)).await
    }
    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        self.run(format!("docs.delete {key}"), self.inner.delete(key, expect)).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.run(format!("docs.list {prefix}"), self.inner.list(prefix, after, limit)).await
    }
}

#[async_trait]
impl<P: Queues + ?Sized> Queues for Faulty<P> {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        self.run(format!("queues.send {queue}"), self.inner.send(queue, message)).await
    }
    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        let call = self.inner.receive(queue, max, wait_ms, visibility_ms);
        self.run(format!("queues.receive {queue}"), call).await
    }
    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        self.run(format!("queues.delete {queue}"), self.inner.delete(queue, receipt)).await
    }
    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        let call = self.inner.extend(queue, receipt, visibility_ms);
        self.run(format!("queues.extend {queue}"), call).await
    }
    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        self.run(format!("queues.depth {queue}"), self.inner.depth(queue)).await
    }
}

#[async_trait]
impl<P: Blobs + ?Sized> Blobs for Faulty<P> {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault> {
        self.run(format!("blobs.put {key}"), self.inner.put(key, body)).await
    }
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.run(format!("blobs.get {key}"), self.inner.get(key)).await
    }
    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        self.run(format!("blobs.exists {key}"), self.inner.exists(key)).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        self.run(format!("blobs.list {prefix}"), self.inner.list(prefix, after, limit)).await
    }
    async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.run(format!("blobs.delete {key}"), self.inner.delete(key)).await
    }
}

#[async_trait]
impl<P: Secrets + ?Sized> Secrets for Faulty<P> {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        self.run(format!("secrets.get {name}"), self.inner.get(name)).await
    }
    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.run(format!("secrets.set {name}"), self.inner.set(name, value)).await
    }
    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        self.run(format!("secrets.remove {name}"), self.inner.remove(name)).await
    }
    async fn names(&self) -> Result<Vec<String>, Fault> {
        self.run("secrets.names".to_owned(), self.inner.names()).await
    }
}

#[async_trait]
impl<P: Presence + ?Sized> Presence for Faulty<P> {
    async fn worker(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        self.run("presence.worker".to_owned(), self.inner.worker(job, claim)).await
    }
    async fn tool(&self, job: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        self.run("presence.tool".to_owned(), self.inner.tool(job, claim)).await
    }
    async fn end_tool(&self, job: &JobId, claim: &Claim) -> Result<(), Fault> {
        self.run("presence.end_tool".to_owned(), self.inner.end_tool(job, claim)).await
    }
}

#[async_trait]
impl<P: Fleet + ?Sized> Fleet for Faulty<P> {
    async fn look(&self, named: &[InstanceId]) -> Result<Machines, Fault> {
        self.run("fleet.look".to_owned(), self.inner.look(named)).await
    }
    async fn set_desired(&self, to: u32) -> Result<(), Fault> {
        self.run(format!("fleet.set_desired {to}"), self.inner.set_desired(to)).await
    }
    async fn end(&self, instance: &InstanceId, way: Way) -> Result<Ended, Fault> {
        self.run(format!("fleet.end {instance}"), self.inner.end(instance, way)).await
    }
    async fn protect(&self, instances: &[InstanceId], protected: bool) -> Result<(), Fault> {
        let name = format!("fleet.protect {protected} {}", instances.len());
        self.run(name, self.inner.protect(instances, protected)).await
    }
}

#[async_trait]
impl<P: Hooks + ?Sized> Hooks for Faulty<P> {
    async fn waiting(&self, group: &str) -> Result<Vec<Notice>, Fault> {
        self.run(format!("hooks.waiting {group}"), self.inner.waiting(group)).await
    }
    async fn heartbeat(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let name = format!("hooks.heartbeat {}", notice.instance);
        self.run(name, self.inner.heartbeat(notice, by)).await
    }
    async fn complete(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let name = format!("hooks.complete {}", notice.instance);
        self.run(name, self.inner.complete(notice, by)).await
    }
}

#[async_trait]
impl<P: Pool + ?Sized> Pool for Faulty<P> {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        self.run("pool.look".to_owned(), self.inner.look(now)).await
    }
    async fn drain(&self, victim: &Victim, busy: IfBusy, now: UnixMs) -> Result<Drained, Fault> {
        let name = format!("pool.drain {}", victim.instance);
        self.run(name, self.inner.drain(victim, busy, now)).await
    }
    async fn doom(&self, victim: &Victim, now: UnixMs) -> Result<Drained, Fault> {
        let name = format!("pool.doom {}", victim.instance);
        self.run(name, self.inner.doom(victim, now)).await
    }
    async fn undrain(
        &self,
        instance: &InstanceId,
        workers: &[String],
        op: &OpId,
    ) -> Result<bool, Fault> {
        let call = self.inner.undrain(instance, workers, op);
        self.run(format!("pool.undrain {instance}"), call).await
    }
    async fn tombstone(
        &self,
        instance: &InstanceId,
        op: &OpId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        let call = self.inner.tombstone(instance, op, now);
        self.run(format!("pool.tombstone {instance}"), call).await
    }
    async fn holder(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.run(format!("pool.holder {instance}"), self.inner.holder(instance, now)).await
    }
    async fn close(&self, instance: &InstanceId, now: UnixMs) -> Result<Holder, Fault> {
        self.run(format!("pool.close {instance}"), self.inner.close(instance, now)).await
    }
    async fn ask_to_stop(&self, instance: &InstanceId, now: UnixMs) -> Result<bool, Fault> {
        let call = self.inner.ask_to_stop(instance, now);
        self.run(format!("pool.ask_to_stop {instance}"), call).await
    }
}

#[async_trait]
impl<P: Source + ?Sized> Source for Faulty<P> {
    async fn branches(&self, repo: &RepoName) -> Result<Vec<(String, Sha)>, Fault> {
        self.run(format!("source.branches {repo}"), self.inner.branches(repo)).await
    }
    async fn head(&self, repo: &RepoName, branch: &str) -> Result<Option<Sha>, Fault> {
        self.run(format!("source.head {repo} {branch}"), self.inner.head(repo, branch)).await
    }
    async fn merge_base(&self, repo: &RepoName, a: &Sha, b: &Sha) -> Result<Option<Sha>, Fault> {
        let call = self.inner.merge_base(repo, a, b);
        self.run(format!("source.merge_base {repo} {}", b.short()), call).await
    }
    async fn changed(
        &self,
        repo: &RepoName,
        base: Option<&Sha>,
        head: &Sha,
    ) -> Result<ChangedFiles, Fault> {
        let call = self.inner.changed(repo, base, head);
        self.run(format!("source.changed {repo} {}", head.short()), call).await
    }
    async fn commit(&self, repo: &RepoName, sha: &Sha) -> Result<Option<CommitInfo>, Fault> {
        let call = self.inner.commit(repo, sha);
        self.run(format!("source.commit {repo} {}", sha.short()), call).await
    }
    async fn resolve(&self, repo: &RepoName, name: &str) -> Result<Option<Sha>, Fault> {
        self.run(format!("source.resolve {repo} {name}"), self.inner.resolve(repo, name)).await
    }
    async fn read(&self, repo: &RepoName, sha: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.run(format!("source.read {repo} {path}"), self.inner.read(repo, sha, path)).await
    }
    async fn files(&self, repo: &RepoName, sha: &Sha) -> Result<Vec<String>, Fault> {
        self.run(format!("source.files {repo} {}", sha.short()), self.inner.files(repo, sha)).await
    }
}

#[async_trait]
impl<P: Forge + ?Sized> Forge for Faulty<P> {
    async fn set_status(&self, status: &CommitStatus) -> Result<(), Fault> {
        let name = format!("forge.set_status {} {}", status.context, status.description);
        self.run(name, self.inner.set_status(status)).await
    }
    fn hears(&self) -> bool {
        self.inner.hears()
    }
}
