//! Which program plans and applies: found on PATH, asked for its version once, held against the
//! stack's requirement.
//!
//! The answer to "which version" is kept by path, size and modification time, so that a run costs
//! no process for it.
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use windlass_core::definition::Tool;

/// A program that plans and applies, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// `Terraform` or `OpenTofu`.
    pub name: String,
    pub version: Version,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{wanted} is not on PATH; {}", install(wanted))]
    Missing { wanted: &'static str },
    #[error("`{0} version` does not answer")]
    Silent(String, #[source] std::io::Error),
    #[error("`{0} version` answered what is no version: {1}")]
    Unreadable(String, String),
    #[error("the stack wants version {wanted}, and {found} is what PATH has ({path})")]
    Excluded { wanted: String, found: String, path: String },
    #[error("the version requirement {0:?} can't be read; it looks like `>= 1.6, < 2` or `~> 1.6`")]
    Requirement(String),
    #[error("a stack of this tool is not for workers: the control plane reconciles it")]
    NotForWorkers,
}

/// How to get a tool, for whoever has none.
#[must_use]
pub fn install(wanted: &str) -> &'static str {
    match wanted {
        "tofu" => "install OpenTofu: https://opentofu.org/docs/intro/install/",
        "terraform" => "install Terraform: https://developer.hashicorp.com/terraform/install",
        _ => {
            "install Terraform (https://developer.hashicorp.com/terraform/install) or OpenTofu \
             (https://opentofu.org/docs/intro/install/)"
        }
    }
}

/// The program for a stack's choice, by this PATH. Runs nothing.
pub fn find(tool: Tool, path: &OsStr) -> Result<PathBuf, ToolError> {
    let (names, wanted): (&[&str], _) = match tool {
        Tool::Auto => (&["terraform", "tofu"], "terraform or tofu"),
        Tool::Terraform => (&["terraform"], "terraform"),
        Tool::Opentofu => (&["tofu"], "tofu"),
        Tool::Windlass => return Err(ToolError::NotForWorkers),
    };
    let on_path = |name: &&str| {
        let mut places = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        places.find_map(|folder| Some(folder.join(name)).filter(|file| executable(file)))
    };
    names.iter().find_map(on_path).ok_or(ToolError::Missing { wanted })
}

fn executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

type Stamp = (PathBuf, u64, i64, i64);

/// Versions that were asked for before.
#[derive(Debug, Default)]
pub struct Versions(Mutex<BTreeMap<Stamp, Found>>);

impl Versions {
    /// What the program at `path` is; runs it only if it is new or was replaced. Blocks.
    pub fn of(
        &self,
        path: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Found, ToolError> {
        let shown = || path.display().to_string();
        let meta = path.metadata().map_err(|e| ToolError::Silent(shown(), e))?;
        let stamp = (path.to_owned(), meta.len(), meta.mtime(), meta.mtime_nsec());
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&stamp) {
            return Ok(found.clone());
        }
        let answer = std::process::Command::new(path)
            .arg("version")
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| ToolError::Silent(shown(), e))?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let found = parse_answer(path, &text).ok_or_else(|| {
            let said =
                if text.is_empty() { String::from_utf8_lossy(&answer.stderr) } else { text.into() };
            ToolError::Unreadable(shown(), said.lines().next().unwrap_or_default().to_owned())
        })?;
        known().insert(stamp, found.clone());
        Ok(found)
    }
}

/// The first line of `version`: `Terraform v1.11.4`, `OpenTofu v1.10.0`.
fn parse_answer(path: &Path, text: &str) -> Option<Found> {
    let line = text.lines().find(|line| line.contains(" v"))?;
    let (name, version) = line.trim().split_once(" v")?;
    let version = version.split_whitespace().next()?.parse().ok()?;
    Some(Found { path: path.to_owned(), name: name.to_owned(), version })
}

