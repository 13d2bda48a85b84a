//! Blanks secrets out of a stream of log bytes: across chunk borders, line by line, in clear, in
//! base64 and URL-encoded.
//!
//! A secret of several lines (a key) is masked by each of its lines, because a tool indents and
//! prefixes them. The command `::add-mask VALUE` on a line of its own adds a value for the rest of
//! the job. What is let through early (a prompt without its line end) holds back whatever may be
//! the beginning of a secret.
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeSet;
use std::ops::Range;
use windlass_ports::secrets::SECRET_CHARS_MIN;

/// Stands where a secret was.
pub const MASK: &str = "***";
/// A line that grows beyond this is let through in pieces.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;
const ADD_MASK: &[u8] = b"::add-mask ";

/// What must not be seen, compiled.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    forms: BTreeSet<Vec<u8>>,
    finder: Option<AhoCorasick>,
}

impl Masks {
    /// Adds these values in every form that a tool may print them in. Values shorter than
    /// [`SECRET_CHARS_MIN`] are left alone: blanking them would blank half the log.
    pub fn add<'a>(&mut self, values: impl IntoIterator<Item = &'a str>) {
        let before = self.forms.len();
        for value in values {
            self.forms.extend(forms(value));
        }
        if self.forms.len() > before {
            // It can fail only beyond the automaton's size limit; then masking byte by byte is
            // impossible and the forms that fit before stay in force.
            if let Ok(finder) =
                AhoCorasick::builder().match_kind(MatchKind::Standard).build(&self.forms)
            {
                self.finder = Some(finder);
            }
        }
    }

    /// The text without any secret.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// True if the text holds a secret.
    #[must_use]
    pub fn hits(&self, text: &str) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        blank(bytes, &self.ranges(bytes))
    }

    /// Where secrets lie; overlapping ones are one range, so that no end of a second one shows.
    fn ranges(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(finder) = &self.finder else { return Vec::new() };
        let mut ranges: Vec<Range<usize>> =
            finder.find_overlapping_iter(bytes).map(|found| found.range()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Where the bytes may have to be cut so that no secret is split: before the longest end that
    /// begins a form.
    fn safe(&self, bytes: &[u8]) -> usize {
        let longest = self.forms.iter().map(Vec::len).max().unwrap_or(0);
        let from = bytes.len().saturating_sub(longest.saturating_sub(1));
        let begins = |at: &usize| {
            let end = &bytes[*at..];
            self.forms.iter().any(|form| form.len() > end.len() && form.starts_with(end))
        };
        (from..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

fn blank(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in ranges {
        out.extend_from_slice(&bytes[from..range.start]);
        out.extend_from_slice(MASK.as_bytes());
        from = range.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

/// A value in clear, line by line, URL-encoded in the usual ways, JSON-escaped, and as it looks
/// inside base64 at each of the three alignments.
fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    let whole = value.trim_end_matches(['\n', '\r']);
    for part in std::iter::once(whole).chain(whole.lines().map(str::trim)) {
        if part.chars().count() < SECRET_CHARS_MIN {
            continue;
        }
        if !part.contains('\n') {
            forms.insert(part.as_bytes().to_vec());
            forms.extend(url_forms(part));
            forms.insert(json_form(part));
        }
        forms.extend(base64_forms(part.as_bytes()));
    }
    // `base64` of a file includes its last line end.
    if whole.len() != value.len() && whole.chars().count() >= SECRET_CHARS_MIN {
        forms.extend(base64_forms(value.as_bytes()));
    }
    forms
}

fn json_form(part: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(part).to_string();
    quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(&quoted).as_bytes().to_vec()
}

fn url_forms(part: &str) -> Vec<Vec<u8>> {
    let encode = |safe: &str, upper: bool, plus: bool| {
        let mut out = Vec::with_capacity(part.len());
        for byte in part.bytes() {
            match byte {
                b' ' if plus => out.push(b'+'),
                _ if byte.is_ascii_alphanumeric() || safe.as_bytes().contains(&byte) => {
                    out.push(byte);
                }
                _ if upper => out.extend(format!("%{byte:02X}").bytes()),
                _ => out.extend(format!("%{byte:02x}").bytes()),
            }
        }
        out
    };
    // RFC 3986 unreserved; what leaves a path alone; and HTML forms.
    let safe = ["-._~", "-._~/", "-._~!*'()", "-._*"];
    let forms = safe.iter().flat_map(|safe| {
        [true, false].into_iter().flat_map(move |upper| [(safe, upper, false), (safe, upper, true)])
    });
    forms.map(|(safe, upper, plus)| encode(safe, upper, plus)).collect()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The characters that depend on nothing but the value, wherever in a longer text it stands when
/// that is encoded (`user:password`).
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        // Encoded on its own, with and without padding, it goes to the last character.
        let mut whole = base64(value, alphabet);
        forms.push(whole.clone());
        whole.resize(whole.len().next_multiple_of(4), b'=');
        forms.push(whole);
        for shift in 0..3_usize {
            let mut padded = vec![0_u8; shift];
            padded.extend_from_slice(value);
            let text = base64(&padded, alphabet);
            // Characters that also hold bits of what stands before or behind.
            let head = [0, 2, 3][shift];
            let tail = if (shift + value.len()).is_multiple_of(3) { 0 } else { 1 };
            if text.len() > head + tail + 4 {
                forms.push(text[head..text.len() - tail].to_vec());
            }
        }
    }
    forms
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for sextet in 0..=chunk.len() {
            out.push(alphabet[(word >> (18 - 6 * sextet)) as usize & 63]);
        }
    }
    out
}

/// The stream: bytes in, masked bytes out, the end of an unfinished line held back.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    held: Vec<u8>,
}

impl Stream {
    /// What can be let through after these bytes: whole lines, and pieces of an endless one.
    pub(crate) fn push(&mut self, masks: &mut Masks, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::new();
        if let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.held.split_off(end + 1);
            let lines = std::mem::replace(&mut self.held, rest);
            learn(masks, &lines);
            out = masks.bytes(&lines);
        }
        if self.held.len() > LINE_BYTES_MAX {
            out.extend(self.cut(masks));
        }
        out
    }

    /// After a pause: the unfinished line too, but for what may begin a secret or a command.
    pub(crate) fn pause(&mut self, masks: &Masks) -> Vec<u8> {
        let command = &self.held[..self.held.len().min(ADD_MASK.len())];
        if ADD_MASK.starts_with(command) { Vec::new() } else { self.cut(masks) }
    }

    /// At the end: everything.
    pub(crate) fn finish(&mut self, masks: &mut Masks) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        learn(masks, &rest);
        masks.bytes(&rest)
    }

    /// How much is held back.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// What is held back, as it came.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn cut(&mut self, masks: &Masks) -> Vec<u8> {
        let ranges = masks.ranges(&self.held);
        let mut safe = masks.safe(&self.held);
        if let Some(split) = ranges.iter().find(|range| range.contains(&safe)) {
            safe = split.start;
        }
        let rest = self.held.split_off(safe);
        let head = std::mem::replace(&mut self.held, rest);
        let ranges: Vec<_> = ranges.into_iter().take_while(|range| range.end <= safe).collect();
        blank(&head, &ranges)
    }
}

