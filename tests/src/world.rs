//! One story's world: a repository, a wrapped tool and a place for the control plane, all in a folder
//! that goes at the end.
use crate::cloud::place::InABox;
use crate::local::Machine;
use crate::place::{Death, Place};
use crate::repo::Repo;
use crate::tool::{Gate, Tool};
use crate::up::Up;
use emulator::Emulator;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

pub struct World {
    pub repo: Repo,
    pub tool: Tool,
    /// What the place keeps on this machine.
    pub data: PathBuf,
    place: Box<dyn Place>,
    temp: TempDir,
}

impl World {
    /// On this machine, with an empty repository called `infra`. The only tool has this name.
    pub fn local(tool: &str) -> Self {
        Self::at(tool, |root| Box::new(Machine { data: root.join("data") }))
    }

    /// On the cloud in a box, otherwise the same.
    pub fn cloud(tool: &str) -> Self {
        Self::at(tool, |root| Box::new(InABox::new(&root.join("data"), Emulator::shared())))
    }

    /// The same with an API server of its own, for a story that makes calls fail; and its box.
    pub fn cloud_alone(tool: &str) -> (Self, InABox) {
        let emulator = Arc::new(Emulator::start().expect("an AWS API server"));
        let mut made = None;
        let world = Self::at(tool, |root| {
            let place = InABox::new(&root.join("data"), emulator);
            made = Some(place.clone());
            Box::new(place)
        });
        (world, made.expect("it was just made"))
    }

    fn at(tool: &str, place: impl FnOnce(&Path) -> Box<dyn Place>) -> Self {
        let temp = tempfile::Builder::new().prefix("windlass-e2e-").tempdir();
        let temp = temp.expect("a temporary folder");
        let root = temp.path();
        std::fs::create_dir(root.join("home")).expect("a home");
        let repo = Repo::create(&root.join("infra"));
        let tool = Tool::wrap(&root.join("tool"), tool);
        Self { repo, tool, data: root.join("data"), place: place(root), temp }
    }

    pub fn folder(&self) -> &Path {
        self.temp.path()
    }

    /// The program, in an environment of its own.
    pub fn windlass(&self) -> Command {
        let mut command = Command::new(self.place.program());
        command
            .env("PATH", self.tool.path())
            .env("HOME", self.folder().join("home"))
            .env_remove("XDG_DATA_HOME")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        if std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| !Path::new(&file).exists()) {
            command.env_remove("TF_CLI_CONFIG_FILE");
        }
        self.place.point(&mut command);
        command
    }

    /// A command line of the program, to its end.
    pub fn cli(&self, words: &[&str]) -> Output {
        self.windlass().args(words).output().expect("the program can be started")
    }

    /// A command line that is expected to be refused: its exit code and what it said on stderr.
    pub fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.cli(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// A running control plane; the same again if it was killed.
    #[track_caller]
    pub fn up(&self, workers: u16) -> Up {
        self.place.start(self, workers)
    }

    /// A file with the managed state of a stack, if it has one.
    pub fn state(&self, stack: &str) -> Option<PathBuf> {
        self.place.state(stack)
    }

    /// Everything that is kept, by name, but for what may hold secrets.
    pub fn kept(&self) -> Vec<(String, Vec<u8>)> {
        self.place.kept()
    }

    /// How a run says that its worker died.
    pub fn cause(&self, death: Death) -> &'static str {
        self.place.cause(death)
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

/// Terraform code: one resource, and its input as the output `it`.
pub fn resource(value: &str) -> String {
    format!(
        "resource \"terraform_data\" \"it\" {{\n  input = \"{value}\"\n}}\n\n\
         output \"it\" {{\n  value = terraform_data.it.output\n}}\n"
    )
}
