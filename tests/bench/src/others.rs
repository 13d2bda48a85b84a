//! Functions in other languages that make the same calls.
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Others {
    /// `function.mjs`, beside its packages.
    pub(crate) node: PathBuf,
    /// An interpreter that has boto3.
    pub(crate) python: PathBuf,
    pub(crate) script: PathBuf,
}

impl Others {
    /// Needs node, npm and Python; packages go to the target folder.
    pub(crate) fn install() -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("others");
        let home = crate::build::target().join("bench-node");
        std::fs::create_dir_all(&home)?;
        for file in ["package.json", "function.mjs"] {
            std::fs::copy(sources.join(file), home.join(file))?;
        }
        if !home.join("node_modules").exists() {
            let npm = Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--silent", "--no-package-lock"])
                .current_dir(&home)
                .output()
                .context("npm can't be started; Node.js brings it")?;
            if !npm.status.success() {
                bail!("npm install: {}", String::from_utf8_lossy(&npm.stderr));
            }
        }
        let python = emulator::venv::ensure("requirements.txt")?.join("python");
        Ok(Self { node: home.join("function.mjs"), python, script: sources.join("function.py") })
    }
}