/// Obeys the commands among these lines.
pub(crate) fn learn(masks: &mut Masks, lines: &[u8]) {
    if !lines.windows(2).any(|pair| pair == b"::") {
        return;
    }
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(value) = line.strip_prefix(ADD_MASK) {
            masks.add([String::from_utf8_lossy(value).trim()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(values: &[&str]) -> Masks {
        let mut masks = Masks::default();
        masks.add(values.iter().copied());
        masks
    }

    #[test]
    fn secrets_in_every_form() {
        let key = "-----BEGIN-----\n  abcdefgh\nxyz\n-----END-----\n";
        #[rustfmt::skip]
        let table = [
            // secret,        log,                                   stored
            ("hunter2",       "a hunter2 b",                         "a *** b"),
            ("hunter2",       "hunter2hunter2",                      "******"),
            ("hunter2",       "hunter",                              "hunter"),
            ("tiny",          "tiny is too short to mask",           "tiny is too short to mask"),
            ("p@ss w/rd",     "?q=p%40ss%20w%2Frd&r",                "?q=***&r"),
            ("p@ss w/rd",     "?q=p%40ss%20w%2frd&r",                "?q=***&r"),
            ("p@ss w/rd",     "?q=p%40ss+w%2Frd&r",                  "?q=***&r"),
            ("p@ss w/rd",     "/p%40ss%20w/rd/",                     "/***/"),
            ("say \"hi\"!",   r#"{"a":"say \"hi\"!"}"#,              r#"{"a":"***"}"#),
            ("hunter2",       "aHVudGVyMg==",                        "***"),
            ("hunter2",       "Basic dXNlcjpodW50ZXIy",              "Basic dXNlcjp***"),
            ("hunter2\n",     "aHVudGVyMgo=",                        "***"),
            ("aaaaabbbbb",    "aaaaaaaaabbbbbbb",                    "aaaa***bb"),
            (key,             "k = abcdefgh and xyz",                "k = *** and xyz"),
            (key,             "-----BEGIN-----",                     "***"),
        ];
        for (secret, log, stored) in table {
            assert_eq!(masks(&[secret]).text(log), stored, "{secret:?} in {log:?}");
        }
        assert_eq!(masks(&["abcdef", "defghi"]).text("xabcdefghix"), "x***x", "overlapping");
        assert_eq!(Masks::default().text("nothing"), "nothing");
    }

    #[test]
    fn base64_of_a_longer_text_hides_the_secret_at_every_alignment() {
        let masks = masks(&["correct-horse"]);
        for before in ["", "u", "us", "use:", "user:"] {
            for after in ["", "x", "yz", "\n"] {
                for alphabet in [STANDARD, URL_SAFE] {
                    let plain = format!("{before}correct-horse{after}");
                    let text = String::from_utf8(base64(plain.as_bytes(), alphabet)).unwrap();
                    assert!(masks.hits(&text), "{plain:?} as {text}");
                    let left = masks.text(&text).replace(MASK, "").len();
                    assert!(left <= (before.len() + after.len() + 4) * 4 / 3 + 2, "{left} {text}");
                }
            }
        }
    }

    #[test]
    fn chunk_borders_and_pauses_never_split_a_secret() {
        let log = "one hunter2 two\nthree aHVudGVyMg== four hunter2 and hun\nno line end hunter2";
        let whole = masks(&["hunter2"]).text(log);
        for size in 1..log.len() {
            for pauses in [false, true] {
                let (mut masks, mut stream) = (masks(&["hunter2"]), Stream::default());
                let mut out = Vec::new();
                for chunk in log.as_bytes().chunks(size) {
                    out.extend(stream.push(&mut masks, chunk));
                    if pauses {
                        out.extend(stream.pause(&masks));
                    }
                }
                out.extend(stream.finish(&mut masks));
                assert_eq!(String::from_utf8(out).unwrap(), whole, "chunks of {size}, {pauses}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_let_through_in_pieces() {
        let (mut masks, mut stream) = (masks(&["hunter2"]), Stream::default());
        let mut out = stream.push(&mut masks, &vec![b'x'; LINE_BYTES_MAX]);
        assert_eq!(out.len(), 0);
        out.extend(stream.push(&mut masks, b"xhunt"));
        assert_eq!(out.len(), LINE_BYTES_MAX + 1, "all but what may begin a secret");
        out.extend(stream.push(&mut masks, b"er2\n"));
        assert!(out.ends_with(b"x***\n"));
    }

    #[test]
    fn a_command_masks_from_its_own_line_on() {
        let log = "before s3cr3t\n::add-mask s3cr3t\nafter s3cr3t\n";
        for size in 1..log.len() {
            let (mut masks, mut stream) = (Masks::default(), Stream::default());
            let mut out = Vec::new();
            for chunk in log.as_bytes().chunks(size) {
                out.extend(stream.push(&mut masks, chunk));
                out.extend(stream.pause(&masks));
            }
            let out = String::from_utf8(out).unwrap();
            assert!(out.ends_with("::add-mask ***\nafter ***\n"), "chunks of {size}: {out}");
        }
    }
}
