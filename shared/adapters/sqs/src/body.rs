//! How a body travels: as it is, encoded, or as the key of a blob.
//!
//! The mark stands in the body itself, so that whoever gets a message by another way than
//! `receive` (a function that SQS calls) needs nothing else to read it.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use windlass_core::keys;
use windlass_ports::{Blobs, Fault};

/// A longer body lies beside the queue. SQS takes 1 MiB, in one message or in a batch of ten, and
/// a function gets up to 6 MB in one call: five such bodies still fit into one batch, and a batch
/// of ten into one call.
pub const BODY_BYTES_MAX: usize = 200 * 1_024;

/// None of these begins a JSON text. A body that begins so itself is encoded.
const MARK: &str = "windlass-";
const ENCODED: &str = "windlass-base64:";
const ELSEWHERE: &str = "windlass-blob:";

/// The text to send for this body.
pub(crate) async fn seal(blobs: &dyn Blobs, body: Vec<u8>) -> Result<String, Fault> {
    if body.len() > BODY_BYTES_MAX {
        return lay_beside(blobs, body).await;
    }
    let text = match String::from_utf8(body) {
        Ok(text) if is_plain(&text) => return Ok(text),
        Ok(text) => BASE64.encode(text),
        Err(odd) => BASE64.encode(odd.as_bytes()),
    };
    Ok(format!("{ENCODED}{text}"))
}

/// Under a name of its own, not of its content: it is deleted with its one message.
async fn lay_beside(blobs: &dyn Blobs, body: Vec<u8>) -> Result<String, Fault> {
    let mut id = [0_u8; 16];
    getrandom::fill(&mut id)
        .map_err(|e| Fault::retryable(format!("the system gives no random bytes: {e}")))?;
    let key = keys::message_body(&format!("{:032x}", u128::from_be_bytes(id)));
    blobs.put(&key, body).await?;
    Ok(format!("{ELSEWHERE}{key}"))
}

/// SQS takes these characters only, and at least one of them.
fn is_plain(text: &str) -> bool {
    let allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    !text.is_empty() && !text.starts_with(MARK) && text.chars().all(allowed)
}

/// The body that was sent as this text. None: it lay beside its message and was deleted with it.
/// So somebody has acknowledged the message, and SQS delivers it once more, as it sometimes does:
/// acknowledge it again and do nothing else. What is no message of ours is given as it is, for its
/// reader to refuse.
pub async fn open(blobs: &dyn Blobs, text: &str) -> Result<Option<Vec<u8>>, Fault> {
    if let Some(encoded) = text.strip_prefix(ENCODED) {
        return Ok(Some(BASE64.decode(encoded).unwrap_or_else(|_| text.into())));
    }
    match beside(text) {
        Some(key) => blobs.get(key).await,
        None => Ok(Some(text.as_bytes().to_vec())),
    }
}

/// The key of a body that lies beside its message. Nobody can point anywhere else.
pub(crate) fn beside(text: &str) -> Option<&str> {
    text.strip_prefix(ELSEWHERE).filter(|key| key.starts_with(keys::MESSAGES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_ports::fake::MemBlobs;

    #[tokio::test]
    async fn every_body_comes_back() {
        let blobs = MemBlobs::default();
        let cases: [(&[u8], &str); 9] = [
            (b"{\"intent\":\"push\"}", "{\"intent\":\"push\"}"),
            ("pässwörd ☃ \u{10FFFF}\r\n\t".as_bytes(), "pässwörd ☃ \u{10FFFF}\r\n\t"),
            (b"", "windlass-base64:"),
            (b"a\0b", "windlass-base64:YQBi"),
            (&[0xFF, 0xFE], "windlass-base64://4="),
            ("\u{FFFE}".as_bytes(), "windlass-base64:77++"),
            (b"windlass-", "windlass-base64:d2luZGxhc3Mt"),
            (b"windlass-blob:stacks/a", "windlass-base64:d2luZGxhc3MtYmxvYjpzdGFja3MvYQ=="),
            (b"windlass-base64:YQ==", "windlass-base64:d2luZGxhc3MtYmFzZTY0OllRPT0="),
        ];
        for (body, expected) in cases {
            let text = seal(&blobs, body.to_vec()).await.unwrap();
            assert_eq!(text, expected);
            assert_eq!(open(&blobs, &text).await.unwrap().as_deref(), Some(body), "{text}");
        }
        assert!(blobs.list("", None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_large_body_lies_beside_once_for_each_message() {
        let blobs = MemBlobs::default();
        let fits = seal(&blobs, vec![b'x'; BODY_BYTES_MAX]).await.unwrap();
        assert_eq!((fits.len(), beside(&fits)), (BODY_BYTES_MAX, None));
        let body = vec![b'x'; BODY_BYTES_MAX + 1];
        let texts =
            [seal(&blobs, body.clone()).await.unwrap(), seal(&blobs, body.clone()).await.unwrap()];
        assert_ne!(texts[0], texts[1]);
        blobs.delete(beside(&texts[0]).unwrap()).await.unwrap();
        assert_eq!(open(&blobs, &texts[0]).await.unwrap(), None);
        assert_eq!(open(&blobs, &texts[1]).await.unwrap(), Some(body));
    }

    #[tokio::test]
    async fn a_forged_mark_reads_nothing_else() {
        let blobs = MemBlobs::default();
        blobs.put("private/outputs/a", b"do-not-show-me".to_vec()).await.unwrap();
        for forged in ["windlass-blob:private/outputs/a", "windlass-base64:?"] {
            assert_eq!(open(&blobs, forged).await.unwrap().unwrap(), forged.as_bytes());
        }
    }
}
