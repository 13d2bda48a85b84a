//! One story's world: a repository, a wrapped tool, a data folder, all in a folder that goes at the
//! end.
use crate::binary::windlass;
use crate::repo::Repo;
use crate::tool::{Gate, Tool};
use crate::up::Up;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub struct World {
    pub repo: Repo,
    pub tool: Tool,
    pub data: PathBuf,
    temp: TempDir,
}

impl World {
    /// With an empty repository called `infra`.
    pub fn new() -> Self {
        Self::with_tool("terraform")
    }

    /// On a machine whose only tool has this name.
    pub fn with_tool(name: &str) -> Self {
        let temp = tempfile::Builder::new().prefix("windlass-e2e-").tempdir();
        let temp = temp.expect("a temporary folder");
        let root = temp.path();
        std::fs::create_dir(root.join("home")).expect("a home");
        let repo = Repo::create(&root.join("infra"));
        let tool = Tool::wrap(&root.join("tool"), name);
        Self { repo, tool, data: root.join("data"), temp }
    }

    pub fn folder(&self) -> &Path {
        self.temp.path()
    }

    /// The program, in an environment of its own.
    pub fn windlass(&self) -> Command {
        let mut command = Command::new(windlass());
        command
            .env("PATH", self.tool.path())
            .env("HOME", self.folder().join("home"))
            .env("WINDLASS_DATA", &self.data)
            .env_remove("XDG_DATA_HOME")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        if std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| !Path::new(&file).exists()) {
            command.env_remove("TF_CLI_CONFIG_FILE");
        }
        command
    }

    /// A command line of the program, to its end.
    pub fn cli(&self, words: &[&str]) -> Output {
        self.windlass().args(words).output().expect("the program can be started")
    }

    /// `up`, which is expected to refuse: its exit code and what it said on stderr.
    pub fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.cli(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// The words of `up` for this world.
    pub fn up_words(&self, workers: u16) -> Vec<OsString> {
        let words = ["up", "--port", "0", "--workers", &workers.to_string(), "--data"];
        let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
        words.extend([self.data.clone().into(), "--repo".into(), self.repo.folder.clone().into()]);
        words
    }

    /// A command that becomes the program, with the data folder on a file system of its own:
    /// mounted by `mount` words, seen by that process alone. None where users may not do that.
    pub fn mounted(&self, options: &str, workers: u16) -> Option<Command> {
        let enter = ["--user", "--map-root-user", "--mount"];
        let may = Command::new("unshare").args(enter).arg("true").output();
        if !may.is_ok_and(|answer| answer.status.success()) {
            println!("left out: this system gives no mount namespace to its users");
            return None;
        }
        std::fs::create_dir_all(&self.data).expect("a folder to mount on");
        let words = self.windlass();
        let start = "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"";
        let program = words.get_program().to_owned();
        let mut command = Command::new("unshare");
        command.args(enter).args(["sh", "-c", start, "sh", options]).arg(&self.data).arg(program);
        command.args(self.up_words(workers));
        for (name, value) in words.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        Some(command)
    }

    /// A running server.
    #[track_caller]
    pub fn up(&self, workers: u16) -> Up {
        Up::start(self, workers)
    }

    /// The managed state of a stack.
    pub fn state_file(&self, stack: &str) -> PathBuf {
        self.data.join("state").join(stack).join("terraform.tfstate")
    }

    /// Definitions with these stacks; each is its keys beside `name` and `project_root`.
    pub fn define(&self, stacks: &[(&str, &str)]) -> &Self {
        let mut text = String::from("version: 1\nstacks:\n");
        for (name, keys) in stacks {
            let _ = writeln!(text, "  - name: {name}\n    project_root: stacks/{name}");
            for line in keys.lines().filter(|line| !line.trim().is_empty()) {
                let _ = writeln!(text, "    {line}");
            }
        }
        self.repo.write("windlass.yaml", text);
        self
    }

    /// Code of one stack: one resource with this value.
    pub fn code(&self, stack: &str, value: &str) -> &Self {
        self.repo.write(&format!("stacks/{stack}/main.tf"), resource(value));
        self
    }

    /// Code whose apply stops at the gate, in the middle of it.
    pub fn slow_code(&self, stack: &str, value: &str, gate: &Gate) -> &Self {
        let text = format!(
            "{}\nresource \"terraform_data\" \"slow\" {{\n  input = \"{value}\"\n  \
             triggers_replace = \"{value}\"\n  provisioner \"local-exec\" {{\n    \
             command = \"{}\"\n  }}\n  depends_on = [terraform_data.it]\n}}\n",
            resource(value),
            gate.shell()
        );
        self.repo.write(&format!("stacks/{stack}/main.tf"), text);
        self
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Terraform code: one resource, and its input as the output `it`.
pub fn resource(value: &str) -> String {
    format!(
        "resource \"terraform_data\" \"it\" {{\n  input = \"{value}\"\n}}\n\n\
         output \"it\" {{\n  value = terraform_data.it.output\n}}\n"
    )
}
