//! `windlass fleet replay`: what settings would have made of a history, and Spacelift's beside them.
use super::history;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Grid, Out, Word};
use serde::Serialize;
use std::path::{Path, PathBuf};
use windlass_core::fleet::{Policy, Warm};
use windlass_simulator::ours::Ours;
use windlass_simulator::spacelift::{Settings, Spacelift};
use windlass_simulator::{Bounds, Controller, Outcome as Played, Trace, simulate};

const MINUTE_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass fleet replay runs.csv\n  windlass fleet replay runs.csv \
                        --max 40 --idle-delay 3 --queued-runs-per-slot 2\n  windlass fleet replay \
                        trace.json --json\n\nFILE is a table with commas: a line of names, among \
                        them queued_at (RFC 3339, or seconds) and seconds (how long the run took), \
                        and a line per run; or a trace in JSON, whose group, boots and shortages \
                        are its own. Nothing is asked of any server."
)]
pub(crate) struct Args {
    /// The history
    file: PathBuf,
    /// Machines at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    max: u32,
    /// Machines at least
    #[arg(long, value_name = "N", default_value_t = 0)]
    min: u32,
    /// From launch to the worker's registration
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    boot: u64,
    /// Minutes without a run after which a machine may go
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    idle_delay: u64,
    /// Machines more in one look
    #[arg(long, value_name = "N", default_value_t = 10)]
    step_up: u32,
    /// Machines fewer in one look
    #[arg(long, value_name = "N", default_value_t = 5)]
    step_down: u32,
    /// Free slots kept ready
    #[arg(long, value_name = "N", default_value_t = 0)]
    warm: u32,
    /// Of a hundred slots so many are meant to be busy
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    utilisation: u32,
    /// Waiting runs that share the slot bought for them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    queued_runs_per_slot: u32,
}

#[derive(Serialize)]
struct Report {
    runs: usize,
    rows: Vec<Row>,
}

/// What one set of settings makes of it.
#[derive(Serialize)]
struct Row {
    who: &'static str,
    wait_p50_s: f64,
    wait_p95_s: f64,
    machine_hours: f64,
    /// Machines that were ended while they had a run.
    busy_kills: u32,
    /// Runs that nobody had taken an hour after the last.
    unstarted: usize,
}

pub(super) fn run(out: &Out, args: &Args) -> Outcome {
    let trace = read(&args.file, args)?;
    let report = Report { runs: trace.runs.len(), rows: rows(&trace, &policy(args)) };
    out.show(&report, |look| {
        let mut grid = Grid::new(&["SETTINGS", "WAIT P50", "WAIT P95", "MACHINE HOURS", "KILLED"]);
        for row in &report.rows {
            grid.row(vec![
                Word::from(row.who),
                format!("{:.0} s", row.wait_p50_s).into(),
                format!("{:.0} s", row.wait_p95_s).into(),
                format!("{:.1}", row.machine_hours).into(),
                row.busy_kills.to_string().into(),
            ]);
        }
        format!("{} runs\n\n{}\n", report.runs, grid.render(look))
    })?;
    Ok(Exit::Done)
}

fn rows(trace: &Trace, policy: &Policy) -> Vec<Row> {
    let mut controllers: Vec<(&'static str, Box<dyn Controller>)> = vec![
        ("yours", Box::new(Ours::new(policy.clone()))),
        ("windlass, defaults", Box::new(Ours::new(Policy::default()))),
        ("windlass, frugal", Box::new(Ours::new(Policy::frugal()))),
        ("spacelift, defaults", Box::new(Spacelift { settings: Settings::default() })),
    ];
    if *policy == Policy::default() {
        controllers.remove(0);
    }
    let played = controllers.into_iter().map(|(who, mut it)| row(who, &simulate(trace, &mut *it)));
    played.collect()
}

fn row(who: &'static str, played: &Played) -> Row {
    Row {
        who,
        wait_p50_s: played.wait_s(50),
        wait_p95_s: played.p95_s(),
        machine_hours: played.machine_hours(),
        busy_kills: played.busy_kills,
        unstarted: played.unstarted,
    }
}

fn policy(args: &Args) -> Policy {
    Policy {
        step_up_max: args.step_up,
        step_down_max: args.step_down,
        idle_delay_ms: args.idle_delay.saturating_mul(MINUTE_MS),
        warm: Warm::Always(args.warm),
        utilisation_percent: args.utilisation,
        queued_runs_per_slot: args.queued_runs_per_slot,
        ..Policy::default()
    }
}

fn read(file: &Path, args: &Args) -> Result<Trace, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{shown} can't be read")).because(error))?;
    let trace = if text.trim_start().starts_with('{') {
        Trace::parse(text.as_bytes()).map_err(|error| error.to_string())
    } else {
        let group = Bounds { min: args.min, max: args.max };
        let boot_ms = args.boot.saturating_mul(1_000);
        history::read(&text, group, (boot_ms, boot_ms))
    };
    trace.map_err(|why| Failure::usage(format!("{shown}: {why}")))
}
