//! Workers of a pool: what a tick and a hook may stand on, whoever keeps the pool.
use super::{Time, rows};
use crate::clock::Clock;
use crate::pool::{Drained, IfBusy, Pool};
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Because, Draining, Lease, OpId, SeenWorker, Victim, Whereabouts};
use windlass_core::id::InstanceId;
use windlass_core::job::{LEASE_IDLE_MS, LEASE_MS};
use windlass_core::time::{MINUTE_MS, UnixMs};

/// What a pool can do beyond what all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Can {
    /// Keep workers from ever registering on a machine.
    pub fence: bool,
    /// Remember that a machine is doomed, and refuse whatever would bring it back.
    pub doom: bool,
    /// Tell whose a drain is.
    pub owners: bool,
    /// Be told that a run ought to stop.
    pub ask_to_stop: bool,
    /// Tell drift detection from other runs.
    pub drift: bool,
    /// Tell a worker that fell silent, and a run that was declared lost.
    pub leases: bool,
}

impl Can {
    /// As our own pools.
    pub const ALL: Can =
        Can { fence: true, doom: true, owners: true, ask_to_stop: true, drift: true, leases: true };
    /// What every pool can.
    pub const NONE: Can = Can {
        fence: false,
        doom: false,
        owners: false,
        ask_to_stop: false,
        drift: false,
        leases: false,
    };
}

/// The workers' side, and an operator's.
#[async_trait]
pub trait Crew: Send + Sync {
    /// Workers start on this machine, with so many slots in all. False: they were turned away.
    async fn start(&self, machine: &InstanceId, slots: u32) -> bool;
    /// One of its free slots takes a run. False: none may.
    async fn take(&self, machine: &InstanceId) -> bool;
    /// One of its runs ends.
    async fn finish(&self, machine: &InstanceId);
    /// Its runs are declared lost. Not called without [`Can::leases`].
    async fn lose(&self, machine: &InstanceId);
    /// An operator drains it, or takes a drain away. False: that is refused. Not called without
    /// [`Can::owners`].
    async fn operate(&self, machine: &InstanceId, drains: bool) -> bool;
    /// So many runs wait for a free slot from now on, `drift` of them drift detection.
    async fn queue(&self, runs: u32, drift: u32);
}

/// A pool under test, empty at first.
pub struct Dock {
    pub pool: Arc<dyn Pool>,
    pub crew: Box<dyn Crew>,
    pub can: Can,
    pub time: Arc<dyn Time>,
    pub clock: Arc<dyn Clock>,
}

rows!(Dock:
    sees_its_workers, counts_what_waits, drains_what_is_idle, a_claim_came_first,
    drains_what_is_busy, takes_a_drain_back, doomed_is_for_good, dooms_only_what_is_drained,
    an_operators_drain_is_theirs, a_ticks_drain_is_ours, knows_nothing_of_others,
    keeps_workers_from_a_machine, a_worker_was_first, a_hook_closes, a_hook_closes_what_is_busy,
    a_hook_takes_over, a_hook_finds_nobody, a_hook_finds_the_lost, asks_to_stop, falls_silent,
    drains_and_claims_side_by_side,
);

