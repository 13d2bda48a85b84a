//! Tables without heavy borders: columns, a quiet heading, colours where a word deserves one.
use super::{Look, plain};
use crate::term::Tone;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) tone: Option<Tone>,
}

impl Word {
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
    pub(crate) fn quiet(text: impl Into<String>) -> Self {
        Self::toned(Tone::Quiet, text)
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Rows under headings. A column that nothing fills is left out.
pub(crate) struct Grid {
    header: Vec<&'static str>,
    rows: Vec<Vec<Word>>,
}

impl Grid {
    #[must_use]
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, words: Vec<Word>) {
        self.rows.push(words);
    }

    #[must_use]
    pub(crate) fn render(&self, look: &Look) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).style_text_only();
        match look.columns {
            Some(columns) => {
                table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if look.style.coloured() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let filled = |place: &usize| {
            self.rows.iter().any(|row| row.get(*place).is_some_and(|word| !word.text.is_empty()))
        };
        let kept: Vec<usize> = (0..self.header.len()).filter(filled).collect();
        let heading = |place: &usize| Cell::new(self.header[*place]).add_attribute(Attribute::Dim);
        table.set_header(kept.iter().map(heading));
        for row in &self.rows {
            let words = kept.iter().map(|place| row.get(*place).cloned().unwrap_or_default());
            table.add_row(words.map(|word| cell(&word)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

fn cell(word: &Word) -> Cell {
    let cell = Cell::new(plain(&word.text));
    match word.tone {
        None => cell,
        Some(Tone::Good) => cell.fg(Color::DarkGreen),
        Some(Tone::Bad) => cell.fg(Color::DarkRed),
        Some(Tone::Busy) => cell.fg(Color::DarkCyan),
        Some(Tone::Waits) => cell.fg(Color::DarkYellow),
        Some(Tone::Quiet) => cell.add_attribute(Attribute::Dim),
        Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::time::UnixMs;

    #[test]
    fn columns_stand_under_each_other_and_empty_ones_go() {
        let mut grid = Grid::new(&["STACK", "LOCK", "STATE"]);
        grid.row(vec!["network".into(), "".into(), Word::toned(Tone::Good, "FINISHED")]);
        grid.row(vec!["app-a".into(), "".into(), "NONE".into()]);
        let expect = "STACK    STATE\nnetwork  FINISHED\napp-a    NONE";
        assert_eq!(grid.render(&Look::plain(UnixMs(0))), expect);
    }

    #[test]
    fn a_narrow_terminal_wraps_and_a_pipe_does_not() {
        let mut grid = Grid::new(&["WHY"]);
        grid.row(vec!["a sentence that is longer than twenty columns".into()]);
        let narrow = Look { columns: Some(20), ..Look::plain(UnixMs(0)) };
        assert!(grid.render(&narrow).lines().count() > 2);
        assert_eq!(grid.render(&Look::plain(UnixMs(0))).lines().count(), 2);
    }
}
