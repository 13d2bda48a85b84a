//! Process groups by their leader: named so that a number used again is not mistaken for it, and
//! seen to be gone only when nothing of them runs.
//!
//! A leader's number can't be given to another process while its group has a member, so a number
//! with another start time means that the group is gone.
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use windlass_core::job::ProcessGroup;

/// The group that this process leads. None if there is no such process.
#[must_use]
pub fn identify(pid: u32) -> Option<ProcessGroup> {
    let started = system::process(pid)?.started;
    Some(ProcessGroup { pid, started, boot: system::boot() })
}

/// True only if no process of the group can run any more.
#[must_use]
pub fn group_gone(group: &ProcessGroup) -> bool {
    let here = system::boot();
    if here != group.boot {
        // After another boot nothing is left; in another container of this boot we can't know.
        let boot = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        return boot(&here) != boot(&group.boot);
    }
    let Some(pid) = number(group) else { return true };
    if killpg(pid, None) == Err(Errno::ESRCH) {
        return true;
    }
    match system::process(group.pid) {
        Some(leader) if leader.started != group.started => true,
        Some(leader) if leader.running => false,
        _ => !system::any_running(group.pid),
    }
}

/// Kills what is left of the group; says whether anything was.
pub fn kill_group(group: &ProcessGroup) -> bool {
    signal(group, Signal::SIGKILL)
}

/// Interrupts what is left of the group, as Ctrl-C would; says whether anything was.
pub fn interrupt_group(group: &ProcessGroup) -> bool {
    signal(group, Signal::SIGINT)
}

fn signal(group: &ProcessGroup, signal: Signal) -> bool {
    if group_gone(group) || system::boot() != group.boot {
        return false;
    }
    number(group).is_some_and(|pid| killpg(pid, signal).is_ok())
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
    use std::fs;

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
        let Ok(entries) = fs::read_dir("/proc") else { return true };
        let group = group.to_string();
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.bytes().all(|byte| byte.is_ascii_digit())
                && stat(&name)
                    .is_some_and(|fields| fields.get(2) == Some(&group) && running(&fields))
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Process;
    use std::process::Command;

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
}
