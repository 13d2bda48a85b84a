//! The workers of one machine: child processes that are started, watched, replaced and told to
//! finish; and what is known of each when somebody asks whether it is gone.
mod after;
mod heir;
mod presence;
mod roster;

pub(crate) use after::Aftermath;
use after::Orphan;
pub(crate) use presence::MachinePresence;
pub(crate) use roster::{Roster, WorkerFate};

use crate::up::folder::Layout;
use adapter_socket::Authority;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{oneshot, watch};
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::job::ProcessGroup;
use windlass_worker::proc;

/// A worker that lived at least this long is replaced at once …
const STEADY: Duration = Duration::from_secs(10);
/// … others after a pause that doubles from here …
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// … to here.
const PAUSE_LONGEST: Duration = Duration::from_secs(30);
/// How long the start waits for the affairs of workers that an earlier server had …
const SETTLE_FIRST: Duration = Duration::from_millis(500);
/// … and the end for those of its own.
const SETTLE_LAST: Duration = Duration::from_secs(2);
/// How often a worker that is not our child is looked at: only while there is one.
const ADOPTED_LOOK: Duration = Duration::from_millis(500);

/// All workers of this server.
#[derive(Clone)]
pub(crate) struct Crew {
    shared: Arc<Shared>,
}

struct Shared {
    layout: Layout,
    pool: PoolId,
    authority: Arc<Authority>,
    roster: Arc<Roster>,
    aftermath: Aftermath,
    stopping: watch::Sender<bool>,
    /// How many workers' processes exist, adopted ones included.
    alive: watch::Sender<usize>,
    /// How many dead workers' affairs are not settled.
    settling: watch::Sender<usize>,
}

impl Crew {
    pub(crate) fn new(
        layout: Layout,
        pool: PoolId,
        authority: Arc<Authority>,
        roster: Arc<Roster>,
        aftermath: Aftermath,
    ) -> Self {
        let (alive, settling) = (watch::Sender::new(0), watch::Sender::new(0));
        let stopping = watch::Sender::new(false);
        let shared =
            Shared { layout, pool, authority, roster, aftermath, stopping, alive, settling };
        Self { shared: Arc::new(shared) }
    }

    /// Takes note of what an earlier server left, then keeps `count` workers running.
    pub(crate) async fn start(&self, count: usize) {
        let known = self.shared.roster.all();
        let mut claimed = heir::surely(|| self.shared.aftermath.claimed(&self.shared.pool)).await;
        for (name, fate) in known {
            let claimed = claimed.remove(&name).unwrap_or_default();
            match fate {
                WorkerFate::Alive(process) if proc::group_gone(&process) => {
                    let cause = format!("worker {name} ended while the server was away");
                    self.died(name, cause, claimed);
                }
                WorkerFate::Alive(process) => {
                    self.adopt(name, move || proc::group_gone(&process), claimed);
                }
                WorkerFate::Gone { cause } => self.died(name, cause, claimed),
            }
        }
        // The list may have been lost. Who has a claim and is not on it is watched all the same: a
        // worker holds its folder as long as it lives.
        for (name, claimed) in claimed {
            self.shared.roster.hold(&name);
            let estate = heir::Estate::of(&self.shared.layout, &name);
            self.adopt(name, move || !estate.inhabited(), claimed);
        }
        // So that names are free again, where nothing keeps them.
        self.settled_within(SETTLE_FIRST).await;
        for _ in 0..count {
            let crew = self.clone();
            tokio::spawn(async move { crew.keep_one_running().await });
        }
    }

    /// Workers finish what they do and take nothing new. Returns once none is left.
    pub(crate) async fn drain(&self) {
        self.shared.stopping.send_replace(true);
        let mut alive = self.shared.alive.subscribe();
        // The sender lives as long as we do.
        let _ = alive.wait_for(|alive| *alive == 0).await;
        self.settled_within(SETTLE_LAST).await;
    }

    async fn settled_within(&self, patience: Duration) {
        let mut settling = self.shared.settling.subscribe();
        let none = settling.wait_for(|settling| *settling == 0);
        // What is left is settled by the next server.
        let _ = tokio::time::timeout(patience, none).await;
    }

    /// A worker that outlived its server keeps its job, and goes when that is done, because its
    /// standard input has ended; a child of ours does the next one.
    fn adopt(
        &self,
        name: InstanceId,
        gone: impl Fn() -> bool + Send + 'static,
        claimed: Vec<Orphan>,
    ) {
        tracing::info!(worker = %name, "a worker of an earlier server may still run");
        self.shared.alive.send_modify(|alive| *alive += 1);
        let crew = self.clone();
        tokio::spawn(async move {
            while !gone() {
                tokio::time::sleep(ADOPTED_LOOK).await;
            }
            crew.shared.alive.send_modify(|alive| *alive -= 1);
            let cause = format!("worker {name}, started by an earlier server, has ended");
            crew.died(name, cause, claimed);
        });
    }

