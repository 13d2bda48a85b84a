//! One claimed job, from its first report to what its result will say.
use crate::agent::Shared;
use crate::archive;
use crate::exec::{Cause, Ended, Leader, Limits};
use crate::locks;
use crate::logs::{Place, StepLog};
use crate::mask::Masks;
use crate::outputs;
use crate::phases::{self, OUTPUTS_FILE, SHOW_FILE, StepParts};
use crate::plan;
use crate::prepare::{Prepared, prepare};
use crate::reason;
use crate::report::{About, Progress};
use crate::script::tool::PLAN_FILE;
use crate::script::{Part, Script};
use crate::spool::Finished;
use crate::state::Kept;
use crate::until::until;
use crate::upload::{Sender, Uploads};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_core::changes::Resource;
use windlass_core::drift::Drifted;
use windlass_core::job::{Began, JobResult, JobSpec, Phase, PlanRef, Step, Verdict};
use windlass_core::keys;
use windlass_core::run::RunType;
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
        let halted = *self.halt.borrow();
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
        match (reason::sentence(&script, &ended, (run, silence)), ended.interrupted) {
            (None, None | Some(Cause::Timeout | Cause::Silence)) => Ok(()),
            (_, Some(cause @ (Cause::Stop | Cause::Lease | Cause::Shutdown))) => {
                Err(self.halted(cause))
            }
            (Some(sentence), _) => Err(self.failed(step, &reason::reason(&sentence, &log))),
        }
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
        let limits = Limits {
            deadline,
            silence: Duration::from_millis(self.spec.timeouts.silence_ms),
            grace: Duration::from_millis(self.shared.config.timing.grace_ms),
        };
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

    /// Reads what the work left: the plan, the outputs.
    async fn collect(&mut self, prepared: &Prepared) -> Result<(), String> {
        match self.spec.id.phase {
            Phase::Plan | Phase::Destroy => self.collect_plan(prepared).await,
            Phase::Apply => self.collect_outputs(),
            Phase::Task => Ok(()),
        }
    }

    async fn collect_plan(&mut self, prepared: &Prepared) -> Result<(), String> {
        let (file, masks) = (self.run.join(SHOW_FILE), self.masks.clone());
        let Some(json) = whole(&file, Some(b'}'))? else { return Ok(()) };
        let read = move || plan::read(&json, &masks);
        let read = tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?;
        let read = read.map_err(|e| e.to_string())?;
        self.result.delta = Some(read.delta);
        self.result.changes = read.changed;
        if self.spec.run_type == RunType::Proposed {
            self.result.drifted = Some(Drifted::of(&read.changes));
        }
        let changes_key = keys::plan_changes(&self.spec.id);
        let changes = serde_json::to_vec(&read.changes).map_err(|e| e.to_string())?;
        self.artifacts.send(changes_key.clone(), changes);
        self.result.changes_key = Some(changes_key);
        if self.applicable() {
            if !read.changed && self.spec.targets.is_empty() {
                self.found_unchanged(&read)?;
            }
            self.hand_over(prepared, read.resources).await?;
        }
        Ok(())
    }

    /// An empty plan tells what is there. Where an apply did its work but its worker was lost, it
    /// is the first to tell.
    fn found_unchanged(&mut self, read: &plan::Read) -> Result<(), String> {
        self.publish(&read.outputs)?;
        let list = serde_json::to_vec(&read.resources).map_err(|e| e.to_string())?;
        let key = keys::resource_list(&self.spec.id);
        self.artifacts.send(key.clone(), list);
        self.result.resources_key = Some(key);
        Ok(())
    }

    /// Another job may apply this plan, an empty one too if a person asked for that.
    fn applicable(&self) -> bool {
        self.spec.id.phase == Phase::Plan && self.spec.run_type == RunType::Tracked
    }

    async fn hand_over(
        &mut self,
        prepared: &Prepared,
        planned: Vec<Resource>,
    ) -> Result<(), String> {
        let (run, since) = (self.run.to_owned(), prepared.since);
        let plan_file = prepared.root.join(PLAN_FILE);
        let pack = move || archive::pack(&run, since, &plan_file, &planned);
        let packed = tokio::task::spawn_blocking(pack).await.map_err(|e| e.to_string())?;
        let (bytes, digest) = packed.map_err(|e| format!("the plan can't be packed: {e}"))?;
        let key = keys::plan_archive(&self.spec.id);
        self.artifacts.send(key.clone(), bytes);
        self.result.plan = Some(PlanRef { key, digest });
        Ok(())
    }

    fn collect_outputs(&mut self) -> Result<(), String> {
        let Some(json) = whole(&self.run.join(OUTPUTS_FILE), Some(b'}'))? else { return Ok(()) };
        let values = outputs::parse(&json).map_err(|e| e.to_string())?;
        self.publish(&values)
    }

    fn publish(&mut self, values: &outputs::Values) -> Result<(), String> {
        let key = keys::output_values(&self.spec.stack, &self.spec.id);
        let blob = serde_json::to_vec(values).map_err(|e| e.to_string())?;
        self.artifacts.send(key.clone(), blob);
        self.result.outputs = Some(outputs::published(key, values));
        Ok(())
    }

    /// What is in the state now: from the state if we keep it, else as the plan expected it.
    async fn resources(&mut self, prepared: &Prepared) {
        let ended_well = self.result.verdict == Verdict::Ok;
        let of = |json: Option<Vec<u8>>| {
            outputs::state(&json.unwrap_or_default()).ok().map(|held| held.resources)
        };
        let held = match &prepared.state {
            _ if self.spec.id.phase == Phase::Plan => None,
            Some(Kept::File(file)) => whole(file, None).ok().and_then(of),
            Some(Kept::Object(key)) => self.shared.deps.blobs.get(key).await.ok().and_then(of),
            None if ended_well && self.spec.id.phase == Phase::Apply => {
                Some(prepared.planned.clone())
            }
            None => None,
        };
        let Some(list) = held.and_then(|held| serde_json::to_vec(&held).ok()) else { return };
        let key = keys::resource_list(&self.spec.id);
        self.artifacts.send(key.clone(), list);
        self.result.resources_key = Some(key);
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
        let warning = match self.run_script(&script, step, deadline, false).await {
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

/// The file, if it is there and was written to its end: its last byte but blanks is `end`.
fn whole(file: &PathBuf, end: Option<u8>) -> Result<Option<Vec<u8>>, String> {
    match fs::read(file) {
        Ok(bytes) if end.is_none() || bytes.trim_ascii_end().last().copied() == end => {
            Ok(Some(bytes))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} can't be read: {error}", file.display())),
    }
}
