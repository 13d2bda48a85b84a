//! One look at a machine that a hook holds, and the steps that follow from it.
use crate::{Deps, record};
use windlass_core::drain::{
    Completion, DrainRecord, Holder, Notice, Refusal, Step, Then, after_completion, decide,
};
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::Fault;
use windlass_ports::fleet::{Answer, By};

/// A drain, what it came to, and what follows; never more than that at one moment.
const DECISIONS_MAX: u32 = 4;
/// A pool without tombstones can't keep a worker from a machine that boots: its hook is completed
/// only after nobody registered there for so long.
const LONELY_MS: u64 = MINUTE_MS;

/// What one look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The machine is let go.
    Completed,
    /// It was over before.
    Over,
    /// A run goes on there, or somebody may still register: the tick looks again.
    Waits,
    /// AWS refuses to let it go, and it still waits: a person has to look.
    Stuck,
}

/// `seen`: it waits now, whatever our record says (rule C5).
pub(crate) async fn look(deps: &Deps, notice: &Notice, seen: bool) -> Result<Looked, Fault> {
    let now = deps.clock.now();
    let mut record = record::open(deps, notice, now).await?;
    if record.completed && !seen {
        return Ok(Looked::Over);
    }
    let before = std::mem::take(&mut record.completed);
    let mut holder = deps.pool.holder(&notice.instance, now).await?;
    for _ in 0..DECISIONS_MAX {
        let decided = decide(&record, holder, now);
        for step in &decided.steps {
            match step {
                Step::DrainOrTombstone => holder = close(deps, &record, now).await?,
                Step::Heartbeat => {
                    if !heartbeat(deps, &record).await? {
                        return over(deps, record).await;
                    }
                }
                Step::AskToStop => {
                    let asked = deps.pool.ask_to_stop(&notice.instance, now).await?;
                    tracing::warn!(instance = %notice.instance, asked, "its runs are asked to stop");
                }
                Step::Complete { because } => {
                    let looked = complete(deps, &record, *because, now).await?;
                    if looked == Looked::Stuck && before {
                        // Ours is completed: another hook of the group's holds it.
                        return Ok(Looked::Over);
                    }
                    if looked == Looked::Stuck {
                        let Notice { group, hook, instance, .. } = notice;
                        tracing::error!(%instance, group, hook, count.Attention = 1, "a hook can't be completed");
                    }
                    if looked == Looked::Completed {
                        record::keep(deps, &decided.record).await?;
                    }
                    return Ok(looked);
                }
            }
        }
        record = decided.record;
        if decided.next != Some(now) {
            break;
        }
    }
    record::keep(deps, &record).await?;
    Ok(Looked::Waits)
}

/// Where no tombstone can be made, time has to do for one.
async fn close(deps: &Deps, record: &DrainRecord, now: UnixMs) -> Result<Holder, Fault> {
    let holder = deps.pool.close(&record.notice.instance, now).await?;
    let lonely = !deps.fences && now.since_ms(record.since) >= LONELY_MS;
    Ok(if holder == Holder::Nobody && lonely { Holder::Tombstone } else { holder })
}

fn by(notice: &Notice) -> By {
    if notice.token.is_empty() { By::Instance } else { By::Token }
}

async fn still_waits(deps: &Deps, notice: &Notice) -> Result<bool, Fault> {
    let waiting = deps.hooks.waiting(&notice.group).await?;
    Ok(waiting.iter().any(|known| known.instance == notice.instance && known.hook == notice.hook))
}

/// False: nothing waits there any more.
async fn heartbeat(deps: &Deps, record: &DrainRecord) -> Result<bool, Fault> {
    let notice = &record.notice;
    if deps.hooks.heartbeat(notice, by(notice)).await? == Answer::Taken {
        return Ok(true);
    }
    if by(notice) == By::Token && deps.hooks.heartbeat(notice, By::Instance).await? == Answer::Taken
    {
        return Ok(true);
    }
    still_waits(deps, notice).await
}

/// The hook ended without us: its time, or somebody's hand.
async fn over(deps: &Deps, record: DrainRecord) -> Result<Looked, Fault> {
    tracing::warn!(instance = %record.notice.instance, count.HooksLapsed = 1, "it waits no more");
    record::keep(deps, &DrainRecord { completed: true, ..record }).await?;
    Ok(Looked::Over)
}

/// Lets the machine go; a refusal is looked into.
async fn complete(
    deps: &Deps,
    record: &DrainRecord,
    because: Completion,
    now: UnixMs,
) -> Result<Looked, Fault> {
    let notice = &record.notice;
    let mut by = by(notice);
    while deps.hooks.complete(notice, by).await? == Answer::NoActiveAction {
        let still_waits = still_waits(deps, notice).await?;
        match after_completion(Refusal::NoActiveAction { still_waits, by_token: by == By::Token }) {
            Then::Done => break,
            Then::AgainByInstance => by = By::Instance,
            Then::Alarm => return Ok(Looked::Stuck),
        }
    }
    let instance = &notice.instance;
    let waited_ms = now.since_ms(record.since);
    match because {
        Completion::Deadline => {
            tracing::error!(%instance, waited_ms, count.HookDeadlines = 1, "its time was over with a run");
        }
        _ => {
            tracing::info!(%instance, waited_ms, ?because, count.HooksCompleted = 1, "it is let go");
            tell_busy(deps, record, now).await;
        }
    }
    Ok(Looked::Completed)
}

/// It was let go as idle: whoever is busy there now was ended by us.
async fn tell_busy(deps: &Deps, record: &DrainRecord, now: UnixMs) {
    let instance = &record.notice.instance;
    let Ok(holder) = deps.pool.close(instance, now).await else { return };
    if matches!(holder, Holder::Open | Holder::Draining { busy: 1.. }) {
        let count = 1;
        tracing::error!(%instance, ?holder, count.BusyKills = count, count.Attention = count, "a busy machine was ended by us");
    }
}
