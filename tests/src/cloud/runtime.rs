//! Lambda: functions with their environments, which start cold, serve one invocation at a time,
//! stand still in between, and are killed at their time limit.
use super::ahead;
use super::environment::{Environment, Failed, Invocation, PAYLOAD_BYTES_MAX};
use super::stack::{Function, Unattended};
use super::trace::{PASSES_MAX, Trace};
use crate::process::{peak_kb, send};
use axum::body::Bytes;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lambda keeps an idle environment for minutes; nobody promises how many.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// An account's usual limit is 1,000; two cores have their own.
const ENVIRONMENTS_MAX: usize = 20;

pub struct Lambda {
    functions: BTreeMap<String, Hosted>,
    /// While it is down nothing starts, and what is asked fails.
    down: AtomicBool,
}

/// One function.
struct Hosted {
    function: Function,
    program: PathBuf,
    env: Mutex<BTreeMap<String, String>>,
    log: PathBuf,
    idle: Mutex<Vec<Environment>>,
    /// Changes of its variables so far: an environment is of one of them.
    deployments: AtomicU64,
    pids: Mutex<BTreeSet<u32>>,
    at_work: AtomicUsize,
    killed_after_ms: AtomicU64,
    reports: Mutex<Vec<Report>>,
}

/// What one invocation took.
#[derive(Clone, Debug)]
pub struct Report {
    /// From its process's start until it asked for work, if it was a cold start.
    pub init: Option<Duration>,
    pub took: Duration,
    pub peak_kb: Option<u64>,
    pub failed: Option<Failed>,
}

impl Lambda {
    /// Functions with the program of each and the environment that AWS and the box give it.
    pub fn new(
        functions: Vec<(Function, PathBuf)>,
        shared: &BTreeMap<String, String>,
        logs: &Path,
    ) -> Self {
        let hosted = functions.into_iter().map(|(function, program)| {
            let log = logs.join(format!("{}.log", function.logical));
            (function.logical.clone(), Hosted::new(function, program, shared, log))
        });
        Self { functions: hosted.collect(), down: AtomicBool::new(false) }
    }

    /// Invokes a function, because of something that had this trace.
    ///
    /// # Errors
    /// When it came to nothing, and why.
    pub async fn invoke(
        &self,
        function: &str,
        event: Bytes,
        cause: Option<&Trace>,
    ) -> Result<Bytes, Failed> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Failed::Down);
        }
        let hosted = &self.functions[function];
        let outcome = hosted.invoke(event, cause).await;
        // Who was killed with all others was not answered by anybody.
        if self.down.load(Ordering::SeqCst) { Err(Failed::Down) } else { outcome }
    }

    /// `kill -9` of every process.
    pub fn kill(&self) {
        for hosted in self.functions.values() {
            // Their numbers are soon others'.
            for pid in std::mem::take(&mut *lock(&hosted.pids)) {
                let _ = send(pid, Signal::SIGKILL);
            }
            lock(&hosted.idle).clear();
        }
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
        if down {
            self.kill();
        }
    }

    /// Kills each invocation after this time, as if its limit had come; the function believes that it
    /// has all of its own, or it would begin nothing. None: at its limit again.
    pub fn kill_after(&self, function: &str, time: Option<Duration>) {
        let hosted = &self.functions[function];
        let time = time.unwrap_or(hosted.function.timeout);
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        hosted.killed_after_ms.store(ms, Ordering::SeqCst);
    }

    /// A deployment that changes one variable: None takes it away. Environments start anew.
    pub fn set_variable(&self, function: &str, name: &str, value: Option<&str>) {
        let hosted = &self.functions[function];
        let mut env = lock(&hosted.env);
        match value {
            Some(value) => env.insert(name.to_owned(), value.to_owned()),
            None => env.remove(name),
        };
        // Who is at work ends with what it began with, and comes back to nothing.
        hosted.deployments.fetch_add(1, Ordering::SeqCst);
        lock(&hosted.idle).clear();
    }

    /// From now on its clock is ahead of the others, or behind them. Environments start anew.
    pub fn set_clock(&self, function: &str, ahead_ms: i64) {
        for (name, value) in ahead::variables(ahead_ms) {
            self.set_variable(function, name, Some(&value));
        }
    }

    /// What becomes of invocations that nobody waits for.
    pub fn unattended(&self, function: &str) -> Unattended {
        self.functions[function].function.unattended.clone()
    }

    /// Processes by name.
    pub fn processes(&self) -> BTreeMap<String, u32> {
        let mut all = BTreeMap::new();
        for (name, hosted) in &self.functions {
            for pid in lock(&hosted.pids).iter() {
                all.insert(format!("{name} {pid}"), *pid);
            }
        }
        all
    }

    /// All invocations so far.
    pub fn reports(&self, function: &str) -> Vec<Report> {
        lock(&self.functions[function].reports).clone()
    }

    /// A line of the box's own among a function's words.
    pub fn note(&self, function: &str, line: &str) {
        self.functions[function].note(line);
    }

    /// Where each function's words go.
    pub fn logs(&self) -> impl Iterator<Item = &Path> {
        self.functions.values().map(|hosted| hosted.log.as_path())
    }
}

