//! The document of one measurement: its figures at the top, then what they mean, and the machine.
use super::machine::Machine;
use super::stats::rounded;
use crate::exit::Failure;
use crate::output::{Grid, Look, Word};
use crate::term::Tone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_ports::Clock as _;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) benchmark: String,
    /// What was measured, in one sentence.
    pub(crate) about: String,
    pub(crate) command: String,
    pub(crate) at: String,
    pub(crate) version: String,
    /// `release`, or `debug`, whose figures mean little.
    pub(crate) profile: String,
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
    #[serde(flatten)]
    pub(crate) figures: BTreeMap<String, f64>,
}

/// What a figure means and what was promised of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) what: String,
    /// Empty: a ratio or a count.
    pub(crate) unit: String,
    pub(crate) at_most: Option<f64>,
    pub(crate) at_least: Option<f64>,
}

impl Row {
    #[must_use]
    pub(crate) fn met(&self, value: f64) -> Option<bool> {
        match (self.at_most, self.at_least) {
            (None, None) => None,
            (most, least) => {
                Some(most.is_none_or(|m| value <= m) && least.is_none_or(|l| value >= l))
            }
        }
    }
    #[must_use]
    pub(crate) fn limit(&self) -> String {
        match (self.at_most, self.at_least) {
            (Some(most), _) => format!("≤ {}", number(most)),
            (None, Some(least)) => format!("≥ {}", number(least)),
            (None, None) => String::new(),
        }
    }
}

impl Report {
    #[must_use]
    pub(crate) fn new(benchmark: &str, about: &str) -> Self {
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
    pub(crate) fn figure(&mut self, key: &str, value: f64, unit: &str, what: &str) -> &mut Row {
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
    pub(crate) fn value(&self, row: &Row) -> f64 {
        self.figures.get(&row.key).copied().unwrap_or(f64::NAN)
    }

    #[must_use]
    pub(crate) fn table(&self, look: &Look) -> String {
        let mut grid = Grid::new(&["", "MEASURED", "PROMISED", ""]);
        for row in &self.rows {
            let value = self.value(row);
            let verdict = match row.met(value) {
                None => Word::default(),
                Some(true) => Word::toned(Tone::Good, "kept"),
                Some(false) => Word::toned(Tone::Bad, "not kept"),
            };
            let measured = format!("{} {}", number(value), row.unit);
            grid.row(vec![
                row.what.as_str().into(),
                measured.trim_end().into(),
                Word::quiet(row.limit()),
                verdict,
            ]);
        }
        let machine = &self.machine;
        let cpu = machine.cpu.as_deref().unwrap_or(&machine.arch);
        let on =
            format!("{} · {cpu}, {} cores · {} build", self.command, machine.cores, self.profile);
        format!("{}\n{}\n{}", look.strong(&self.about), grid.render(look), look.quiet(&on))
    }

    pub(crate) fn json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self)
            .map(|json| format!("{json}\n"))
            .map_err(|e| Failure::failed("the figures do not serialise").because(e))
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
pub(crate) fn number(value: f64) -> String {
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
