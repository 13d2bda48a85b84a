//! Questions to the person at the terminal. Without one, whatever would be asked is refused, with
//! a sentence that says what to add.
use crate::exit::{Exit, Failure};
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};

/// More than a secret's limit on the server, which says so in its own words.
const VALUE_BYTES_MAX: u64 = 1024 * 1024;

/// Who answers: stdin, and whether a person sits there.
pub(crate) struct Person<R, W> {
    pub(crate) input: R,
    pub(crate) output: W,
    pub(crate) present: bool,
}

impl Person<io::StdinLock<'static>, io::Stderr> {
    #[must_use]
    pub(crate) fn at_terminal() -> Self {
        let present = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self { input: io::stdin().lock(), output: io::stderr(), present }
    }
}

impl<R: BufRead, W: Write> Person<R, W> {
    /// Goes on only after a yes. `unless` is the flag that answers for them.
    pub(crate) fn agrees(&mut self, question: &str, unless: &str) -> Result<(), Failure> {
        self.must_be_here(question, unless)?;
        let answer = self.answer(&format!("{question} [y/N] "))?;
        match answer.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(declined()),
        }
    }

    /// Goes on only if they type this very word: for what can't be taken back.
    pub(crate) fn types(
        &mut self,
        question: &str,
        word: &str,
        unless: &str,
    ) -> Result<(), Failure> {
        self.must_be_here(question, unless)?;
        let answer = self.answer(&format!("{question}\nType {word} to go on: "))?;
        if answer == word { Ok(()) } else { Err(declined()) }
    }

    fn must_be_here(&self, question: &str, unless: &str) -> Result<(), Failure> {
        if self.present {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "`{question}` can't be asked, because this is no terminal; add {unless} to answer yes"
        )))
    }

    fn answer(&mut self, question: &str) -> Result<String, Failure> {
        let asked = self.output.write_all(question.as_bytes()).and_then(|()| self.output.flush());
        let mut line = String::new();
        asked
            .and_then(|()| self.input.read_line(&mut line))
            .map_err(|e| Failure::usage("the answer can't be read").because(e))?;
        Ok(line.trim().to_owned())
    }
}

fn declined() -> Failure {
    Failure::new(Exit::Interrupted, "nothing was done")
}

/// A secret's value from stdin, never from the arguments; typed unseen if a person types it. One
/// line end behind it is not part of it.
pub(crate) fn secret_value(name: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    let read = if stdin.is_terminal() {
        let _ = io::stderr().write_all(format!("Value of {name} (not shown): ").as_bytes());
        let hidden = Hidden::start();
        let mut line = String::new();
        let read = stdin.lock().read_line(&mut line);
        drop(hidden);
        let _ = io::stderr().write_all(b"\n");
        bytes = line.into_bytes();
        read.map(|_| ())
    } else {
        use std::io::Read as _;
        stdin.lock().take(VALUE_BYTES_MAX).read_to_end(&mut bytes).map(|_| ())
    };
    read.map_err(|e| Failure::usage("the value can't be read from stdin").because(e))?;
    value_of(bytes)
}

fn value_of(bytes: Vec<u8>) -> Result<String, Failure> {
    let mut value = String::from_utf8(bytes).map_err(|_| {
        Failure::usage("the value is not UTF-8 text; encode it, for example as base64")
    })?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(Failure::usage("the value is empty; give it on stdin"));
    }
    Ok(value)
}

/// How the terminal was before it stopped showing what is typed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// While this lives, the terminal does not show what is typed.
struct Hidden;

impl Hidden {
    fn start() -> Self {
        if let Ok(before) = termios::tcgetattr(io::stdin()) {
            let mut unseen = before.clone();
            unseen.local_flags.remove(LocalFlags::ECHO);
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            // A terminal that can't hide still reads; the person sees what they type.
            let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &unseen);
        }
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Also called when the program is interrupted while somebody types.
pub(crate) fn restore_terminal() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(answer: &str, present: bool) -> Person<&[u8], Vec<u8>> {
        Person { input: answer.as_bytes(), output: Vec::new(), present }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        let nobody = Some(Exit::Usage);
        let no = Some(Exit::Interrupted);
        #[rustfmt::skip]
        let table = [
            // answer     present  expect
            ("y\n",       true,    None),
            ("YES\n",     true,    None),
            ("n\n",       true,    no),
            ("\n",        true,    no),
            ("",          true,    no),
            ("yess\n",    true,    no),
            ("y\n",       false,   nobody),
        ];
        for (answer, present, expect) in table {
            let mut person = person(answer, present);
            let got = person.agrees("Remove it?", "--yes").err().map(|failure| failure.exit);
            assert_eq!(got, expect, "{answer:?} {present}");
        }
    }

    #[test]
    fn what_can_not_be_taken_back_is_typed_in_full() {
        for (answer, expect) in [("network\n", true), ("net\n", false), ("y\n", false)] {
            let mut person = person(answer, true);
            let got = person.types("Destroy network?", "network", "--yes");
            assert_eq!(got.is_ok(), expect, "{answer}");
            let asked = String::from_utf8(person.output).unwrap();
            assert_eq!(asked, "Destroy network?\nType network to go on: ");
        }
        let refused = person("network\n", false).types("Destroy network?", "network", "--yes");
        let sentence = refused.unwrap_err().sentence;
        assert!(sentence.contains("no terminal") && sentence.contains("--yes"), "{sentence}");
    }

    #[test]
    fn values_lose_one_line_end() {
        #[rustfmt::skip]
        let table: [(&[u8], Option<&str>); 6] = [
            (b"hush-hush",       Some("hush-hush")),
            (b"hush-hush\n",     Some("hush-hush")),
            (b"hush-hush\r\n",   Some("hush-hush")),
            (b"two\nlines\n\n",  Some("two\nlines\n")),
            (b"\n",              None),
            (b"\xff\xfe",        None),
        ];
        for (bytes, expect) in table {
            assert_eq!(value_of(bytes.to_vec()).ok().as_deref(), expect);
        }
    }
}
