//! The sample repository: four stacks of builtin resources, real outputs passed as inputs.
use crate::exit::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Git repository with a work tree, made for the demo alone.
pub(crate) struct Sample {
    pub(crate) folder: PathBuf,
}

/// Paths and texts that a commit writes.
pub(crate) type Files = &'static [(&'static str, &'static str)];

const MAIN: &str = "main";

/// The stacks, and which ones each waits for.
pub(crate) const EDGES: &[(&str, &[&str])] = &[
    ("network", &[]),
    ("cluster", &["network"]),
    ("app-a", &["cluster"]),
    ("app-b", &["cluster"]),
];

impl Sample {
    /// An empty repository in this (new) folder.
    pub(crate) fn create(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|e| {
            Failure::missing(format!("{} can't be made", folder.display())).because(e)
        })?;
        let sample = Self { folder: folder.to_owned() };
        sample.git(&["init", "--quiet", &format!("--initial-branch={MAIN}")])?;
        Ok(sample)
    }

    /// Writes the files, commits them on the branch that is checked out, and names the commit.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> Result<String, Failure> {
        for (path, text) in files {
            let path = self.folder.join(path);
            let parent = path.parent().unwrap_or(&self.folder);
            std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)).map_err(
                |e| Failure::missing(format!("{} can't be written", path.display())).because(e),
            )?;
        }
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", subject])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits on another branch, in a work tree of its own: `main` stays checked out.
    pub(crate) fn commit_on(
        &self,
        branch: &str,
        subject: &str,
        files: Files,
    ) -> Result<String, Failure> {
        let aside = self.folder.with_extension("aside");
        let aside_text = aside.to_string_lossy();
        self.git(&["worktree", "add", "--quiet", "-b", branch, &aside_text, MAIN])?;
        let sha = Self { folder: aside.clone() }.commit(subject, files)?;
        self.git(&["worktree", "remove", "--force", &aside_text])?;
        Ok(sha)
    }

    /// Git without any of the user's settings: no signing, no hooks, no templates.
    fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = Command::new("git")
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TEMPLATE_DIR", "")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .args(["-c", "user.name=Dana Demo", "-c", "user.email=dana@example.com"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .output()
            .map_err(|e| Failure::missing("git can't be started").because(e))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => {
                let said = text(&output.stderr);
                let verb = arguments.first().copied().unwrap_or_default();
                Err(Failure::failed(format!("git {verb} failed in the sample: {said}")))
            }
        }
    }
}

const DEFINITIONS: &str = r#"version: 1
stacks:
  - name: network
    project_root: stacks/network
    autodeploy: true
  - name: cluster
    project_root: stacks/cluster
    autodeploy: true
    depends_on:
      - stack: network
        references: [{ output: vpc_id, input: TF_VAR_vpc_id }]
  - name: app-a
    project_root: stacks/app-a
    autodeploy: true
    depends_on:
      - stack: cluster
        references: [{ output: endpoint, input: TF_VAR_endpoint }]
  - name: app-b
    project_root: stacks/app-b
    autodeploy: true
    depends_on:
      - stack: cluster
        references: [{ output: endpoint, input: TF_VAR_endpoint }]
"#;

const DEFINITIONS_CAREFUL: &str = r#"version: 1
stacks:
  - name: network
    project_root: stacks/network
    autodeploy: true
  - name: cluster
    project_root: stacks/cluster
    autodeploy: true
    depends_on:
      - stack: network
        references: [{ output: vpc_id, input: TF_VAR_vpc_id }]
  - name: app-a
    project_root: stacks/app-a
    autodeploy: true
    depends_on:
      - stack: cluster
        references: [{ output: endpoint, input: TF_VAR_endpoint }]
  - name: app-b
    project_root: stacks/app-b
    autodeploy: false
    depends_on:
      - stack: cluster
        references: [{ output: endpoint, input: TF_VAR_endpoint }]
"#;

const NETWORK: &str = r#"resource "terraform_data" "vpc" {
  input = { cidr = "10.0.0.0/16" }
}

resource "terraform_data" "subnet" {
  count = 2
  input = { vpc = terraform_data.vpc.id, cidr = cidrsubnet("10.0.0.0/16", 8, count.index) }
}

output "vpc_id" {
  value = terraform_data.vpc.id
}

output "subnets" {
  value = length(terraform_data.subnet)
}
"#;

const NETWORK_THREE_SUBNETS: &str = r#"resource "terraform_data" "vpc" {
  input = { cidr = "10.0.0.0/16" }
}

