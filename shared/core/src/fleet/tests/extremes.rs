//! A decision is total: whatever was seen, remembered or wished for, there is a plan.
use super::pool::{Pool, min, ours};
use crate::fleet::{Draining, Lease, Notice, Place, Policy, Warm};
use crate::time::UnixMs;

/// Every number at its least and at its most, over a pool that has one machine of each kind.
#[test]
fn no_number_is_too_large_or_too_small() {
    let pool = Pool::desired(3).busy(1).idle(1, 30).unregistered(1, 2).unregistered(1, 15);
    let pool = pool.machine(|m| m.drains(Draining::Theirs)).machine(|m| m.drains(ours("o", false)));
    let pool = pool.machine(|m| m.seen.notice = Some(Notice::Spot));
    let pool = pool.machine(|m| m.workers[0].lease = Lease::Lapsed { for_ms: u64::MAX });
    let pool = pool.machine(|m| m.seen.place = Place::Outside);
    for n in [0, 1, u32::MAX] {
        for (at, desired) in [(0, 0), (min(1), 3), (u64::MAX, n)] {
            for most in [0, n] {
                let mut pool = pool.clone();
                let ms = u64::from(n) << 31;
                pool.policy = Policy {
                    slots_per_instance: n,
                    step_up_max: most,
                    step_down_max: n,
                    idle_delay_ms: ms,
                    idle_from: pool.policy.idle_from,
                    warm: Warm::Always(n),
                    utilisation_percent: n,
                    queued_runs_per_slot: n,
                    boot_deadline_ms: ms,
                    lost_grace_ms: ms,
                    scale_out_cooldown_ms: most.into(),
                    scale_in_cooldown_ms: most.into(),
                    boot_failures_max: n,
                    launch_failures_max: n,
                    abnormal_percent: n,
                    implausible_percent: n,
                    tick_age_max_ms: ms,
                    drift_slots_max: Some(most),
                };
                (pool.snapshot.now, pool.snapshot.due) = (UnixMs(at), UnixMs(at));
                let group = &mut pool.snapshot.group;
                (group.desired, group.max, group.launches_failed) = (desired, n, n);
                let demand = &mut pool.snapshot.demand;
                (demand.schedulable, demand.drift, demand.drift_running) = (n, most, n);
                (pool.memory.boot_failures, pool.memory.workers_live) = (most, n);
                for worker in &mut pool.snapshot.workers {
                    worker.slots = n / 8;
                }
                let plan = pool.plan();
                let plan = pool.later(1).plan().why != plan.why;
                std::hint::black_box(plan);
            }
        }
    }
}
