//! Why a run failed or was skipped: typed, so that tests match it and pages explain it.
use crate::id::StackId;
use crate::job::Step;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum FailReason {
    /// The tool, a hook or the preparation said so.
    Step { step: Step, text: String },
    /// The worker is gone, and what it did can't be repeated or was repeated often enough.
    WorkerLost { cause: String },
    /// Outputs of parents that this stack refers to do not exist.
    InputsMissing { inputs: Vec<String> },
    /// A policy, or a person whom a policy asked.
    Rejected { messages: Vec<String> },
    /// Its repository has not been pushed to yet.
    NoCommit,
    /// The stack left the definitions before the run could start.
    NotDefined,
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailReason::Step { text, .. } => f.write_str(text),
            FailReason::WorkerLost { cause } => write!(f, "the worker was lost: {cause}"),
            FailReason::InputsMissing { inputs } => {
                write!(f, "job assignment failed, inputs missing: {}", inputs.join(", "))
            }
            FailReason::Rejected { messages } => write!(f, "rejected: {}", messages.join("; ")),
            FailReason::NoCommit => f.write_str("its repository has no commit yet"),
            FailReason::NotDefined => f.write_str("the stack is no longer defined"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum SkipReason {
    /// Something it waits for did not end well.
    ParentFailed { parents: Vec<StackId> },
    /// Nothing that it refers to changed.
    OutputsUnchanged { parents: Vec<StackId> },
    /// A run that it waits for will never be made.
    ParentNever { parents: Vec<StackId> },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::ParentFailed { parents } => {
                write!(f, "{} did not end well", list(parents))
            }
            SkipReason::OutputsUnchanged { parents } => {
                write!(f, "nothing that it uses from {} changed", list(parents))
            }
            SkipReason::ParentNever { parents } => {
                write!(f, "{} will not run", list(parents))
            }
        }
    }
}

/// What fits into one line of a text: its first line, or, if that only announces (it ends with a
/// colon), the line that it announces.
#[must_use]
pub fn headline(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next() {
        Some(first) if first.ends_with(':') => lines.next().unwrap_or(first),
        first => first.unwrap_or_default(),
    }
}

fn list(stacks: &[StackId]) -> String {
    stacks.iter().map(|s| s.0.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_is_what_a_text_says_and_not_its_announcement() {
        #[rustfmt::skip]
        let table = [
            ("",                                         ""),
            ("it failed",                                "it failed"),
            ("it failed\nat length",                     "it failed"),
            ("`init` failed:\n\n  Error: no such thing",  "Error: no such thing"),
            ("`init` failed:",                           "`init` failed:"),
        ];
        for (text, expect) in table {
            assert_eq!(headline(text), expect, "{text}");
        }
    }
}
