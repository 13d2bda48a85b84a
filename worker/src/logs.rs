//! One step's log: from the file that the tool writes to the parts that are stored.
//!
//! The tool writes to a file, not to us, so that neither our death nor our slowness stops it. We
//! follow the file, mask, make UTF-8 of it, and store at most [`LOG_BYTES_MAX`]: the head as it
//! comes, then one line that says how much was cut, and the tail at the end. On Linux the part of
//! the file that we have read is given back to the disk while the tool goes on writing; elsewhere
//! it lies there until the step ends.
//!
//! A note beside the file says how much of it is stored, so that a next process can store the rest
//! of what a tool said that outlived its worker.
use crate::mask::{LINE_BYTES_MAX, Masks, Stream, learn};
use crate::upload::{Note, Sender};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_core::job::{JobId, Step};
use windlass_core::keys;

/// What is stored of one step, at most.
pub(crate) const LOG_BYTES_MAX: usize = 20 * 1024 * 1024;
const TAIL_BYTES: usize = LOG_BYTES_MAX / 2 - 64 * 1024;
const HEAD_BYTES: usize = LOG_BYTES_MAX / 2 - 64 * 1024;
/// A part is stored when it has this many bytes …
const PART_BYTES: usize = 256 * 1024;
/// … or is this old.
const PART_AGE: Duration = Duration::from_secs(1);
/// Without new bytes for this long, an unfinished line is shown.
const PAUSE: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 64 * 1024;
/// The file gives back what was read in steps of this.
const PUNCH_BYTES: u64 = 8 * 1024 * 1024;
/// The end of a log that reasons are taken from.
const RECENT_BYTES: usize = 64 * 1024;

/// Where parts go: one step's name space and the queue to the store.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub job: JobId,
    pub step: Step,
    pub parts: Sender,
    /// Bytes that this step's log already has, from the script before.
    pub offset: u64,
}

/// Cuts a text into parts and keeps its last bytes.
#[derive(Debug)]
struct Parts {
    place: Place,
    pending: Vec<u8>,
    flushed: Instant,
    /// Ends in an unfinished character, at most three bytes.
    unfinished: Vec<u8>,
    recent: String,
}

impl Parts {
    fn push(&mut self, bytes: &[u8]) {
        let mut bytes = [std::mem::take(&mut self.unfinished).as_slice(), bytes].concat();
        let whole = whole_characters(&bytes);
        self.unfinished = bytes.split_off(whole);
        let text = String::from_utf8_lossy(&bytes);
        self.recent.push_str(&text);
        if self.recent.len() > 2 * RECENT_BYTES {
            let from = self.recent.floor_char_boundary(self.recent.len() - RECENT_BYTES);
            self.recent.drain(..from);
        }
        self.pending.extend_from_slice(text.as_bytes());
        while self.pending.len() >= PART_BYTES {
            let rest = self.pending.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.pending, rest);
            self.store(part, None);
        }
    }

    /// `read`: how many bytes of the file are in what was pushed so far.
    fn flush(&mut self, note: Option<(PathBuf, u64)>) {
        if !self.pending.is_empty() {
            let part = std::mem::take(&mut self.pending);
            let stored = self.place.offset + part.len() as u64;
            let unfinished = self.unfinished.len() as u64;
            let note = note.map(|(file, read)| Note {
                file,
                line: Mark { stored, read: read - unfinished }.to_string(),
            });
            self.store(part, note);
        }
    }

    fn store(&mut self, part: Vec<u8>, note: Option<Note>) {
        self.flushed = Instant::now();
        let key = keys::log_part(&self.place.job, self.place.step, self.place.offset);
        self.place.offset += part.len() as u64;
        self.place.parts.send_noted(key, part, note);
    }

    fn finish(&mut self, note: (PathBuf, u64)) {
        let rest = std::mem::take(&mut self.unfinished);
        self.pending.extend_from_slice(String::from_utf8_lossy(&rest).as_bytes());
        self.flush(Some(note));
    }
}

