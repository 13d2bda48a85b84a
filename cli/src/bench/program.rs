//! A `windlass up` as a child process: started, asked, watched, and told to end.
use crate::client::Client;
use crate::exit::Failure;
use crate::up::server_file;
use api::v1::{CommitDetail, RolloutView};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(30);
/// A rollout of nine stacks takes half a minute.
const ROLLOUT: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Up {
    child: Child,
    pub(crate) client: Client,
}

impl Up {
    /// Starts this very program, and waits until it answers.
    pub(crate) fn start(
        data: &Path,
        repo: &Path,
        workers: u16,
        port: u16,
    ) -> Result<Self, Failure> {
        let unable =
            |e: std::io::Error| Failure::failed("`windlass up` can't be started").because(e);
        let program = std::env::current_exe().map_err(unable)?;
        std::fs::create_dir_all(data).map_err(unable)?;
        let log = std::fs::File::create(data.with_extension("log")).map_err(unable)?;
        let child = Command::new(program)
            .arg("up")
            .arg("--repo")
            .arg(repo)
            .arg("--data")
            .arg(data)
            .args(["--workers", &workers.to_string(), "--port", &port.to_string()])
            .env_remove("WINDLASS_DATA")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(unable)?;
        // Held from here on, so that whatever happens the child is told to end.
        let nobody =
            server_file::ServerFile { address: String::new(), token: String::new(), pid: 0 };
        let mut up = Self { child, client: Client::to(nobody) };
        let deadline = Instant::now() + START;
        loop {
            if let Ok(Some(found)) = server_file::read(data) {
                up.client = Client::to(found);
                return Ok(up);
            }
            let ended = up.child.try_wait().map_err(unable)?;
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(data.with_extension("log")).unwrap_or_default();
                return Err(Failure::failed(format!(
                    "`windlass up` did not start: {}",
                    said.trim()
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    #[must_use]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rollout of this commit, once all of its runs have ended.
    pub(crate) fn settled(&self, sha: &str) -> Result<RolloutView, Failure> {
        let deadline = Instant::now() + ROLLOUT;
        loop {
            let known = self.client.get::<CommitDetail>(&format!("/commits/{sha}"));
            let rollout = known.ok().and_then(|commit| commit.rollouts.into_iter().next());
            if let Some(rollout) =
                rollout.filter(|rollout| rollout.done && !rollout.runs.is_empty())
            {
                return Ok(rollout);
            }
            if Instant::now() > deadline {
                return Err(Failure::failed(format!("the runs of {sha} did not end")));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        if let Ok(pid) = pid {
            let _ = kill(pid, Signal::SIGINT);
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let port = address.map(|address| address.port());
    port.map_err(|e| Failure::missing("there is no free port").because(e))
}
