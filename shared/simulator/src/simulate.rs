//! The loop: what happens next happens, and controllers look when they do.
use crate::trace::Trace;
use crate::{Controller, Ms, Outcome, World};

/// Between two looks by the clock.
const TICK_MS: Ms = 60_000;
/// From queued work to the look that it causes; what comes meanwhile is seen by the same.
const WAKE_MS: Ms = 2_000;
/// After the last run the trace goes on for so long that everything that should go has gone.
const AFTERMATH_MS: Ms = 60 * 60_000;

/// Plays a trace to its end.
pub fn simulate(trace: &Trace, controller: &mut dyn Controller) -> Outcome {
    let mut world = World::new(trace);
    let mut runs = trace.runs.iter().copied().peekable();
    let mut interruptions = trace.interruptions_at.iter().copied().peekable();
    let (mut tick_at, mut wake_at) = (0, None);
    let end = trace.length_ms + AFTERMATH_MS;
    loop {
        let happens = [
            runs.peek().map(|run| run.at_ms),
            interruptions.peek().copied(),
            Some(tick_at),
            wake_at,
            world.next_change(),
        ];
        let next = happens.into_iter().flatten().min().unwrap_or(end);
        if next > end {
            break;
        }
        world.now = world.now.max(next);
        while let Some(run) = runs.next_if(|run| run.at_ms <= world.now) {
            world.queue.push_back(run);
            if controller.woken_by_work() {
                wake_at.get_or_insert(world.now + WAKE_MS);
            }
        }
        while interruptions.next_if(|at| *at <= world.now).is_some() {
            world.interrupt();
        }
        world.settle();
        let woken = wake_at.is_some_and(|at| at <= world.now);
        if tick_at <= world.now || woken {
            wake_at = wake_at.filter(|at| *at > world.now);
            if tick_at <= world.now {
                tick_at += TICK_MS;
            }
            controller.tick(&mut world);
        }
        if world.relaunch_at.is_some_and(|at| at <= world.now) {
            world.launch();
        }
        world.settle();
    }
    world.now = end;
    world.close();
    world.outcome
}
