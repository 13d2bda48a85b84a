//! TLS before the AWS API server: functions speak to AWS over TLS 1.3, and what that costs belongs
//! to their start.
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A port that speaks TLS and hands what it hears to `behind`.
pub(crate) struct Front {
    pub(crate) endpoint: String,
    /// Our certificate alone, for those that add it to their own.
    pub(crate) authority: PathBuf,
    /// This system's certificates and ours, in one file.
    pub(crate) bundle: PathBuf,
    thought: Thought,
    _runtime: tokio::runtime::Runtime,
}

const CLOSES: &[u8] = b"\r\nconnection: close";
const LENGTH: &[u8] = b"\r\ncontent-length:";
/// Where systems keep their bundle of certificates.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

impl Front {
    pub(crate) fn start(folder: &Path, behind: &str) -> Result<Self> {
        let behind: SocketAddr = behind.trim_start_matches("http://").parse()?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let ours = made.cert.pem();
        let known = BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let (authority, bundle) = (folder.join("ours.pem"), folder.join("bundle.pem"));
        std::fs::write(&authority, &ours)?;
        std::fs::write(&bundle, format!("{}\n{ours}", known.unwrap_or_default()))?;
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let key = key.map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime for the TLS front")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let endpoint = format!("https://localhost:{}", listener.local_addr()?.port());
        let (acceptor, thought) = (TlsAcceptor::from(Arc::new(config)), Thought::default());
        runtime.spawn(accept(listener, acceptor, behind, thought.clone()));
        Ok(Self { endpoint, authority, bundle, thought, _runtime: runtime })
    }

    /// How long the API server behind has thought since this was last asked.
    pub(crate) fn thought(&self) -> Duration {
        Duration::from_nanos(self.thought.total_ns.swap(0, Ordering::Relaxed))
    }
}

/// How long the API server took for its answers: from the last byte of a request to the first of its
/// answer. It is a stand-in for AWS, slow where AWS is quick and the other way round, and no part of
/// the function that is measured. Functions that start ask one thing after the other.
#[derive(Clone, Default)]
struct Thought {
    total_ns: Arc<AtomicU64>,
}

impl Thought {
    fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.total_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    behind: SocketAddr,
    thought: Thought,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, thought) = (acceptor.clone(), thought.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(near) = acceptor.accept(stream).await else { return };
            let _ = serve(near, behind, thought).await;
        });
    }
}

/// One request after the other, each over a connection of its own to the server, which closes them;
/// AWS keeps connections, so this one stays.
async fn serve(
    mut near: TlsStream<TcpStream>,
    behind: SocketAddr,
    thought: Thought,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let n = near.read(&mut bytes).await?;
        if n == 0 {
            return Ok(());
        }
        let mut far = TcpStream::connect(behind).await?;
        far.set_nodelay(true)?;
        far.write_all(&bytes[..n]).await?;
        if !exchange(&mut near, &mut far, &thought).await? {
            return near.shutdown().await;
        }
    }
}

/// The rest of a request that has begun, and its answer. Whether another may follow.
async fn exchange(
    near: &mut TlsStream<TcpStream>,
    far: &mut TcpStream,
    thought: &Thought,
) -> std::io::Result<bool> {
    let mut asked = Some(Instant::now());
    let (mut asks, mut answers) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut answer = Answer::default();
    loop {
        tokio::select! {
            more = near.read(&mut asks) => match more? {
                0 => return Ok(false),
                n => {
                    far.write_all(&asks[..n]).await?;
                    asked = Some(Instant::now());
                }
            },
            said = far.read(&mut answers) => {
                let n = said?;
                if let Some(asked) = asked.take() {
                    thought.add(asked.elapsed());
                }
                near.write_all(&answer.passed(&answers[..n])).await?;
                near.flush().await?;
                if n == 0 || answer.left == Some(0) {
                    return Ok(answer.left == Some(0));
                }
            }
        }
    }
}

/// An answer on its way.
#[derive(Default)]
struct Answer {
    /// What came of its head, until all of it is there.
    head: Vec<u8>,
    over: bool,
    /// Bytes of its body that are still to come, if it says how many there are.
    left: Option<usize>,
}

impl Answer {
    /// What is passed on of the next bytes: the head once it is whole, and without the word that the
    /// connection closes if the body's length is told.
    fn passed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.over {
            self.left = self.left.map(|left| left.saturating_sub(bytes.len()));
            return bytes.to_vec();
        }
        self.head.extend_from_slice(bytes);
        let mut passed = Vec::new();
        while let Some(end) = find(&self.head, b"\r\n\r\n").map(|at| at + 4) {
            let body = self.head.split_off(end);
            let mut head = std::mem::replace(&mut self.head, body);
            // "Continue": the answer comes after it.
            if head.starts_with(b"HTTP/1.1 1") {
                passed.append(&mut head);
                continue;
            }
            self.over = true;
            let lower = head.to_ascii_lowercase();
            self.left = length(&lower).map(|length| length.saturating_sub(self.head.len()));
            let closes = find(&lower, CLOSES).filter(|_| self.left.is_some());
            if let Some(at) = closes {
                head.drain(at..at + CLOSES.len());
            }
            passed.append(&mut head);
            passed.append(&mut self.head);
            break;
        }
        passed
    }
}

fn length(head: &[u8]) -> Option<usize> {
    let at = find(head, LENGTH)? + LENGTH.len();
    let text = std::str::from_utf8(&head[at..]).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|some| some == wanted)
}