/// Refuses a tool that the stack's requirement excludes.
pub fn check(found: &Found, requirement: Option<&str>) -> Result<(), ToolError> {
    let Some(text) = requirement.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let requirement =
        Requirement::parse(text).ok_or_else(|| ToolError::Requirement(text.to_owned()))?;
    if requirement.allows(&found.version) {
        return Ok(());
    }
    Err(ToolError::Excluded {
        wanted: text.to_owned(),
        found: found.to_string(),
        path: found.path.display().to_string(),
    })
}

/// `1.11.4`, `1.12.0-beta1`. A prerelease sorts before its release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre: Option<String>,
}

impl Version {
    /// Its prereleases count as the version itself.
    #[must_use]
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        self.numbers[..2] >= [major, minor][..]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.pre.as_ref().map_or(Ok(()), |pre| write!(f, "-{pre}"))
    }
}

impl std::str::FromStr for Version {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(written(text).ok_or(())?.0)
    }
}

/// A version and how many of its numbers were written.
fn written(text: &str) -> Option<(Version, usize)> {
    let text = text.trim().strip_prefix('v').unwrap_or(text.trim());
    let text = text.split('+').next()?;
    let (release, pre) = match text.split_once('-') {
        Some((release, pre)) if !pre.is_empty() => (release, Some(pre.to_owned())),
        Some(_) => return None,
        None => (text, None),
    };
    let mut numbers = [0; 3];
    let parts: Vec<&str> = release.split('.').collect();
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(&parts) {
        *number = part.parse().ok()?;
    }
    Some((Version { numbers, pre }, parts.len()))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pre = |version: &Version| (version.pre.is_none(), version.pre.clone());
        self.numbers.cmp(&other.numbers).then_with(|| pre(self).cmp(&pre(other)))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Terraform's own syntax: comma-separated conditions that all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement(Vec<(Op, Version, usize)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    More,
    AtLeast,
    Less,
    AtMost,
    /// `~> 1.6`: the last number written may rise.
    Rightmost,
}

impl Requirement {
    /// None if it can't be read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',').map(condition).collect::<Option<Vec<_>>>().map(Self)
    }

    #[must_use]
    pub fn allows(&self, version: &Version) -> bool {
        self.0.iter().all(|(op, bound, count)| match op {
            Op::Equal => version == bound,
            Op::NotEqual => version != bound,
            Op::More => version > bound,
            Op::AtLeast => version >= bound,
            Op::Less => version < bound,
            Op::AtMost => version <= bound,
            Op::Rightmost => {
                let fixed = count.saturating_sub(1).max(1);
                version >= bound && version.numbers[..fixed] == bound.numbers[..fixed]
            }
        })
    }
}