impl Dock {
    fn now(&self) -> UnixMs {
        self.clock.now()
    }
    async fn start(&self, machine: &str, slots: u32) -> InstanceId {
        let machine = InstanceId::from(machine);
        assert!(self.crew.start(&machine, slots).await, "{machine} starts");
        machine
    }
    async fn seen(&self, machine: &InstanceId) -> Vec<SeenWorker> {
        let on = Whereabouts::On(machine.clone());
        let staff = self.pool.look(self.now()).await.unwrap();
        staff.workers.into_iter().filter(|worker| worker.on == on).collect()
    }
    /// Slots, and how many of them have runs.
    async fn slots(&self, machine: &InstanceId) -> (u32, u32) {
        let workers = self.seen(machine).await;
        (workers.iter().map(|w| w.slots).sum(), workers.iter().map(|w| w.busy).sum())
    }
    async fn draining(&self, machine: &InstanceId) -> Option<Draining> {
        self.seen(machine).await.into_iter().find_map(|worker| worker.draining)
    }
    /// As a plan would name it.
    async fn victim(&self, machine: &InstanceId, op: &str) -> Victim {
        Victim {
            instance: machine.clone(),
            workers: self.seen(machine).await.into_iter().map(|worker| worker.id).collect(),
            op: OpId(format!("{op} of {machine}")),
            decrement: true,
            because: Because::Surplus,
        }
    }
    async fn drain(&self, victim: &Victim, if_busy: IfBusy) -> Drained {
        self.pool.drain(victim, if_busy, self.now()).await.unwrap()
    }
    async fn doom(&self, victim: &Victim) -> Drained {
        self.pool.doom(victim, self.now()).await.unwrap()
    }
    async fn undrain(&self, victim: &Victim) -> bool {
        self.pool.undrain(&victim.instance, &victim.workers, &victim.op).await.unwrap()
    }
    async fn tombstone(&self, machine: &InstanceId) -> bool {
        self.pool.tombstone(machine, &OpId("fence".into()), self.now()).await.unwrap()
    }
    async fn holder(&self, machine: &InstanceId) -> Holder {
        self.pool.holder(machine, self.now()).await.unwrap()
    }
    async fn close(&self, machine: &InstanceId) -> Holder {
        self.pool.close(machine, self.now()).await.unwrap()
    }
    async fn is(&self, machine: &InstanceId, victim: &Victim, doomed: bool) {
        let draining = self.draining(machine).await;
        assert!(draining.is_some(), "{machine} drains");
        if self.can.owners {
            let doomed = doomed && self.can.doom;
            assert_eq!(draining, Some(Draining::Ours { op: victim.op.clone(), doomed }));
        }
    }
}

pub async fn sees_its_workers(dock: &Dock) {
    let machine = dock.start("i-01", 2).await;
    assert_eq!(dock.slots(&machine).await, (2, 0));
    for (busy, takes) in [(1, true), (2, true), (2, false)] {
        assert_eq!(dock.crew.take(&machine).await, takes);
        assert_eq!(dock.slots(&machine).await, (2, busy));
    }
    for busy in [1, 0] {
        dock.crew.finish(&machine).await;
        assert_eq!(dock.slots(&machine).await, (2, busy));
    }
    for worker in dock.seen(&machine).await {
        assert_eq!((worker.lease, worker.draining), (Lease::Live, None));
        let since = worker.idle_since.unwrap_or(worker.registered_at);
        assert!(since >= worker.registered_at && worker.registered_at.0 > 0);
    }
}

pub async fn counts_what_waits(dock: &Dock) {
    for (runs, drift) in [(5, 2), (1, 0), (0, 0)] {
        dock.crew.queue(runs, drift).await;
        let demand = dock.pool.look(dock.now()).await.unwrap().demand;
        assert_eq!(demand.schedulable, runs);
        assert_eq!(demand.drift, if dock.can.drift { drift } else { 0 });
    }
}

pub async fn drains_what_is_idle(dock: &Dock) {
    let machine = dock.start("i-02", 2).await;
    let victim = dock.victim(&machine, "op").await;
    for _ in 0..2 {
        assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
        dock.is(&machine, &victim, false).await;
        assert!(!dock.crew.take(&machine).await, "it takes no run");
    }
}

/// Nothing is left of a drain that a claim prevented.
pub async fn a_claim_came_first(dock: &Dock) {
    let machine = dock.start("i-03", 2).await;
    assert!(dock.crew.take(&machine).await);
    let victim = dock.victim(&machine, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Busy { slots: 1 });
    assert_eq!(dock.draining(&machine).await, None);
    assert!(!dock.undrain(&victim).await, "there is nothing to take back");
    assert!(dock.crew.take(&machine).await, "its other slot goes on");
}

