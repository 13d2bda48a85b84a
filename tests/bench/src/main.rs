//! Measures the serverless form on this machine; each measurement writes the document that
//! `docs/benchmarks.md` is rendered from.
mod build;
mod cold;
mod crowd;
mod event;
mod others;
mod requests;
mod runtime;
mod tls;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Measures the serverless form on this machine")]
struct Args {
    /// Where the document goes; - shows it
    #[arg(long, default_value = "docs/benchmarks", global = true, value_name = "DIR")]
    out: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From exec to the first answer, against hello, Node and Python (minutes)
    ColdStart {
        /// Rounds, in turns
        #[arg(long, default_value_t = 30)]
        rounds: usize,
    },
    /// AWS requests of a confirmed run, by the API server's own count
    Requests {
        /// Counted once more beside so many other stacks (10,000 take ten seconds and 200 MB)
        #[arg(long, default_value_t = 0)]
        others: usize,
    },
    /// From a push to the job that a worker sees
    Latency {
        #[arg(long, default_value_t = 100)]
        pushes: usize,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (name, report) = match args.what {
        What::ColdStart { rounds } => ("cold-start", cold::measure(rounds)?),
        What::Requests { others } => ("requests", requests::measure(others)?),
        What::Latency { pushes } => ("latency", requests::latency(pushes)?),
    };
    let text = report.json()?;
    if args.out.as_os_str() == "-" {
        print!("{text}");
        return Ok(());
    }
    let path = args.out.join(format!("{name}.json"));
    std::fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))
}
