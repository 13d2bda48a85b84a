//! One claimed job, from its first report to what its result will say.
mod collect;

use crate::agent::Shared;
use crate::errored;
use crate::exec::{Cause, Ended, Leader, Limits};
use crate::lease::LEASE_GRACE;
use crate::locks;
use crate::logs::{Place, StepLog};
use crate::mask::Masks;
use crate::phases::{self, StepParts};
use crate::prepare::{Prepared, prepare};
use crate::reason;
use crate::report::{About, Progress};
use crate::script::{Part, Script};
use crate::spool::Finished;
use crate::until::until;
use crate::upload::{Sender, Uploads};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_core::job::{Began, JobResult, JobSpec, Step, Verdict};
use windlass_core::keys;
use windlass_ports::Fault;

/// Hooks after the run have at least this, whatever the run took.
const AFTER_RUN_MIN: Duration = Duration::from_secs(60);
const INIT_LOCK_POLL: Duration = Duration::from_millis(10);

/// What a claimed job starts with.
pub(crate) struct Start<'a> {
    pub shared: &'a Shared,
    pub spec: &'a JobSpec,
    pub run: &'a Path,
    pub leader: Leader,
    pub fetched: JoinHandle<Result<(), Fault>>,
    pub halt: watch::Receiver<Option<Cause>>,
    /// Held around `init`, because a plugin cache takes one at a time. Also held open by the leader.
    pub init_lock: Option<File>,
}

struct Job<'a> {
    shared: &'a Shared,
    spec: &'a JobSpec,
    run: &'a Path,
    leader: Option<Leader>,
    halt: watch::Receiver<Option<Cause>>,
    init_lock: Option<File>,
    masks: Masks,
    progress: &'a Progress,
    logs: Sender,
    artifacts: Sender,
    deadline: Instant,
    /// Stored bytes of each step's log.
    offsets: BTreeMap<Step, u64>,
    last: Step,
    /// Written to nobody but the leader's files, so that names of scripts are not used twice.
    tool: Duration,
    result: JobResult,
}

/// Executes a job to its end. Nothing of its process group runs when this returns.
pub(crate) async fn execute(start: Start<'_>) -> Finished {
    let Start { shared, spec, run, leader, fetched, halt, init_lock } = start;
    let about = About {
        job: spec.id.clone(),
        stack: spec.stack.clone(),
        worker: shared.config.worker.clone(),
    };
    let progress = Progress::start(shared.deps.clone(), about);
    let logs = Uploads::start(shared.deps.blobs.clone());
    let artifacts = Uploads::scattered(shared.deps.blobs.clone());
    let mut job = Job {
        shared,
        spec,
        run,
        leader: Some(leader),
        halt,
        init_lock,
        masks: Masks::default(),
        progress: &progress,
        logs: logs.sender(),
        artifacts: artifacts.sender(),
        deadline: Instant::now() + Duration::from_millis(spec.timeouts.run_ms),
        offsets: BTreeMap::new(),
        last: Step::Preparing,
        tool: Duration::ZERO,
        result: blank(shared, spec),
    };
    job.all(fetched).await;
    let Job { mut result, tool, logs: sender, artifacts: other, .. } = job;
    drop((sender, other));
    let patience = Duration::from_millis(shared.config.timing.patience_ms);
    let (mut blobs, more, ()) =
        tokio::join!(logs.finish(patience), artifacts.finish(patience), progress.finish());
    blobs.extend(more);
    result.ended_at = shared.deps.clock.now();
    result.tool_ms = u64::try_from(tool.as_millis()).unwrap_or(u64::MAX);
    Finished { result, write_id: shared.ids.next(), blobs }
}

fn blank(shared: &Shared, spec: &JobSpec) -> JobResult {
    let now = shared.deps.clock.now();
    let worker = Some(shared.config.worker.clone());
    JobResult { worker, ..JobResult::blank(&spec.id, &spec.stack, Verdict::Ok, now) }
}

