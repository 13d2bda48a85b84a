//! Names, times and receipts in SQS's words.
use windlass_core::id::Digest;
use windlass_core::keys;
use windlass_ports::queues::DELAY_MAX_MS;
use windlass_ports::{Fault, Outgoing};

/// The longest wait of one receive, and the longest visibility, in seconds.
const WAIT_SECS_MAX: u64 = 20;
const VISIBILITY_SECS_MAX: u64 = 43_200;
/// Of a group's name or a deduplication id.
const NAME_CHARS_MAX: usize = 128;

fn seconds(ms: u64, max: u64) -> i32 {
    i32::try_from(ms.div_ceil(1_000).min(max)).unwrap_or(i32::MAX)
}

/// Rounded up: a wait is at least as long as it should be.
pub(crate) fn wait_secs(ms: u64) -> i32 {
    seconds(ms, WAIT_SECS_MAX)
}

/// Rounded up: nobody gets a message while its holder believes to have it.
pub(crate) fn visibility_secs(ms: u64) -> i32 {
    seconds(ms, VISIBILITY_SECS_MAX)
}

/// What a message is sent with, beside its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) group: Option<String>,
    pub(crate) dedup: Option<String>,
    pub(crate) delay_secs: Option<i32>,
}

impl Envelope {
    /// A standard queue takes a group as a hint to be fair, locks nothing, and knows no
    /// deduplication; a FIFO queue knows no delay of one message.
    pub(crate) fn of(queue: &str, message: &Outgoing) -> Result<Self, Fault> {
        let group = message.group.as_deref().map(name);
        if !queue.ends_with(".fifo") {
            if message.delay_ms > DELAY_MAX_MS {
                let sentence = format!("{queue} delays a message by 15 minutes at most");
                return Err(Fault::poison(sentence));
            }
            let delay_secs = Some(seconds(message.delay_ms, DELAY_MAX_MS / 1_000));
            return Ok(Self { group, dedup: None, delay_secs });
        }
        let (Some(group), Some(dedup)) = (group, message.dedup.as_deref().map(name)) else {
            let sentence = format!("a message to {queue} needs a group and a deduplication id");
            return Err(Fault::poison(sentence));
        };
        Ok(Self { group: Some(group), dedup: Some(dedup), delay_secs: None })
    }
}

/// SQS takes up to 128 letters, digits and ASCII punctuation. Another name is replaced by its
/// digest: the same for the same, and different for different ones.
fn name(text: &str) -> String {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
        return text.to_owned();
    }
    Digest::of(text.as_bytes()).0
}

/// The receipt that goes out: SQS's own, behind the key of a body that is deleted with it.
pub(crate) fn receipt(own: &str, beside: Option<&str>) -> String {
    beside.map_or_else(|| own.to_owned(), |key| format!("{key} {own}"))
}

/// SQS's own receipt, and the key if there is one.
pub(crate) fn parse_receipt(receipt: &str) -> (&str, Option<&str>) {
    match receipt.split_once(' ') {
        Some((key, own)) if key.starts_with(keys::MESSAGES) => (own, Some(key)),
        _ => (receipt, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_bounded() {
        for (ms, wait, visibility) in [
            (0, 0, 0),
            (1, 1, 1),
            (999, 1, 1),
            (1_000, 1, 1),
            (1_001, 2, 2),
            (20_001, 20, 21),
            (u64::MAX, 20, 43_200),
        ] {
            assert_eq!((wait_secs(ms), visibility_secs(ms)), (wait, visibility), "{ms}");
        }
    }

    #[test]
    fn envelopes_say_what_the_queue_understands() {
        let message = |group: Option<&str>, dedup: Option<&str>, delay_ms| Outgoing {
            body: vec![],
            group: group.map(str::to_owned),
            dedup: dedup.map(str::to_owned),
            delay_ms,
        };
        let envelope = |group: Option<&str>, dedup: Option<&str>, delay_secs| Envelope {
            group: group.map(str::to_owned),
            dedup: dedup.map(str::to_owned),
            delay_secs,
        };
        let (long, odd) = ("x".repeat(129), "stack:ä b");
        let (long_digest, odd_digest) =
            (Digest::of(long.as_bytes()).0, Digest::of(odd.as_bytes()).0);
        let limit = "x".repeat(128);
        for (queue, given, expected) in [
            ("q", message(None, None, 0), Some(envelope(None, None, Some(0)))),
            ("q", message(Some("g"), Some("d"), 1_500), Some(envelope(Some("g"), None, Some(2)))),
            ("q", message(None, None, DELAY_MAX_MS), Some(envelope(None, None, Some(900)))),
            ("q", message(None, None, DELAY_MAX_MS + 1), None),
            (
                "q.fifo",
                message(Some("g"), Some("d"), 5),
                Some(envelope(Some("g"), Some("d"), None)),
            ),
            ("q.fifo", message(Some("g"), None, 0), None),
            ("q.fifo", message(None, Some("d"), 0), None),
            (
                "q.fifo",
                message(Some("stack:a-b"), Some(&limit), 0),
                Some(envelope(Some("stack:a-b"), Some(&limit), None)),
            ),
            (
                "q.fifo",
                message(Some(odd), Some(&long), 0),
                Some(envelope(Some(&odd_digest), Some(&long_digest), None)),
            ),
        ] {
            match (Envelope::of(queue, &given), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected),
                (Err(fault), None) => assert!(!fault.is_retryable()),
                (found, _) => panic!("{queue} {given:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn receipts_carry_their_blob() {
        for (own, key) in [("AQEB+/=", None), ("AQEB+/=", Some("messages/ab")), ("", None)] {
            assert_eq!(parse_receipt(&receipt(own, key)), (own, key));
        }
        assert_eq!(parse_receipt("stacks/a AQEB"), ("stacks/a AQEB", None));
    }
}
