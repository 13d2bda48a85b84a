//! What goes over the socket: frames of a JSON header and raw bytes.
//!
//! A frame is two big-endian 32-bit lengths, then the header, then the body. A connection carries
//! a greeting and then one call at a time; calls in parallel take connections of their own, so
//! that neither a long poll nor a large blob is ever in another call's way.
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use windlass_ports::{Delivery, Expect, Version};

/// A larger body is refused, on either side, before it is read.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Keys, receipts and names; lists travel as bodies.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Rises when a worker of the one version can't talk to a control plane of the other.
pub(crate) const PROTOCOL: u32 = 1;
/// Memory taken ahead of the bytes that a length announces.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// The first frame of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub worker: windlass_core::id::InstanceId,
    pub pool: windlass_core::id::PoolId,
    pub token: String,
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hello({} of {})", self.worker, self.pool)
    }
}

/// One call of one port. Bodies of documents, messages and blobs, and values of secrets, are the
/// frame's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    GetDoc {
        key: String,
    },
    /// `at` is the version to replace; none: the key must be absent.
    PutDoc {
        key: String,
        at: Option<String>,
    },
    DeleteDoc {
        key: String,
        at: String,
    },
    ListDocs {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
    Send {
        queue: String,
        group: Option<String>,
        dedup: Option<String>,
        delay_ms: u64,
    },
    Receive {
        queue: String,
        max: usize,
        wait_ms: u64,
        visibility_ms: u64,
    },
    Delete {
        queue: String,
        receipt: String,
    },
    Extend {
        queue: String,
        receipt: String,
        visibility_ms: u64,
    },
    Depth {
        queue: String,
    },
    PutBlob {
        key: String,
    },
    GetBlob {
        key: String,
    },
    ListBlobs {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
    DeleteBlob {
        key: String,
    },
    GetSecret {
        name: String,
    },
    SetSecret {
        name: String,
    },
    RemoveSecret {
        name: String,
    },
    ListSecrets,
}

impl Call {
    pub(crate) fn expect(at: Option<String>) -> Expect {
        at.map_or(Expect::Absent, |at| Expect::At(Version(at)))
    }
}

/// The answer to a call (and to a greeting).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    Done,
    /// What was asked for does not exist.
    Absent,
    /// The body is what was asked for.
    Found,
    FoundDoc {
        version: String,
        age_ms: u64,
    },
    Put {
        version: String,
    },
    Conflict,
    Deliveries {
        heads: Vec<DeliveryHead>,
    },
    Count {
        count: u64,
    },
    /// `what` holds the whole chain of causes.
    Retryable {
        what: String,
    },
    Poison {
        what: String,
    },
}

/// A delivery without its body: bodies follow each other in the frame's body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryHead {
    bytes: usize,
    group: Option<String>,
    receipt: String,
    receives: u32,
    message_id: String,
}

impl DeliveryHead {
    pub(crate) fn receipt(&self) -> &str {
        &self.receipt
    }
}

pub(crate) fn pack(deliveries: Vec<Delivery>) -> (Reply, Vec<u8>) {
    let mut body = Vec::new();
    let heads = deliveries.into_iter().map(|delivery| {
        body.extend_from_slice(&delivery.body);
        let Delivery { group, receipt, receives, message_id, .. } = delivery;
        DeliveryHead { bytes: delivery.body.len(), group, receipt, receives, message_id }
    });
    let heads = heads.collect();
    (Reply::Deliveries { heads }, body)
}

/// None when the lengths and the body disagree.
pub(crate) fn unpack(heads: Vec<DeliveryHead>, body: &[u8]) -> Option<Vec<Delivery>> {
    let mut rest = body;
    let deliveries = heads.into_iter().map(|head| {
        let (body, tail) = rest.split_at_checked(head.bytes)?;
        rest = tail;
        let DeliveryHead { group, receipt, receives, message_id, .. } = head;
        Some(Delivery { body: body.to_vec(), group, receipt, receives, message_id })
    });
    let deliveries = deliveries.collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(deliveries)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the frame announces {bytes} bytes; at most {max} are taken")]
    TooBig { bytes: usize, max: usize },
    #[error("the connection ended")]
    Ended,
    // Without the cause: it would quote what was received.
    #[error("the frame is not understood")]
    Garbage,
    #[error("the connection broke")]
    Broken(#[source] io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Broken(error),
        }
    }
}

