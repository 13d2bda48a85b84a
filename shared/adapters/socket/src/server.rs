//! The control plane's end: who calls, whether they may, then the port's own answer.
use crate::allow::Denied;
use crate::wire::{
    BODY_BYTES_MAX, Call, FrameError, Hello, PROTOCOL, Reply, pack, read_frame, write_frame,
};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use windlass_core::id::{InstanceId, PoolId};
use windlass_ports::{Blobs, Docs, Fault, Outgoing, PutError, Queues, Secrets, Version};

/// What workers reach through the socket.
#[derive(Clone)]
pub struct Ports {
    pub docs: Arc<dyn Docs>,
    pub queues: Arc<dyn Queues>,
    pub blobs: Arc<dyn Blobs>,
    pub secrets: Arc<dyn Secrets>,
}

/// Says who may come in, and what each may do.
#[async_trait]
pub trait Gate: Send + Sync {
    fn admit(&self, hello: &Hello) -> Result<(), Denied>;
    /// `Poison` for what is not allowed; other faults when that can't be told now.
    async fn check(
        &self,
        worker: &InstanceId,
        pool: &PoolId,
        call: &Call,
        body: &[u8],
    ) -> Result<(), Fault>;
}

/// Connections served at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// A greeting, or the rest of a frame that has begun, must arrive within this.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// After a failed accept (no more file descriptors): time for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped; then all connections are closed.
pub async fn serve(listener: UnixListener, ports: Ports, gate: Arc<dyn Gate>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Never closed, so it never fails.
        let Ok(place) = free.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (ports, gate) = (ports.clone(), gate.clone());
        connections.spawn(async move {
            // However a conversation ends, the other side has heard of it or is gone.
            let _ = converse(stream, &ports, &*gate).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(
    mut stream: UnixStream,
    ports: &Ports,
    gate: &dyn Gate,
) -> Result<(), FrameError> {
    let (hello, _) = next_frame::<Hello>(&mut stream).await?;
    if let Err(denied) = admit(gate, &hello) {
        return write_frame(&mut stream, &denied, &[]).await;
    }
    write_frame(&mut stream, &Reply::Done, &[]).await?;
    loop {
        // A worker may be silent for as long as it likes between calls.
        stream.readable().await?;
        let (call, body) = next_frame::<Call>(&mut stream).await?;
        let queue = match &call {
            Call::Receive { queue, .. } => Some(queue.clone()),
            _ => None,
        };
        let mut work = std::pin::pin!(answer(ports, gate, &hello, call, body));
        let (reply, body) = tokio::select! {
            answer = &mut work => answer,
            () = gone(&stream) => {
                // What is half done is done to its end: a dropped receive could have taken a
                // message already.
                hand_back(ports, queue.as_deref(), work.await.0).await;
                return Err(FrameError::Ended);
            }
        };
        if let Err(error) = write_frame(&mut stream, &reply, &body).await {
            hand_back(ports, queue.as_deref(), reply).await;
            return Err(error);
        }
    }
}

fn admit(gate: &dyn Gate, hello: &Hello) -> Result<(), Reply> {
    if hello.protocol != PROTOCOL {
        let what = "the worker and the control plane are of versions that can't talk".to_owned();
        return Err(Reply::Poison { what });
    }
    gate.admit(hello).map_err(|denied| Reply::Poison { what: denied.to_string() })
}

/// Reads a frame; one that can't be read is answered before the connection is closed.
async fn next_frame<T: serde::de::DeserializeOwned>(
    stream: &mut UnixStream,
) -> Result<(T, Vec<u8>), FrameError> {
    let frame = tokio::time::timeout(FRAME_TIMEOUT, read_frame(stream)).await;
    let error = match frame.unwrap_or(Err(FrameError::Ended)) {
        Ok(frame) => return Ok(frame),
        Err(error) => error,
    };
    if matches!(error, FrameError::Garbage | FrameError::TooBig { .. }) {
        let refusal = Reply::Poison { what: format!("not allowed: {error}") };
        write_frame(stream, &refusal, &[]).await?;
    }
    Err(error)
}

/// Returns when the other end has closed, or says something while it ought to listen.
async fn gone(stream: &UnixStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut [0]) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

/// Messages that nobody is there to hear of become visible at once, not after their time.
async fn hand_back(ports: &Ports, queue: Option<&str>, reply: Reply) {
    let (Some(queue), Reply::Deliveries { heads }) = (queue, reply) else { return };
    for head in heads {
        let _ = ports.queues.extend(queue, head.receipt(), 0).await;
    }
}

async fn answer(
    ports: &Ports,
    gate: &dyn Gate,
    hello: &Hello,
    call: Call,
    body: Vec<u8>,
) -> (Reply, Vec<u8>) {
    let result = match gate.check(&hello.worker, &hello.pool, &call, &body).await {
        Ok(()) => perform(ports, call, body).await,
        Err(fault) => Err(fault),
    };
    match result {
        Ok((_, body)) if body.len() > BODY_BYTES_MAX => {
            let what = format!("{} bytes can't be sent; at most {BODY_BYTES_MAX} can", body.len());
            (Reply::Poison { what }, Vec::new())
        }
        Ok(answer) => answer,
        Err(fault) => (faulted(&fault), Vec::new()),
    }
}

fn faulted(fault: &Fault) -> Reply {
    // The other end's fault says again what a retryable one always says.
    let what = fault.chain();
    match fault.is_retryable() {
        true => Reply::Retryable { what: what.replacen("; it will be tried again", "", 1) },
        false => Reply::Poison { what },
    }
}

async fn perform(ports: &Ports, call: Call, body: Vec<u8>) -> Result<(Reply, Vec<u8>), Fault> {
    match call {
        Call::GetDoc { .. }
        | Call::PutDoc { .. }
        | Call::DeleteDoc { .. }
        | Call::ListDocs { .. } => documents(&*ports.docs, call, body).await,
        Call::Send { .. }
        | Call::Receive { .. }
        | Call::Delete { .. }
        | Call::Extend { .. }
        | Call::Depth { .. } => queues(&*ports.queues, call, body).await,
        Call::PutBlob { .. }
        | Call::GetBlob { .. }
        | Call::ListBlobs { .. }
        | Call::DeleteBlob { .. } => blobs(&*ports.blobs, call, body).await,
        Call::GetSecret { .. }
        | Call::SetSecret { .. }
        | Call::RemoveSecret { .. }
        | Call::ListSecrets => secrets(&*ports.secrets, call, body).await,
    }
}

type Answer = Result<(Reply, Vec<u8>), Fault>;

fn bare(reply: Reply) -> Answer {
    Ok((reply, Vec::new()))
}

fn found(body: Option<Vec<u8>>) -> Answer {
    body.map_or_else(|| bare(Reply::Absent), |body| Ok((Reply::Found, body)))
}

fn list(items: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(items)
        .map_err(|e| Fault::poison_from("the list does not serialise", e))?;
    Ok((Reply::Found, body))
}

fn put<T>(result: Result<T, PutError>, reply: impl FnOnce(T) -> Reply) -> Answer {
    match result {
        Ok(value) => bare(reply(value)),
        Err(PutError::Conflict) => bare(Reply::Conflict),
        Err(PutError::Fault(fault)) => Err(fault),
    }
}

async fn documents(docs: &dyn Docs, call: Call, body: Vec<u8>) -> Answer {
    match call {
        Call::GetDoc { key } => Ok(match docs.get(&key).await? {
            None => (Reply::Absent, Vec::new()),
            Some(found) => {
                let Version(version) = found.version;
                (Reply::FoundDoc { version, age_ms: found.age_ms }, found.body)
            }
        }),
        Call::PutDoc { key, at } => {
            let result = docs.put(&key, Call::expect(at), body).await;
            put(result, |Version(version)| Reply::Put { version })
        }
        Call::DeleteDoc { key, at } => put(docs.delete(&key, &Version(at)).await, |()| Reply::Done),
        Call::ListDocs { prefix, after, limit } => {
            let listed = docs.list(&prefix, after.as_deref(), limit).await?;
            list(&listed.into_iter().map(|l| (l.key, l.version.0)).collect::<Vec<_>>())
        }
        _ => bare(misplaced()),
    }
}

async fn queues(queues: &dyn Queues, call: Call, body: Vec<u8>) -> Answer {
    match call {
        Call::Send { queue, group, dedup, delay_ms } => {
            queues.send(&queue, Outgoing { body, group, dedup, delay_ms }).await?;
            bare(Reply::Done)
        }
        Call::Receive { queue, max, wait_ms, visibility_ms } => {
            Ok(pack(queues.receive(&queue, max, wait_ms, visibility_ms).await?))
        }
        Call::Delete { queue, receipt } => {
            queues.delete(&queue, &receipt).await?;
            bare(Reply::Done)
        }
        Call::Extend { queue, receipt, visibility_ms } => {
            queues.extend(&queue, &receipt, visibility_ms).await?;
            bare(Reply::Done)
        }
        Call::Depth { queue } => bare(Reply::Count { count: queues.depth(&queue).await? }),
        _ => bare(misplaced()),
    }
}

async fn blobs(blobs: &dyn Blobs, call: Call, body: Vec<u8>) -> Answer {
    match call {
        Call::PutBlob { key } => {
            blobs.put(&key, body).await?;
            bare(Reply::Done)
        }
        Call::GetBlob { key } => found(blobs.get(&key).await?),
        Call::ListBlobs { prefix, after, limit } => {
            list(&blobs.list(&prefix, after.as_deref(), limit).await?)
        }
        Call::DeleteBlob { key } => {
            blobs.delete(&key).await?;
            bare(Reply::Done)
        }
        _ => bare(misplaced()),
    }
}

async fn secrets(secrets: &dyn Secrets, call: Call, body: Vec<u8>) -> Answer {
    match call {
        Call::GetSecret { name } => found(secrets.get(&name).await?.map(String::into_bytes)),
        Call::SetSecret { name } => {
            let value = String::from_utf8(body)
                .map_err(|_| Fault::poison("the value of a secret is text"))?;
            secrets.set(&name, &value).await?;
            bare(Reply::Done)
        }
        Call::RemoveSecret { name } => {
            let was_there = secrets.remove(&name).await?;
            bare(if was_there { Reply::Done } else { Reply::Absent })
        }
        Call::ListSecrets => list(&secrets.names().await?),
        _ => bare(misplaced()),
    }
}

/// [`perform`] sends each call to its own port, so this is never said.
fn misplaced() -> Reply {
    Reply::Poison { what: "the call belongs to another port".to_owned() }
}
