//! Text that others wrote, made harmless for a terminal: a commit's subject or a provider's words
//! must not move the cursor, rename the window or write to the clipboard.

/// Without control characters; line ends and tabs stay.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// A tool's words: its colours stay where they can be shown, every other escape sequence goes.
#[must_use]
pub(crate) fn log(text: &str, coloured: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, escape) = rest.split_at(at);
        shown.push_str(&plain(before));
        let end = sequence(escape);
        let (sequence, after) = escape.split_at(end);
        if coloured && is_colour(sequence) {
            shown.push_str(sequence);
        }
        rest = after;
    }
    shown.push_str(&plain(rest));
    shown
}

/// Bytes of the escape sequence that the text starts with; an unfinished one is one byte long.
fn sequence(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        // CSI: parameters, then one letter.
        Some(b'[') => {
            let body = bytes.iter().skip(2);
            body.take_while(|b| (0x20..0x40).contains(*b)).count().saturating_add(2)
                + usize::from(final_byte(bytes))
        }
        // OSC and its like: up to BEL or ESC.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = bytes.iter().skip(2).position(|b| matches!(b, 0x07 | 0x1b));
            end.map_or(1, |end| end + 2)
        }
        _ => 1,
    }
}

fn final_byte(bytes: &[u8]) -> bool {
    let last = bytes.iter().skip(2).find(|b| !(0x20..0x40).contains(*b));
    last.is_some_and(|b| (0x40..0x7f).contains(b))
}

fn is_colour(sequence: &str) -> bool {
    let body = sequence.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m'));
    body.is_some_and(|body| body.bytes().all(|b| b.is_ascii_digit() || matches!(b, b';' | b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_colours_and_nothing_else() {
        #[rustfmt::skip]
        let table = [
            // name                    text                                coloured                  plain
            ("words",                  "a\tb\nc",                          "a\tb\nc",                "a\tb\nc"),
            ("a colour",               "\u{1b}[1;32mok\u{1b}[0m!",         "\u{1b}[1;32mok\u{1b}[0m!", "ok!"),
            ("the cursor",             "a\u{1b}[2J\u{1b}[1;1Hb",           "ab",                     "ab"),
            ("the window's title",     "a\u{1b}]0;mine\u{7}b",             "ab",                     "ab"),
            ("the clipboard",          "a\u{1b}]52;c;eA==\u{1b}\\b",       "a\\b",                   "a\\b"),
            ("unfinished",             "a\u{1b}[31",                       "a",                      "a"),
            ("alone at the end",       "a\u{1b}",                          "a",                      "a"),
            ("unfinished, not ASCII",  "\u{1b}[é",                         "é",                      "é"),
            ("an endless one",         "a\u{1b}]0;b",                      "a]0;b",                  "a]0;b"),
            ("a bell and a return",    "a\u{7}\rb",                        "ab",                     "ab"),
        ];
        for (name, text, coloured, bare) in table {
            assert_eq!(log(text, true), coloured, "{name}");
            assert_eq!(log(text, false), bare, "{name}");
        }
        assert_eq!(plain("\u{1b}[31mred\u{9b}31m"), "[31mred31m");
    }
}
