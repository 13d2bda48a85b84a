//! A pool as large as any: what one look at it costs to decide.
use crate::exit::Failure;
use std::hint::black_box;
use std::time::Instant;
use windlass_core::fleet::{
    Demand, Group, Lease, Memory, Place, Plan, Policy, SeenInstance, SeenWorker, Snapshot,
    Whereabouts, decide,
};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_report::Report;
use windlass_report::stats::{median, ms};

const WORKERS: u32 = 10_000;
const QUEUED: u32 = 50_000;
const WARM_UP: usize = 3;
const ROUNDS: usize = 30;
const NOW: UnixMs = UnixMs(1_795_435_200_000);
const HOUR_MS: u64 = 3_600_000;

/// One machine in four has no run, since an hour ago.
fn pool(queued: u32) -> Snapshot {
    let name = |n: u32| InstanceId(format!("i-{n:017x}"));
    let launched_at = UnixMs(NOW.0 - 2 * HOUR_MS);
    let instances = (0..WORKERS).map(|n| SeenInstance {
        id: name(n),
        place: Place::InService,
        launched_at,
        template: n % 3,
        protected: true,
        notice: None,
    });
    let workers = (0..WORKERS).map(|n| SeenWorker {
        id: format!("w-{n}"),
        on: Whereabouts::On(name(n)),
        slots: 1,
        busy: u32::from(!n.is_multiple_of(4)),
        draining: None,
        lease: Lease::Live,
        registered_at: launched_at,
        idle_since: n.is_multiple_of(4).then_some(UnixMs(NOW.0 - HOUR_MS)),
    });
    Snapshot {
        now: NOW,
        due: NOW,
        woken: false,
        group: Group {
            name: "large".to_owned(),
            desired: WORKERS,
            min: 0,
            max: 6 * WORKERS,
            launches_failed: 0,
        },
        instances: instances.collect(),
        workers: workers.collect(),
        demand: Demand { schedulable: queued, oldest_ms: HOUR_MS, ..Demand::default() },
    }
}

fn memory() -> Memory {
    Memory {
        looked_at: Some(UnixMs(NOW.0 - 60_000)),
        workers_live: WORKERS,
        machines: WORKERS,
        desired: Some(WORKERS),
        ..Memory::fresh()
    }
}

/// Milliseconds of each round.
fn time(policy: &Policy, snapshot: &Snapshot) -> Vec<f64> {
    let memory = memory();
    let rounds = (0..WARM_UP + ROUNDS).map(|_| {
        let began = Instant::now();
        black_box(decide(policy, black_box(snapshot), &memory));
        ms(began.elapsed())
    });
    rounds.skip(WARM_UP).collect()
}

pub(crate) fn measure() -> Result<Report, Failure> {
    let policy = Policy { step_up_max: WORKERS, step_down_max: WORKERS, ..Policy::default() };
    let (grows, shrinks) = (pool(QUEUED), pool(0));
    for (snapshot, what) in [(&grows, "grow"), (&shrinks, "shrink")] {
        let plan: Plan = decide(&policy, snapshot, &memory());
        if plan.actions.is_empty() {
            return Err(Failure::failed(format!("the pool does not {what}: {:?}", plan.why)));
        }
    }
    let mut report = Report::new("fleet", "One look at a pool: what to do about it");
    let grow = median(&time(&policy, &grows));
    report.figure("grow_ms", grow, "ms", "decided, while it grows").at_most = Some(10.0);
    let shrink = median(&time(&policy, &shrinks));
    report.figure("shrink_ms", shrink, "ms", "decided, while it shrinks").at_most = Some(10.0);
    report.figure("workers", f64::from(WORKERS), "", "workers, each on a machine of its own");
    report.figure("queued", f64::from(QUEUED), "", "runs in the queue, while it grows");
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_a_decision() {
        let report = measure().unwrap();
        assert_eq!(report.benchmark, "fleet");
    }
}
