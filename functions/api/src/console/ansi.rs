//! A terminal's text as HTML: colours as classes, because a page without inline styles may have
//! none. Everything that is not a colour (cursor moves, titles, links) is dropped; what a carriage
//! return overwrote is gone, as it is on a terminal.
use std::fmt::Write as _;

/// What is on at a point of the text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    /// 0–15, as terminals number them.
    fore: Option<u8>,
    back: Option<u8>,
}

/// Escaped HTML. Never holds more tags open than it closes, whatever the input.
pub(crate) fn to_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut look = Look::default();
    for line in text.split_inclusive('\n') {
        let (body, end) = match line.strip_suffix('\n') {
            Some(body) => (body.strip_suffix('\r').unwrap_or(body), "\n"),
            None => (line, ""),
        };
        // Only colours survive of what was overwritten.
        let shown = body.rfind('\r').map_or(0, |at| at + 1);
        let (before, after) = body.split_at(shown);
        render(before, &mut look, None);
        render(after, &mut look, Some(&mut out));
        out.push_str(end);
    }
    out
}

fn render(text: &str, look: &mut Look, mut out: Option<&mut String>) {
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.find('\u{1b}').unwrap_or(rest.len());
        let (words, tail) = rest.split_at(plain);
        if let Some(out) = out.as_deref_mut() {
            span(words, *look, out);
        }
        rest = tail;
        if let Some(escape) = tail.strip_prefix('\u{1b}') {
            rest = escaped(escape, look);
        }
    }
}

/// Reads one escape sequence (its ESC is gone already); what follows it.
fn escaped<'a>(text: &'a str, look: &mut Look) -> &'a str {
    match text.as_bytes().first() {
        Some(b'[') => {
            let body = &text[1..];
            let Some(end) = body.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)) else {
                return "";
            };
            if body[end..].starts_with('m') {
                look.take(&body[..end]);
            }
            &body[end + 1..]
        }
        // Titles, links and other strings: up to BEL or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = text.find('\u{7}').map(|at| at + 1);
            let end = text.find("\u{1b}\\").map(|at| at + 2);
            let at = [bell, end].into_iter().flatten().min().unwrap_or(text.len());
            &text[at..]
        }
        Some(_) => {
            let mut letters = text.chars();
            letters.next();
            letters.as_str()
        }
        None => "",
    }
}

fn span(text: &str, look: Look, out: &mut String) {
    if text.is_empty() {
        return;
    }
    if look == Look::default() {
        escape(text, out);
        return;
    }
    out.push_str("<span class=\"");
    look.classes(out);
    out.push_str("\">");
    escape(text, out);
    out.push_str("</span>");
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push('\t'),
            // Controls that a page can't show; and those that turn text round, which can lie.
            c if c.is_control() => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

impl Look {
    fn take(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| match code {
            "" => Some(0),
            code => code.parse::<u8>().ok(),
        });
        while let Some(code) = codes.next() {
            let Some(code) = code else { continue };
            match code {
                0 => *self = Look::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                9 => self.strike = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                29 => self.strike = false,
                30..=37 => self.fore = Some(code - 30),
                90..=97 => self.fore = Some(code - 90 + 8),
                39 => self.fore = None,
                40..=47 => self.back = Some(code - 40),
                100..=107 => self.back = Some(code - 100 + 8),
                49 => self.back = None,
                38 => self.fore = extended(&mut codes).or(self.fore),
                48 => self.back = extended(&mut codes).or(self.back),
                _ => {}
            }
        }
    }

    fn classes(self, out: &mut String) {
        let flags = [
            (self.bold, "b"),
            (self.dim, "d"),
            (self.italic, "i"),
            (self.underline, "u"),
            (self.strike, "s"),
        ];
        let start = out.len();
        for (_, class) in flags.iter().filter(|(on, _)| *on) {
            out.push_str(class);
            out.push(' ');
        }
        if let Some(fore) = self.fore {
            let _ = write!(out, "f{fore} ");
        }
        if let Some(back) = self.back {
            let _ = write!(out, "k{back} ");
        }
        out.truncate(out.len().max(start + 1) - 1);
    }
}

