//! What time brings: jobs that nobody claimed, workers that fell silent, locks that expire.
//!
//! The sweep, not "the next worker", is the guarantee (rule B5). It works with the pool at zero.
use super::decide::{Turn, done};
use super::facts::{Attempted, Record};
use super::head::Answer;
use crate::effect::Effect;
use crate::job::{Claim, JobId, LEASE_MS, UNCLAIMED_MAX_MS, UNCLAIMED_MS};
use crate::rollout::Heard;
use crate::run::{Event, Run};
use crate::time::{MINUTE_MS, UnixMs};

/// What to do about one job in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All is well, or it is too early to say.
    Wait,
    /// Send the pointer again: it may have been lost.
    PointerAgain,
    /// Nobody will finish it: say so, under this cause.
    DeclareLost { cause: String },
    /// Its worker is silent and what it does can't be repeated: keep the stack and wait.
    Silence,
}

/// Judges one attempt without a result. Pure, so that every row is a test.
#[must_use]
pub(super) fn look(
    job: &JobId,
    attempted: &Attempted,
    again_at: UnixMs,
    silent_since: Option<UnixMs>,
    limit_ms: u64,
    now: UnixMs,
) -> Look {
    let (claim, claim_age_ms, record, worker_gone, tool_gone) = match attempted {
        Attempted::Unclaimed if now >= again_at => return Look::PointerAgain,
        // A tombstone whose news got lost is the withdrawal's own business.
        Attempted::Unclaimed | Attempted::Claimed { claim: Claim::Tombstone { .. }, .. } => {
            return Look::Wait;
        }
        Attempted::Claimed { claim, claim_age_ms, record, worker_gone, tool_gone } => {
            (claim, *claim_age_ms, record, worker_gone, *tool_gone)
        }
    };
    let Claim::Held { worker, epoch, .. } = claim else { return Look::Wait };
    let gone = match (worker_gone, record) {
        (Some(cause), _) => Some(cause.clone()),
        (None, Some(Record { instance, .. })) if !instance.holds(*epoch, job) => {
            Some(format!("{worker} started anew without it"))
        }
        (None, Some(Record { age_ms, .. })) if *age_ms >= LEASE_MS => {
            Some(format!("{worker} has not renewed its lease for {} s", age_ms / 1_000))
        }
        (None, None) => Some(format!("{worker} left no record")),
        (None, Some(_)) => None,
    };
    let Some(cause) = gone else { return Look::Wait };
    if job.phase.repeatable() {
        return Look::DeclareLost { cause };
    }
    // "Lapsed" is never "provably gone": until the tool is, the stack stays taken (rule E1).
    let proven = tool_gone && (worker_gone.is_some() || silent_long(silent_since, now));
    if proven || claim_age_ms > limit_ms {
        return Look::DeclareLost { cause };
    }
    Look::Silence
}

/// When the pointer of a job that nobody claims goes out again: after a minute, then after twice as
/// long each time, so that a long queue is not filled with repetitions of itself.
pub(super) fn pointer_again_at(run: &Run) -> UnixMs {
    let sent = run.pointer_at.unwrap_or(run.since);
    sent.plus_ms(sent.since_ms(run.since).clamp(UNCLAIMED_MS, UNCLAIMED_MAX_MS))
}

/// A worker that is only cut off may still bring its result: it gets a minute after its tool ended.
fn silent_long(since: Option<UnixMs>, now: UnixMs) -> bool {
    since.is_some_and(|since| now.since_ms(since) >= MINUTE_MS)
}

