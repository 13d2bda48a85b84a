//! `windlass lab`: the cloud in a box, to look around in. It is a program of its own, because it builds
//! and starts what a person's `windlass` does not need.
use crate::exit::{Failure, Outcome};
use std::env::{consts::EXE_SUFFIX, current_exe};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "windlass-lab";

pub(crate) fn run() -> Outcome {
    let own = current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join(PROGRAM));
    let mut command = match (beside.filter(|program| program.is_file()), checkout(own.as_deref())) {
        // In a checkout cargo sees to it that it is of the same sources.
        (_, Some(checkout)) => {
            let mut cargo = Command::new("cargo");
            cargo.args(["run", "--quiet", "--package", "e2e", "--bin", PROGRAM]);
            cargo.current_dir(checkout);
            cargo
        }
        (Some(program), None) => Command::new(program),
        (None, None) => {
            return Err(Failure::missing(format!(
                "the lab is not installed: there is no {PROGRAM}{EXE_SUFFIX} beside this program; \
                 in a checkout of Windlass, `cargo run -- lab` starts it"
            )));
        }
    };
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Err(Failure::missing(format!("{program} can't be started")).because(error))
}

/// The sources that this program was built from, if it lies in their target folder.
fn checkout(own: Option<&Path>) -> Option<PathBuf> {
    let is_ours = |folder: &&Path| folder.join("tests/src/bin/windlass-lab.rs").is_file();
    own?.ancestors().find(is_ours).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_from_its_target_folder_and_nowhere_else() {
        let temp = tempfile::tempdir().unwrap();
        let bin = temp.path().join("tests/src/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("windlass-lab.rs"), "").unwrap();
        let program = temp.path().join("target/debug/windlass");
        assert_eq!(checkout(Some(&program)).as_deref(), Some(temp.path()));
        assert_eq!(checkout(Some(Path::new("/usr/local/bin/windlass"))), None);
        assert_eq!(checkout(None), None);
    }
}