/// How far a log is stored: so many bytes, made of so many of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub stored: u64,
    pub read: u64,
}

impl Mark {
    /// As noted beside this log file; the start, if nothing was.
    #[must_use]
    pub(crate) fn beside(log: &Path) -> Self {
        let line = fs::read_to_string(noted(log)).unwrap_or_default();
        let mut numbers = line.split(' ').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(stored)), Some(Ok(read))) => Self { stored, read },
            _ => Self::default(),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stored, self.read)
    }
}

fn noted(log: &Path) -> PathBuf {
    log.with_extension("stored")
}

/// Bytes before an unfinished character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    match std::str::from_utf8(&bytes[from..]) {
        Ok(_) => bytes.len(),
        // What starts at `from` may be the rest of a longer character: look for a first byte.
        Err(_) => (from..bytes.len())
            .rev()
            .find(|at| bytes[*at] & 0b1100_0000 != 0b1000_0000)
            .filter(|at| {
                let wanted = match bytes[*at] {
                    0xC0..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    0xF0..=0xF7 => 4,
                    _ => 1,
                };
                bytes.len() - at < wanted
            })
            .unwrap_or(bytes.len()),
    }
}

/// The end of a log whose head is full: raw, masked when it is stored.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    /// Bytes at the end that no complete line covered yet.
    open: usize,
    dropped: u64,
}

impl Tail {
    fn push(&mut self, masks: &mut Masks, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.open += bytes.len();
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                let unread = &self.bytes[self.bytes.len() - self.open..];
                let left = bytes.len() - end - 1;
                learn(masks, &unread[..unread.len() - left]);
                self.open = left;
            }
            // A command is no longer than this.
            None => self.open = self.open.min(LINE_BYTES_MAX),
        }
        if self.bytes.len() > 2 * TAIL_BYTES {
            self.drop_to(TAIL_BYTES);
        }
    }

    fn drop_to(&mut self, keep: usize) {
        let extra = self.bytes.len().saturating_sub(keep);
        self.bytes.drain(..extra);
        self.dropped += extra as u64;
        self.open = self.open.min(self.bytes.len());
    }

    /// What is left, from the start of a line if it begins within reason.
    fn take(mut self) -> (u64, Vec<u8>) {
        self.drop_to(TAIL_BYTES);
        if self.dropped > 0 {
            let reach = &self.bytes[..self.bytes.len().min(READ_BYTES)];
            let line = reach.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            self.drop_to(self.bytes.len() - line);
        }
        (self.dropped, self.bytes)
    }
}

/// Follows one script's output file.
#[derive(Debug)]
pub(crate) struct StepLog {
    file: File,
    noted: PathBuf,
    read: u64,
    punched: u64,
    stream: Stream,
    parts: Parts,
    head_left: usize,
    tail: Option<Tail>,
    grew: Instant,
}

