//! What commands print: one JSON document for scripts, or text for people.
mod grid;
mod plan;
mod run;
mod safe;
mod stack;
mod when;
mod words;

pub(crate) use grid::{Grid, Word};
pub(crate) use plan::plan;
pub(crate) use run::{run_detail, run_line, run_list, why};
pub(crate) use safe::{log, plain};
pub(crate) use stack::{resource_list, stack_detail, stack_list};
pub(crate) use when::{ago, parse_ms, span};
pub(crate) use words::{
    audit_list, key_list, quarantine_list, quarantined, secret_list, short_run, short_sha,
    worker_list,
};

use crate::exit::Failure;
use crate::term::{self, Style, Tone};
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};
use windlass_core::run::StateName;
use windlass_core::time::UnixMs;
use windlass_ports::Clock as _;
use windlass_ports::clock::SystemClock;

/// How text is shown: in colour or not, how wide, and what time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) style: Style,
    /// None: no terminal; nothing is wrapped, so that a line stays a line.
    pub(crate) columns: Option<usize>,
    pub(crate) now: UnixMs,
}

impl Look {
    #[cfg(test)]
    #[must_use]
    pub(crate) fn plain(now: UnixMs) -> Self {
        Self { style: Style::plain(), columns: None, now }
    }
    /// A state's name in its colour.
    #[must_use]
    pub(crate) fn state(&self, state: StateName) -> String {
        self.style.paint(state.into(), state.as_str())
    }
    #[must_use]
    pub(crate) fn quiet(&self, text: &str) -> String {
        self.style.paint(Tone::Quiet, text)
    }
    #[must_use]
    pub(crate) fn strong(&self, text: &str) -> String {
        self.style.paint(Tone::Strong, text)
    }
}

/// Where a command's words go: its result to stdout, everything else to stderr.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
    style: Style,
    columns: Option<usize>,
    sink: Sink,
}

#[derive(Clone, Debug)]
enum Sink {
    Stdout,
    /// For tests: both streams, as they would be read at that time.
    #[cfg(test)]
    Kept(std::sync::Arc<std::sync::Mutex<Kept>>, UnixMs),
}

#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Out {
    #[must_use]
    pub(crate) fn of_process(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let columns = if terminal { term::width() } else { None };
        Self { json, style: Style::of(terminal), columns, sink: Sink::Stdout }
    }

    #[cfg(test)]
    pub(crate) fn kept(json: bool, now: UnixMs) -> (Self, std::sync::Arc<std::sync::Mutex<Kept>>) {
        let kept = std::sync::Arc::default();
        let sink = Sink::Kept(std::sync::Arc::clone(&kept), now);
        (Self { json, style: Style::plain(), columns: None, sink }, kept)
    }

    /// How text is shown at this moment.
    #[must_use]
    pub(crate) fn look(&self) -> Look {
        let now = match &self.sink {
            #[cfg(test)]
            Sink::Kept(_, now) => *now,
            Sink::Stdout => SystemClock.now(),
        };
        Look { style: self.style, columns: self.columns, now }
    }

    /// The command's result: the document as JSON, or its text.
    pub(crate) fn show<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(document)
                .map_err(|e| Failure::failed("the answer does not serialise").because(e))?;
            return self.print(&format!("{json}\n"));
        }
        let text = text(&self.look());
        self.print(&format!("{}\n", text.trim_end_matches('\n')))
    }

    /// Writes to stdout. Whoever closed the other end has seen enough: that is no failure.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        match &self.sink {
            #[cfg(test)]
            Sink::Kept(kept, _) => {
                kept.lock().unwrap().stdout.push_str(text);
                Ok(())
            }
            Sink::Stdout => {
                let mut out = std::io::stdout().lock();
                match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                    Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                        Err(Failure::failed("the output can't be written").because(e))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// A line on stderr; if nobody reads that, there is nobody to tell.
    pub(crate) fn complain(&self, text: &str) {
        match &self.sink {
            #[cfg(test)]
            Sink::Kept(kept, _) => {
                let line = format!("{text}\n");
                kept.lock().unwrap().stderr.push_str(&line);
            }
            Sink::Stdout => {
                let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
            }
        }
    }

    /// A remark for a person who watches; scripts that asked for JSON are spared it.
    pub(crate) fn remark(&self, text: &str) {
        if !self.json {
            self.complain(text);
        }
    }
}
