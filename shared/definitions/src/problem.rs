//! What is wrong in a definition file, where it stands, and what was probably meant.
//!
//! Everything is collected: a file with five faults is answered with five, in the order of the
//! text, and no fault hides another.
use crate::SourceFile;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// More than this many faults help nobody; the rest is counted.
const PROBLEMS_MAX: usize = 1_000;
/// A line is shown up to this many characters around the fault.
const LINE_SHOWN_MAX: usize = 120;
/// Candidates compared for "did you mean" in one parse: bounds the work, not the answer.
const COMPARISONS_MAX: usize = 100_000;

/// One fault. Lines and columns count from 1, columns in characters; line 0: the whole file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
pub struct Problem {
    pub path: String,
    pub line: usize,
    pub column: usize,
    /// Characters that the fault covers.
    pub width: usize,
    /// The offending line as written (a part of it, when it is very long).
    pub text: String,
    /// Where in `text` the fault starts, in characters from 0.
    pub offset: usize,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    /// Message and help in one line, without the place.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.help {
            Some(help) => format!("{} — {help}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.path, self.sentence());
        }
        let number = self.line.to_string();
        let pad = " ".repeat(number.len());
        // A tab stays a tab under itself, so that the caret meets its letter.
        let indent: String =
            self.text.chars().take(self.offset).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let room = self.text.chars().count().saturating_sub(self.offset).max(1);
        let carets = "^".repeat(self.width.clamp(1, room));
        writeln!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.sentence())?;
        writeln!(f, "{pad} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        write!(f, "{pad} | {indent}{carets}")
    }
}

/// All of them as one text, a blank line between two.
#[must_use]
pub fn render(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}\n");
    }
    let count = problems.len();
    let _ = write!(text, "{count} {}", if count == 1 { "fault" } else { "faults" });
    text
}

/// A place in one of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) at: At,
}

/// Collects faults while files are read and resolved.
pub(crate) struct Faults<'a> {
    files: Vec<&'a SourceFile>,
    /// By place and message, so an aliased fault counts once; the value is the help.
    found: BTreeMap<(At, String), Option<String>>,
    left_out: usize,
    comparisons: usize,
    /// A file can't be read at all, so a name that seems unknown may be declared in it.
    pub(crate) incomplete: bool,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(files: Vec<&'a SourceFile>) -> Self {
        Self { files, found: BTreeMap::new(), left_out: 0, comparisons: 0, incomplete: false }
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len() + self.left_out
    }

    pub(crate) fn path(&self, at: At) -> &str {
        self.files.get(at.file as usize).map_or("", |file| &file.path)
    }

    pub(crate) fn add(&mut self, at: At, message: String, help: Option<String>) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.entry((at, message)).or_insert(help);
        } else if !self.found.contains_key(&(at, message)) {
            self.left_out += 1;
        }
    }

    /// "did you mean `branch`?" for the candidate that a slip of the keyboard explains.
    pub(crate) fn nearest<'c>(
        &mut self,
        word: &str,
        candidates: impl Iterator<Item = &'c str>,
    ) -> Option<String> {
        let letters = word.chars().count();
        let distance_max = (letters / 3).clamp(1, 4);
        let mut best: Option<(usize, &str)> = None;
        for candidate in candidates {
            if candidate.len().abs_diff(word.len()) > distance_max * 4 || candidate == word {
                continue;
            }
            if self.comparisons >= COMPARISONS_MAX {
                break;
            }
            self.comparisons += 1;
            let distance = strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase());
            if distance <= distance_max && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| format!("did you mean `{candidate}`?"))
    }

    /// The faults in the order of the text; empty when there are none.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut lines = Lines { files: &self.files, file: usize::MAX, starts: Vec::new() };
        let mut problems: Vec<Problem> = Vec::with_capacity(self.found.len());
        for ((at, message), help) in self.found {
            problems.push(lines.problem(at, message, help));
        }
        if self.left_out > 0 {
            let path = problems.last().map(|last| last.path.clone()).unwrap_or_default();
            let message = format!("{} more faults are not shown", self.left_out);
            problems.push(whole_file(path, message, None));
        }
        problems
    }
}

/// A fault of a file as such, or of its absence.
pub(crate) fn whole_file(path: String, message: String, help: Option<String>) -> Problem {
    Problem { path, line: 0, column: 0, width: 0, text: String::new(), offset: 0, message, help }
}

/// Where each line of the file at hand starts; faults come sorted, so each file is cut once.
struct Lines<'a> {
    files: &'a [&'a SourceFile],
    file: usize,
    starts: Vec<usize>,
}

impl Lines<'_> {
    fn problem(&mut self, at: At, message: String, help: Option<String>) -> Problem {
        let index = at.file as usize;
        let Some(file) = self.files.get(index) else {
            return whole_file(String::new(), message, help);
        };
        if at.line == 0 {
            return whole_file(file.path.clone(), message, help);
        }
        if self.file != index {
            self.file = index;
            self.starts = std::iter::once(0)
                .chain(file.text.match_indices('\n').map(|(end, _)| end + 1))
                .collect();
        }
        let start = self.starts.get(at.line as usize - 1).copied().unwrap_or(file.text.len());
        let line = file.text[start..].lines().next().unwrap_or_default();
        let column = (at.column as usize).max(1);
        let (text, offset) = shown(line, column - 1);
        Problem {
            path: file.path.clone(),
            line: at.line as usize,
            column,
            width: (at.width as usize).max(1),
            text,
            offset,
            message,
            help,
        }
    }
}

/// The part of a line around `offset` that is worth showing, and where the fault is in it.
fn shown(line: &str, offset: usize) -> (String, usize) {
    let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let skip = if offset < LINE_SHOWN_MAX * 2 / 3 { 0 } else { offset - LINE_SHOWN_MAX / 3 };
    let text: String = line.chars().skip(skip).take(LINE_SHOWN_MAX).map(printable).collect();
    (text, offset - skip)
}

/// A value as it may stand in a message: one line, printable, short.
pub(crate) fn quote(value: &str) -> String {
    const SHOWN_MAX: usize = 60;
    if value.is_empty() {
        return "`\"\"`".to_owned();
    }
    let mut text = String::from("`");
    for letter in value.chars().take(SHOWN_MAX) {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    if value.chars().nth(SHOWN_MAX).is_some() {
        text.push('…');
    }
    text.push('`');
    text
}