/// Rule C3: a drain is a mark beside a run, so the run ends and no second one begins.
pub async fn drains_what_is_busy(dock: &Dock) {
    let machine = dock.start("i-04", 2).await;
    assert!(dock.crew.take(&machine).await);
    let victim = dock.victim(&machine, "op").await;
    let busy = Drained::Busy { slots: 1 };
    assert_eq!(dock.drain(&victim, IfBusy::DrainAlso).await, busy);
    dock.is(&machine, &victim, false).await;
    assert!(!dock.crew.take(&machine).await);
    assert_eq!(dock.doom(&victim).await, busy, "not while it has a run");
    dock.is(&machine, &victim, false).await;
    dock.crew.finish(&machine).await;
    assert!(!dock.crew.take(&machine).await);
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    assert_eq!(dock.doom(&victim).await, Drained::Idle);
}

pub async fn takes_a_drain_back(dock: &Dock) {
    let machine = dock.start("i-05", 1).await;
    let victim = dock.victim(&machine, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    if dock.can.owners {
        assert!(!dock.undrain(&dock.victim(&machine, "other").await).await, "another op's");
        dock.is(&machine, &victim, false).await;
    }
    assert!(dock.undrain(&victim).await);
    assert!(!dock.undrain(&victim).await, "there is none any more");
    assert_eq!(dock.draining(&machine).await, None);
    assert!(dock.crew.take(&machine).await);
}

/// Rule C2.
pub async fn doomed_is_for_good(dock: &Dock) {
    let machine = dock.start("i-06", 1).await;
    let victim = dock.victim(&machine, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    for _ in 0..2 {
        assert_eq!(dock.doom(&victim).await, Drained::Idle);
        dock.is(&machine, &victim, true).await;
    }
    assert!(!dock.crew.take(&machine).await);
    if dock.can.doom {
        assert!(!dock.undrain(&victim).await, "there is no way back");
        assert_eq!(dock.doom(&dock.victim(&machine, "other").await).await, Drained::Theirs);
        assert!(!dock.crew.start(&machine, 1).await, "nor for a worker that starts anew");
        dock.is(&machine, &victim, true).await;
        assert_eq!(dock.holder(&machine).await, Holder::Draining { busy: 0 });
    }
}

pub async fn dooms_only_what_is_drained(dock: &Dock) {
    let machine = dock.start("i-07", 1).await;
    let victim = dock.victim(&machine, "op").await;
    assert_eq!(dock.doom(&victim).await, Drained::Theirs);
    assert_eq!(dock.draining(&machine).await, None);
    assert!(dock.crew.take(&machine).await);
}

/// Rule C3: what a person drained can be ended, but no tick gives it runs again.
pub async fn an_operators_drain_is_theirs(dock: &Dock) {
    if !dock.can.owners {
        return;
    }
    let machine = dock.start("i-08", 1).await;
    let victim = dock.victim(&machine, "op").await;
    assert!(dock.crew.operate(&machine, true).await);
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    assert!(!dock.undrain(&victim).await);
    assert_eq!(dock.draining(&machine).await, Some(Draining::Theirs));
    assert_eq!(dock.holder(&machine).await, Holder::Open, "it can be taken back");
    // Taken back between the drain and the doom.
    assert!(dock.crew.operate(&machine, false).await);
    assert_eq!(dock.doom(&victim).await, Drained::Theirs);
    assert!(dock.crew.operate(&machine, true).await);
    assert_eq!(dock.doom(&victim).await, Drained::Idle);
    assert!(!dock.crew.operate(&machine, false).await, "too late");
    dock.is(&machine, &victim, true).await;
}

pub async fn a_ticks_drain_is_ours(dock: &Dock) {
    if !dock.can.owners {
        return;
    }
    let machine = dock.start("i-09", 1).await;
    let victim = dock.victim(&machine, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    assert!(!dock.crew.operate(&machine, false).await);
    dock.is(&machine, &victim, false).await;
    let other = dock.victim(&machine, "other").await;
    assert_eq!(dock.drain(&other, IfBusy::LetBe).await, Drained::Theirs);
    assert_eq!(dock.doom(&other).await, Drained::Theirs);
    dock.is(&machine, &victim, false).await;
}

pub async fn knows_nothing_of_others(dock: &Dock) {
    let nowhere = InstanceId::from("i-0f");
    let victim = dock.victim(&nowhere, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::DrainAlso).await, Drained::Nobody);
    assert_eq!(dock.doom(&victim).await, Drained::Nobody);
    assert!(!dock.undrain(&victim).await);
    assert_eq!(dock.holder(&nowhere).await, Holder::Nobody);
    assert_eq!(dock.seen(&nowhere).await, []);
}

/// Rule C4: a worker that boots late finds that nobody waits for it.
pub async fn keeps_workers_from_a_machine(dock: &Dock) {
    let machine = InstanceId::from("i-10");
    if !dock.can.fence {
        assert!(!dock.tombstone(&machine).await);
        assert!(dock.crew.start(&machine, 1).await && dock.crew.take(&machine).await);
        return;
    }
    for _ in 0..2 {
        assert!(dock.tombstone(&machine).await);
        assert!(!dock.crew.start(&machine, 1).await);
    }
    assert_eq!(dock.seen(&machine).await, [], "it is nobody's supply");
    assert_eq!(dock.holder(&machine).await, Holder::Tombstone);
    assert_eq!(dock.close(&machine).await, Holder::Tombstone);
    assert!(!dock.crew.start(&machine, 1).await);
}

pub async fn a_worker_was_first(dock: &Dock) {
    let machine = dock.start("i-11", 1).await;
    assert!(!dock.tombstone(&machine).await);
    assert_eq!(dock.draining(&machine).await, None);
    assert!(dock.crew.take(&machine).await);
}

pub async fn a_hook_closes(dock: &Dock) {
    let machine = dock.start("i-12", 1).await;
    assert_eq!(dock.holder(&machine).await, Holder::Open);
    for _ in 0..2 {
        assert_eq!(dock.close(&machine).await, Holder::Draining { busy: 0 });
        assert_eq!(dock.holder(&machine).await, Holder::Draining { busy: 0 });
    }
    assert!(!dock.crew.take(&machine).await);
    if dock.can.owners {
        let victim = dock.victim(&machine, "op").await;
        assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Theirs);
        assert_eq!(dock.doom(&victim).await, Drained::Theirs);
        assert!(!dock.undrain(&victim).await);
        assert!(!dock.crew.operate(&machine, false).await);
        assert_eq!(dock.draining(&machine).await, Some(Draining::Theirs));
    }
}

pub async fn a_hook_closes_what_is_busy(dock: &Dock) {
    let machine = dock.start("i-13", 2).await;
    assert!(dock.crew.take(&machine).await);
    assert_eq!(dock.close(&machine).await, Holder::Draining { busy: 1 });
    assert!(!dock.crew.take(&machine).await);
    assert_eq!(dock.holder(&machine).await, Holder::Draining { busy: 1 });
    dock.crew.finish(&machine).await;
    assert_eq!(dock.holder(&machine).await, Holder::Draining { busy: 0 });
    assert!(!dock.crew.take(&machine).await);
}

/// Nobody takes back a drain on which a machine was let go.
pub async fn a_hook_takes_over(dock: &Dock) {
    if !dock.can.owners {
        return;
    }
    let (first, second) = (dock.start("i-14", 1).await, dock.start("i-15", 1).await);
    let victim = dock.victim(&first, "op").await;
    assert_eq!(dock.drain(&victim, IfBusy::LetBe).await, Drained::Idle);
    assert!(dock.crew.operate(&second, true).await);
    for machine in [&first, &second] {
        assert_eq!(dock.holder(machine).await, Holder::Open, "it can be taken back");
        assert_eq!(dock.close(machine).await, Holder::Draining { busy: 0 });
        assert!(!dock.undrain(&victim).await);
        assert!(!dock.crew.operate(machine, false).await);
        assert!(!dock.crew.take(machine).await);
    }
}

pub async fn a_hook_finds_nobody(dock: &Dock) {
    let machine = InstanceId::from("i-16");
    let holder = if dock.can.fence { Holder::Tombstone } else { Holder::Nobody };
    for _ in 0..2 {
        assert_eq!(dock.close(&machine).await, holder);
        assert_eq!(dock.holder(&machine).await, holder);
    }
    assert_eq!(dock.crew.start(&machine, 1).await, !dock.can.fence);
}

/// A void counts as no longer busy (rule C4), but whoever revives takes no run either.
pub async fn a_hook_finds_the_lost(dock: &Dock) {
    if !dock.can.leases {
        return;
    }
    let machine = dock.start("i-17", 1).await;
    assert!(dock.crew.take(&machine).await);
    dock.crew.lose(&machine).await;
    let seen = dock.seen(&machine).await;
    assert!(seen.iter().all(|w| (w.lease, w.busy) == (Lease::Void, 0)), "{seen:?}");
    assert_eq!(dock.holder(&machine).await, Holder::Open);
    assert_eq!(dock.close(&machine).await, Holder::Lost);
    assert_eq!(dock.holder(&machine).await, Holder::Lost);
    assert!(dock.crew.start(&machine, 1).await);
    assert!(!dock.crew.take(&machine).await);
}

pub async fn asks_to_stop(dock: &Dock) {
    let machine = dock.start("i-18", 1).await;
    assert!(dock.crew.take(&machine).await);
    for _ in 0..2 {
        let asked = dock.pool.ask_to_stop(&machine, dock.now()).await.unwrap();
        assert_eq!(asked, dock.can.ask_to_stop);
    }
    let nowhere = InstanceId::from("i-0e");
    dock.pool.ask_to_stop(&nowhere, dock.now()).await.unwrap();
}

/// A worker that nobody hears of any more: it counts from its lease, which is shorter with a run.
pub async fn falls_silent(dock: &Dock) {
    if !dock.can.leases {
        return;
    }
    let (idle, busy) = (dock.start("i-19", 1).await, dock.start("i-20", 1).await);
    assert!(dock.crew.take(&busy).await);
    for (pass_ms, idle_is, busy_is) in [
        (LEASE_MS - 1_000, Lease::Live, Lease::Live),
        (2_000, Lease::Live, Lease::Lapsed { for_ms: 1_000 }),
        (MINUTE_MS, Lease::Live, Lease::Lapsed { for_ms: 61_000 }),
        (
            LEASE_IDLE_MS - LEASE_MS - MINUTE_MS + 1_000,
            Lease::Lapsed { for_ms: 2_000 },
            Lease::Lapsed { for_ms: LEASE_IDLE_MS - LEASE_MS + 2_000 },
        ),
    ] {
        if !dock.time.pass(pass_ms).await {
            return;
        }
        for (machine, expected) in [(&idle, idle_is), (&busy, busy_is)] {
            let seen = dock.seen(machine).await;
            assert_eq!(seen.iter().map(|w| w.lease).collect::<Vec<_>>(), [expected], "{machine}");
        }
    }
    // One word from it, and it is there again.
    assert!(dock.crew.start(&idle, 1).await);
    assert_eq!(dock.seen(&idle).await[0].lease, Lease::Live);
}

/// Never both: a run that was taken, and a machine that was called idle (rule C1).
pub async fn drains_and_claims_side_by_side(dock: &Dock) {
    let (mut claims, mut drains) = (0, 0);
    for n in 0..20 {
        let machine = dock.start(&format!("i-3{n:02}"), 1).await;
        let victim = dock.victim(&machine, "op").await;
        let (pool, now) = (dock.pool.clone(), dock.now());
        let drained =
            tokio::spawn(async move { pool.drain(&victim, IfBusy::LetBe, now).await.unwrap() });
        let took = dock.crew.take(&machine).await;
        let drained = drained.await.unwrap();
        assert_ne!(took, drained == Drained::Idle, "{machine}: {drained:?}, took: {took}");
        assert_eq!(dock.draining(&machine).await.is_some(), drained == Drained::Idle);
        (claims, drains) = (claims + u32::from(took), drains + u32::from(!took));
    }
    assert_eq!(claims + drains, 20);
}
