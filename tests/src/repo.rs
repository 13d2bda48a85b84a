//! A Git repository with a work tree, driven by the real git and by nobody's settings.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const AUTHOR: &str = "Ada Tester";

pub struct Repo {
    pub folder: PathBuf,
}

impl Repo {
    /// An empty repository whose branch is `main`.
    pub fn create(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder for the repository");
        let repo = Self { folder: folder.to_owned() };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// One without a work tree, as a forge keeps it. Nothing in it is ever thrown away.
    pub fn create_bare(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder for the repository");
        let repo = Self { folder: folder.to_owned() };
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        repo.git(&["config", "gc.auto", "0"]);
        repo
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file in the repository");
        self
    }

    pub fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.folder.join(path)).expect("the file was there");
        self
    }

    /// Commits all that changed; the answer is the commit's id.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git; what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .env("GIT_AUTHOR_NAME", AUTHOR)
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", AUTHOR)
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .args(arguments)
            .output()
            .expect("git can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