impl StepLog {
    /// Makes the file. `place.offset` counts towards the limit.
    pub(crate) fn create(path: &Path, place: Place) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self::of(file, noted(path), 0, place))
    }

    /// Goes on where another process ended.
    pub(crate) fn resume(path: &Path, read: u64, place: Place) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self::of(file, noted(path), read, place))
    }

    fn of(file: File, noted: PathBuf, read: u64, place: Place) -> Self {
        let used = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let now = Instant::now();
        let parts = Parts {
            place,
            pending: Vec::new(),
            flushed: now,
            unfinished: Vec::new(),
            recent: String::new(),
        };
        Self {
            file,
            noted,
            read,
            punched: 0,
            stream: Stream::default(),
            parts,
            head_left: HEAD_BYTES.saturating_sub(used),
            tail: None,
            grew: now,
        }
    }

    /// Reads what is new and stores what is due. Blocks no longer than reading takes.
    pub(crate) fn poll(&mut self, masks: &mut Masks) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let before = self.read;
        loop {
            let count = self.file.read_at(&mut buffer, self.read)?;
            if count == 0 {
                break;
            }
            self.read += count as u64;
            self.take(masks, &buffer[..count]);
            self.punch();
        }
        if self.read > before {
            self.grew = Instant::now();
        } else if self.tail.is_none() && self.grew.elapsed() > PAUSE {
            let out = self.stream.pause(masks);
            self.show(&out);
        }
        if self.parts.flushed.elapsed() > PART_AGE {
            let read = self.read - self.stream.held_bytes() as u64;
            // What the tail holds is stored only at the end.
            let note = self.tail.is_none().then(|| (self.noted.clone(), read));
            self.parts.flush(note);
        }
        Ok(())
    }

    /// How long nothing was written.
    #[must_use]
    pub(crate) fn silent(&self) -> Duration {
        self.grew.elapsed()
    }

    fn take(&mut self, masks: &mut Masks, bytes: &[u8]) {
        if let Some(tail) = &mut self.tail {
            return tail.push(masks, bytes);
        }
        let out = self.stream.push(masks, bytes);
        self.show(&out);
        if self.head_left == 0 {
            let mut tail = Tail::default();
            tail.push(masks, &self.stream.rest());
            self.tail = Some(tail);
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.parts.push(bytes);
        self.head_left = self.head_left.saturating_sub(bytes.len());
    }

    /// Gives what was read back to the disk. Only a saving: where it can't be done, nothing fails.
    fn punch(&mut self) {
        // An unfinished line is not stored yet.
        let done = self.read.saturating_sub(2 * LINE_BYTES_MAX as u64);
        if done >= self.punched + PUNCH_BYTES {
            give_back(&self.file, self.punched, done - self.punched);
            self.punched = done;
        }
    }

    /// Reads the rest and stores everything. Returns the log's length now and its masked end.
    pub(crate) fn finish(mut self, masks: &mut Masks) -> io::Result<(u64, String)> {
        self.poll(masks)?;
        match self.tail.take() {
            None => {
                let out = self.stream.finish(masks);
                self.parts.push(&out);
            }
            Some(tail) => {
                let (dropped, bytes) = tail.take();
                if dropped > 0 {
                    let line = format!("\n[… {} of this log were cut here …]\n", size(dropped));
                    self.parts.push(line.as_bytes());
                }
                for chunk in bytes.chunks(READ_BYTES) {
                    let out = self.stream.push(masks, chunk);
                    self.parts.push(&out);
                }
                let out = self.stream.finish(masks);
                self.parts.push(&out);
            }
        }
        self.parts.finish((self.noted, self.read));
        Ok((self.parts.place.offset, self.parts.recent))
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(target_os = "linux")]
fn give_back(file: &File, from: u64, length: u64) {
    use nix::fcntl::{FallocateFlags, fallocate};
    let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) else { return };
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    if let Err(error) = fallocate(file, flags, from, length) {
        tracing::debug!(%error, "the read part of a log file stays on disk");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &File, _: u64, _: u64) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Uploads;
    use std::io::Write;
    use std::sync::Arc;
    use windlass_core::job::{Attempt, Phase};
    use windlass_ports::fake::MemBlobs;

    fn job() -> JobId {
        JobId { run: "r".into(), phase: Phase::Plan, round: 0, attempt: Attempt::FIRST }
    }

    /// The stored parts of a log that is written in these chunks, polled after each.
    async fn stored(chunks: &[&[u8]], secret: &str) -> (Vec<(u64, usize)>, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let blobs = Arc::new(MemBlobs::new());
        let uploads = Uploads::start(blobs.clone());
        let place = Place { job: job(), step: Step::Planning, parts: uploads.sender(), offset: 0 };
        let mut log = StepLog::create(&path, place).unwrap();
        let mut tool = File::options().append(true).open(&path).unwrap();
        let mut masks = Masks::default();
        masks.add([secret]);
        for chunk in chunks {
            tool.write_all(chunk).unwrap();
            log.poll(&mut masks).unwrap();
        }
        let (length, recent) = log.finish(&mut masks).unwrap();
        assert_eq!(uploads.finish(Duration::from_secs(5)).await, []);
        let (mut parts, mut text) = (Vec::new(), String::new());
        for (key, body) in blobs.dump() {
            let offset = key.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(offset, text.len() as u64, "a part's name is its offset");
            parts.push((offset, body.len()));
            text.push_str(std::str::from_utf8(&body).unwrap());
        }
        assert_eq!(length, text.len() as u64);
        (parts, text, recent)
    }

    #[tokio::test]
    async fn a_log_is_stored_masked_and_in_utf8() {
        #[rustfmt::skip]
        let table: [(&[&[u8]], &str); 7] = [
            (&[b"one\n", b"two\n"],                          "one\ntwo\n"),
            (&[b"a hunt", b"er2 b\n"],                       "a *** b\n"),
            (&[b"no end"],                                   "no end"),
            (&[b"caf\xc3", b"\xa9 \xf0\x9f", b"\x98\x80\n"], "café 😀\n"),
            (&[b"bad \xff\xfe bytes\n"],                     "bad \u{fffd}\u{fffd} bytes\n"),
            (&[b"cut \xe2\x82"],                             "cut \u{fffd}"),
            (&[b"\x1b[31mred\x1b[0m\n"],                     "\u{1b}[31mred\u{1b}[0m\n"),
        ];
        for (chunks, expect) in table {
            let (_, text, recent) = stored(chunks, "hunter2").await;
            assert_eq!(text, expect, "{chunks:?}");
            assert!(text.starts_with(&recent), "{recent}");
        }
    }

    #[tokio::test]
    async fn a_long_log_keeps_head_and_tail() {
        let line = |number: usize| format!("line {number:07} hunter2 {}\n", "x".repeat(75));
        let lines = 300_000;
        let whole: String = (0..lines).map(line).collect();
        let chunks: Vec<&[u8]> = whole.as_bytes().chunks(3_000_007).collect();
        let (parts, text, recent) = stored(&chunks, "hunter2").await;
        assert!(text.len() <= LOG_BYTES_MAX, "{} bytes", text.len());
        assert!(text.len() > LOG_BYTES_MAX * 8 / 10, "{} bytes", text.len());
        assert!(text.starts_with("line 0000000 *** x"));
        assert!(text.ends_with("x\n") && text.contains("line 0299999 *** x"));
        assert!(!text.contains("hunter2"));
        let cut: Vec<&str> = text.lines().filter(|line| line.contains("were cut here")).collect();
        assert_eq!(cut.len(), 1);
        assert!(cut[0].starts_with("[… ") && cut[0].contains(" MB of this log"), "{}", cut[0]);
        let after = text.split("were cut here …]\n").nth(1).unwrap();
        assert!(after.starts_with("line "), "the tail starts with a line");
        assert!(parts.iter().all(|(_, length)| *length <= PART_BYTES));
        assert!(recent.len() <= 2 * RECENT_BYTES && recent.ends_with("x\n"));
    }

    #[test]
    fn whole_characters_end_before_an_unfinished_one() {
        #[rustfmt::skip]
        let table: [(&[u8], usize); 9] = [
            (b"", 0), (b"abc", 3), (b"a\xc3\xa9", 3), (b"a\xc3", 1), (b"\xe2\x82", 0),
            (b"abc\xf0\x9f\x98", 3), (b"ab\xf0\x9f\x98\x80", 6), (b"\xff", 1), (b"x\x80\x80\x80", 4),
        ];
        for (bytes, expect) in table {
            assert_eq!(whole_characters(bytes), expect, "{bytes:?}");
        }
    }
}
