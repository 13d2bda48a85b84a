//! Colours where a person looks, plain text elsewhere. `NO_COLOR` is obeyed.
use windlass_core::run::StateName;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ended well.
    Good,
    /// Ended badly.
    Bad,
    /// A machine is at it.
    Busy,
    /// A person is needed.
    Waits,
    /// Beside the point.
    Quiet,
    /// A heading.
    Strong,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// Colours iff the stream is a terminal that knows them and nobody asked for none.
    #[must_use]
    pub(crate) fn of(terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: terminal && !set("NO_COLOR") && !dumb }
    }
    #[cfg(test)]
    #[must_use]
    pub(crate) fn plain() -> Self {
        Self { colour: false }
    }
    #[must_use]
    pub(crate) fn coloured(self) -> bool {
        self.colour
    }
    #[must_use]
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "36",
            Tone::Waits => "33",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl From<StateName> for Tone {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Finished => Tone::Good,
            StateName::Failed => Tone::Bad,
            StateName::Unconfirmed | StateName::PendingReview => Tone::Waits,
            StateName::Queued => Tone::Quiet,
            state if state.terminal() => Tone::Quiet,
            _ => Tone::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(Style::plain().paint(Tone::Bad, "FAILED"), "FAILED");
        assert_eq!(Style { colour: true }.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