impl Hosted {
    fn new(
        function: Function,
        program: PathBuf,
        shared: &BTreeMap<String, String>,
        log: PathBuf,
    ) -> Self {
        let mut env = shared.clone();
        env.extend(function.env.clone());
        let own = [
            // Its calls are recorded under this name.
            ("AWS_ACCESS_KEY_ID", format!("fn-{}", function.logical)),
            ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "box".to_owned()),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
        ];
        env.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let limit_ms = u64::try_from(function.timeout.as_millis()).unwrap_or(u64::MAX);
        Self {
            function,
            program,
            env: Mutex::new(env),
            log,
            idle: Mutex::default(),
            deployments: AtomicU64::new(0),
            pids: Mutex::default(),
            at_work: AtomicUsize::new(0),
            killed_after_ms: AtomicU64::new(limit_ms),
            reports: Mutex::default(),
        }
    }

    async fn invoke(&self, event: Bytes, cause: Option<&Trace>) -> Result<Bytes, Failed> {
        let none = Trace::default();
        let cause = cause.unwrap_or(&none);
        if cause.passes(&self.function.name) >= PASSES_MAX && !self.function.may_recur {
            self.note(&format!("RECURSION cut: {}", cause.header()));
            return Err(Failed::Recursion);
        }
        if event.len() > PAYLOAD_BYTES_MAX {
            return Err(Failed::TooLarge);
        }
        let _turn = self.turn().ok_or(Failed::Throttled)?;
        let (mut environment, cold) = match self.warm() {
            Some(environment) => (environment, false),
            None => (self.cold().await?, true),
        };
        let id = new_id();
        let trace = cause.passing(&self.function.name, &id).header();
        let timeout = self.function.timeout;
        let killed_after = Duration::from_millis(self.killed_after_ms.load(Ordering::SeqCst));
        self.note(&format!("START RequestId: {id}"));
        let began = Instant::now();
        let invocation = Invocation { id: id.clone(), event, trace, timeout, killed_after };
        let outcome = environment.invoke(invocation).await;
        let report = Report {
            init: cold.then_some(environment.init),
            took: began.elapsed(),
            peak_kb: peak_kb(environment.pid),
            failed: outcome.as_ref().err().cloned(),
        };
        self.note(&report.line(&id));
        lock(&self.reports).push(report);
        let mut idle = lock(&self.idle);
        let current = environment.deployment == self.deployments.load(Ordering::SeqCst);
        if current && environment.alive() {
            idle.push(environment);
        } else {
            lock(&self.pids).remove(&environment.pid);
        }
        outcome
    }

    /// A place among those at work, until it is dropped.
    fn turn(&self) -> Option<Turn<'_>> {
        let most = self.function.concurrency.unwrap_or(ENVIRONMENTS_MAX);
        let before = self.at_work.fetch_add(1, Ordering::SeqCst);
        let turn = Turn(&self.at_work);
        (before < most).then_some(turn)
    }

    /// The environment that was used last; those that were idle for long go.
    fn warm(&self) -> Option<Environment> {
        let mut idle = lock(&self.idle);
        let mut pids = lock(&self.pids);
        idle.retain_mut(|environment| {
            let keep = environment.idle_since.elapsed() < IDLE_MAX && environment.alive();
            if !keep {
                pids.remove(&environment.pid);
            }
            keep
        });
        idle.pop()
    }

    async fn cold(&self) -> Result<Environment, Failed> {
        let log = self.open_log().map_err(|error| Failed::Init(error.to_string()))?;
        let mut number = 0;
        let born = |pid| {
            number = pid;
            lock(&self.pids).insert(pid);
        };
        // Read first: of one that is newer than it says no more is lost than its warmth.
        let deployment = self.deployments.load(Ordering::SeqCst);
        let env = lock(&self.env).clone();
        let started = Environment::start(&self.function, &self.program, &env, log, born).await;
        if let Err(why) = &started {
            lock(&self.pids).remove(&number);
            self.note(&format!("INIT failed: {why}"));
        }
        let mut started = started?;
        started.deployment = deployment;
        Ok(started)
    }

    fn open_log(&self) -> std::io::Result<File> {
        File::options().create(true).append(true).open(&self.log)
    }

    fn note(&self, line: &str) {
        if let Ok(mut log) = self.open_log() {
            let _ = log.write_all(format!("{line}\n").as_bytes());
        }
    }
}

struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Report {
    fn line(&self, id: &str) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let mut line = format!("REPORT RequestId: {id} Duration: {:.1} ms", ms(self.took));
        if let Some(init) = self.init {
            let _ = write!(line, " Init Duration: {:.1} ms", ms(init));
        }
        if let Some(kb) = self.peak_kb {
            let _ = write!(line, " Max Memory Used: {} MB", kb / 1024);
        }
        if let Some(failed) = &self.failed {
            let _ = write!(line, " Failed: {failed}");
        }
        line
    }
}

/// A number that no other invocation of this machine has, written as AWS writes its own.
pub fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{count:012x}", std::process::id())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
