//! Processes that a story kills or looks at.
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

pub fn send(to: u32, signal: Signal) -> nix::Result<()> {
    kill(pid(to), signal)
}

pub fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a process number"))
}

/// `kill -9` of every process group that leads a job below this folder of workers' folders. How
/// many there were.
pub fn kill_jobs(work: &Path) -> usize {
    let leaders = leaders(work);
    for leader in &leaders {
        let _ = killpg(pid(*leader), Signal::SIGKILL);
    }
    leaders.len()
}

/// Shells that lead jobs of these workers and still run.
fn leaders(work: &Path) -> Vec<u32> {
    let work = work.canonicalize().unwrap_or_else(|_| work.to_owned());
    let listed = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let workers = listed(work.clone());
    let jobs = workers.flat_map(|worker| listed(worker.path().join("runs")));
    let groups = jobs.filter_map(|job| {
        let text = fs::read(job.path().join("job.json")).ok()?;
        let job: Value = serde_json::from_slice(&text).ok()?;
        u32::try_from(job["group"]["pid"].as_u64()?).ok()
    });
    // The number may be another's by now.
    groups
        .filter(|pid| match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) => folder.starts_with(&work),
            Err(_) => !Path::new("/proc/self").exists(),
        })
        .collect()
}

/// Peak memory of a process in kilobytes, where the system tells it.
pub fn peak_kb(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The last lines of a file, under its name.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let last = all[all.len().saturating_sub(lines)..].join("\n");
    format!("--- {}\n{last}\n", path.display())
}