impl Turn<'_> {
    pub(super) fn sweep(&mut self) -> Answer {
        self.head.due_minute = None;
        self.changed = true;
        self.expire_lock();
        self.hear_all_parents();
        let jobs: Vec<JobId> = self.head.open().filter_map(Run::job).collect();
        for job in jobs {
            self.sweep_job(&job);
        }
        self.look_for_drift();
        done(None)
    }

    pub(super) fn sweep_job(&mut self, job: &JobId) {
        if let Some(result) = self.facts.results.get(job) {
            self.result(&result.clone());
            return;
        }
        let Some(attempted) = self.facts.attempts.get(job).cloned() else { return };
        let (Some(run), Some(def)) = (self.head.run(&job.run), self.head.defined.def()) else {
            return;
        };
        let silent = run.state.held().and_then(|held| held.silent);
        let told_ms = run.limit_ms.unwrap_or(def.timeouts.run_ms);
        let limit_ms = told_ms + crate::definition::KILL_GRACE_MS + LEASE_MS;
        let (pool, class) = (def.worker_pool.clone(), run.class());
        let canceling = matches!(run.state, crate::run::State::Canceling { .. });
        match look(job, &attempted, pointer_again_at(run), silent, limit_ms, self.now) {
            Look::Wait => {}
            Look::PointerAgain if canceling => self.owe(Effect::Withdraw { job: job.clone() }),
            Look::PointerAgain => {
                if let Some(run) = self.head.run_mut(&job.run) {
                    run.pointer_at = Some(self.now);
                }
                self.owe(Effect::SendPointer { job: job.clone(), pool, class });
            }
            Look::Silence => {
                let _ = self.move_run(&job.run, &Event::Silent { job: job.into(), at: self.now });
            }
            Look::DeclareLost { cause } => {
                if let Attempted::Claimed { claim, .. } = attempted {
                    self.owe(Effect::DeclareLost { job: job.clone(), claim, cause });
                }
            }
        }
    }

    fn expire_lock(&mut self) {
        let over = self.head.lock.as_ref().and_then(|l| l.until).is_some_and(|t| t <= self.now);
        if over {
            self.head.lock = None;
        }
    }

    /// Outcomes come in any order relative to the runs that wait for them (rule D1).
    fn hear_all_parents(&mut self) {
        let (facts, mut heard) = (self.facts, false);
        for run in &mut self.head.queue {
            for parent in run.new.waits.keys().cloned().collect::<Vec<_>>() {
                let Some(known) = facts.newest(&parent).filter(|k| k.state.terminal()) else {
                    continue;
                };
                let outcome = super::moves::outcome(known);
                let news = Heard { try_no: known.new.try_no, outcome };
                heard |= crate::rollout::hear(&mut run.new.waits, &parent, news);
            }
        }
        self.changed |= heard;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{Instance, Slot};
    use crate::job::{Attempt, Phase};

    const NOW: UnixMs = UnixMs(10_000_000);
    const AGE_MS: u64 = 1_000_000;

    fn job(phase: Phase) -> JobId {
        JobId { run: "r".into(), phase, round: 0, attempt: Attempt(1) }
    }
    fn record(epoch: u64, slot: Slot, age_ms: u64) -> Option<Record> {
        let instance = Instance {
            id: "w1".into(),
            pool: "p".into(),
            epoch,
            slots: vec![slot],
            drain: None,
            registered_at: UnixMs(0),
            version: String::new(),
            pid: None,
            idle_since: None,
            leftovers: Vec::new(),
        };
        Some(Record { instance, age_ms })
    }
    fn claimed(record: Option<Record>, worker_gone: Option<&str>, tool_gone: bool) -> Attempted {
        let claim = Claim::Held {
            pool: "p".into(),
            worker: "w1".into(),
            epoch: 1,
            group: None,
            at: UnixMs(0),
        };
        let worker_gone = worker_gone.map(str::to_owned);
        Attempted::Claimed { claim, claim_age_ms: AGE_MS, record, worker_gone, tool_gone }
    }
    fn lost(cause: &str) -> Look {
        Look::DeclareLost { cause: cause.into() }
    }

    #[test]
    fn looks_at_every_kind_of_attempt() {
        let busy = |phase| Slot::Busy { job: job(phase) };
        let late = AGE_MS;
        use Phase::{Apply, Plan};
        let dead = Some("it was killed");
        let lapsed = "w1 has not renewed its lease for 120 s";
        let anew = "w1 started anew without it";
        #[rustfmt::skip]
        let table = [
            // name                                 phase  attempted                                              pointer_s silent limit_ms expect
            ("just sent",                           Plan,  Attempted::Unclaimed,                                         1, None,    late, Look::Wait),
            ("nobody came",                         Plan,  Attempted::Unclaimed,                                        60, None,    late, Look::PointerAgain),
            ("alive",                               Plan,  claimed(record(1, busy(Plan), 119_999), None, false),       300, None,    late, Look::Wait),
            ("a plan lapsed",                       Plan,  claimed(record(1, busy(Plan), 120_000), None, false),         0, None,    late, lost(lapsed)),
            ("a plan's worker is dead",             Plan,  claimed(record(1, busy(Plan), 0), dead, false),               0, None,    late, lost("it was killed")),
            ("void already",                        Plan,  claimed(record(2, Slot::Idle, 0), None, false),               0, None,    late, lost(anew)),
            ("an apply lapsed, tool unknown",       Apply, claimed(record(1, busy(Apply), 120_000), None, false),        0, None,    late, Look::Silence),
            ("an apply's worker is dead",           Apply, claimed(record(1, busy(Apply), 0), dead, false),              0, None,    late, Look::Silence),
            ("and its tool too",                    Apply, claimed(record(1, busy(Apply), 0), dead, true),               0, None,    late, lost("it was killed")),
            ("lapsed, tool ended, cut off?",        Apply, claimed(record(1, busy(Apply), 120_000), None, true),         0, Some(1), late, Look::Silence),
            ("… for more than a minute",            Apply, claimed(record(1, busy(Apply), 120_000), None, true),         0, Some(60),late, lost(lapsed)),
            ("the run's own time has passed",       Apply, claimed(record(1, busy(Apply), 120_000), None, false),        0, Some(60), 0,   lost(lapsed)),
            ("no record at all",                    Apply, claimed(None, None, false),                                   0, None,    late, Look::Silence),
        ];
        for (name, phase, attempted, pointer_s, silent_s, limit_ms, expect) in table {
            let ago = |s: u64| UnixMs(NOW.0 - s * 1_000);
            let silent = silent_s.map(ago);
            let again_at = ago(pointer_s).plus_ms(UNCLAIMED_MS);
            let got = look(&job(phase), &attempted, again_at, silent, limit_ms, NOW);
            assert_eq!(got, expect, "{name}");
        }
    }

    #[test]
    fn a_pointer_is_repeated_ever_more_rarely() {
        let mut run = Run::create(
            crate::run::NewRun::blank(crate::run::Commit::default()),
            &"s".into(),
            &"e".into(),
            UnixMs(0),
        );
        let mut sent_s = Vec::new();
        for _ in 0..8 {
            let at = pointer_again_at(&run);
            sent_s.push(at.0 / 1_000);
            run.pointer_at = Some(at);
        }
        assert_eq!(sent_s, [60, 120, 240, 480, 960, 1_860, 2_760, 3_660]);
    }
}
