//! Time, without anything waiting in memory: documents under `due/` name who wants to be woken.
use crate::{Deps, deliver};
use futures_util::future::join_all;
use windlass_core::event::{
    DeliveryPointer, Intent, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent,
};
use windlass_core::id::{EventId, RepoName, StackId, derive};
use windlass_core::keys;
use windlass_core::summary::Summary;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::queues::{RECEIVE_MAX, dead_letters};
use windlass_ports::{Delivery, Expect, Fault, Listed, Outgoing, PutError, cas, deliveries};

/// A dead letter is ours for so long while it is sent on.
const REDRIVE_MS: u64 = 30_000;
/// Dead letters are looked for this often. They are what an outage of an hour left, and every look
/// into an empty queue is a request that somebody pays for.
pub const REDRIVE_MINUTES: u64 = 10;

/// So many groups are woken side by side.
const AT_ONCE: usize = 16;
/// An outage of this length is caught up with at once …
const LOOK_BACK_MINUTES: u64 = 6 * 60;
/// … and a longer one within this.
const FROM_THE_START_MINUTES: u64 = 60;

/// Files the wish to be woken once this minute has passed. Before the commit that relies on it.
pub(crate) async fn file(deps: &Deps, minute: u64, group: &str) -> Result<(), Fault> {
    match deps.docs.put(&keys::due(minute, group), Expect::Absent, b"{}".to_vec()).await {
        Ok(_) | Err(PutError::Conflict) => Ok(()),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}

/// Wakes every group whose minute has passed, and gives dead letters back now and then; cost grows
/// with what is due, not with what exists. Returns how many were woken.
///
/// # Errors
/// `Retryable` when a store is away; what was not woken is still filed.
pub async fn tick(deps: &Deps) -> Result<usize, Fault> {
    let now = deps.clock.now().minute();
    // Whatever comes of the one, the other is tried.
    let redriven =
        if now.is_multiple_of(REDRIVE_MINUTES) { redrive_all(deps).await } else { Ok(()) };
    let woken = wake_due(deps, now).await?;
    redriven.map(|()| woken)
}

async fn wake_due(deps: &Deps, now: u64) -> Result<usize, Fault> {
    let (mut groups, mut deliveries) = (Vec::new(), Vec::new());
    for due in due(deps, now).await? {
        let Some((minute, group)) = keys::parse_due(&due.key) else { continue };
        if let Some((id, repo)) = keys::parse_delivery(group) {
            let (id, body_key) = (EventId::from(id), due.key.clone());
            deliveries.push((now - minute, DeliveryPointer { id, repo, body_key }));
        } else {
            groups.push(due);
        }
    }
    let (mut woken, mut failed) = (0, None);
    // A thousand stacks may share a minute: side by side, a refusal of one keeps none back.
    for some in groups.chunks(AT_ONCE) {
        for outcome in join_all(some.iter().map(|due| wake_one(deps, due))).await {
            match outcome {
                Ok(()) => woken += 1,
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
    }
    // After all others: deliveries that stay must not stand in anybody's way.
    for (age, pointer) in deliveries.into_iter().filter(|(age, p)| asked_for(*age, &p.id)) {
        tracing::warn!(delivery_id = %pointer.id, age, "a delivery has no outcome yet; asked again");
        let dedup = derive(&["due", &pointer.body_key, &deps.write_ids.next()]);
        deliveries::send(&*deps.queues, pointer, dedup).await?;
        woken += 1;
    }
    failed.map_or(Ok(woken), Err)
}

async fn wake_one(deps: &Deps, due: &Listed) -> Result<(), Fault> {
    let Some((_, group)) = keys::parse_due(&due.key) else { return Ok(()) };
    // An id of its own each time: a queue must not take a later wake for one that it knows.
    let id = derive(&["due", &due.key, &deps.write_ids.next()]);
    wake(deps, group, EventId(id)).await?;
    // Only what was sent is struck; a marker that was filed anew has another version.
    match deps.docs.delete(&due.key, &due.version).await {
        Ok(()) | Err(PutError::Conflict) => Ok(()),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}

/// Everything whose minute has passed, however much it is. What was struck long ago lies before all
/// of it, and a store may walk over that to find where a list begins: a list begins here, and only
/// once an hour at the very start.
async fn due(deps: &Deps, now: u64) -> Result<Vec<Listed>, Fault> {
    let mut due: Vec<Listed> = Vec::new();
    let early = now.saturating_sub(LOOK_BACK_MINUTES);
    let start = (!now.is_multiple_of(FROM_THE_START_MINUTES)).then(|| keys::due(early, ""));
    loop {
        let after = due.last().map(|last| last.key.clone()).or_else(|| start.clone());
        let page = deps.docs.list(keys::DUE, after.as_deref(), LIST_MAX).await?;
        let (listed, before) = (page.len(), due.len());
        let passed = |listed: &Listed| keys::parse_due(&listed.key).is_none_or(|(m, _)| m <= now);
        due.extend(page.into_iter().take_while(passed));
        if due.len() - before < LIST_MAX.max(listed) {
            return Ok(due);
        }
    }
}

/// Whether the tick asks for a delivery this many minutes after its own: each minute at first, then
/// one minute in eight, each delivery in another, because those that stay have pointers enough.
fn asked_for(age: u64, id: &EventId) -> bool {
    let own = id.0.bytes().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(byte)));
    age < 4 || age % 8 == own % 8
}

/// A worker's job that nobody claims gets its pointer again; the control plane's own jobs are never
/// declared lost, so their pointers must not get lost either.
async fn redrive_all(deps: &Deps) -> Result<(), Fault> {
    let control = keys::first_queue(&keys::CONTROL_POOL.into());
    for queue in [keys::INTENTS, keys::REPORTS, &control] {
        redrive(deps, queue).await?;
    }
    Ok(())
}

/// Dead letters go back to their group by themselves (rule A6): throttles and lost swaps use up
/// receives too, and only a handler that calls a message poison sets it aside.
async fn redrive(deps: &Deps, queue: &str) -> Result<(), Fault> {
    let dead = dead_letters(queue);
    loop {
        let batch = deps.queues.receive(&dead, RECEIVE_MAX, 0, REDRIVE_MS).await?;
        for Delivery { body, group, receipt, message_id, .. } in &batch {
            tracing::warn!(
                queue,
                message_id,
                count.DeadLetters = 1,
                count.Attention = 1,
                "a dead letter goes back to its group"
            );
            let dedup = Some(derive(&["redrive", message_id, &deps.write_ids.next()]));
            let again = Outgoing { body: body.clone(), group: group.clone(), dedup, delay_ms: 0 };
            deps.queues.send(queue, again).await?;
            deps.queues.delete(&dead, receipt).await?;
        }
        if batch.len() < RECEIVE_MAX {
            return Ok(());
        }
    }
}

/// Makes one stack look again at once, because somebody has reason to think that it should.
///
/// # Errors
/// `Retryable` when the queue is away.
pub async fn nudge(deps: &Deps, stack: &StackId) -> Result<(), Fault> {
    let id = EventId(derive(&["nudge", &stack.0, &deps.write_ids.next()]));
    wake(deps, &keys::stack_group(stack), id).await
}

/// Nudges every stack that has something open: after a start, so that nothing waits for the tick.
///
/// # Errors
/// `Retryable` when a store is away.
pub async fn nudge_open(deps: &Deps) -> Result<(), Fault> {
    let mut after: Option<String> = None;
    loop {
        let page = deps.docs.list(keys::SUMMARIES, after.as_deref(), LIST_MAX).await?;
        for listed in &page {
            let Some(found) = cas::load::<Summary>(&*deps.docs, &listed.key).await? else {
                continue;
            };
            let summary = found.value;
            let running = summary.last.as_ref().is_some_and(|last| !last.state.terminal());
            if running || summary.queued > 0 || summary.proposed > 0 {
                nudge(deps, &summary.stack).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == LIST_MAX => after = Some(last.key.clone()),
            _ => break,
        }
    }
    for repository in deps.repositories.iter() {
        let id = EventId(derive(&["nudge", &repository.name.0, &deps.write_ids.next()]));
        wake(deps, &keys::repo_group(&repository.name), id).await?;
    }
    Ok(())
}

pub(crate) async fn wake(deps: &Deps, group: &str, id: EventId) -> Result<(), Fault> {
    let at = deps.clock.now();
    let intent = if let Some(stack) = group.strip_prefix("stack:") {
        let (stack, event) = (StackId::from(stack), StackEvent::Due);
        Intent::Stack(StackEnvelope { id, stack, at, hops: 0, event })
    } else if let Some(repo) = group.strip_prefix("repo:") {
        let (repo, event) = (RepoName::from(repo), RepoEvent::Due);
        Intent::Repo(RepoEnvelope { id, repo, at, hops: 0, event })
    } else {
        return Ok(());
    };
    deliver::send(deps, intent).await
}
