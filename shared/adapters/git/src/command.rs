//! One run of `git`: no shell, no prompt, no inherited repository, a time limit, bounded output.
use crate::GitError;
use crate::origin::redact;
use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// Reading commands on a local disk end within this, or something is wrong.
pub(crate) const LOCAL_TIMEOUT_MS: u64 = 60_000;
/// A first fetch over a slow line may take this long; a stalled one is cut off by git itself.
pub(crate) const FETCH_TIMEOUT_MS: u64 = 900_000;
/// Time between asking a git to end and killing it: it removes its lock files meanwhile.
const KILL_GRACE_MS: u64 = 2_000;
/// More than any list of files that a definition is made from.
const STDOUT_BYTES_MAX: u64 = 128 * 1024 * 1024;
const STDERR_BYTES_MAX: u64 = 64 * 1024;
const STDERR_LINES_SHOWN: usize = 8;

/// Variables by which a caller's shell (a hook, an editor) would make our git work elsewhere, ask
/// a person, or write down what it sends.
const VARIABLES_REMOVED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_QUARANTINE_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_CURL_VERBOSE",
    "GIT_DEFAULT_HASH",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
];

/// What a git that ended left behind.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    pub(crate) fn ok(&self) -> bool {
        self.code == Some(0)
    }
    /// True when a lock file of git's own was in its way.
    pub(crate) fn met_a_lock(&self) -> bool {
        String::from_utf8_lossy(&self.stderr).contains(".lock'")
    }
    /// The last lines of its standard error, redacted, on one line.
    pub(crate) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(STDERR_LINES_SHOWN)..];
        match (last, self.code) {
            ([], Some(code)) => format!("it exited with code {code}"),
            ([], None) => "it was killed by a signal".to_owned(),
            (lines, _) => redact(&lines.join("; ")),
        }
    }
}

/// A command under construction. `verb` names it in errors.
pub(crate) struct Git {
    command: Command,
    verb: &'static str,
    timeout_ms: u64,
}

impl Git {
    pub(crate) fn new(verb: &'static str) -> Self {
        let mut command = Command::new("git");
        for name in VARIABLES_REMOVED {
            command.env_remove(name);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal doesn't tear a fetch apart, and a time
            // limit ends git's helpers too.
            .process_group(0)
            .kill_on_drop(true);
        Self { command, verb, timeout_ms: LOCAL_TIMEOUT_MS }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }
    pub(crate) fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    /// Starts it to be talked to. What it says on standard error is nobody's.
    pub(crate) fn spawn(mut self) -> Result<Child, GitError> {
        let verb = self.verb;
        self.command.stdin(Stdio::piped()).stderr(Stdio::null());
        self.command.spawn().map_err(|e| spawn_error(verb, e))
    }

    /// Runs it; any exit code is an answer.
    pub(crate) async fn run(mut self) -> Result<Output, GitError> {
        let verb = self.verb;
        let mut child = self.command.spawn().map_err(|e| spawn_error(verb, e))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let talk = async {
            let (stdout, stderr, status) = tokio::join!(
                read_up_to(stdout, STDOUT_BYTES_MAX),
                read_up_to(stderr, STDERR_BYTES_MAX),
                child.wait()
            );
            Ok::<_, std::io::Error>((stdout?, stderr?, status?))
        };
        match tokio::time::timeout(Duration::from_millis(self.timeout_ms), talk).await {
            Ok(Ok((stdout, stderr, status))) => Ok(Output { code: status.code(), stdout, stderr }),
            Ok(Err(e)) => Err(cannot_run(verb, e)),
            Err(_) => {
                end(&mut child).await;
                Err(GitError::TimedOut { verb, timeout_ms: self.timeout_ms })
            }
        }
    }

    /// Runs it; anything but success is an error that says what git said.
    pub(crate) async fn output(self) -> Result<Vec<u8>, GitError> {
        let verb = self.verb;
        let output = self.run().await?;
        match output.ok() {
            true => Ok(output.stdout),
            false => Err(GitError::Failed { verb, said: output.said() }),
        }
    }
}

fn spawn_error(verb: &'static str, error: std::io::Error) -> GitError {
    match error.kind() {
        std::io::ErrorKind::NotFound => GitError::NotInstalled,
        _ => cannot_run(verb, error),
    }
}

fn cannot_run(verb: &'static str, error: std::io::Error) -> GitError {
    GitError::io(format!("git {verb} can't be run"), error)
}

/// Reads to the end, keeps the first `max` bytes; an output over the limit is an error, except on
/// standard error, where the rest is of no use.
async fn read_up_to(
    pipe: Option<impl AsyncRead + Unpin>,
    max: u64,
) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    let mut limited = pipe.take(max);
    limited.read_to_end(&mut bytes).await?;
    let mut rest = limited.into_inner();
    let over = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    match over > 0 && max == STDOUT_BYTES_MAX {
        true => Err(std::io::Error::other(format!("its output is over {max} bytes"))),
        false => Ok(bytes),
    }
}

/// Ends the whole group: politely, then for good.
async fn end(child: &mut Child) {
    use nix::sys::signal::{Signal, killpg};
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
    let Some(group) = group else { return };
    let _ = killpg(group, Signal::SIGTERM);
    let grace = Duration::from_millis(KILL_GRACE_MS);
    let _ = tokio::time::timeout(grace, child.wait()).await;
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_git_that_hangs_is_stopped() {
        let hangs = Git::new("sleep").args(["-c", "alias.x=!sleep 30", "x"]).timeout_ms(100);
        let error = hangs.output().await.unwrap_err();
        assert!(matches!(error, GitError::TimedOut { verb: "sleep", .. }), "{error}");
    }

    #[tokio::test]
    async fn a_failure_says_what_git_said() {
        let error = Git::new("frob").arg("frob").output().await.unwrap_err();
        assert!(error.to_string().contains("'frob' is not a git command"), "{error}");
    }
}
