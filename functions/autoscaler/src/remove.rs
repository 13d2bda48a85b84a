//! How a machine goes: drained, doomed, ended; or fenced and ended, where no worker is.
use crate::Deps;
use windlass_core::drain::Holder;
use windlass_core::fleet::{Because, Victim};
use windlass_core::time::UnixMs;
use windlass_ports::Fault;
use windlass_ports::fleet::Way;
use windlass_ports::pool::{Drained, IfBusy};

/// Whether a machine may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing runs there, and nothing will.
    Doomed,
    /// It has a run, may get one, or is somebody else's.
    Spared,
}

/// Drains and dooms it, or keeps workers from it if it has none. A claim that came first wins.
pub(crate) async fn take(deps: &Deps, now: UnixMs, victim: &Victim) -> Result<Taken, Fault> {
    if victim.workers.is_empty() {
        return fence(deps, now, victim).await;
    }
    match deps.pool.drain(victim, IfBusy::LetBe, now).await? {
        Drained::Idle => doom(deps, now, victim).await,
        Drained::Nobody => fence(deps, now, victim).await,
        Drained::Busy { .. } | Drained::Theirs => Ok(Taken::Spared),
    }
}

/// No way back from here (rule C2).
pub(crate) async fn doom(deps: &Deps, now: UnixMs, victim: &Victim) -> Result<Taken, Fault> {
    match deps.pool.doom(victim, now).await? {
        Drained::Idle => Ok(Taken::Doomed),
        Drained::Nobody => fence(deps, now, victim).await,
        Drained::Busy { .. } | Drained::Theirs => Ok(Taken::Spared),
    }
}

/// Never looked first and fenced later (rule C4): a worker that registered before the tombstone is
/// left alone. A pool without a fence can only be looked at, as late as possible.
async fn fence(deps: &Deps, now: UnixMs, victim: &Victim) -> Result<Taken, Fault> {
    if deps.pool.tombstone(&victim.instance, &victim.op, now).await? {
        return Ok(Taken::Doomed);
    }
    Ok(match deps.pool.holder(&victim.instance, now).await? {
        Holder::Tombstone => Taken::Doomed,
        Holder::Nobody if !deps.fences => Taken::Doomed,
        _ => Taken::Spared,
    })
}

pub(crate) fn in_group(victim: &Victim) -> bool {
    victim.because != Because::Leaked
}

/// Ends what was doomed. True: it had a run, which must never be.
pub(crate) async fn end(deps: &Deps, now: UnixMs, victim: &Victim) -> Result<bool, Fault> {
    let (instance, decrement) = (&victim.instance, victim.decrement);
    let ended = match in_group(victim) {
        false => deps.fleet.end(instance, Way::Outside).await,
        true => deps.fleet.end(instance, Way::InGroup { decrement }).await,
    };
    let ended = match ended {
        // The minimum rose since: a doomed machine goes all the same, and another takes its place.
        Err(Fault::Poison { .. }) if decrement && in_group(victim) => {
            deps.fleet.end(instance, Way::InGroup { decrement: false }).await?
        }
        other => other?,
    };
    let because = victim.because;
    tracing::info!(%instance, op = %victim.op, ?because, decrement, ?ended, "a machine was ended");
    // What can't be asked now is not made up.
    let Ok(known) = deps.pool.drain(victim, IfBusy::LetBe, now).await else { return Ok(false) };
    let busy = matches!(known, Drained::Busy { .. });
    if busy {
        tracing::error!(%instance, ?known, count.Attention = 1, "a busy machine was ended by us");
    }
    Ok(busy)
}
