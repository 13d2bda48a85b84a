//! One cold start: a process, its first event, its first answer, by the Lambda Runtime API.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. Plain sockets and threads: the
//! less happens here, the less of it is measured.
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a start cost.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// From exec to the first request for an event.
    pub(crate) ready: Duration,
    /// From exec to the first answer.
    pub(crate) answered: Duration,
    /// Of that, how long the AWS API server thought about what the function asked.
    pub(crate) thought: Duration,
    /// The same event once more, by the process that is there.
    pub(crate) warm: Duration,
    /// Most memory it ever had, after the first answer.
    pub(crate) peak_kb: u64,
    /// What it answered.
    pub(crate) answer: String,
}

/// Starts `command` and hands it the event twice. `thought` says how long the AWS API server has
/// thought since it was last asked.
pub(crate) fn start(
    command: &mut Command,
    event: &str,
    thought: &dyn Fn() -> Duration,
) -> Result<Start> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port for the runtime")?;
    let address = listener.local_addr()?;
    command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().context("the function can't be started")?;
    let measured = serve(&listener, &child, event, began, thought);
    let _ = child.kill();
    let _ = child.wait();
    measured
}

fn serve(
    listener: &TcpListener,
    child: &Child,
    event: &str,
    began: Instant,
    thought: &dyn Fn() -> Duration,
) -> Result<Start> {
    thought();
    let mut peers: Vec<Peer> = Vec::new();
    let first = next_request(listener, &mut peers)?;
    let ready = began.elapsed();
    first.expect_next()?;
    peers[first.peer].give(event, "first")?;
    let answer = next_request(listener, &mut peers)?;
    let (answered, thought) = (began.elapsed(), thought());
    let text = answer.expect_response()?;
    let peak_kb = peak(child.id());
    peers[answer.peer].accept()?;
    let second = next_request(listener, &mut peers)?;
    second.expect_next()?;
    let given = Instant::now();
    peers[second.peer].give(event, "second")?;
    let again = next_request(listener, &mut peers)?;
    let warm = given.elapsed();
    again.expect_response()?;
    Ok(Start { ready, answered, thought, warm, peak_kb, answer: text })
}

/// A connection of the function's.
struct Peer(BufReader<TcpStream>);

struct Request {
    peer: usize,
    line: String,
    body: String,
}

impl Request {
    fn expect_next(&self) -> Result<()> {
        match self.line.starts_with("GET ") && self.line.contains("/invocation/next") {
            true => Ok(()),
            false => bail!("it asked `{}` instead of for its next event: {}", self.line, self.body),
        }
    }
    fn expect_response(&self) -> Result<String> {
        match self.line.contains("/response") {
            true => Ok(self.body.clone()),
            false => bail!("it answered by `{}`: {}", self.line, self.body),
        }
    }
}

/// The next request on any connection; a function may keep one or open a new one for each.
fn next_request(listener: &TcpListener, peers: &mut Vec<Peer>) -> Result<Request> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            peers.push(Peer(BufReader::new(stream)));
        }
        for (at, peer) in peers.iter_mut().enumerate() {
            let waiting = peer.0.buffer().is_empty().then(|| peer.0.fill_buf().map(<[u8]>::len));
            if matches!(waiting, None | Some(Ok(1..))) {
                peer.0.get_ref().set_nonblocking(false)?;
                let (line, body) = peer.read()?;
                peer.0.get_ref().set_nonblocking(true)?;
                return Ok(Request { peer: at, line, body });
            }
        }
        anyhow::ensure!(Instant::now() < deadline, "the function says nothing");
        // Short enough not to be seen in milliseconds, long enough to leave it the processor.
        std::thread::sleep(Duration::from_micros(50));
    }
}

impl Peer {
    fn read(&mut self) -> Result<(String, String)> {
        let (mut first, mut length) = (String::new(), 0);
        let mut chunked = false;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).context("half a request")?;
            let word = line.trim_end().to_ascii_lowercase();
            if word.is_empty() {
                break;
            }
            if let Some(value) = word.strip_prefix("content-length:") {
                length = value.trim().parse().context("a length that is none")?;
            }
            chunked |= word == "transfer-encoding: chunked";
            if first.is_empty() {
                first = line.trim_end().to_owned();
            }
        }
        let body = if chunked { self.chunks()? } else { self.exactly(length)? };
        Ok((first, String::from_utf8_lossy(&body).into_owned()))
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).context("half a body")?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).context("a chunk without a size")?;
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn give(&mut self, event: &str, id: &str) -> Result<()> {
        let deadline = std::time::SystemTime::now() + PATIENCE;
        let deadline = deadline.duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let head = format!(
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: {id}\r\n\
             lambda-runtime-deadline-ms: {deadline}\r\nlambda-runtime-invoked-function-arn: \
             arn:aws:lambda:us-east-1:123456789012:function:bench\r\nlambda-runtime-trace-id: \
             Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            event.len()
        );
        self.write(&format!("{head}{event}"))
    }

    fn accept(&mut self) -> Result<()> {
        self.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let stream = self.0.get_mut();
        stream.set_nonblocking(false)?;
        stream.write_all(text.as_bytes()).context("the function went away")?;
        stream.set_nonblocking(true)?;
        Ok(())
    }
}

/// `VmHWM` of Linux's /proc; 0 elsewhere.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