resource "terraform_data" "subnet" {
  count = 3
  input = { vpc = terraform_data.vpc.id, cidr = cidrsubnet("10.0.0.0/16", 8, count.index) }
}

output "vpc_id" {
  value = terraform_data.vpc.id
}

output "subnets" {
  value = length(terraform_data.subnet)
}
"#;

const CLUSTER: &str = r#"variable "vpc_id" {
  type = string
}

resource "terraform_data" "cluster" {
  input = { vpc = var.vpc_id, size = 3 }
}

output "endpoint" {
  value = "https://${substr(terraform_data.cluster.id, 0, 8)}.cluster.example.com"
}
"#;

const CLUSTER_BROKEN: &str = r#"variable "vpc_id" {
  type = string
}

resource "terraform_data" "cluster" {
  input = { vpc = var.vpc_id, size = 5

output "endpoint" {
  value = "https://${substr(terraform_data.cluster.id, 0, 8)}.cluster.example.com"
}
"#;

const CLUSTER_WITH_NODES: &str = r#"variable "vpc_id" {
  type = string
}

resource "terraform_data" "cluster" {
  input = { vpc = var.vpc_id, size = 3 }
}

resource "terraform_data" "nodes" {
  input = { cluster = terraform_data.cluster.id, count = 5 }

  # Takes a moment, as real machines do.
  provisioner "local-exec" {
    command = "sleep 3"
  }
}

output "endpoint" {
  value = "https://${substr(terraform_data.cluster.id, 0, 8)}.cluster.example.com"
}
"#;

macro_rules! app {
    ($replicas:literal) => {
        concat!(
            "variable \"endpoint\" {\n  type = string\n}\n\n",
            "resource \"terraform_data\" \"deployment\" {\n",
            "  input = { endpoint = var.endpoint, replicas = ",
            $replicas,
            " }\n}\n\n",
            "output \"url\" {\n  value = \"${var.endpoint}/app\"\n}\n"
        )
    };
}

const README: &str =
    "# Infrastructure\n\nFour stacks: a network, a cluster in it, two apps on it.\n";
const README_LONGER: &str = "# Infrastructure\n\nFour stacks: a network, a cluster in it, two apps on \
                             it.\nAsk the platform team before you change the network.\n";

pub(crate) const FIRST: Files = &[
    ("windlass.yaml", DEFINITIONS),
    ("README.md", README),
    ("stacks/network/main.tf", NETWORK),
    ("stacks/cluster/main.tf", CLUSTER),
    ("stacks/app-a/main.tf", app!("2")),
    ("stacks/app-b/main.tf", app!("2")),
];
/// More replicas, and from now on a person looks at each plan of this stack.
pub(crate) const CAREFUL: Files =
    &[("windlass.yaml", DEFINITIONS_CAREFUL), ("stacks/app-b/main.tf", app!("5"))];
pub(crate) const SUBNET: Files = &[("stacks/network/main.tf", NETWORK_THREE_SUBNETS)];
pub(crate) const WORDS: Files = &[("README.md", README_LONGER)];
pub(crate) const PREVIEW: Files = &[("stacks/app-a/main.tf", app!("9"))];
pub(crate) const BROKEN: Files = &[("stacks/cluster/main.tf", CLUSTER_BROKEN)];
pub(crate) const NODES: Files = &[("stacks/cluster/main.tf", CLUSTER_WITH_NODES)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_made_whatever_the_user_has_configured() {
        let temp = tempfile::tempdir().unwrap();
        let sample = Sample::create(&temp.path().join("infra")).unwrap();
        let first = sample.commit("First", FIRST).unwrap();
        let preview = sample.commit_on("more-replicas", "Preview", PREVIEW).unwrap();
        let words = sample.commit("Words", WORDS).unwrap();
        assert_eq!(first.len(), 40);
        assert_ne!(preview, words);
        assert_eq!(sample.git(&["rev-parse", "HEAD~1"]).unwrap(), first);
        assert_eq!(sample.git(&["branch", "--show-current"]).unwrap(), MAIN);
    }

    #[test]
    fn the_definitions_are_valid() {
        for (path, text) in [FIRST[0], CAREFUL[0]] {
            let file = windlass_definitions::SourceFile { path: path.into(), text: text.into() };
            let world = windlass_definitions::World::default();
            let parsed =
                windlass_definitions::parse(&"infra".into(), "main", &[file], &world).unwrap();
            assert_eq!(parsed.stacks.len(), 4);
        }
    }
}
