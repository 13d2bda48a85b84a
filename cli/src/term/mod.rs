//! What a person sees in a terminal: colours, trees of stacks, lines that change in place.
mod screen;
mod style;
mod tree;

pub(crate) use screen::Screen;
pub(crate) use style::{Style, Tone};
pub(crate) use tree::{Node, lines};

/// Columns of the terminal; none when nobody looks at one.
#[must_use]
pub(crate) fn width() -> Option<usize> {
    let mut table = comfy_table::Table::new();
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.width().map(usize::from)
}

/// The text cut to so many columns, an ellipsis showing that it was cut. Escape sequences take no
/// room; anything else counts as one column.
#[must_use]
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut used, mut escape) = (0, false);
    let plain = plain_columns(text);
    for c in text.chars() {
        if escape || c == '\u{1b}' {
            escape = !(escape && c.is_ascii_alphabetic());
            kept.push(c);
            continue;
        }
        used += 1;
        if plain > columns && used >= columns {
            if used == columns {
                kept.push('…');
            }
            continue;
        }
        kept.push(c);
    }
    kept
}

fn plain_columns(text: &str) -> usize {
    let mut escape = false;
    text.chars()
        .filter(|c| {
            if escape || *c == '\u{1b}' {
                escape = !(escape && c.is_ascii_alphabetic());
                return false;
            }
            true
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_what_is_seen_and_keeps_colours_whole() {
        for (text, columns, expect) in [
            ("short", 10, "short"),
            ("exactly", 7, "exactly"),
            ("too long", 5, "too …"),
            ("\u{1b}[32mgreen\u{1b}[0m", 5, "\u{1b}[32mgreen\u{1b}[0m"),
            ("\u{1b}[32mgreen\u{1b}[0m grass", 6, "\u{1b}[32mgreen\u{1b}[0m…"),
            ("äöü→", 3, "äö…"),
        ] {
            assert_eq!(cut(text, columns), expect, "{text}");
        }
    }
}
