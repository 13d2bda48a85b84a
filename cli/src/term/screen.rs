//! Lines that stay, and below them lines that are painted anew as they change.
use super::cut;
use std::io::Write;

/// Writes to a person or to a file. Not a terminal: lines that stay, nothing else.
pub(crate) struct Screen<W: Write> {
    out: W,
    in_place: bool,
    columns: usize,
    live: Vec<String>,
}

impl<W: Write> Screen<W> {
    /// `columns` none: no terminal.
    pub(crate) fn new(out: W, columns: Option<usize>) -> Self {
        Self { out, in_place: columns.is_some(), columns: columns.unwrap_or(100), live: Vec::new() }
    }

    #[must_use]
    pub(crate) fn in_place(&self) -> bool {
        self.in_place
    }
    #[must_use]
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// A line that stays, above those that change.
    pub(crate) fn say(&mut self, line: &str) {
        let live = std::mem::take(&mut self.live);
        self.erase(live.len());
        self.write(&format!("{line}\n"));
        self.paint(live);
    }

    /// The lines that change, as they are now.
    pub(crate) fn show(&mut self, lines: Vec<String>) {
        if !self.in_place || lines == self.live {
            return;
        }
        self.erase(self.live.len());
        self.paint(lines);
    }

    /// The lines that change stay as they are; new ones will come below them.
    pub(crate) fn keep(&mut self) {
        self.live.clear();
    }

    fn erase(&mut self, lines: usize) {
        if lines > 0 {
            self.write(&format!("\u{1b}[{lines}A\r\u{1b}[J"));
        }
    }

    fn paint(&mut self, lines: Vec<String>) {
        let columns = self.columns.saturating_sub(1).max(20);
        let text: String = lines.iter().map(|line| format!("{}\n", cut(line, columns))).collect();
        self.write(&text);
        self.live = lines;
    }

    /// Whoever closed the other end does not want to read any more; that is no failure of ours.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_in_place_only_on_a_terminal() {
        let story = |columns| {
            let mut out = Vec::new();
            let mut screen = Screen::new(&mut out, columns);
            screen.say("one");
            screen.show(vec!["a QUEUED".into(), "b QUEUED".into()]);
            screen.show(vec!["a QUEUED".into(), "b QUEUED".into()]);
            screen.show(vec!["a READY".into(), "b QUEUED".into()]);
            screen.say("two");
            screen.keep();
            screen.show(vec!["c".into()]);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(story(None), "one\ntwo\n");
        let up = "\u{1b}[2A\r\u{1b}[J";
        let expect = format!(
            "one\na QUEUED\nb QUEUED\n{up}a READY\nb QUEUED\n{up}two\na READY\nb QUEUED\nc\n"
        );
        assert_eq!(story(Some(80)), expect);
    }
}
