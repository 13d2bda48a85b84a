//! The processes of a job, by its leader: named so that a number used again is not mistaken for it,
//! and seen to be gone only when nothing of them runs.
//!
//! A leader's number can't be given to another process while its group has a member, so a number
//! with another start time means that the group is gone.
//!
//! A program may leave the group (`setsid`, a daemon), and its parents may end before it. What the
//! leader starts therefore carries a mark in its environment, which children inherit wherever they
//! go. On Linux a process with the mark, or below one that has it, belongs to the job; elsewhere no
//! system call shows it, and only the group is seen.
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use windlass_core::job::ProcessGroup;

/// The environment variable that marks a job's processes.
pub const MARK: &str = "WINDLASS_JOB_PROCESS";
/// What is killed while it starts others may have to be looked for again.
const KILLS_MAX: usize = 50;

/// The group that this process leads. None if there is no such process.
#[must_use]
pub fn identify(pid: u32) -> Option<ProcessGroup> {
    let started = system::process(pid)?.started;
    Some(ProcessGroup { pid, started, boot: system::boot() })
}

/// What the mark says of this group's processes.
#[must_use]
pub(crate) fn mark(group: &ProcessGroup) -> String {
    format!("{}.{}", group.pid, group.started.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// True only if no process of the job can run any more.
#[must_use]
pub fn group_gone(group: &ProcessGroup) -> bool {
    let here = system::boot();
    if here != group.boot {
        // After another boot nothing is left; in another container of this boot we can't know.
        let boot = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        return boot(&here) != boot(&group.boot);
    }
    number(group).is_none() || (!members_run(group) && strays(group).is_empty())
}

/// Nothing runs of the job but what left its group.
#[must_use]
pub(crate) fn only_strays_run(group: &ProcessGroup) -> bool {
    system::boot() == group.boot && !members_run(group) && !strays(group).is_empty()
}

/// A process that did not leave the group runs.
fn members_run(group: &ProcessGroup) -> bool {
    let Some(pid) = number(group) else { return false };
    if killpg(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    match system::process(group.pid) {
        Some(leader) if leader.started != group.started => false,
        Some(leader) if leader.running => true,
        _ => system::any_running(group.pid),
    }
}

/// Those that left the group and run.
fn strays(group: &ProcessGroup) -> Vec<Pid> {
    let pid = |pid| i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw);
    system::strays(group, &format!("{MARK}={}", mark(group))).into_iter().filter_map(pid).collect()
}

/// Kills what is left of the job; says whether anything was.
pub fn kill_group(group: &ProcessGroup) -> bool {
    let found = signal(group, Signal::SIGKILL);
    // What was about to start another is dead now; what it started is found by the next look.
    for _ in 0..KILLS_MAX {
        if strays(group).is_empty() || !signal(group, Signal::SIGKILL) {
            break;
        }
    }
    found
}

/// Interrupts what is left of the job, as Ctrl-C would; says whether anything was.
pub fn interrupt_group(group: &ProcessGroup) -> bool {
    signal(group, Signal::SIGINT)
}

fn signal(group: &ProcessGroup, signal: Signal) -> bool {
    if system::boot() != group.boot {
        return false;
    }
    // Looked for first: whoever dies leaves its children to another parent.
    let strays = strays(group);
    let members = members_run(group);
    let mut found = members && number(group).is_some_and(|pid| killpg(pid, signal).is_ok());
    for stray in strays {
        found |= kill(stray, signal).is_ok();
    }
    found
}

/// 0 and 1 would mean our own group and everybody.
fn number(group: &ProcessGroup) -> Option<Pid> {
    i32::try_from(group.pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

struct Process {
    started: String,
    /// False for a zombie.
    running: bool,
}

#[cfg(target_os = "linux")]
mod system {
    use super::Process;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use windlass_core::job::ProcessGroup;

    /// The boot, and the process namespace within it: numbers mean something only there.
    pub(super) fn boot() -> String {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        format!("{} {}", boot.trim(), space.display())
    }

    pub(super) fn process(pid: u32) -> Option<Process> {
        let fields = stat(&pid.to_string())?;
        Some(Process { started: fields.get(19)?.clone(), running: running(&fields) })
    }

    /// The fields of `/proc/<pid>/stat` from the third, the state, on: the second, the name, may
    /// hold blanks and parentheses.
    fn stat(pid: &str) -> Option<Vec<String>> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(fields.split_whitespace().map(str::to_owned).collect())
    }

    fn running(fields: &[String]) -> bool {
        fields.first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X" | "x"))
    }

    pub(super) fn any_running(group: u32) -> bool {
        let group = group.to_string();
        // Where nothing can be seen, nothing is known to be gone.
        all().is_none_or(|all| all.values().any(|fields| fields.get(2) == Some(&group)))
    }

    /// All processes that run, by number, each with its `stat`.
    fn all() -> Option<BTreeMap<u32, Vec<String>>> {
        let running = |pid: u32| stat(&pid.to_string()).filter(|fields| running(fields));
        let entries = fs::read_dir("/proc").ok()?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Some(pids.filter_map(|pid| Some((pid, running(pid)?))).collect())
    }

    /// What carries the mark, and what runs below it or below the leader, outside of the group.
    pub(super) fn strays(group: &ProcessGroup, mark: &str) -> Vec<u32> {
        let all = all().unwrap_or_default();
        let leads = |pid: u32| pid == group.pid && all[&pid].get(19) == Some(&group.started);
        let mut ours: BTreeSet<u32> =
            all.keys().copied().filter(|pid| leads(*pid) || marked(*pid, mark)).collect();
        loop {
            let below = |fields: &Vec<String>| {
                fields
                    .get(1)
                    .and_then(|parent| parent.parse().ok())
                    .is_some_and(|p| ours.contains(&p))
            };
            let more: Vec<u32> = all
                .iter()
                .filter(|(pid, fields)| !ours.contains(pid) && below(fields))
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                break;
            }
            ours.extend(more);
        }
        let member = group.pid.to_string();
        ours.retain(|pid| all[pid].get(2) != Some(&member));
        ours.into_iter().collect()
    }

    /// Another user's can't be read; nor could it be ended.
    fn marked(pid: u32, mark: &str) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Process;
    use std::process::Command;
    use windlass_core::job::ProcessGroup;

    /// Nobody shows another process's environment here.
    pub(super) fn strays(_: &ProcessGroup, _: &str) -> Vec<u32> {
        Vec::new()
    }

    fn ask(program: &str, words: &[&str]) -> String {
        let answer = Command::new(program).args(words).env("LC_ALL", "C").output();
        answer.map(|a| String::from_utf8_lossy(&a.stdout).trim().to_owned()).unwrap_or_default()
    }

    pub(super) fn boot() -> String {
        // `{ sec = 1795342530, usec = 1 } Sun …`: the number stands for the boot.
        let text = ask("/usr/sbin/sysctl", &["-n", "kern.boottime"]);
        text.split([' ', ',']).find(|word| word.len() > 5).unwrap_or_default().to_owned()
    }

    pub(super) fn process(pid: u32) -> Option<Process> {
        let text = ask("/bin/ps", &["-o", "stat=,lstart=", "-p", &pid.to_string()]);
        let (state, started) = text.split_once(char::is_whitespace)?;
        Some(Process { started: started.trim().to_owned(), running: !state.starts_with('Z') })
    }

    pub(super) fn any_running(group: u32) -> bool {
        let group = group.to_string();
        ask("/bin/ps", &["-axo", "pgid=,stat="]).lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(&group) && words.next().is_some_and(|s| !s.starts_with('Z'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    fn leader(script: &str) -> (Child, ProcessGroup) {
        let child = Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap();
        let group = identify(child.id()).unwrap();
        (child, group)
    }

    fn soon(what: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if what() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[test]
    fn gone_means_nothing_of_it_runs() {
        let (mut child, group) = leader("sleep 60 & sleep 60 & wait");
        assert!(!group_gone(&group));
        assert!(kill_group(&group));
        // Nobody reaped the leader yet: a zombie does not run.
        assert!(soon(|| group_gone(&group)));
        child.wait().unwrap();
        assert!(group_gone(&group) && !kill_group(&group));
    }

    #[test]
    fn a_member_outlives_its_leader() {
        let (mut child, group) = leader("sleep 60 & exit 0");
        child.wait().unwrap();
        assert!(!group_gone(&group), "the member runs");
        assert!(kill_group(&group));
        assert!(soon(|| group_gone(&group)));
    }

    #[test]
    fn a_number_used_again_is_not_the_group() {
        let (mut child, group) = leader("sleep 60");
        let other = ProcessGroup { started: "1".into(), ..group.clone() };
        let boot = ProcessGroup { boot: "another boot".into(), ..group.clone() };
        let space = group.boot.split(' ').next().unwrap_or_default();
        let container = ProcessGroup { boot: format!("{space} pid:[1]"), ..group.clone() };
        assert!(group_gone(&other) && !kill_group(&other));
        assert!(group_gone(&boot) && !kill_group(&boot));
        if cfg!(target_os = "linux") {
            assert!(!group_gone(&container) && !kill_group(&container), "can't be known");
        }
        for pid in [0, 1, u32::MAX] {
            assert!(!kill_group(&ProcessGroup { pid, ..group.clone() }));
        }
        assert!(!group_gone(&group));
        kill_group(&group);
        child.wait().unwrap();
    }
    /// A shell that marks what it starts, as a job's leader does, and reads this from its input.
    #[cfg(target_os = "linux")]
    fn marking(script: &str) -> (Child, ProcessGroup) {
        use std::io::Write as _;
        let mut child = Command::new("sh")
            .arg("-s")
            .process_group(0)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let group = identify(child.id()).unwrap();
        let text = format!("export {MARK}={}\n{script}\n", mark(&group));
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        (child, group)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_leaves_the_group_is_found() {
        #[rustfmt::skip]
        let table = [
            "setsid sh -c 'echo $$ >PID; sleep 60'",
            // Its parents are gone before anybody looks.
            "(setsid sh -c '(echo >PID; exec sleep 60) &' &) ; sleep 0.1",
            // Who drops the mark is still below one that has it.
            "env -u MARK setsid sh -c 'echo >PID; sleep 60' & setsid sh -c 'env -i setsid sleep 60; :' & wait",
            // Who ignores the interrupt is killed all the same, and so is what it keeps starting.
            "setsid sh -c 'trap \"\" INT; echo >PID; while :; do sleep 0.01; done' & sleep 60",
        ];
        for script in table {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("pid");
            let script = script.replace("PID", &file.display().to_string()).replace("MARK", MARK);
            let (mut child, group) = marking(&script);
            assert!(soon(|| file.exists() && !strays(&group).is_empty()), "{script}");
            let other = ProcessGroup { started: "1".into(), ..group.clone() };
            assert!(!kill_group(&other), "a number used again");
            assert!(!group_gone(&group), "{script}");
            assert!(kill_group(&group), "{script}");
            child.wait().unwrap();
            assert!(soon(|| group_gone(&group)), "{script}");
            assert_eq!(strays(&group), [], "{script}");
        }
    }

    /// Two interrupts in a row mean "at once" to Terraform.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_member_is_no_stray() {
        let (mut child, group) = marking("sleep 60 & setsid sleep 60 & sleep 60");
        assert!(soon(|| strays(&group).len() == 1));
        kill_group(&group);
        child.wait().unwrap();
    }
}
