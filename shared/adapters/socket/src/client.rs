//! The worker's end: the four ports, each call over a connection that is free or new.
use crate::authority::Token;
use crate::listener::connect;
use crate::wire::{
    BODY_BYTES_MAX, Call, FrameError, Hello, PROTOCOL, Reply, read_frame, unpack, write_frame,
};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use windlass_core::id::{InstanceId, PoolId};
use windlass_ports::{
    Blobs, Delivery, Docs, Expect, Fault, Found, Listed, Outgoing, PutError, Queues, Secrets,
    Version,
};

/// A call that is not answered within this (besides the time it asks to wait) has failed.
const CALL_TIMEOUT_MS: u64 = 30_000;
/// Connections kept for later calls.
const IDLE_MAX: usize = 8;

/// A worker's way to the control plane. Clones share their connections. A call that is dropped
/// closes its connection; messages that it would have received are handed back.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    hello: Hello,
    idle: Mutex<Vec<UnixStream>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?} at {})", self.shared.hello, self.shared.path.display())
    }
}

impl Client {
    /// Connects when first used, and again whenever the control plane was away; meanwhile every
    /// call is `Retryable`. A token that is refused is `Poison`.
    #[must_use]
    pub fn connect(path: &Path, worker: InstanceId, pool: PoolId, token: Token) -> Self {
        let token = token.expose().to_owned();
        let hello = Hello { protocol: PROTOCOL, worker, pool, token };
        let shared = Shared { path: path.to_path_buf(), hello, idle: Mutex::new(Vec::new()) };
        Self { shared: Arc::new(shared) }
    }

    /// Whether the control plane is there and lets this worker in.
    pub async fn check(&self) -> Result<(), Fault> {
        let stream = self.greeted().await?;
        self.give_back(stream);
        Ok(())
    }

    async fn call(&self, call: Call, body: &[u8]) -> Result<(Reply, Vec<u8>), Fault> {
        if body.len() > BODY_BYTES_MAX {
            let bytes = body.len();
            return Err(Fault::poison(format!(
                "a body of {bytes} bytes can't be sent; at most {BODY_BYTES_MAX} can"
            )));
        }
        let wait_ms = if let Call::Receive { wait_ms, .. } = call { wait_ms } else { 0 };
        let limit = Duration::from_millis(CALL_TIMEOUT_MS.saturating_add(wait_ms));
        let answer = tokio::time::timeout(limit, self.ask(&call, body)).await;
        match answer.map_err(|_| Fault::retryable("the control plane does not answer"))?? {
            (Reply::Retryable { what }, _) => Err(Fault::retryable(what)),
            (Reply::Poison { what }, _) => Err(Fault::poison(what)),
            answer => Ok(answer),
        }
    }

    async fn ask(&self, call: &Call, body: &[u8]) -> Result<(Reply, Vec<u8>), Fault> {
        let mut stream = match self.take_idle() {
            None => self.greeted().await?,
            Some(mut used) => match write_frame(&mut used, call, body).await {
                Ok(()) => return self.hear(used).await,
                // It was closed meanwhile, so nothing of this call was understood.
                Err(_) => self.greeted().await?,
            },
        };
        write_frame(&mut stream, call, body).await.map_err(away)?;
        self.hear(stream).await
    }

    async fn hear(&self, mut stream: UnixStream) -> Result<(Reply, Vec<u8>), Fault> {
        let answer = read_frame(&mut stream).await.map_err(away)?;
        self.give_back(stream);
        Ok(answer)
    }

    async fn greeted(&self) -> Result<UnixStream, Fault> {
        let path = &self.shared.path;
        let mut stream = connect(path).await.map_err(|e| away(FrameError::Broken(e)))?;
        write_frame(&mut stream, &self.shared.hello, &[]).await.map_err(away)?;
        match read_frame::<Reply>(&mut stream).await.map_err(away)? {
            (Reply::Done, _) => Ok(stream),
            (Reply::Poison { what }, _) => Err(Fault::poison(what)),
            (Reply::Retryable { what }, _) => Err(Fault::retryable(what)),
            _ => Err(odd()),
        }
    }

    fn take_idle(&self) -> Option<UnixStream> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let stream = idle.pop()?;
            // The other end says nothing unasked: whatever can be read is its end.
            match stream.try_read(&mut [0]) {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Some(stream),
                _ => {}
            }
        }
    }

    fn give_back(&self, stream: UnixStream) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(stream);
        }
    }

    /// A call whose only good answer is that it was done.
    async fn done(&self, call: Call, body: &[u8]) -> Result<(), Fault> {
        match self.call(call, body).await? {
            (Reply::Done, _) => Ok(()),
            _ => Err(odd()),
        }
    }

    async fn listed<T: DeserializeOwned>(&self, call: Call) -> Result<T, Fault> {
        match self.call(call, &[]).await? {
            (Reply::Found, body) => serde_json::from_slice(&body).map_err(|_| odd()),
            _ => Err(odd()),
        }
    }
}