    async fn keep_one_running(&self) {
        let mut pause = PAUSE_FIRST;
        while !self.stopping() {
            let began = Instant::now();
            match self.shared.aftermath.busy_names(&self.shared.pool).await {
                Ok(busy) => {
                    let name = self.shared.roster.reserve(&busy);
                    let cause = self.live_and_die(&name).await;
                    self.died(name, cause, Vec::new());
                }
                Err(fault) => {
                    tracing::warn!(fault = %fault.chain(), "the workers' records can't be read");
                }
            }
            if self.stopping() {
                return;
            }
            pause = if began.elapsed() >= STEADY { PAUSE_FIRST } else { pause };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// One worker's whole life. Returns how it ended, in one sentence.
    async fn live_and_die(&self, name: &InstanceId) -> String {
        let begun = async {
            let (child, process) = self.launch(name)?;
            // Before it is let in: a worker that nobody knows of must do nothing.
            self.shared.roster.started(name, process)?;
            self.admit(name, child).await
        };
        let ended = match begun.await {
            Ok((child, lifeline)) => self.watch(child, lifeline, None).await,
            Err(error) => Err(error),
        };
        let cause = match &ended {
            Ok(status) => cause_of_death(name, *status),
            Err(error) => {
                self.complain(name, error);
                format!("worker {name} could not be kept running: {error}")
            }
        };
        match self.stopping() {
            true => tracing::info!(worker = %name, "{cause}"),
            false => tracing::warn!(worker = %name, "{cause}"),
        }
        cause
    }

    /// Starts the process. Until it is admitted it waits for its token.
    fn launch(&self, name: &InstanceId) -> io::Result<(Child, ProcessGroup)> {
        let Shared { layout, pool, .. } = &*self.shared;
        let log = open_log(layout, name)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("work")
            .args(["--name", name.as_str(), "--pool", pool.as_str()])
            .arg("--data")
            .arg(layout.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C at the terminal is for the server alone; it tells its workers what to do.
            .process_group(0);
        let child = command.spawn()?;
        let process = child.id().and_then(proc::identify);
        Ok((child, process.ok_or_else(|| io::Error::other("it ended at once"))?))
    }

    async fn admit(&self, name: &InstanceId, mut child: Child) -> io::Result<(Child, ChildStdin)> {
        let mut input = child.stdin.take().ok_or_else(|| io::Error::other("it has no input"))?;
        let token = self.shared.authority.token(name, &self.shared.pool);
        input.write_all(format!("{}\n", token.expose()).as_bytes()).await?;
        Ok((child, input))
    }

    /// Until it has ended. It is told to end when the server stops, or when `done` says so. The
    /// open end of its standard input tells it that we live.
    async fn watch(
        &self,
        mut child: Child,
        lifeline: ChildStdin,
        done: Option<oneshot::Receiver<()>>,
    ) -> io::Result<ExitStatus> {
        self.shared.alive.send_modify(|alive| *alive += 1);
        let mut stopping = self.shared.stopping.subscribe();
        let told = async {
            match done {
                Some(done) => tokio::select! {
                    _ = done => {}
                    () = told_to_stop(&mut stopping) => {}
                },
                None => told_to_stop(&mut stopping).await,
            }
        };
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = told => {
                finish_and_go(&child);
                child.wait().await
            }
        };
        self.shared.alive.send_modify(|alive| *alive -= 1);
        drop(lifeline);
        ended
    }

    fn died(&self, name: InstanceId, cause: String, claimed: Vec<Orphan>) {
        self.shared.settling.send_modify(|settling| *settling += 1);
        let crew = self.clone();
        tokio::spawn(async move {
            crew.settle(name, cause, claimed).await;
            crew.shared.settling.send_modify(|settling| *settling -= 1);
        });
    }

    fn complain(&self, name: &InstanceId, error: &io::Error) {
        tracing::error!(worker = %name, %error, "a worker can't be started");
    }

    fn stopping(&self) -> bool {
        *self.shared.stopping.borrow()
    }
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as we do.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// To a worker, SIGTERM means: finish what you do, take nothing new, go.
fn finish_and_go(child: &Child) {
    // None once it was reaped: its number may be another's by now.
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

fn open_log(layout: &Layout, name: &InstanceId) -> io::Result<std::fs::File> {
    let mut path: PathBuf = layout.log();
    path.set_file_name(format!("{name}.log"));
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn cause_of_death(name: &InstanceId, status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("worker {name} was killed by signal {signal}"),
        (None, Some(0)) => format!("worker {name} ended as it was told"),
        (None, Some(code)) => format!("worker {name} ended with code {code}"),
        (None, None) => format!("worker {name} ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_a_worker_died() {
        for (raw, expect) in [
            (9, "worker w1 was killed by signal 9"),
            (0, "worker w1 ended as it was told"),
            (3 << 8, "worker w1 ended with code 3"),
        ] {
            assert_eq!(cause_of_death(&"w1".into(), ExitStatus::from_raw(raw)), expect);
        }
    }
}
