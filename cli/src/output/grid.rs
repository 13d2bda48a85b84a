//! Tables without heavy borders: columns, a quiet heading, colours where a word deserves one.
use super::{Look, plain};
use crate::term::Tone;
use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};

/// Between two columns.
const GAP: u16 = 2;
/// A sentence in less room than this is no sentence any more.
const LAST_COLUMNS_MIN: usize = 16;

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
        table.set_content_arrangement(ContentArrangement::Disabled);
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
            column.set_padding((0, GAP));
        }
        if let Some(columns) = look.columns {
            wrap_last(&mut table, columns);
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

/// Sentences stand in the last column: only that one is wrapped. In a terminal too narrow for the
/// others nothing is, so that ids and states stay whole words.
fn wrap_last(table: &mut Table, columns: usize) {
    // With their padding.
    let widths = table.column_max_content_widths();
    let Some((last, others)) = widths.split_last() else { return };
    let taken: usize = others.iter().map(|width| usize::from(*width)).sum();
    let room = columns.saturating_sub(taken);
    if room >= usize::from(*last) || room < LAST_COLUMNS_MIN {
        return;
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    let place = widths.len() - 1;
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_constraint(if at == place {
            let room = u16::try_from(room).unwrap_or(u16::MAX);
            ColumnConstraint::UpperBoundary(Width::Fixed(room))
        } else {
            ColumnConstraint::ContentWidth
        });
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
    fn only_the_last_column_is_wrapped() {
        let mut grid = Grid::new(&["RUN", "STATE", "NOTE"]);
        let note = "no output that it uses from network changed";
        grid.row(vec!["KKDJV8SW".into(), "SKIPPED".into(), note.into()]);
        let shown = |columns| grid.render(&Look { columns, ..Look::plain(UnixMs(0)) });
        let narrow = "\
RUN       STATE    NOTE
KKDJV8SW  SKIPPED  no output that
                   it uses from
                   network changed";
        assert_eq!(shown(Some(36)), narrow);
        // Too narrow for anything: as if nobody had asked.
        for columns in [None, Some(200), Some(30), Some(0)] {
            assert_eq!(shown(columns).lines().count(), 2, "{columns:?}");
        }
    }
}
