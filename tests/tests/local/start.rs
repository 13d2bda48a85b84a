//! Starts that must be refused with a sentence, and a disk that is full for a while.
use e2e::up::id;
use e2e::{LONG, Server, until};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the program can be started");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_machine_without_git_or_tool_is_told_what_to_install() {
    let world = crate::world("terraform");
    world.define(&[]).repo.commit("Nothing yet");
    let programs = world.folder().join("programs");
    fs::create_dir(&programs).expect("a folder");
    let git = Command::new("sh").args(["-c", "command -v git"]).output().expect("a shell").stdout;
    let git = String::from_utf8(git).expect("a path");
    for (there, expect) in [
        (None, "the program `git` is not on PATH"),
        (Some(git.trim()), "neither `terraform` nor `tofu` is on PATH"),
    ] {
        if let Some(program) = there {
            symlink(program, programs.join("git")).expect("a link");
        }
        let mut up = world.windlass();
        up.env("PATH", &programs).args(world.up_words(1));
        let (code, said) = said(&mut up);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(expect) && said.contains("install"), "{said}");
    }
    assert!(!world.data.exists(), "nothing was made for it");
}

#[test]
fn a_data_folder_that_is_read_only_or_full_is_refused() {
    let world = crate::world("terraform");
    world.define(&[]).repo.commit("Nothing yet");
    #[rustfmt::skip]
    let table = [
        ("ro",        "its file system is read-only"),
        ("size=64k",  "the disk is full"),
    ];
    for (options, expect) in table {
        let Some(mut up) = world.mounted(options, 1) else { return };
        let (code, said) = said(&mut up);
        assert_eq!(code, Some(3), "{options}: {said}");
        assert!(said.contains(expect), "{options}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "one sentence: {said}");
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_nothing() {
    let world = crate::world("terraform");
    world.define(&[("one", "autodeploy: true")]).code("one", "first");
    let sha = world.repo.commit("One stack");
    let Some(command) = world.mounted("size=48m", 1) else { return };
    let data = world.data.clone();
    let inside = |pid: u32| {
        let root = std::path::PathBuf::from(format!("/proc/{pid}/root"));
        root.join(data.strip_prefix("/").unwrap_or(&data))
    };
    let mut up = Server::spawn(&world, command, inside);
    up.reaches("one", &sha, "FINISHED");

    let filler = up.server().data().join("filler");
    let full = Command::new("sh")
        .args([OsStr::new("-c"), OsStr::new("cat /dev/zero >\"$1\""), OsStr::new("sh")])
        .arg(&filler)
        .output()
        .expect("a shell");
    assert!(!full.status.success(), "the disk is full");
    let sha = world.code("one", "second").repo.commit("Another value");
    until("the server to meet the full disk", LONG, || {
        let log = fs::read_to_string(world.folder().join("up.err")).unwrap_or_default();
        let met = log.contains("full") || log.contains("No space left");
        met.then_some(()).ok_or(log)
    });
    fs::remove_file(&filler).expect("room again");
    // What was under way may have failed with the disk; it can always be done again.
    let run = until("the run to end", LONG, || {
        let run = up.find("one", &sha, "TRACKED")?;
        if run["terminal"] == true { Ok(run) } else { Err(e2e::up::brief(&run)) }
    });
    if run["state"] != "FINISHED" {
        let again = up.retry(e2e::up::id(&run));
        up.becomes(&again, "FINISHED");
    }
    e2e::proofs::no_plan_applied_twice(&world.tool.calls());
    let outputs = up.ask("/stacks/one/outputs");
    assert_eq!(outputs["outputs"][0]["value"], "second", "{outputs}");
}

#[test]
fn who_started_it_hears_of_what_waits() {
    let world = crate::world("terraform");
    world.define(&[("base", "")]).code("base", "x");
    let sha = world.repo.commit("Waits for a person");
    let up = world.up(1);
    let run = up.reaches("base", &sha, "UNCONFIRMED");
    let id = id(&run);
    let line = format!("windlass run confirm {}", &id[id.len() - 8..]);
    let told = || {
        let said = std::fs::read_to_string(world.folder().join("up.err")).unwrap_or_default();
        let lines =
            said.lines().filter(|told| told.starts_with("base waits") && told.contains(&line));
        if lines.count() == 1 { Ok(()) } else { Err(said) }
    };
    until("the run to be told of", LONG, told);
    up.confirm(&run);
    up.becomes(id, "FINISHED");
    assert_eq!(told(), Ok(()), "once");
}
