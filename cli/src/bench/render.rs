//! `docs/benchmarks.md` from the documents beside it: nobody types a figure.
use crate::exit::Failure;
use std::fmt::Write as _;
use std::path::Path;
use windlass_report::{Report, Row, number};

/// The order on the page.
const ORDER: [&str; 10] = [
    "overhead",
    "routing",
    "decide",
    "fleet",
    "store",
    "console",
    "idle",
    "cold-start",
    "requests",
    "latency",
];

const HEAD: &str = "# Benchmarks

What Windlass promises of its speed and size, and what was measured. The figures are those of the \
JSON documents in `docs/benchmarks/`; `cargo run --release -- bench all` measures anew and writes \
both them and this page, and `cargo run --release -p bench` measures the serverless form.
";

/// The page; documents that are not there yet are passed over.
pub(crate) fn page(folder: &Path) -> Result<String, Failure> {
    let mut page = HEAD.to_owned();
    for name in ORDER {
        let path = folder.join(format!("{name}.json"));
        if !path.exists() {
            continue;
        }
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::usage(format!("{} is no document of a benchmark: {e}", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(&e))?;
        let report: Report = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
        section(&mut page, &report);
    }
    Ok(page)
}

fn section(page: &mut String, report: &Report) {
    let _ = write!(page, "\n## {}\n\n{}.\n\n", report.benchmark, report.about);
    page.push_str("| | measured | promised | |\n| --- | ---: | ---: | --- |\n");
    for row in &report.rows {
        let value = report.value(row);
        let measured = format!("{} {}", number(value), row.unit);
        let kept = row.met(value).map_or("", |met| if met { "kept" } else { "**not kept**" });
        let _ = writeln!(
            page,
            "| {} (`{}`) | {} | {} | {kept} |",
            row.what,
            row.key,
            measured.trim_end(),
            promised(row)
        );
    }
    let machine = &report.machine;
    let known = [
        machine.cpu.clone(),
        Some(format!("{} cores", machine.cores)),
        machine.memory_mb.map(|mb| format!("{} GB", mb.div_ceil(1_024))),
        Some(format!("{} {}", machine.os, machine.kernel.clone().unwrap_or_default())),
        machine.tool.clone(),
    ];
    let known: Vec<String> =
        known.into_iter().flatten().map(|fact| fact.trim().to_owned()).collect();
    let day = report.at.get(..10).unwrap_or(&report.at);
    let _ = write!(
        page,
        "\n`{}`, {day}, Windlass {} ({} build), on {}.\n",
        report.command,
        report.version,
        report.profile,
        known.join(", ")
    );
}

fn promised(row: &Row) -> String {
    let limit = row.limit();
    if limit.is_empty() { limit } else { format!("{limit} {}", row.unit).trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_what_was_kept_and_what_was_not() {
        let temp = tempfile::tempdir().unwrap();
        let mut report = Report::new("store", "Changes");
        report.figure("ratio", 0.81, "", "ours").at_least = Some(0.5);
        report.figure("swaps_per_second", 4321.0, "/s", "swaps").at_least = Some(5_000.0);
        std::fs::write(temp.path().join("store.json"), report.json().unwrap()).unwrap();
        let page = page(temp.path()).unwrap();
        assert!(page.contains("| ours (`ratio`) | 0.81 | ≥ 0.5 | kept |"), "{page}");
        assert!(page.contains("| 4\u{202f}321 /s | ≥ 5\u{202f}000 /s | **not kept** |"), "{page}");
        assert!(page.contains("`windlass bench store --json`"), "{page}");
    }

    #[test]
    fn the_committed_page_is_that_of_the_committed_documents() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let committed = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
        let made = page(&docs.join("benchmarks")).unwrap();
        assert_eq!(committed, made, "`windlass bench render` writes it anew");
    }
}
