//! A scratch repository and a folder of mirrors.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses its own part of this; tests may panic"
)]
use adapter_git::Mirrors;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use windlass_core::id::{RepoName, Sha};

pub struct Bench {
    pub root: TempDir,
    pub mirrors: Mirrors,
    pub repo: RepoName,
}

impl Bench {
    /// An empty repository whose first branch will be `main`, not yet added.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(root.path().join("mirrors"));
        let bench = Self { root, mirrors, repo: "infra".into() };
        std::fs::create_dir(bench.origin()).unwrap();
        bench.git(&["init", "-q", "-b", "main"]);
        bench
    }
    /// One with a first commit, added.
    pub async fn with_commit() -> (Self, Sha) {
        let bench = Self::new();
        let sha = bench.commit(&[("a/main.tf", "a1"), ("b/main.tf", "b1")], "first");
        bench.add().await;
        (bench, sha)
    }
    pub async fn add(&self) {
        let origin = self.origin().to_str().unwrap().to_owned();
        self.mirrors.add(self.repo.clone(), origin).await.unwrap();
    }
    pub fn origin(&self) -> PathBuf {
        self.root.path().join("origin")
    }
    pub fn git(&self, args: &[&str]) -> String {
        git(&self.origin(), args)
    }
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> Sha {
        for (path, text) in files {
            let path = self.origin().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        Sha(self.git(&["rev-parse", "HEAD"]))
    }
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"])
        .args(args)
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .env("GIT_COMMITTER_DATE", "2026-11-22T10:00:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
