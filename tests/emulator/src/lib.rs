//! A real AWS API server on this machine, with corrections, faults and a record of every call.
//!
//! The server is moto behind `launcher/serve.py`: one request at a time, so that conditional
//! writes are atomic; SQS keeps what AWS promises of order, deduplication and receipts; a test may
//! make chosen calls fail, and read afterwards who called what. Nothing here links an SDK.
//!
//! - [`Emulator`]: a running server; it ends with the value, or with this process.
//! - [`fault`]: what may go wrong on purpose.
//! - [`fleet`]: Auto Scaling groups that boot, wait for hooks and choose by themselves.
//! - [`calls`]: what was asked, by whom.
//! - [`venv`]: Python environments from pinned requirements, made once per machine.
pub mod calls;
pub mod events;
mod fault;
pub mod fleet;
pub mod venv;

pub use calls::{Call, Price};
pub use fault::{Fault, When};
pub use fleet::{End, Failing, Hook, Standing, Why};

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The account that the server pretends to be.
pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-east-1";
/// Names of one request that seeds objects.
const SEEDED_AT_ONCE: usize = 1_000;

/// A running server.
pub struct Emulator {
    child: Child,
    /// The server ends when this does, however we end.
    _lifeline: Option<ChildStdin>,
    endpoint: String,
    agent: ureq::Agent,
}

impl Emulator {
    /// One of its own, for a story that sets faults or counts calls.
    ///
    /// # Errors
    /// When there is no Python, or what it needs can't be installed.
    pub fn start() -> Result<Self> {
        let bin = venv::ensure("requirements.txt")?;
        let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("launcher/serve.py");
        let mut child = Command::new(bin.join("python"))
            .arg(&launcher)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("AWS_PROFILE")
            // Ctrl-C at a terminal is meant for whoever started it: the lifeline tells it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the AWS API server can't be started")?;
        let lifeline = child.stdin.take();
        let mut said = String::new();
        let out = child.stdout.take().context("the server has no output")?;
        BufReader::new(out).read_line(&mut said).context("the server says no port")?;
        let port: u16 = said.trim().parse().with_context(|| {
            format!("the AWS API server did not start; it said `{}`", said.trim())
        })?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let endpoint = format!("http://127.0.0.1:{port}");
        Ok(Self { child, _lifeline: lifeline, endpoint, agent: config.into() })
    }

    /// One server for all tests of this process that keep to names of their own. It goes with the
    /// last of them.
    ///
    /// # Panics
    /// As [`Emulator::start`] fails.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Emulator>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start().expect("an AWS API server"));
        *shared = Arc::downgrade(&started);
        started
    }

    /// One that nobody else of this process has, with nothing on it: servers of tests that are over
    /// are used again, as a start takes seconds.
    ///
    /// # Errors
    /// As [`Emulator::start`] fails.
    pub fn alone() -> Result<Arc<Self>> {
        static KNOWN: Mutex<Vec<Arc<Emulator>>> = Mutex::new(Vec::new());
        let free = |server: &&Arc<Emulator>| Arc::strong_count(server) == 1;
        let lent = {
            let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().find(free).cloned()
        };
        if let Some(server) = lent {
            server.tell("reset", &serde_json::Value::Null)?;
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push(server.clone());
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`, for every service.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What a process needs to talk to it as `caller`, the name under which its calls are
    /// recorded.
    #[must_use]
    pub fn env(&self, caller: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", caller.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".to_owned()),
        ]
    }

    /// What the URL of a queue begins with when its name begins with `prefix`.
    #[must_use]
    pub fn queue_url_prefix(&self, prefix: &str) -> String {
        format!("{}/{ACCOUNT}/{prefix}", self.endpoint)
    }

    /// One call of a service that speaks forms and XML (`ec2`, `autoscaling`), for what no adapter
    /// does: its status and its answer. The signature is none; nobody looks at it.
    ///
    /// # Errors
    /// When the server is away.
    pub fn query(
        &self,
        caller: &str,
        service: &str,
        form: &[(&str, &str)],
    ) -> Result<(u16, String)> {
        let credential = format!("Credential={caller}/20260101/{REGION}/{service}/aws4_request");
        let host = format!("{service}.{REGION}.amazonaws.com");
        let request = self.agent.post(&self.endpoint).header("host", host);
        let request =
            request.header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"));
        let mut answer = request.send_form(form.iter().copied()).context("the server is away")?;
        let text = answer.body_mut().read_to_string().context("no text")?;
        Ok((answer.status().as_u16(), text))
    }

    /// One call of a service that speaks JSON (`AmazonSSM.PutParameter`), likewise.
    ///
    /// # Errors
    /// When the server is away, or refuses.
    pub fn json(
        &self,
        caller: &str,
        service: &str,
        target: &str,
        words: &serde_json::Value,
    ) -> Result<serde_json::Value> {
        let credential = format!("Credential={caller}/20260101/{REGION}/{service}/aws4_request");
        let request = self.agent.post(&self.endpoint).header("x-amz-target", target);
        let request = request
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"));
        let mut answer = request.send(words.to_string()).context("the server is away")?;
        let text = answer.body_mut().read_to_string().context("no text")?;
        anyhow::ensure!(answer.status().is_success(), "{target} was refused: {text}");
        serde_json::from_str(&text).context("no JSON")
    }

    /// As if objects under this prefix had been written so much earlier.
    ///
    /// # Errors
    /// When the server is away, or knows no such bucket.
    pub fn make_older(&self, bucket: &str, prefix: &str, ms: u64) -> Result<()> {
        self.tell("older", &serde_json::json!({ "bucket": bucket, "prefix": prefix, "ms": ms }))
    }

    /// Puts each of `objects` (key and body) once for each of `names`, which stands where the
    /// `placeholder` was: as so many requests would, and much sooner. Nothing is recorded.
    ///
    /// # Errors
    /// When the server is away, or knows no such bucket.
    pub fn seed(
        &self,
        bucket: &str,
        objects: &[(String, String)],
        placeholder: &str,
        names: &[String],
    ) -> Result<()> {
        // A server that is busy with one request answers no other meanwhile.
        for names in names.chunks(SEEDED_AT_ONCE) {
            let words = serde_json::json!({
                "bucket": bucket, "objects": objects, "placeholder": placeholder, "names": names
            });
            self.tell("seed", &words)?;
        }
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<serde_json::Value> {
        let url = format!("{}/_emulator/{path}", self.endpoint);
        let mut answer = self.agent.get(&url).call().context("the AWS API server is away")?;
        serde_json::from_reader(answer.body_mut().as_reader()).context("no JSON")
    }

    fn tell(&self, path: &str, body: &serde_json::Value) -> Result<()> {
        let url = format!("{}/_emulator/{path}", self.endpoint);
        let sent = self.agent.post(&url).send(body.to_string());
        let answer = sent.context("the AWS API server is away")?;
        anyhow::ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