/// `5;n` of 256 colours or `2;r;g;b`: the nearest of the sixteen, so that both themes can read it.
fn extended(codes: &mut impl Iterator<Item = Option<u8>>) -> Option<u8> {
    match codes.next()?? {
        5 => match codes.next()?? {
            n @ 0..=15 => Some(n),
            n @ 16..=231 => {
                let level = |n: u8| if n == 0 { 0 } else { n * 40 + 55 };
                let n = n - 16;
                Some(nearest(level(n / 36), level(n / 6 % 6), level(n % 6)))
            }
            n => {
                let grey = (n - 232) * 10 + 8;
                Some(nearest(grey, grey, grey))
            }
        },
        2 => Some(nearest(codes.next()??, codes.next()??, codes.next()??)),
        _ => None,
    }
}

fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let most = red.max(green).max(blue);
    let on = |value: u8| value > 64 && u16::from(value) * 2 > u16::from(most);
    let base = u8::from(on(red)) | u8::from(on(green)) << 1 | u8::from(on(blue)) << 2;
    match (base, most) {
        (7, 0..=170) => 8,
        (0, 40..) => 8,
        (base, 200..) => base + 8,
        (base, _) => base,
    }
}

#[cfg(test)]
mod tests {
    use super::to_html;

    #[test]
    fn colours_become_classes_and_nothing_else_gets_through() {
        #[rustfmt::skip]
        let table = [
            // name                       text                                      expect
            ("plain",                     "a b\n",                                  "a b\n"),
            ("markup is text",            "<script>\"&'",                           "&lt;script&gt;&quot;&amp;&#39;"),
            ("a colour and its end",      "\u{1b}[32m+\u{1b}[0m x",                 "<span class=\"f2\">+</span> x"),
            ("bold red",                  "\u{1b}[1;31mError\u{1b}[m",              "<span class=\"b f1\">Error</span>"),
            ("bright on a ground",        "\u{1b}[92;40mx",                         "<span class=\"f10 k0\">x</span>"),
            ("it lasts over lines",       "\u{1b}[33ma\nb",                         "<span class=\"f3\">a</span>\n<span class=\"f3\">b</span>"),
            ("256 colours",               "\u{1b}[38;5;196mx",                      "<span class=\"f9\">x</span>"),
            ("true colour",               "\u{1b}[38;2;0;200;0mx",                  "<span class=\"f10\">x</span>"),
            ("markup inside a colour",    "\u{1b}[31m<b>",                          "<span class=\"f1\">&lt;b&gt;</span>"),
            ("markup inside an escape",   "\u{1b}[<img src=x>m",                    "mg src=x&gt;m"),
            ("the cursor does not move",  "a\u{1b}[2Kb\u{1b}[1;1Hc",                "abc"),
            ("titles are dropped",        "\u{1b}]0;<b>title\u{7}x",                "x"),
            ("links keep their words",    "\u{1b}]8;;http://x\u{1b}\\word\u{1b}]8;;\u{1b}\\", "word"),
            ("an escape cut off",         "a\u{1b}[3",                              "a"),
            ("a lone escape",             "a\u{1b}",                                "a"),
            ("overwritten",               "10%\r50%\r100%\n",                       "100%\n"),
            ("Windows line ends",         "a\r\nb\r\n",                             "a\nb\n"),
            ("controls and bells",        "a\u{7}\u{0}\u{8}b\tc",                   "ab\tc"),
            ("text that turns round",     "a\u{202e}b",                             "a\u{fffd}b"),
            ("a wide letter in an escape","\u{1b}ü x",                              " x"),
        ];
        for (name, text, expect) in table {
            assert_eq!(to_html(text), expect, "{name}");
        }
    }
}
