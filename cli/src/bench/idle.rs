//! What an idle `up` costs: memory and processor of its whole process tree; and the size of this
//! program. Read from `/proc`, so only on Linux.
use super::program::{Up, free_port};
use super::sample;
use super::store::folder;
use crate::exit::Failure;
use crate::output::Out;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use windlass_report::Report;

/// Kernels that people run count processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLES: u32 = 20;
/// What a start does is not idleness.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Idling {
    /// How long it is watched
    #[arg(long = "idle-seconds", default_value_t = 60, value_name = "N")]
    seconds: u64,
}

/// One look at the tree.
struct Look {
    /// Proportional set sizes: shared pages count once.
    memory_kb: u64,
    ticks: u64,
}

pub(crate) fn measure(out: &Out, args: &Idling) -> Result<Report, Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::missing("idleness is measured on Linux only"));
    }
    let folder = folder(None)?;
    let repository = sample::create(&folder.path().join("infra"))?;
    let sha = sample::commit(&repository, 0)?;
    let up = Up::start(&folder.path().join("data"), &repository.folder, 2, free_port()?)?;
    out.remark("waiting for the first runs to end");
    up.settled(&sha)?;
    std::thread::sleep(SETTLE);
    out.remark(&format!("watching {} s of idleness", args.seconds));
    let began = Instant::now();
    let first = look(up.pid())?;
    let mut memory_kb = Vec::new();
    for _ in 0..SAMPLES {
        std::thread::sleep(Duration::from_secs(args.seconds) / SAMPLES);
        memory_kb.push(float(look(up.pid())?.memory_kb));
    }
    let last = look(up.pid())?;
    let seconds = began.elapsed().as_secs_f64();
    let used = float(last.ticks.saturating_sub(first.ticks)) / TICKS_PER_SECOND;
    let memory_mb = memory_kb.iter().sum::<f64>() / f64::from(SAMPLES) / 1_024.0;
    let about = "An idle `up`: two workers, one repository, the whole process tree";
    let mut report = Report::new("idle", about);
    report.figure("memory_mb", memory_mb, "MB", "memory, mean").at_most = Some(60.0);
    let what = "of one core, mean";
    report.figure("cpu_percent", used / seconds * 100.0, "%", what).at_most = Some(0.5);
    report.figure("seconds", seconds, "s", "watched");
    let size = std::env::current_exe().and_then(std::fs::metadata).map_or(0, |meta| meta.len());
    report.figure("program_mb", float(size) / 1e6, "MB", "this program").at_most = Some(30.0);
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "figures of a benchmark are far below 2^52")]
fn float(n: u64) -> f64 {
    n as f64
}

fn look(root: u32) -> Result<Look, Failure> {
    let unreadable = |e: std::io::Error| Failure::failed("/proc can't be read").because(e);
    let mut parents: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").map_err(unreadable)?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended since it was listed.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(known) = parse_stat(&stat) {
            parents.insert(pid, known);
        }
    }
    let mut look = Look { memory_kb: 0, ticks: 0 };
    for (pid, (_, ticks)) in &parents {
        if descends(*pid, root, &parents) {
            look.ticks += ticks;
            let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            look.memory_kb += parse_pss(&rollup.unwrap_or_default());
        }
    }
    Ok(look)
}

/// Parent, and processor time of the process and of its children that ended.
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some((fields.get(1)?.parse().ok()?, ticks))
}

fn parse_pss(rollup: &str) -> u64 {
    let line = rollup.lines().find(|line| line.starts_with("Pss:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn descends(pid: u32, root: u32, parents: &BTreeMap<u32, (u32, u64)>) -> bool {
    let mut at = pid;
    for _ in 0..parents.len() {
        if at == root {
            return true;
        }
        match parents.get(&at) {
            Some((parent, _)) if *parent != 0 => at = *parent,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let stat = "42 (a) b) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(stat), Some((7, 100)));
        assert_eq!(parse_stat(""), None);
        assert_eq!(parse_pss("Rss: 10 kB\nPss:            1234 kB\n"), 1234);
        let parents = [(1, (0, 0)), (2, (1, 0)), (3, (2, 0)), (9, (1, 0))].into();
        for (pid, expect) in [(2, true), (3, true), (9, false), (1, false)] {
            assert_eq!(descends(pid, 2, &parents), expect, "{pid}");
        }
    }
}
