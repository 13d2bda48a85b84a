//! Draining the workers of one machine together, and taking that back.
use crate::Shared;
use crate::marks::Owner;
use crate::pool::busy;
use crate::wire::{self, Worker};
use serde_json::json;
use windlass_core::fleet::{OpId, Victim};
use windlass_core::id::InstanceId;
use windlass_ports::Fault;
use windlass_ports::pool::{Drained, IfBusy};

/// Taking back is tried so often before it is left to a later tick.
const TAKE_BACK_TRIES: usize = 2;

impl Shared {
    pub(crate) async fn drain(
        &self,
        victim: &Victim,
        there: &[Worker],
        if_busy: IfBusy,
    ) -> Result<Drained, Fault> {
        let Victim { instance, op, .. } = victim;
        let drained = there.iter().any(|worker| worker.drained);
        // Where nobody left word it was a person, and that drain does as well as ours.
        if drained && self.marks.owner(instance, op) == Owner::OtherOp {
            return Ok(Drained::Theirs);
        }
        let slots = busy(there);
        if slots > 0 && if_busy == IfBusy::LetBe {
            return Ok(Drained::Busy { slots });
        }
        self.drain_open(instance, op, there, if_busy).await
    }

    /// Drains those that are not. The answers tell whether a run came first.
    pub(crate) async fn drain_open(
        &self,
        instance: &InstanceId,
        op: &OpId,
        there: &[Worker],
        if_busy: IfBusy,
    ) -> Result<Drained, Fault> {
        let (before, open): (Vec<_>, Vec<_>) =
            there.iter().cloned().partition(|worker| worker.drained);
        let (mut left, mut slots) = (before.len(), busy(&before));
        let mut ours = Vec::new();
        for worker in &open {
            let answer = self.set_drained(&worker.id, true).await;
            if !matches!(answer, Ok(None)) {
                // After an error too: it may have taken effect.
                self.marks.made(instance, op, &worker.id);
                ours.push(worker.id.as_str());
            }
            match answer {
                Ok(Some(busy)) => (left, slots) = (left + 1, slots + u32::from(busy)),
                Ok(None) => {}
                Err(fault) if if_busy == IfBusy::LetBe => {
                    self.take_all_back(instance, &ours).await?;
                    return Err(fault);
                }
                Err(fault) => return Err(fault),
            }
            if slots > 0 && if_busy == IfBusy::LetBe {
                self.take_all_back(instance, &ours).await?;
                return Ok(Drained::Busy { slots });
            }
        }
        Ok(match (left, slots) {
            (0, _) => Drained::Nobody,
            (_, 0) => Drained::Idle,
            (_, slots) => Drained::Busy { slots },
        })
    }

    /// Each of them is tried, whatever comes of the others.
    async fn take_all_back(&self, instance: &InstanceId, workers: &[&str]) -> Result<(), Fault> {
        let mut outcome = Ok(());
        for worker in workers {
            if let Err(fault) = self.take_back(instance, worker).await {
                let text = format!(
                    "the worker {worker} on {instance} stays drained: taking that back failed"
                );
                outcome = Err(Fault::retryable_from(text, fault));
            }
        }
        outcome
    }

    /// False: the worker is gone.
    pub(crate) async fn take_back(
        &self,
        instance: &InstanceId,
        worker: &str,
    ) -> Result<bool, Fault> {
        let mut answer = self.set_drained(worker, false).await;
        for _ in 1..TAKE_BACK_TRIES {
            if answer.is_err() {
                answer = self.set_drained(worker, false).await;
            }
        }
        let there = answer?.is_some();
        self.marks.taken_back(instance, worker);
        Ok(there)
    }

    /// Whether the worker has a run; None: there is no such worker (any more).
    pub(crate) async fn set_drained(
        &self,
        worker: &str,
        drain: bool,
    ) -> Result<Option<bool>, Fault> {
        let what = if drain { "drain a worker" } else { "take a worker's drain back" };
        let variables = json!({ "pool": self.worker_pool, "id": worker, "drain": drain });
        let data = match self.client.ask(what, wire::DRAIN, &variables).await? {
            Ok(data) => data,
            Err(refusal) if refusal.is_not_found() => return Ok(None),
            Err(refusal) => return Err(refusal.fault(what)),
        };
        let told = &data["workerDrainSet"];
        if told.is_null() {
            return Ok(None);
        }
        if told["drained"].as_bool() != Some(drain) {
            return Err(Fault::retryable(format!("can't {what}: {worker} stayed as it was")));
        }
        // An answer that does not say is read as what keeps the machine alive.
        Ok(Some(told["busy"].as_bool().unwrap_or(true)))
    }
}
