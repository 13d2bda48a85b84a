//! Who is provably gone, on one machine: what was reaped, and which process groups exist.
use super::{Roster, WorkerFate};
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::id::InstanceId;
use windlass_core::job::{Claim, JobId, ProcessGroup};
use windlass_ports::{Evidence, Fault, Presence};
use windlass_worker::proc;

pub(crate) struct MachinePresence {
    roster: Arc<Roster>,
}

impl MachinePresence {
    #[must_use]
    pub(crate) fn new(roster: Arc<Roster>) -> Self {
        Self { roster }
    }

    fn of_worker(&self, worker: &InstanceId) -> Evidence {
        match self.roster.fate(worker) {
            Some(WorkerFate::Gone { cause }) => Evidence::Gone { cause },
            // Not ours to know: its lease tells.
            Some(WorkerFate::Alive(_)) | None => Evidence::Present,
        }
    }
}

#[async_trait]
impl Presence for MachinePresence {
    async fn worker(&self, _: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        Ok(match claim {
            Claim::Tombstone { .. } => Evidence::Present,
            Claim::Held { worker, .. } => self.of_worker(worker),
        })
    }

    async fn tool(&self, _: &JobId, claim: &Claim) -> Result<Evidence, Fault> {
        Ok(match claim {
            Claim::Tombstone { .. } => gone("nobody started it"),
            Claim::Held { group: Some(group), .. } => of_group(group),
            // Without a process of its own it is as present as its worker.
            Claim::Held { group: None, worker, .. } => self.of_worker(worker),
        })
    }

    async fn end_tool(&self, _: &JobId, claim: &Claim) -> Result<(), Fault> {
        if let Claim::Held { group: Some(group), .. } = claim {
            proc::kill_group(group);
        }
        Ok(())
    }
}

fn of_group(group: &ProcessGroup) -> Evidence {
    match proc::group_gone(group) {
        true => gone("no process of the tool exists any more"),
        false => Evidence::Present,
    }
}

fn gone(cause: &str) -> Evidence {
    Evidence::Gone { cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use windlass_core::job::{Attempt, Phase};
    use windlass_core::time::UnixMs;

    #[tokio::test]
    async fn only_what_is_proven_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let roster = Arc::new(Roster::open(temp.path().join("workers.json")).unwrap());
        let presence = MachinePresence::new(roster.clone());
        let mut child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let me = proc::identify(child.id()).unwrap();
        roster.started(&"w1".into(), me.clone()).unwrap();
        roster.ended(&"w2".into(), "worker w2 was killed by signal 9".into()).unwrap();
        let job = JobId { run: "r".into(), phase: Phase::Apply, round: 0, attempt: Attempt::FIRST };
        let claim = |worker: &str, group| {
            let (pool, worker) = ("default".into(), worker.into());
            Claim::Held { pool, worker, epoch: 1, group, at: UnixMs(0) }
        };
        let dead = Evidence::Gone { cause: "worker w2 was killed by signal 9".into() };
        for (worker, expect) in
            [("w1", Evidence::Present), ("w2", dead), ("elsewhere", Evidence::Present)]
        {
            let claim = claim(worker, None);
            assert_eq!(presence.worker(&job, &claim).await.unwrap(), expect, "{worker}");
        }
        let other = ProcessGroup { started: "long ago".into(), ..me.clone() };
        for (group, worker, present) in [
            (Some(me), "w2", true),
            (Some(other), "w1", false),
            (None, "w1", true),
            (None, "w2", false),
        ] {
            let claim = claim(worker, group);
            let seen = presence.tool(&job, &claim).await.unwrap();
            assert_eq!(seen == Evidence::Present, present, "{claim:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
