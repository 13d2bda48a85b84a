//! What Windlass adds to the tool: rounds of one and the same change, by a script, by `up` with one
//! worker and by `up` with two, in turns, so that a busy minute of the machine hits all three.
use super::program::{Up, free_port};
use super::sample::{self, RUNS};
use super::script;
use super::store::{count, folder};
use crate::demo::sample::Sample;
use crate::exit::Failure;
use crate::output::Out;
use api::v1::{RolloutView, RunDetail};
use std::path::{Path, PathBuf};
use std::time::Instant;
use windlass_core::run::StateName;
use windlass_core::time::UnixMs;
use windlass_ports::Clock as _;
use windlass_report::Report;
use windlass_report::machine;
use windlass_report::stats::{median, ms};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Rounds {
    /// Rounds that count, after one that warms up
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
}

/// One `up` with its repository.
struct Side {
    up: Up,
    sample: Sample,
    wall_ms: Vec<f64>,
    /// Of each round: from the first run's birth to the last one's end, all that was not the
    /// tool, spread over the runs.
    own_ms: Vec<f64>,
    /// Of each run of each round: its time in a worker's hands, less its tool's.
    in_hand_ms: Vec<f64>,
    /// Of each round: from the commit to the first run's birth.
    noticed_ms: Vec<f64>,
    tool_ms: Vec<f64>,
}

impl Side {
    fn start(folder: &Path, workers: u16) -> Result<Self, Failure> {
        let home: PathBuf = folder.join(format!("workers-{workers}"));
        let sample = sample::create(&home.join("infra"))?;
        sample::commit(&sample, 0)?;
        let up = Up::start(&home.join("data"), &sample.folder, workers, free_port()?)?;
        Ok(Self {
            up,
            sample,
            wall_ms: vec![],
            own_ms: vec![],
            in_hand_ms: vec![],
            noticed_ms: vec![],
            tool_ms: vec![],
        })
    }

    /// One change, from its commit to the end of its last run.
    fn round(&mut self, round: usize, counts: bool) -> Result<(), Failure> {
        let began = windlass_ports::clock::SystemClock.now();
        let sha = sample::commit(&self.sample, round)?;
        let rollout = self.up.settled(&sha)?;
        let runs = details(&self.up, &rollout)?;
        let born = runs.iter().filter_map(|run| at(&run.run.created_at)).min().unwrap_or(began);
        let ended = runs.iter().filter_map(|run| at(&run.run.since)).max().unwrap_or(born);
        if !counts {
            return Ok(());
        }
        let tool: f64 = runs.iter().map(|run| float(run.tool_ms)).sum();
        self.wall_ms.push(float(ended.since_ms(began)));
        self.tool_ms.push(tool);
        self.noticed_ms.push(float(born.since_ms(began)));
        self.own_ms.push((float(ended.since_ms(born)) - tool) / count(runs.len()));
        let own = |run: &RunDetail| (in_hand_ms(run) - float(run.tool_ms)).max(0.0);
        self.in_hand_ms.extend(runs.iter().map(own));
        Ok(())
    }
}

fn details(up: &Up, rollout: &RolloutView) -> Result<Vec<RunDetail>, Failure> {
    let runs = rollout.runs.iter().filter_map(|planned| planned.run.as_ref());
    let ended_well: Vec<_> = runs.filter(|run| run.state == StateName::Finished).collect();
    if ended_well.len() != RUNS {
        let states: Vec<String> = rollout
            .runs
            .iter()
            .map(|one| {
                let run = one.run.as_ref();
                let note = run.and_then(|run| run.note.clone()).unwrap_or_default();
                format!("{} {} {note}", one.stack, run.map_or("-", |run| run.state.as_str()))
            })
            .collect();
        return Err(Failure::failed(format!("not all runs FINISHED: {}", states.join(", "))));
    }
    ended_well.iter().map(|run| up.client.get(&format!("/runs/{}", run.id))).collect()
}

