//! Dead letters that go back to no queue: told, counted and taken away.
use crate::{Deps, REDRIVE_MINUTES};
use windlass_core::keys;
use windlass_ports::queues::{RECEIVE_MAX, dead_letters};
use windlass_ports::{Delivery, Fault};

/// The pool that an installation's own template has queues for.
const DEFAULT_POOL: &str = "default";
/// What schedules could not deliver, and invocations by them that failed for good. (A queue of its
/// own, and nobody's dead letters: no work is left in it.)
const SCHEDULES_DEAD: &str = "schedules-dead";
/// One is ours for so long while it is told.
const VISIBILITY_MS: u64 = 30_000;
/// Of a letter's body, for the log.
const BODY_CHARS_MAX: usize = 1_000;

/// Looks for them as often as the tick looks for those that go back. Nothing waits for these: a job
/// that nobody claims gets its pointer again, and the next tick does the same work. Why they are
/// here at all is for a person to find out, so each is logged and counted once.
///
/// # Errors
/// `Retryable` when a queue is away; what was not told is still there.
pub async fn bury(deps: &Deps) -> Result<(), Fault> {
    if !deps.clock.now().minute().is_multiple_of(REDRIVE_MINUTES) {
        return Ok(());
    }
    let pool = DEFAULT_POOL.into();
    let [first, rest] = [keys::first_queue(&pool), keys::rest_queue(&pool)];
    for queue in [dead_letters(&first), dead_letters(&rest), SCHEDULES_DEAD.to_owned()] {
        bury_all(deps, &queue).await?;
    }
    Ok(())
}

async fn bury_all(deps: &Deps, queue: &str) -> Result<(), Fault> {
    loop {
        let batch = deps.queues.receive(queue, RECEIVE_MAX, 0, VISIBILITY_MS).await?;
        for Delivery { body, receipt, message_id, .. } in &batch {
            let body: String = String::from_utf8_lossy(body).chars().take(BODY_CHARS_MAX).collect();
            tracing::error!(
                queue,
                message_id,
                body,
                count.DeadLetters = 1,
                count.Attention = 1,
                "a dead letter that goes back to no queue"
            );
            deps.queues.delete(queue, receipt).await?;
        }
        if batch.len() < RECEIVE_MAX {
            return Ok(());
        }
    }
}