impl Job<'_> {
    async fn all(&mut self, fetched: JoinHandle<Result<(), Fault>>) {
        let prepared = match self.prepared(fetched).await {
            Ok(prepared) => prepared,
            Err(verdict) => {
                self.result.verdict = verdict;
                return self.end_leader().await;
            }
        };
        self.result.tool_version = Some(prepared.tool.to_string());
        if let Err(verdict) = self.work(&prepared).await {
            self.result.verdict = verdict;
        }
        self.after_run(&prepared).await;
        self.end_leader().await;
        self.free_lock(&prepared).await;
        self.resources(&prepared).await;
    }

    /// A tool that was killed leaves its lock on a state in a bucket. Nothing of it runs any more.
    async fn free_lock(&mut self, prepared: &Prepared) {
        if self.result.verdict == Verdict::Ok || prepared.state.is_none() {
            return;
        }
        match locks::release(self.shared, self.spec, self.result.started_at).await {
            Ok(None) => {}
            Ok(Some(lock)) => {
                let warning = format!("the state's lock {lock}, which the tool left, was removed");
                self.result.warnings.push(warning);
            }
            Err(fault) => {
                tracing::warn!(job = %self.spec.id, error = fault.chain(), "no look at the lock");
            }
        }
    }

    async fn end_leader(&mut self) {
        if let Some(leader) = self.leader.take() {
            leader.end().await;
        }
    }

    fn failed(&self, step: Step, reason: &str) -> Verdict {
        Verdict::Failed { step, reason: self.masks.text(reason) }
    }

    /// The end that an interruption before or between steps comes to.
    fn halted(&self, cause: Cause) -> Verdict {
        let worker = &self.shared.config.worker;
        let phase = self.spec.id.phase.as_str();
        match cause {
            Cause::Lease => Verdict::Lost {
                cause: format!("worker {worker} could not renew its lease during the {phase}"),
            },
            Cause::Shutdown => {
                Verdict::Lost { cause: format!("worker {worker} was stopped during the {phase}") }
            }
            Cause::Spot { .. } if self.spec.id.phase.repeatable() => Verdict::Lost {
                cause: format!("a Spot interruption took worker {worker} during the {phase}"),
            },
            // Not repeated by us all the same: a person decides whether it still should be done.
            Cause::Spot { .. } => self.failed(
                self.last,
                &format!(
                    "a Spot interruption takes worker {worker}, so the {phase} was not begun; \
                     nothing was changed"
                ),
            ),
            Cause::Stop | Cause::Timeout | Cause::Silence => Verdict::Interrupted,
        }
    }

    async fn prepared(
        &mut self,
        fetched: JoinHandle<Result<(), Fault>>,
    ) -> Result<Prepared, Verdict> {
        self.progress.began(Step::Preparing);
        let abort = fetched.abort_handle();
        let mut halt = self.halt.clone();
        let deadline = tokio::time::Instant::from_std(self.deadline);
        let mut masks = Masks::default();
        let prepared = {
            let preparing = prepare(self.shared, self.spec, self.run, fetched, &mut masks);
            tokio::pin!(preparing);
            tokio::select! {
                prepared = &mut preparing => Ok(prepared),
                () = until(&mut halt, Option::is_some) => {
                    Err(halt.borrow().unwrap_or(Cause::Shutdown))
                }
                () = tokio::time::sleep_until(deadline) => Err(Cause::Timeout),
            }
        };
        self.masks = masks;
        match prepared {
            Ok(Ok(prepared)) => {
                let note = self.masks.text(&prepared.note(self.shared, self.spec));
                self.logs
                    .send(keys::log_part(&self.spec.id, Step::Preparing, 0), note.into_bytes());
                Ok(prepared)
            }
            Ok(Err(reason)) => Err(self.failed(Step::Preparing, &reason)),
            Err(cause) => {
                abort.abort();
                Err(match cause {
                    Cause::Timeout => {
                        self.failed(Step::Preparing, "the run timeout passed before the first step")
                    }
                    other => self.halted(other),
                })
            }
        }
    }

    async fn work(&mut self, prepared: &Prepared) -> Result<(), Verdict> {
        let tool = prepared.tool.path.display().to_string();
        let run = self.run.to_owned();
        let file = |name: &str| run.join(name).display().to_string();
        // An apply or a destroy keeps its lock: only one of a stack is ever at work.
        let repeatable = self.spec.id.phase.repeatable();
        let left = prepared.state.is_some() && self.shared.config.state.lock_outlives_tool();
        let lock = self.spec.lock && !(repeatable && left);
        let [init, work] = phases::steps(self.spec, &tool, lock, file);

        self.lock_init().await?;
        let initialized = self.step(prepared, init).await;
        if let Some(lock) = &self.init_lock {
            let _ = lock.unlock();
        }
        initialized?;
        let watch = prepared.state.is_some().then(|| locks::Watch::start(self.shared, self.spec));
        let worked = self.step(prepared, work).await;
        drop(watch);
        // What the tool did before a later hook failed is told as well.
        let collected = self.collect(prepared).await;
        worked?;
        collected.map_err(|reason| self.failed(self.last, &reason))
    }

    /// One `init` at a time per plugin cache. The lock goes with the leader's processes, not with
    /// us, so it is never free while an `init` runs.
    async fn lock_init(&mut self) -> Result<(), Verdict> {
        let Some(lock) = &self.init_lock else { return Ok(()) };
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(INIT_LOCK_POLL).await,
                Err(fs::TryLockError::Error(error)) => {
                    tracing::warn!(%error, "the plugin cache can't be locked");
                    return Ok(());
                }
            }
            if let Some(cause) = *self.halt.borrow() {
                return Err(self.halted(cause));
            }
            if Instant::now() >= self.deadline {
                let reason = "the run timeout passed while other inits used the plugin cache";
                return Err(self.failed(Step::Initializing, reason));
            }
        }
    }

    async fn step(&mut self, prepared: &Prepared, parts: StepParts) -> Result<(), Verdict> {
        let ending = self.shared.outlook.borrow().ending();
        let spot = ending.map(|ending| Cause::Spot { kill_at: ending.kill_at });
        let halted = self.halt.borrow().or(spot);
        if let Some(cause) = halted {
            return Err(self.halted(cause));
        }
        let StepParts { name, step, parts } = parts;
        self.progress.began(step);
        self.result.began.push(Began { step, at: self.shared.deps.clock.now() });
        self.last = step;
        let env = prepared.env(self.shared, self.spec, step);
        let folder = prepared.root.display().to_string();
        let script = Script { name, folder, env, parts };
        let timeouts = self.spec.timeouts;
        let ran = self.run_script(&script, step, self.deadline, true).await;
        let (ended, log) =
            ran.map_err(|e| self.failed(step, &format!("the step can't run: {e}")))?;
        let (run, silence) =
            (Duration::from_millis(timeouts.run_ms), Duration::from_millis(timeouts.silence_ms));
        let errored = self.keep_errored_state(prepared, step);
        match (reason::sentence(&script, &ended, (run, silence)), ended.interrupted) {
            (None, None | Some(Cause::Timeout | Cause::Silence | Cause::Spot { .. })) => Ok(()),
            (_, Some(cause @ Cause::Spot { .. })) if self.spec.id.phase.repeatable() => {
                Err(self.halted(cause))
            }
            (_, Some(cause @ (Cause::Stop | Cause::Lease | Cause::Shutdown))) => {
                Err(self.halted(cause))
            }
            (Some(sentence), _) => {
                let sentence = [Some(sentence), errored].into_iter().flatten().collect::<Vec<_>>();
                Err(self.failed(step, &reason::reason(&sentence.join("; "), &log)))
            }
        }
    }

    /// A state that the tool could not store goes to the store before its folder does. Says so in
    /// the log and among the warnings, and returns what it said.
    fn keep_errored_state(&mut self, prepared: &Prepared, step: Step) -> Option<String> {
        let errored = errored::left(&prepared.root, Some(prepared.since), self.spec)?;
        if let Some((key, body)) = errored.kept {
            self.artifacts.send(key, body);
        }
        let line = format!("\n[{}.]\n", errored.sentence).into_bytes();
        let offset = self.offsets.entry(step).or_default();
        let part = keys::log_part(&self.spec.id, step, *offset);
        *offset += line.len() as u64;
        self.logs.send(part, line);
        self.result.warnings.push(errored.sentence.clone());
        Some(errored.sentence)
    }

    /// Runs a script in the leader, with its log. Returns how it ended and the log's end.
    async fn run_script(
        &mut self,
        script: &Script,
        step: Step,
        deadline: Instant,
        obeys: bool,
    ) -> io::Result<(Ended, String)> {
        let Some(leader) = &mut self.leader else {
            return Err(io::Error::other("the job's shell is gone"));
        };
        let log_file = self.run.join(format!("{}.log", script.name));
        let offset = self.offsets.get(&step).copied().unwrap_or(0);
        let place = Place { job: self.spec.id.clone(), step, parts: self.logs.clone(), offset };
        let mut log = StepLog::create(&log_file, place)?;
        let mut limits = Limits {
            deadline,
            silence: Duration::from_millis(self.spec.timeouts.silence_ms),
            grace: Duration::from_millis(self.shared.config.timing.grace_ms),
        };
        if let Some(ending) = self.shared.outlook.borrow().ending() {
            limits.deadline = deadline.min(ending.kill_at);
            limits.grace = limits.grace.min(LEASE_GRACE);
        }
        let code_file = self.run.join(format!("{}.code", script.name));
        let halt = obeys.then(|| self.halt.clone());
        let ended = leader
            .step(script, &mut log, &mut self.masks, (&log_file, &code_file), limits, halt)
            .await?;
        let (length, end) = log.finish(&mut self.masks)?;
        self.offsets.insert(step, length);
        self.tool += ended.tool;
        if ended.code.is_none() {
            self.end_leader().await;
        }
        Ok((ended, end))
    }

    /// Hooks at the end of a run, once it was really worked on and whatever came of it.
    async fn after_run(&mut self, prepared: &Prepared) {
        let state = match &self.result.verdict {
            Verdict::Ok if self.applicable() && self.result.changes => return,
            Verdict::Ok => "FINISHED",
            Verdict::Failed { .. } => "FAILED",
            Verdict::Interrupted => "STOPPED",
            Verdict::Lost { .. } | Verdict::Cancelled => return,
        };
        let hooks = &self.spec.hooks.after_run;
        if hooks.is_empty() {
            return;
        }
        let step = self.last;
        let mut env = prepared.env(self.shared, self.spec, step);
        env.push(("TF_VAR_spacelift_final_run_state".to_owned(), state.to_owned()));
        let folder = prepared.root.display().to_string();
        let parts = Part::hooks("after_run", hooks);
        let script = Script { name: "after-run", folder, env, parts };
        let deadline = self.deadline.max(Instant::now() + AFTER_RUN_MIN);
        // Whatever stopped the work does not stop them, but for the machine's end.
        let obeys = !self.spec.id.phase.repeatable() && self.halt.borrow().is_none();
        let warning = match self.run_script(&script, step, deadline, obeys).await {
            Ok((ended, _)) => {
                let silence = Duration::from_millis(self.spec.timeouts.silence_ms);
                reason::sentence(&script, &ended, (AFTER_RUN_MIN, silence))
            }
            Err(error) => Some(format!("the after_run hooks did not run: {error}")),
        };
        let masks = &self.masks;
        self.result.warnings.extend(warning.map(|warning| masks.text(&warning)));
    }
}
