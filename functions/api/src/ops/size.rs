//! How large a text becomes in an answer, whichever form the answer has. Bytes of the text alone
//! don't bound it: a quote is five bytes of a page, an escape is six of JSON and a tag of a page.
//!
//! The bounds hold for JSON, for the console's HTML, and for that HTML inside JSON.

/// What all of one answer's texts may come to; the rest of a megabyte is for what is around them.
pub(crate) const ANSWER_BYTES: usize = 700 * 1024;

/// The most that one byte of UTF-8 can become.
fn grown(byte: u8) -> usize {
    match byte {
        // Colours: a span with its classes, opened and closed; on each line anew.
        0x1b => 48,
        b'\n' => 36,
        b'"' | b'\\' | b'&' | b'<' | b'>' | b'\'' | 0x00..=0x1f | 0x7f => 6,
        _ => 1,
    }
}

pub(crate) fn cost(text: &str) -> usize {
    text.bytes().map(grown).sum()
}

/// How many bytes from the start fit into `room`.
pub(crate) fn prefix(bytes: &[u8], room: usize) -> usize {
    count(bytes.iter(), room)
}

/// How many bytes from the end fit into `room`.
pub(crate) fn suffix(bytes: &[u8], room: usize) -> usize {
    count(bytes.iter().rev(), room)
}

fn count<'a>(bytes: impl Iterator<Item = &'a u8>, room: usize) -> usize {
    let mut left = room;
    bytes
        .take_while(|byte| match left.checked_sub(grown(**byte)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count()
}
