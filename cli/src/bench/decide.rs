//! Events per second through the stack's actor on one core: heads are owned, nothing is read or
//! written. What a decision owes is dropped after it, as a delivery would.
use super::life::{Ends, Life, Told};
use crate::exit::Failure;
use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;
use windlass_core::stack::{StackHead, decide};
use windlass_core::time::UnixMs;
use windlass_report::Report;
use windlass_report::stats::median;

const STACKS: usize = 200;
const WARM_UP: usize = 3;
const ROUNDS: usize = 15;

/// A year of a stack, shortened: of twelve runs one fails, one changes nothing, two wait for a
/// person, three are previews.
fn life(slug: &str) -> Vec<Told> {
    use Ends::{Applied, Confirmed, Failed, Preview, Unchanged};
    let mut life = Life::begin(slug, Some("network"), UnixMs(1_795_343_730_000));
    let runs = [
        Applied, Preview, Confirmed, Applied, Failed, Applied, Preview, Unchanged, Confirmed,
        Applied, Preview, Applied,
    ];
    for ends in runs {
        life.run(ends);
        life.swept();
        // Delivered: an outbox that only grows is nobody's life.
        life.head.outbox.clear();
    }
    life.told
}

pub(crate) fn measure() -> Result<Report, Failure> {
    let lives: Vec<Vec<Told>> = (0..STACKS).map(|n| life(&format!("stack-{n}"))).collect();
    let events: usize = lives.iter().map(Vec::len).sum();
    let mut rates = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let began = cpu_seconds()?;
        pass(&lives);
        let seconds = cpu_seconds()? - began;
        if round >= WARM_UP {
            rates.push(count(events) / seconds);
        }
    }
    let rate = median(&rates);
    let mut report = Report::new("decide", "Decisions of the stack's actor, on one core");
    report.figure("events_per_second", rate, "/s", "events decided").at_least = Some(200_000.0);
    report.figure("ns_per_event", 1e9 / rate, "ns", "one decision, in the mean");
    report.figure("events", count(events), "", "events of the mix, a pass");
    Ok(report)
}

/// Processor time of this thread: what others do on the machine is not counted.
fn cpu_seconds() -> Result<f64, Failure> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_err(|e| Failure::missing("the system does not count processor time").because(e))?;
    Ok(Duration::from(time).as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}

/// All stacks at once, an event of each in turn: no head stays in the cache for long.
fn pass(lives: &[Vec<Told>]) {
    let mut heads: Vec<Option<StackHead>> = lives
        .iter()
        .map(|life| life.first().map(|told| StackHead::new(&told.envelope.stack)))
        .collect();
    let longest = lives.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..longest {
        for (head, life) in heads.iter_mut().zip(lives) {
            let (Some(told), Some(owned)) = (life.get(at), head.take()) else { continue };
            let mut decision = decide(owned, &told.envelope, &told.facts, told.now);
            black_box(&decision.answer);
            decision.head.outbox.clear();
            *head = Some(decision.head);
        }
    }
    black_box(&heads);
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::run::StateName;
    use windlass_core::stack::Answer;

    #[test]
    fn the_mix_is_a_life_that_takes_effect() {
        let told = life("app");
        let mut head = StackHead::new(&"app".into());
        let (mut done, mut stale) = (0, 0);
        for one in &told {
            let decision = decide(head, &one.envelope, &one.facts, one.now);
            match decision.answer {
                Answer::Done { .. } => done += 1,
                Answer::Stale { .. } => stale += 1,
                other => panic!("{other:?} to {:?}", one.envelope.event),
            }
            head = decision.head;
            head.outbox.clear();
        }
        assert!(head.active.is_none() && head.queue.is_empty() && head.proposed.is_empty());
        assert_eq!(head.last.map(|last| last.state), Some(StateName::Finished));
        assert!(done > 100 && stale > 5, "{done} done, {stale} stale");
    }
}
