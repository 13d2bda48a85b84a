//! The leader of a job and the steps that it runs, watched: output followed, stops obeyed, limits
//! kept.
//!
//! Signals go only to the job's own processes: its group, whose number is ours while its leader is
//! not reaped, and what left the group.
use crate::environment::Env;
use crate::lease::LEASE_GRACE;
use crate::logs::StepLog;
use crate::mask::Masks;
use crate::proc;
use crate::script::{self, DONE, Part, Script};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use windlass_core::job::ProcessGroup;

/// Output is read, and limits are looked at, this often. The end of a step comes by itself.
const TICK: Duration = Duration::from_millis(100);

/// A shell in a process group of its own that waits for its first step. Its input is our pipe: if
/// we die before that, it reads the end and goes; if later, it finishes the step that runs.
#[derive(Debug)]
pub(crate) struct Leader {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    group: ProcessGroup,
    stop_file: PathBuf,
}

/// Why a step was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A person stopped the run.
    Stop,
    /// The lease can't be renewed, or is another's.
    Lease,
    /// The worker goes down at once.
    Shutdown,
    /// The job took longer than its run timeout.
    Timeout,
    /// Nothing was printed for the silence timeout.
    Silence,
    /// The machine is about to be taken back: whatever does not stop by then is killed.
    Spot { kill_at: Instant },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// None if the leader itself is gone.
    pub code: Option<i32>,
    /// The last part that began; `parts.len()` once all ended well.
    pub part: usize,
    pub interrupted: Option<Cause>,
    /// Interrupting was not enough, the group was killed. There is no leader any more.
    pub killed: bool,
    /// Wall time of the step's tool processes.
    pub tool: Duration,
}

/// When a step must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub deadline: Instant,
    pub silence: Duration,
    pub grace: Duration,
}

impl Leader {
    /// Starts the shell. `held` is a lock that must not outlive the job's processes: it becomes
    /// the shell's standard error, so it lives while the shell does, whatever becomes of us.
    pub(crate) async fn spawn(run: &Path, env: &Env, held: Option<File>) -> io::Result<Self> {
        let stop_file = run.join("stop");
        let error = match held {
            Some(lock) => lock,
            None => File::create(run.join("leader.log"))?,
        };
        let mut child = Command::new("/bin/sh")
            .arg("-s")
            .env_clear()
            .envs(env)
            .current_dir(run)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(error)
            .spawn()?;
        let gone = || io::Error::other("the job's shell ended at once");
        let group = child.id().and_then(proc::identify).ok_or_else(gone)?;
        let mut input = child.stdin.take().ok_or_else(gone)?;
        let output = child.stdout.take().ok_or_else(gone)?;
        let preamble = script::preamble(&stop_file, (proc::MARK, &proc::mark(&group)));
        input.write_all(preamble.as_bytes()).await?;
        let lines = BufReader::new(output).lines();
        Ok(Self { child, input, lines, group, stop_file })
    }

    #[must_use]
    pub(crate) fn group(&self) -> &ProcessGroup {
        &self.group
    }

    /// Runs one step to its end. `halt` is looked at when `obeys`; limits always hold.
    pub(crate) async fn step(
        &mut self,
        script: &Script,
        log: &mut StepLog,
        masks: &mut Masks,
        files: (&Path, &Path),
        limits: Limits,
        halt: Option<watch::Receiver<Option<Cause>>>,
    ) -> io::Result<Ended> {
        let text = script::step(script, files.0, files.1);
        // A leader that is gone shows as the end of its lines.
        let _ = self.input.write_all(text.as_bytes()).await;
        let mut watch = Watch::new(script, limits);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut halt = Halt(halt);
        loop {
            tokio::select! {
                biased;
                line = self.lines.next_line() => {
                    if watch.heard(line?.as_deref()) {
                        break;
                    }
                }
                cause = halt.next() => self.interrupt(&mut watch, cause),
                _ = tick.tick() => {
                    log.poll(masks)?;
                    self.limits(&mut watch, log);
                }
            }
        }
        let _ = fs::remove_file(&self.stop_file);
        Ok(watch.ended())
    }

