//! An [`Origin`] that is a real Git repository with a work tree.
use super::source::Origin;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use windlass_core::id::Sha;

pub struct GitOrigin {
    folder: PathBuf,
    commits: AtomicU64,
}

impl GitOrigin {
    /// Makes an empty repository in this folder, which must be there.
    #[must_use]
    pub fn create(folder: impl Into<PathBuf>) -> Self {
        let origin = Self { folder: folder.into(), commits: AtomicU64::new(0) };
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin
    }

    /// Runs git by nobody's settings; what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada Example"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn has(&self, branch: &str) -> bool {
        let place = format!("refs/heads/{branch}");
        !self.git(&["for-each-ref", "--format=%(refname)", &place]).is_empty()
    }
}

impl Origin for GitOrigin {
    fn push(&self, branch: &str, written: &[(&str, &str)], removed: &[&str]) -> Sha {
        if self.has(branch) {
            self.git(&["checkout", "--quiet", "--force", branch, "--"]);
        } else {
            self.git(&["checkout", "--quiet", "--orphan", branch]);
            self.git(&["rm", "-r", "--quiet", "--force", "--ignore-unmatch", "."]);
        }
        for path in removed {
            std::fs::remove_file(self.folder.join(path)).unwrap();
        }
        for (path, text) in written {
            let path = self.folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        let n = self.commits.fetch_add(1, Ordering::SeqCst);
        let message = format!("Commit {n}\n\nIts body, on lines\nof its own.");
        self.git(&["commit", "--quiet", "--allow-empty", "--message", &message]);
        // No branch is checked out, so that each can be moved and deleted.
        self.git(&["checkout", "--quiet", "--detach"]);
        Sha(self.git(&["rev-parse", "HEAD"]))
    }
    fn set_branch(&self, branch: &str, sha: &Sha) {
        self.git(&["branch", "--force", branch, &sha.0]);
    }
    fn delete_branch(&self, branch: &str) {
        self.git(&["branch", "--quiet", "-D", branch]);
    }
    fn set_tag(&self, tag: &str, sha: &Sha) {
        self.git(&["tag", tag, &sha.0]);
    }
}
