//! The programs as they are deployed: profile `lambda`.
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The functions by name, and `hello`.
pub(crate) fn functions() -> Result<BTreeMap<String, PathBuf>> {
    let mut programs = BTreeMap::new();
    let sets: [&[&str]; 2] = [
        &[
            "-p",
            "webhook",
            "-p",
            "scheduler",
            "-p",
            "drift",
            "-p",
            "api",
            "--bins",
            "--features",
            // Of each of them: `api/aws` would mean the dependency that api has on itself in its tests.
            "aws",
        ],
        &["-p", "windlass-lambda", "--example", "hello"],
    ];
    for set in sets {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--profile", "lambda", "--message-format", "json-render-diagnostics"])
            .args(set)
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .context("cargo can't be started")?;
        anyhow::ensure!(output.status.success(), "the functions do not build");
        for line in output.stdout.split(|byte| *byte == b'\n') {
            let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            let (name, program) = (&message["target"]["name"], &message["executable"]);
            if let (Some(name), Some(program)) = (name.as_str(), program.as_str()) {
                programs.insert(name.to_owned(), program.into());
            }
        }
    }
    Ok(programs)
}
