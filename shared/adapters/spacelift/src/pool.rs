//! The port over it.
use crate::marks::Owner;
use crate::wire::{self, Seen, Worker};
use crate::{Shared, Spacelift};
use async_trait::async_trait;
use serde_json::json;
use std::sync::atomic::Ordering;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Demand, Lease, OpId, SeenWorker, Victim};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Fault, Pool, Staff};

/// Workers that register while others are being drained are drained in turn, so often.
const CLOSE_ROUNDS_MAX: usize = 3;

#[async_trait]
impl Pool for Spacelift {
    async fn look(&self, now: UnixMs) -> Result<Staff, Fault> {
        let seen = self.0.read().await?;
        self.0.marks.compare(&seen.workers);
        let workers = seen.workers.iter().map(|worker| self.0.seen(worker, now)).collect();
        let demand = Demand { schedulable: seen.pending, ..Demand::default() };
        Ok(Staff { workers, demand })
    }

    async fn drain(&self, victim: &Victim, if_busy: IfBusy, _: UnixMs) -> Result<Drained, Fault> {
        let there = self.0.on(&victim.instance).await?;
        self.0.drain(victim, &there, if_busy).await
    }

    async fn doom(&self, victim: &Victim, _: UnixMs) -> Result<Drained, Fault> {
        let Victim { instance, op, .. } = victim;
        let there = self.0.on(instance).await?;
        if there.is_empty() {
            return Ok(Drained::Nobody);
        }
        let reopened = there.iter().all(|worker| !worker.drained);
        if reopened || self.0.marks.owner(instance, op) == Owner::OtherOp {
            return Ok(Drained::Theirs);
        }
        // One that registered since then drains with the rest.
        let drained = self.0.drain_open(instance, op, &there, IfBusy::DrainAlso).await?;
        if drained == Drained::Idle {
            self.0.marks.doom(instance, op, there.iter());
        }
        Ok(drained)
    }

    async fn undrain(&self, instance: &InstanceId, _: &[String], op: &OpId) -> Result<bool, Fault> {
        let ours = self.0.marks.reopenable(instance, op);
        if ours.is_empty() {
            return Ok(false);
        }
        let mut undrained = false;
        for worker in self.0.on(instance).await? {
            if worker.drained && ours.contains(&worker.id) {
                undrained |= self.0.take_back(instance, &worker.id).await?;
            }
        }
        Ok(undrained)
    }

    async fn tombstone(&self, _: &InstanceId, _: &OpId, _: UnixMs) -> Result<bool, Fault> {
        Ok(false)
    }

    /// A drain that a tick of this process can take back leaves it `Open`. An operator can always
    /// take a drain back here, so that counts as drained.
    async fn holder(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        Ok(match holder(&self.0.on(instance).await?) {
            Holder::Draining { .. } if self.0.marks.may_reopen(instance) => Holder::Open,
            held => held,
        })
    }

    /// With nobody there it says so: this pool has no fence, and a worker that registers before the
    /// machine is gone may take a run and lose it.
    async fn close(&self, instance: &InstanceId, _: UnixMs) -> Result<Holder, Fault> {
        // A tick that drained it before has no say any more.
        self.0.marks.forget(instance);
        let mut there = self.0.on(instance).await?;
        for _ in 0..CLOSE_ROUNDS_MAX {
            if holder(&there) != Holder::Open {
                break;
            }
            for worker in there.iter().filter(|worker| !worker.drained) {
                self.0.set_drained(&worker.id, true).await?;
            }
            there = self.0.on(instance).await?;
        }
        Ok(holder(&there))
    }

    async fn ask_to_stop(&self, _: &InstanceId, _: UnixMs) -> Result<bool, Fault> {
        Ok(false)
    }
}

fn holder(there: &[Worker]) -> Holder {
    if there.is_empty() {
        return Holder::Nobody;
    }
    if there.iter().any(|worker| !worker.drained) {
        return Holder::Open;
    }
    Holder::Draining { busy: busy(there) }
}

pub(crate) fn busy(workers: &[Worker]) -> u32 {
    let busy = workers.iter().filter(|worker| worker.busy).count();
    u32::try_from(busy).unwrap_or(u32::MAX)
}

impl Shared {
    fn seen(&self, worker: &Worker, now: UnixMs) -> SeenWorker {
        let draining =
            worker.drained.then(|| self.marks.draining(worker.instance.as_ref(), &worker.id));
        SeenWorker {
            id: worker.id.clone(),
            on: worker.on(&self.group),
            slots: 1,
            busy: u32::from(worker.busy),
            draining,
            lease: Lease::Live,
            registered_at: worker.created_at.unwrap_or(now),
            idle_since: worker.available_at.filter(|_| !worker.busy),
        }
    }

    /// All workers that say they are on this machine, whatever else they say.
    async fn on(&self, instance: &InstanceId) -> Result<Vec<Worker>, Fault> {
        let seen = self.read().await?;
        let there = seen.workers.into_iter();
        Ok(there.filter(|worker| worker.instance.as_ref() == Some(instance)).collect())
    }

    /// Asks as older servers must be asked, once this one turned out to be one.
    async fn read(&self) -> Result<Seen, Fault> {
        let (what, id) = ("look at the worker pool", json!({ "id": self.worker_pool }));
        if !self.legacy.load(Ordering::Relaxed) {
            match self.client.ask(what, wire::POOL, &id).await? {
                Ok(data) => return wire::pool(&data),
                Err(refusal) if refusal.names(wire::AVAILABLE_AT) => {
                    tracing::info!("this Spacelift does not say since when a worker is idle");
                    self.legacy.store(true, Ordering::Relaxed);
                }
                Err(refusal) if refusal.is_not_found() => return wire::pool(&json!({})),
                Err(refusal) => return Err(refusal.fault(what)),
            }
        }
        match self.client.ask(what, wire::POOL_LEGACY, &id).await? {
            Ok(data) => wire::pool(&data),
            Err(refusal) if refusal.is_not_found() => wire::pool(&json!({})),
            Err(refusal) => Err(refusal.fault(what)),
        }
    }
}
