//! The trace header, by which Lambda notices that a function feeds itself through a queue.
//!
//! Lambda gives each invocation a trace header, the SDK sends it along with every request, SQS keeps
//! it with the message, and the invocation that the message causes inherits it. In it Lambda counts
//! how often each function was passed; about 16 times are allowed
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>). How AWS writes the
//! count is not documented; here it is `Lineage=<function>:<count>|…`.
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};

/// How often one chain may pass a function.
pub const PASSES_MAX: u32 = 16;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    root: String,
    lineage: Vec<(String, u32)>,
}

impl Trace {
    pub fn parse(header: &str) -> Self {
        let mut trace = Self::default();
        for part in header.split(';') {
            match part.split_once('=') {
                Some(("Root", root)) => trace.root = root.to_owned(),
                Some(("Lineage", lineage)) => {
                    let entries = lineage.split('|').filter_map(|entry| entry.rsplit_once(':'));
                    let counted =
                        entries.filter_map(|(f, n)| Some((f.to_owned(), n.parse().ok()?)));
                    trace.lineage = counted.collect();
                }
                _ => {}
            }
        }
        trace
    }

    /// How often the chain has passed this function.
    pub fn passes(&self, function: &str) -> u32 {
        let mark = mark(function);
        self.lineage.iter().find(|(of, _)| *of == mark).map_or(0, |(_, count)| *count)
    }

    /// The trace of an invocation of this function that has this cause.
    #[must_use]
    pub fn passing(&self, function: &str, invocation: &str) -> Self {
        let mut next = self.clone();
        if next.root.is_empty() {
            next.root = format!("1-00000000-{}", invocation.replace('-', ""));
        }
        let mark = mark(function);
        match next.lineage.iter_mut().find(|(of, _)| *of == mark) {
            Some((_, count)) => *count += 1,
            None => next.lineage.push((mark, 1)),
        }
        next
    }

    pub fn header(&self) -> String {
        let mut header = format!("Root={};Parent=0000000000000001;Sampled=0;Lineage=", self.root);
        for (n, (function, count)) in self.lineage.iter().enumerate() {
            let _ = write!(header, "{}{function}:{count}", if n > 0 { "|" } else { "" });
        }
        header
    }
}

fn mark(function: &str) -> String {
    let mut hash = DefaultHasher::new();
    function.hash(&mut hash);
    format!("{:08x}", hash.finish() >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_along_a_chain_and_survive_the_header() {
        let mut trace = Trace::default();
        for n in 0..20 {
            assert_eq!(trace.passes("scheduler"), n);
            trace = Trace::parse(&trace.passing("scheduler", "0a-1b").header());
        }
        assert_eq!(trace.passing("other", "x").passes("other"), 1);
        assert_eq!(trace.passes("other"), 0);
        assert_eq!(Trace::parse("rubbish;Lineage=x").passes("scheduler"), 0);
    }
}
