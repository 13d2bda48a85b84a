//! How the program ends: one exit code per kind of ending, one sentence per failure.
use std::error::Error;
use std::fmt;
use std::process::{ExitCode, Termination};
use windlass_ports::Fault;

/// Every exit code that a script may rely on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    #[default]
    Done = 0,
    /// The run ended other than FINISHED, or a check found faults.
    NotFinished = 1,
    /// Usage, or invalid definitions.
    Usage = 2,
    /// A prerequisite or the server is missing.
    Missing = 3,
    NotFound = 4,
    /// The state does not allow it; the message names the state.
    Refused = 5,
    /// `--wait` met a run that waits for a person.
    WaitsForPerson = 6,
    NotAllowed = 7,
    /// `--timeout` passed.
    TimedOut = 124,
    Interrupted = 130,
}

impl Exit {
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Why a command did not do what it was asked: a sentence for the person, causes for `--verbose`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) sentence: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into(), source: None }
    }
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Usage, sentence)
    }
    pub(crate) fn missing(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Missing, sentence)
    }
    /// Something in our own house failed: not the person's doing.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::new(Exit::NotFinished, sentence)
    }
    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What goes to stderr: the sentence; with `verbose` each cause on a line of its own.
    #[must_use]
    pub(crate) fn render(&self, verbose: bool) -> String {
        let mut text = format!("windlass: {}", self.sentence);
        let mut cause: Option<&(dyn Error + 'static)> = match (&self.source, verbose) {
            (Some(source), true) => Some(&**source),
            _ => None,
        };
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {error}"));
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let sentence = match &fault {
            Fault::Retryable { what, .. } | Fault::Poison { what, .. } => what.clone(),
        };
        Self::failed(sentence).because(fault)
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_scripts_know() {
        let table = [
            (Exit::Done, 0),
            (Exit::NotFinished, 1),
            (Exit::Usage, 2),
            (Exit::Missing, 3),
            (Exit::NotFound, 4),
            (Exit::Refused, 5),
            (Exit::WaitsForPerson, 6),
            (Exit::NotAllowed, 7),
            (Exit::TimedOut, 124),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn causes_are_told_only_when_asked_for() {
        let failure = Failure::missing("git is missing").because(std::io::Error::other("ENOENT"));
        assert_eq!(failure.render(false), "windlass: git is missing");
        assert_eq!(failure.render(true), "windlass: git is missing\n  because: ENOENT");
    }
}