pub(crate) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    header: &impl Serialize,
    body: &[u8],
) -> Result<(), FrameError> {
    let header = serde_json::to_vec(header).map_err(|_| FrameError::Garbage)?;
    let header_len = checked_len(header.len(), HEADER_BYTES_MAX)?;
    let body_len = checked_len(body.len(), BODY_BYTES_MAX)?;
    let mut start = Vec::with_capacity(8 + header.len());
    start.extend_from_slice(&header_len.to_be_bytes());
    start.extend_from_slice(&body_len.to_be_bytes());
    start.extend_from_slice(&header);
    stream.write_all(&start).await?;
    stream.write_all(body).await?;
    Ok(())
}

pub(crate) async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<(T, Vec<u8>), FrameError> {
    let header_len = stream.read_u32().await? as usize;
    let body_len = stream.read_u32().await? as usize;
    checked_len(header_len, HEADER_BYTES_MAX)?;
    checked_len(body_len, BODY_BYTES_MAX)?;
    let header = read_bytes(stream, header_len).await?;
    let body = read_bytes(stream, body_len).await?;
    let header = serde_json::from_slice(&header).map_err(|_| FrameError::Garbage)?;
    Ok((header, body))
}

fn checked_len(bytes: usize, max: usize) -> Result<u32, FrameError> {
    let too_big = FrameError::TooBig { bytes, max };
    if bytes > max {
        return Err(too_big);
    }
    u32::try_from(bytes).map_err(|_| too_big)
}

async fn read_bytes(
    stream: &mut (impl AsyncRead + Unpin),
    len: usize,
) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(len.min(AHEAD_BYTES_MAX));
    let read = stream.take(len as u64).read_to_end(&mut bytes).await?;
    if read == len { Ok(bytes) } else { Err(FrameError::Ended) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_whole() {
        let call = Call::GetDoc { key: "ü".into() };
        for body in [vec![], vec![0, 1, 255], vec![7; 3_000_000]] {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, &call, &body).await.unwrap();
            let (again, same) = read_frame::<Call>(&mut bytes.as_slice()).await.unwrap();
            assert!(again == call && same == body);
            for cut in [1, 7, 9, bytes.len() - 1] {
                let cut = read_frame::<Call>(&mut &bytes[..cut]).await;
                assert!(matches!(cut, Err(FrameError::Ended)), "{cut:?}");
            }
        }
    }

    #[tokio::test]
    async fn odd_frames_are_refused() {
        let frame = |header: u32, body: u32, rest: &[u8]| {
            [&header.to_be_bytes()[..], &body.to_be_bytes()[..], rest].concat()
        };
        for (name, bytes, expect) in [
            ("header too big", frame(65_537, 0, b""), "at most 65536"),
            ("body too big", frame(2, 67_108_865, b"{}"), "at most 67108864"),
            ("all ones", vec![255; 64], "at most 65536"),
            ("not JSON", frame(2, 0, b"xx"), "not understood"),
            ("no call", frame(2, 0, b"{}"), "not understood"),
            ("nothing", frame(0, 0, b""), "not understood"),
            ("an unknown call", frame(15, 0, br#"{"call":"erase"}"#), "not understood"),
        ] {
            let error = read_frame::<Call>(&mut bytes.as_slice()).await.unwrap_err();
            assert!(error.to_string().contains(expect), "{name}: {error}");
        }
        let large = vec![0; BODY_BYTES_MAX + 1];
        let error = write_frame(&mut Vec::new(), &Call::ListSecrets, &large).await.unwrap_err();
        assert!(matches!(error, FrameError::TooBig { .. }), "{error}");
    }

    #[test]
    fn deliveries_that_do_not_add_up_are_refused() {
        let delivery = |body: &[u8]| Delivery {
            body: body.to_vec(),
            group: None,
            receipt: "r".into(),
            receives: 1,
            message_id: "m".into(),
        };
        let all = vec![delivery(b"one"), delivery(b""), delivery(b"three")];
        let (reply, body) = pack(all.clone());
        let Reply::Deliveries { heads } = reply else { panic!("{reply:?}") };
        assert_eq!(unpack(heads.clone(), &body), Some(all));
        assert_eq!(unpack(heads.clone(), &body[1..]), None);
        assert_eq!(unpack(heads[1..].to_vec(), &body), None);
    }
}