fn condition(text: &str) -> Option<(Op, Version, usize)> {
    const OPS: [(&str, Op); 7] = [
        ("~>", Op::Rightmost),
        (">=", Op::AtLeast),
        ("<=", Op::AtMost),
        ("!=", Op::NotEqual),
        (">", Op::More),
        ("<", Op::Less),
        ("=", Op::Equal),
    ];
    let text = text.trim();
    let (op, rest) = OPS
        .iter()
        .find_map(|(sign, op)| Some((*op, text.strip_prefix(sign)?)))
        .unwrap_or((Op::Equal, text));
    let (version, count) = written(rest)?;
    Some((op, version, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        #[rustfmt::skip]
        let table = [
            // requirement,       allowed,                        excluded
            (">= 1.6, < 2",       "1.6.0 1.11.4 1.99.9",          "1.5.7 2.0.0"),
            ("~> 1.6",            "1.6.0 1.6.9 1.11.4",           "1.5.9 2.0.0"),
            ("~> 1.6.2",          "1.6.2 1.6.9",                  "1.6.1 1.7.0"),
            ("~> 1",              "1.0.0 1.11.4",                 "0.15.5 2.0.0"),
            ("1.11.4",            "1.11.4",                       "1.11.3 1.11.5"),
            ("= 1.11",            "1.11.0",                       "1.11.1"),
            ("!= 1.11.4, >1.11",  "1.11.3 1.12.0",                "1.11.4 1.11.0"),
            ("<=1.11.4",          "1.11.4 1.0.0",                 "1.11.5"),
            (">= 1.12.0-beta1",   "1.12.0-beta1 1.12.0-rc1 1.12.0", "1.12.0-alpha1 1.11.4"),
            (">= 1.12.0",         "1.12.0",                       "1.12.0-rc1"),
        ];
        for (text, allowed, excluded) in table {
            let requirement = Requirement::parse(text).unwrap();
            for (versions, expect) in [(allowed, true), (excluded, false)] {
                for version in versions.split(' ') {
                    let parsed = version.parse().unwrap();
                    assert_eq!(requirement.allows(&parsed), expect, "{text}: {version}");
                }
            }
        }
        for text in ["", "latest", ">= 1.x", "1.2.3.4", ">= 1.6 < 2", "1.6-"] {
            assert_eq!(Requirement::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn answers_and_refusals() {
        let path = Path::new("/bin/terraform");
        #[rustfmt::skip]
        let table = [
            ("Terraform v1.11.4\non linux_amd64\n",          Some("Terraform v1.11.4")),
            ("\u{1b}[0mOpenTofu v1.10.0-rc1\n",              Some("\u{1b}[0mOpenTofu v1.10.0-rc1")),
            ("Terraform v1.11.4 (a fork)\n",                 Some("Terraform v1.11.4")),
            ("command not found",                            None),
        ];
        for (answer, expect) in table {
            let found = parse_answer(path, answer).map(|found| found.to_string());
            assert_eq!(found.as_deref(), expect, "{answer}");
        }
        let found = parse_answer(path, "Terraform v1.11.4").unwrap();
        assert!(check(&found, None).is_ok() && check(&found, Some("~> 1.6")).is_ok());
        assert_eq!(
            check(&found, Some(">= 2")).unwrap_err().to_string(),
            "the stack wants version >= 2, and Terraform v1.11.4 is what PATH has (/bin/terraform)"
        );
        assert!(matches!(check(&found, Some("new")), Err(ToolError::Requirement(_))));
    }

    #[test]
    fn the_first_on_path_and_terraform_before_tofu() {
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let place = |folder: usize, name: &str, mode: u32| {
            let file = folders[folder].path().join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            file
        };
        place(0, "terraform", 0o644);
        let tofu = place(1, "tofu", 0o755);
        let terraform = place(2, "terraform", 0o755);
        let path = std::env::join_paths(folders.iter().map(|f| f.path())).unwrap();
        assert_eq!(find(Tool::Auto, &path).unwrap(), terraform);
        assert_eq!(find(Tool::Opentofu, &path).unwrap(), tofu);
        let only_tofu = std::env::join_paths([folders[1].path()]).unwrap();
        assert_eq!(find(Tool::Auto, &only_tofu).unwrap(), tofu);
        let missing = find(Tool::Terraform, &only_tofu).unwrap_err().to_string();
        assert!(missing.starts_with("terraform is not on PATH; install Terraform"), "{missing}");
        assert!(matches!(find(Tool::Windlass, &path), Err(ToolError::NotForWorkers)));
    }

    #[test]
    fn a_version_is_asked_once_until_the_program_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (tool, count) = (folder.path().join("terraform"), folder.path().join("count"));
        let write = |version: &str| {
            let script =
                format!("#!/bin/sh\necho x >>{}\necho Terraform v{version}\n", count.display());
            std::fs::write(&tool, script).unwrap();
            std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        };
        let versions = Versions::default();
        write("1.6.0");
        for _ in 0..3 {
            assert_eq!(versions.of(&tool, &BTreeMap::new()).unwrap().version.to_string(), "1.6.0");
        }
        write("1.7.0-long");
        assert_eq!(versions.of(&tool, &BTreeMap::new()).unwrap().version.to_string(), "1.7.0-long");
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\nx\n");
    }
}
