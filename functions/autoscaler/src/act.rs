//! Actions, each harmless the second time. What fails is logged and left to the next tick.
use crate::remove::{self, Taken};
use crate::{Deps, Report};
use windlass_core::fleet::{Action, Victim};
use windlass_core::id::InstanceId;
use windlass_core::time::UnixMs;
use windlass_ports::Fault;
use windlass_ports::pool::IfBusy;

/// The machine that an action is sure to end.
pub(crate) fn ends(action: &Action) -> Option<&InstanceId> {
    match action {
        Action::Finish { victim } | Action::End { victim } => Some(&victim.instance),
        Action::SetDesired { .. }
        | Action::Retire { .. }
        | Action::Drain { .. }
        | Action::Undrain { .. } => None,
    }
}

pub(crate) async fn carry_out(deps: &Deps, now: UnixMs, action: &Action, report: &mut Report) {
    match action {
        Action::SetDesired { from, to } => match deps.fleet.set_desired(*to).await {
            Ok(()) => {
                tracing::info!(from, to, "the group's size was set");
                report.desired = Some(*to);
            }
            Err(fault) => failed(report, &fault, "the group's size was not set"),
        },
        Action::Retire { count, candidates } => retire(deps, now, *count, candidates, report).await,
        Action::Drain { victim } => {
            let drained = deps.pool.drain(victim, IfBusy::DrainAlso, now).await;
            if let Err(fault) = drained {
                failed(report, &fault, "a machine was not drained");
            }
        }
        Action::Undrain { instance, workers, op } => {
            match deps.pool.undrain(instance, workers, op).await {
                Ok(back) => tracing::info!(%instance, back, "a machine is wanted again"),
                Err(fault) => failed(report, &fault, "a drain was not taken back"),
            }
        }
        Action::Finish { victim } => {
            let taken = remove::doom(deps, now, victim).await;
            finish(deps, now, &[victim], vec![taken], report).await;
        }
        Action::End { victim } => {
            let taken = remove::take(deps, now, victim).await;
            finish(deps, now, &[victim], vec![taken], report).await;
        }
    }
}

/// The first `count` that let themselves be taken. One of which it is not known whether it was
/// taken counts as one that was.
async fn retire(deps: &Deps, now: UnixMs, count: u32, candidates: &[Victim], report: &mut Report) {
    let (mut victims, mut taken, mut left) = (vec![], vec![], count);
    for victim in candidates {
        if left == 0 {
            break;
        }
        let this = remove::take(deps, now, victim).await;
        left -= u32::from(!matches!(this, Ok(Taken::Spared)));
        victims.push(victim);
        taken.push(this);
    }
    finish(deps, now, &victims, taken, report).await;
}

/// Ends those that were doomed. The group may choose them from here on too.
async fn finish(
    deps: &Deps,
    now: UnixMs,
    victims: &[&Victim],
    taken: Vec<Result<Taken, Fault>>,
    report: &mut Report,
) {
    let mut doomed: Vec<&Victim> = vec![];
    for (victim, taken) in victims.iter().zip(taken) {
        match taken {
            Ok(Taken::Doomed) => doomed.push(victim),
            Ok(Taken::Spared) => {
                tracing::info!(instance = %victim.instance, "it is not idle, or not ours: it stays");
                report.spared += 1;
            }
            Err(fault) => failed(report, &fault, "a machine was not doomed"),
        }
    }
    if deps.store.is_some() {
        let inside = doomed.iter().filter(|victim| remove::in_group(victim));
        let inside: Vec<InstanceId> = inside.map(|victim| victim.instance.clone()).collect();
        protect(deps, &inside, false, report).await;
    }
    for victim in doomed {
        match remove::end(deps, now, victim).await {
            Ok(busy) => {
                *report.removed.entry(victim.because).or_default() += 1;
                report.busy_kills += u32::from(busy);
            }
            Err(fault) => failed(report, &fault, "a machine was not ended"),
        }
    }
}

/// A guest has no right to this, and does not try.
pub(crate) async fn protect(
    deps: &Deps,
    instances: &[InstanceId],
    protected: bool,
    report: &mut Report,
) {
    if instances.is_empty() {
        return;
    }
    if let Err(fault) = deps.fleet.protect(instances, protected).await {
        failed(report, &fault, "protection was not changed");
    }
}

fn failed(report: &mut Report, fault: &Fault, what: &'static str) {
    report.failed += 1;
    if fault.is_retryable() {
        tracing::warn!(error = fault.chain(), "{what}: the next tick tries again");
    } else {
        tracing::error!(count.Refused = 1, error = fault.chain(), "{what}");
    }
}
