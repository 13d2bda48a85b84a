//! TLS before the AWS API server: functions speak to AWS over TLS 1.3, and what that costs belongs
//! to their start.
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, WriteHalf};
use tokio::net::tcp::OwnedReadHalf;
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

/// When the last bytes of a request went to the server; 0 while it owes no answer.
#[derive(Default)]
struct Asked(AtomicU64);

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
            let Ok(far) = TcpStream::connect(behind).await else { return };
            let _ = far.set_nodelay(true);
            carry(near, far, thought).await;
        });
    }
}

/// Both ways, until either side has had enough.
async fn carry(near: TlsStream<TcpStream>, far: TcpStream, thought: Thought) {
    let (mut asks, answers) = tokio::io::split(near);
    let (server_says, mut server_hears) = far.into_split();
    let (began, asked) = (Instant::now(), Asked::default());
    let there = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = asks.read(&mut bytes).await {
            if server_hears.write_all(&bytes[..n]).await.is_err() {
                break;
            }
            asked.0.store(since(began), Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = there => {}
        () = back(server_says, answers, began, &asked, &thought) => {}
    }
}

async fn back(
    mut server_says: OwnedReadHalf,
    mut answers: WriteHalf<TlsStream<TcpStream>>,
    began: Instant,
    asked: &Asked,
    thought: &Thought,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = server_says.read(&mut bytes).await {
        let at = asked.0.swap(0, Ordering::Relaxed);
        if at > 0 {
            thought.total_ns.fetch_add(since(began).saturating_sub(at), Ordering::Relaxed);
        }
        if answers.write_all(&bytes[..n]).await.is_err() {
            break;
        }
        let _ = answers.flush().await;
    }
}

/// Never 0.
fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}