/// Milliseconds that a worker had the run: from each PREPARING to where its job ended. Waiting for
/// a worker that is busy is nobody's overhead.
fn in_hand_ms(run: &RunDetail) -> f64 {
    let mut total = 0;
    let mut since: Option<UnixMs> = None;
    for line in &run.history {
        let Some(now) = at(&line.at) else { continue };
        let held = !line.state.terminal()
            && !matches!(
                line.state,
                StateName::Queued
                    | StateName::Ready
                    | StateName::Unconfirmed
                    | StateName::Confirmed
            );
        match (held, since) {
            (true, None) => since = Some(now),
            (false, Some(began)) => {
                total += now.since_ms(began);
                since = None;
            }
            _ => {}
        }
    }
    float(total)
}

fn at(text: &str) -> Option<UnixMs> {
    let stamp = text.parse::<jiff::Timestamp>().ok()?;
    u64::try_from(stamp.as_millisecond()).ok().map(UnixMs)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a benchmark are far below 2^52")]
fn float(ms: u64) -> f64 {
    ms as f64
}

pub(crate) fn measure(out: &Out, args: &Rounds) -> Result<Report, Failure> {
    let tool = match machine::tool() {
        Some(version) if version.starts_with("OpenTofu") => "tofu",
        Some(_) => "terraform",
        None => return Err(Failure::missing("neither terraform nor tofu is on PATH")),
    };
    let folder = folder(None)?;
    let home = folder.path();
    let code = sample::create(&home.join("script"))?;
    let mut one = Side::start(home, 1)?;
    let mut two = Side::start(home, 2)?;
    let mut script_ms = Vec::new();
    for round in 1..=args.rounds.max(1) + 1 {
        let counts = round > 1;
        out.remark(&format!("round {} of {}", round - 1, args.rounds));
        sample::commit(&code, round)?;
        let began = Instant::now();
        script::run(&code.folder, &home.join("states"), &home.join("copies"), tool)?;
        if counts {
            script_ms.push(ms(began.elapsed()));
        }
        one.round(round, counts)?;
        two.round(round, counts)?;
    }
    Ok(report(&script_ms, &one, &two))
}

fn report(script_ms: &[f64], one: &Side, two: &Side) -> Report {
    let about = "What Windlass adds to the tool: one root, eight leaves, a second of sleep in each \
                 apply; against a script that makes the same tool calls, one stack after the other";
    let mut report = Report::new("overhead", about);
    let ratios = |side: &Side| -> Vec<f64> {
        side.wall_ms.iter().zip(script_ms).map(|(ours, theirs)| ours / theirs).collect()
    };
    let what = "wall time with one worker, in proportion to the script";
    report.figure("ratio_1_worker", median(&ratios(one)), "", what).at_most = Some(1.10);
    let what = "wall time with two workers (ideal 0.56)";
    report.figure("ratio_2_workers", median(&ratios(two)), "", what).at_most = Some(0.65);
    let what = "own time of a run: one worker, from the first run's birth to the last one's end, \
                less the tool's time, over all runs";
    report.figure("own_ms_per_run", median(&one.own_ms), "ms", what).at_most = Some(120.0);
    let what = "of that, while a worker had the run";
    report.figure("in_hand_ms_per_run", median(&one.in_hand_ms), "ms", what);
    let what = "from a commit to its first run";
    report.figure("noticed_ms", median(&one.noticed_ms), "ms", what);
    report.figure("script_ms", median(script_ms), "ms", "the script");
    report.figure("wall_1_worker_ms", median(&one.wall_ms), "ms", "one worker");
    report.figure("wall_2_workers_ms", median(&two.wall_ms), "ms", "two workers");
    report.figure(
        "tool_1_worker_ms",
        median(&one.tool_ms),
        "ms",
        "the tool's part of one worker's",
    );
    report.figure("rounds", count(script_ms.len()), "", "rounds, in turns");
    report
}
