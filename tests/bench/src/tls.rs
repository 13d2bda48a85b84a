//! TLS before the AWS API server: functions speak to AWS over TLS 1.3, and what that costs belongs
//! to their start.
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A port that speaks TLS and hands what it hears to `behind`.
pub(crate) struct Front {
    pub(crate) endpoint: String,
    /// Our certificate alone, for those that add it to their own.
    pub(crate) authority: PathBuf,
    /// This system's certificates and ours, in one file.
    pub(crate) bundle: PathBuf,
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
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), behind));
        Ok(Self { endpoint, authority, bundle, _runtime: runtime })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(mut near) = acceptor.accept(stream).await else { return };
            let Ok(mut far) = TcpStream::connect(behind).await else { return };
            let _ = far.set_nodelay(true);
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