    fn limits(&self, watch: &mut Watch<'_>, log: &StepLog) {
        let now = Instant::now();
        match watch.kill_at {
            None if now >= watch.limits.deadline => self.interrupt(watch, Cause::Timeout),
            None if log.silent() >= watch.limits.silence => self.interrupt(watch, Cause::Silence),
            Some(at) if now >= at && !watch.killed => {
                watch.killed = true;
                proc::kill_group(&self.group);
            }
            _ => {}
        }
    }

    /// What a shell does on Ctrl-C, and a mark for the shell itself not to go on.
    fn interrupt(&self, watch: &mut Watch<'_>, cause: Cause) {
        if watch.kill_at.is_none() {
            watch.cause = Some(cause);
            let (now, grace) = (Instant::now(), watch.limits.grace);
            watch.kill_at = Some(match cause {
                // What may be repeated need not end nicely.
                Cause::Lease | Cause::Shutdown => now + grace.min(LEASE_GRACE),
                Cause::Stop | Cause::Timeout | Cause::Silence => now + grace,
                Cause::Spot { kill_at } => kill_at,
            });
            let _ = File::create(&self.stop_file);
            proc::interrupt_group(&self.group);
        }
    }

    /// Ends the leader and whatever its steps left running, and reaps it.
    pub(crate) async fn end(mut self) {
        let group = self.group.clone();
        // A look at all processes of the machine, more than once perhaps.
        let killed = tokio::task::spawn_blocking(move || proc::kill_group(&group)).await;
        if let Err(error) = killed {
            tracing::warn!(%error, "what is left of a job can't be killed");
        }
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "the job's shell can't be waited for");
        }
    }
}

/// Asks to stop; without one, never.
struct Halt(Option<watch::Receiver<Option<Cause>>>);

impl Halt {
    /// Answers once. May be dropped and asked again: the receiver is given up only after it spoke.
    async fn next(&mut self) -> Cause {
        let cause = match &mut self.0 {
            Some(halt) => halt.wait_for(Option::is_some).await.ok().and_then(|cause| *cause),
            None => None,
        };
        self.0 = None;
        match cause {
            Some(cause) => cause,
            None => std::future::pending().await,
        }
    }
}

/// What is known of a running step.
struct Watch<'a> {
    script: &'a Script,
    limits: Limits,
    part: usize,
    tool_since: Option<Instant>,
    tool: Duration,
    code: Option<i32>,
    cause: Option<Cause>,
    kill_at: Option<Instant>,
    killed: bool,
}

impl<'a> Watch<'a> {
    fn new(script: &'a Script, limits: Limits) -> Self {
        Self {
            script,
            limits,
            part: 0,
            tool_since: None,
            tool: Duration::ZERO,
            code: None,
            cause: None,
            kill_at: None,
            killed: false,
        }
    }

    /// Takes a line of the leader; true at the step's end.
    fn heard(&mut self, line: Option<&str>) -> bool {
        if let Some(since) = self.tool_since.take() {
            self.tool += since.elapsed();
        }
        match line.and_then(|line| line.split_once(' ')) {
            Some(("part", DONE)) => self.part = self.script.parts.len(),
            Some(("part", index)) => {
                self.part = index.parse().unwrap_or(self.part);
                if matches!(self.script.parts.get(self.part), Some(Part::Tool { .. })) {
                    self.tool_since = Some(Instant::now());
                }
            }
            Some(("end", code)) => {
                self.code = code.parse().ok();
                return true;
            }
            Some(_) => {}
            None => return true,
        }
        false
    }

    fn ended(self) -> Ended {
        let Self { code, part, killed, tool, cause: interrupted, .. } = self;
        Ended { code, part, interrupted, killed, tool }
    }
}