fn away(error: FrameError) -> Fault {
    Fault::retryable_from("the control plane can't be reached", error)
}

fn odd() -> Fault {
    Fault::retryable("the control plane gave an answer that does not fit the question")
}

#[async_trait]
impl Docs for Client {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        match self.call(Call::GetDoc { key: key.into() }, &[]).await? {
            (Reply::Absent, _) => Ok(None),
            (Reply::FoundDoc { version, age_ms }, body) => {
                Ok(Some(Found { version: Version(version), body, age_ms }))
            }
            _ => Err(odd()),
        }
    }

    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        let at = match expect {
            Expect::Absent => None,
            Expect::At(Version(at)) => Some(at),
        };
        match self.call(Call::PutDoc { key: key.into(), at }, &body).await? {
            (Reply::Put { version }, _) => Ok(Version(version)),
            (Reply::Conflict, _) => Err(PutError::Conflict),
            _ => Err(odd().into()),
        }
    }

    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        match self.call(Call::DeleteDoc { key: key.into(), at: expect.0.clone() }, &[]).await? {
            (Reply::Done, _) => Ok(()),
            (Reply::Conflict, _) => Err(PutError::Conflict),
            _ => Err(odd().into()),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        let after = after.map(str::to_owned);
        let call = Call::ListDocs { prefix: prefix.into(), after, limit };
        let pairs: Vec<(String, String)> = self.listed(call).await?;
        let listed = |(key, version)| Listed { key, version: Version(version) };
        Ok(pairs.into_iter().map(listed).collect())
    }
}

#[async_trait]
impl Queues for Client {
    async fn send(&self, queue: &str, message: Outgoing) -> Result<(), Fault> {
        let Outgoing { body, group, dedup, delay_ms } = message;
        self.done(Call::Send { queue: queue.into(), group, dedup, delay_ms }, &body).await
    }

    async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    ) -> Result<Vec<Delivery>, Fault> {
        let call = Call::Receive { queue: queue.into(), max, wait_ms, visibility_ms };
        match self.call(call, &[]).await? {
            (Reply::Deliveries { heads }, body) => unpack(heads, &body).ok_or_else(odd),
            _ => Err(odd()),
        }
    }

    async fn delete(&self, queue: &str, receipt: &str) -> Result<(), Fault> {
        self.done(Call::Delete { queue: queue.into(), receipt: receipt.into() }, &[]).await
    }

    async fn extend(&self, queue: &str, receipt: &str, visibility_ms: u64) -> Result<(), Fault> {
        let (queue, receipt) = (queue.into(), receipt.into());
        self.done(Call::Extend { queue, receipt, visibility_ms }, &[]).await
    }

    async fn depth(&self, queue: &str) -> Result<u64, Fault> {
        match self.call(Call::Depth { queue: queue.into() }, &[]).await? {
            (Reply::Count { count }, _) => Ok(count),
            _ => Err(odd()),
        }
    }
}

#[async_trait]
impl Blobs for Client {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault> {
        self.done(Call::PutBlob { key: key.into() }, &body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.call(Call::GetBlob { key: key.into() }, &[]).await? {
            (Reply::Absent, _) => Ok(None),
            (Reply::Found, body) => Ok(Some(body)),
            _ => Err(odd()),
        }
    }

    /// No worker asks this often enough for a call of its own.
    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        Ok(Blobs::get(self, key).await?.is_some())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let after = after.map(str::to_owned);
        self.listed(Call::ListBlobs { prefix: prefix.into(), after, limit }).await
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.done(Call::DeleteBlob { key: key.into() }, &[]).await
    }
}

#[async_trait]
impl Secrets for Client {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.call(Call::GetSecret { name: name.into() }, &[]).await? {
            (Reply::Absent, _) => Ok(None),
            (Reply::Found, body) => String::from_utf8(body).map(Some).map_err(|_| odd()),
            _ => Err(odd()),
        }
    }

    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.done(Call::SetSecret { name: name.into() }, value.as_bytes()).await
    }

    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        match self.call(Call::RemoveSecret { name: name.into() }, &[]).await? {
            (Reply::Done, _) => Ok(true),
            (Reply::Absent, _) => Ok(false),
            _ => Err(odd()),
        }
    }

    async fn names(&self) -> Result<Vec<String>, Fault> {
        self.listed(Call::ListSecrets).await
    }
}
