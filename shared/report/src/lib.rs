//! The document of one measurement: its figures at the top, then what they mean, and the machine.
//!
//! Whoever measures writes one; `docs/benchmarks.md` is rendered from them, so that nobody types a
//! figure.
pub mod machine;
pub mod stats;

pub use machine::Machine;

use crate::stats::rounded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_ports::Clock as _;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub benchmark: String,
    /// What was measured, in one sentence.
    pub about: String,
    pub command: String,
    pub at: String,
    pub version: String,
    /// `release`, or `debug`, whose figures mean little.
    pub profile: String,
    pub machine: Machine,
    pub rows: Vec<Row>,
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
}

/// What a figure means and what was promised of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub key: String,
    pub what: String,
    /// Empty: a ratio or a count.
    pub unit: String,
    pub at_most: Option<f64>,
    pub at_least: Option<f64>,
}

impl Row {
    #[must_use]
    pub fn met(&self, value: f64) -> Option<bool> {
        match (self.at_most, self.at_least) {
            (None, None) => None,
            (most, least) => {
                Some(most.is_none_or(|m| value <= m) && least.is_none_or(|l| value >= l))
            }
        }
    }
    #[must_use]
    pub fn limit(&self) -> String {
        match (self.at_most, self.at_least) {
            (Some(most), _) => format!("≤ {}", number(most)),
            (None, Some(least)) => format!("≥ {}", number(least)),
            (None, None) => String::new(),
        }
    }
}

impl Report {
    #[must_use]
    pub fn new(benchmark: &str, about: &str) -> Self {
        Self {
            benchmark: benchmark.to_owned(),
            about: about.to_owned(),
            command: format!("windlass bench {benchmark} --json"),
            at: windlass_ports::clock::SystemClock.now().rfc3339(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            machine: Machine::here(),
            rows: Vec::new(),
            figures: BTreeMap::new(),
        }
    }

    /// A figure, and what it means.
    pub fn figure(&mut self, key: &str, value: f64, unit: &str, what: &str) -> &mut Row {
        self.figures.insert(key.to_owned(), rounded(value, digits(value)));
        let place = self.rows.len();
        self.rows.push(Row {
            key: key.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            at_most: None,
            at_least: None,
        });
        &mut self.rows[place]
    }

    #[must_use]
    pub fn value(&self, row: &Row) -> f64 {
        self.figures.get(&row.key).copied().unwrap_or(f64::NAN)
    }

    /// As it is committed.
    ///
    /// # Errors
    /// None that a document of figures can meet.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| format!("{json}\n"))
    }
}

/// Three figures are enough of anything below a thousand.
fn digits(value: f64) -> i32 {
    match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    }
}

/// `812 345`, `0.93`, `12`.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value.abs() < 1_000.0 {
        return format!("{}", rounded(value, digits(value)));
    }
    let whole = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        #[rustfmt::skip]
        let table = [
            (812_345.2,  "812\u{202f}345"),
            (1_000_000.0, "1\u{202f}000\u{202f}000"),
            (999.6,      "1000"),
            (12.04,      "12"),
            (0.56789,    "0.568"),
            (1.1,        "1.1"),
            (0.0,        "0"),
            (f64::NAN,   "?"),
        ];
        for (value, expect) in table {
            assert_eq!(number(value), expect);
        }
    }

    #[test]
    fn figures_stand_at_the_top_of_the_document() {
        let mut report = Report::new("overhead", "Words.");
        report.figure("ratio_1_worker", 1.0456, "", "one worker").at_most = Some(1.1);
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["ratio_1_worker"], 1.05);
        assert_eq!(json["rows"][0]["at_most"], 1.1);
        let back: Report = serde_json::from_value(json).unwrap();
        assert_eq!(back, report);
        assert_eq!(back.rows[0].met(1.05), Some(true));
        assert_eq!(back.rows[0].met(1.11), Some(false));
    }
}
