//! Where Windlass keeps the states of stacks without a backend of their own: plain Terraform state,
//! through one of the tool's own backends, named in an override file.
use crate::fetch::FetchError;
use crate::tool::Found;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use windlass_core::id::StackId;
use windlass_core::keys;

/// Written into the project root when Windlass keeps the state; the tool merges it over the code.
pub const OVERRIDE_FILE: &str = "windlass_override.tf.json";

/// One choice per worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateHome {
    /// On this machine: `<folder>/<stack>/terraform.tfstate`.
    Folder(PathBuf),
    /// In the bucket that everything lies in, under the stack's own prefix.
    S3(Bucket),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    pub region: String,
    /// Not AWS itself answers for it (an endpoint was set): the tool asks no other service of AWS,
    /// and names the bucket in the path.
    pub stand_in: bool,
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    File(PathBuf),
    /// Under this key of the bucket.
    Object(String),
}

/// The first version whose S3 backend locks by the bucket alone, of Terraform and OpenTofu alike.
const LOCKFILE_SINCE: &str = "1.10";

#[derive(Debug, thiserror::Error)]
#[error(
    "a state that Windlass keeps in a bucket needs Terraform or OpenTofu {LOCKFILE_SINCE} or newer \
     (its lock lies there too), and {found} is what PATH has ({path})"
)]
pub(crate) struct TooOld {
    found: String,
    path: String,
}

/// Where the tool's local backend keeps the state of a workspace, below the folder of all states.
#[must_use]
pub fn kept_state(states: &Path, stack: &StackId, workspace: &str) -> PathBuf {
    let own = states.join(&stack.0);
    let folder = match workspace {
        "" | "default" => own,
        other => own.join("workspaces").join(other),
    };
    folder.join("terraform.tfstate")
}

impl StateHome {
    /// Refuses a tool that could not lock a state there.
    pub(crate) fn check(&self, tool: &Found) -> Result<(), TooOld> {
        match self {
            StateHome::S3(_) if !tool.version.at_least(1, 10) => {
                Err(TooOld { found: tool.to_string(), path: tool.path.display().to_string() })
            }
            _ => Ok(()),
        }
    }

    /// True if the tool's lock outlives the tool: a plan must not take one then, because nothing
    /// that may simply be killed may leave something behind (rule B9).
    #[must_use]
    pub(crate) fn lock_outlives_tool(&self) -> bool {
        matches!(self, StateHome::S3(_))
    }

    #[must_use]
    pub(crate) fn kept(&self, stack: &StackId, workspace: &str) -> Kept {
        match (self, workspace) {
            (StateHome::S3(_), _) => Kept::Object(keys::workspace_state(stack, workspace)),
            (StateHome::Folder(folder), _) => Kept::File(kept_state(folder, stack, workspace)),
        }
    }

    /// Writes the override into the project root.
    pub(crate) fn install(&self, stack: &StackId, root: &Path) -> Result<(), FetchError> {
        let failed = |path: &Path| {
            let path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            |source| FetchError::Write { path, source }
        };
        if let StateHome::Folder(folder) = self {
            let own = folder.join(&stack.0);
            fs::create_dir_all(&own).map_err(failed(&own))?;
        }
        let text = json!({"terraform": {"backend": self.backend(stack)}}).to_string();
        let file = root.join(OVERRIDE_FILE);
        fs::write(&file, text).map_err(failed(&file))
    }

    fn backend(&self, stack: &StackId) -> serde_json::Value {
        match self {
            StateHome::Folder(folder) => json!({"local": {
                "path": folder.join(&stack.0).join("terraform.tfstate"),
                "workspace_dir": folder.join(&stack.0).join("workspaces"),
            }}),
            StateHome::S3(Bucket { name, region, stand_in }) => {
                let mut s3 = json!({
                    "bucket": name,
                    "key": keys::state(stack),
                    "region": region,
                    "use_lockfile": true,
                    "workspace_key_prefix": keys::state_workspaces(stack),
                });
                if *stand_in {
                    for setting in [
                        "use_path_style",
                        "skip_credentials_validation",
                        "skip_metadata_api_check",
                        "skip_region_validation",
                        "skip_requesting_account_id",
                    ] {
                        s3[setting] = json!(true);
                    }
                }
                json!({"s3": s3})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(stand_in: bool) -> StateHome {
        StateHome::S3(Bucket { name: "b".into(), region: "eu-central-1".into(), stand_in })
    }

    fn written(home: &StateHome) -> serde_json::Value {
        let root = tempfile::tempdir().unwrap();
        home.install(&"app".into(), root.path()).unwrap();
        let text = fs::read(root.path().join(OVERRIDE_FILE)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()["terraform"]["backend"].clone()
    }

    #[test]
    fn where_each_state_lies() {
        let temp = tempfile::tempdir().unwrap();
        let folder = StateHome::Folder(temp.path().to_owned());
        let file = |path: &str| Kept::File(temp.path().join(path));
        let object = |key: &str| Kept::Object(key.to_owned());
        #[rustfmt::skip]
        let table = [
            (&folder,        "default", file("app/terraform.tfstate")),
            (&folder,        "prod",    file("app/workspaces/prod/terraform.tfstate")),
            (&bucket(false), "default", object("state/app/terraform.tfstate")),
            (&bucket(false), "",        object("state/app/terraform.tfstate")),
            (&bucket(false), "prod",    object("state/app/workspaces/prod/state/app/terraform.tfstate")),
        ];
        for (home, workspace, expect) in table {
            assert_eq!(home.kept(&"app".into(), workspace), expect, "{home:?} {workspace}");
        }
        assert_eq!(
            written(&folder)["local"]["path"],
            json!(temp.path().join("app/terraform.tfstate"))
        );
        let s3 = written(&bucket(false))["s3"].clone();
        assert_eq!(
            s3,
            json!({"bucket": "b", "key": "state/app/terraform.tfstate", "region": "eu-central-1",
                "use_lockfile": true, "workspace_key_prefix": "state/app/workspaces"})
        );
        let s3 = written(&bucket(true))["s3"].clone();
        assert_eq!((&s3["use_path_style"], s3.as_object().unwrap().len()), (&json!(true), 10));
    }

    #[test]
    fn a_tool_that_cannot_lock_in_a_bucket_is_refused() {
        let found = |version: &str| Found {
            path: "/bin/terraform".into(),
            name: "Terraform".into(),
            version: version.parse().unwrap(),
        };
        let folder = StateHome::Folder("/s".into());
        for (version, works) in [
            ("1.9.8", false),
            ("0.15.5", false),
            ("1.10.0", true),
            ("1.11.4", true),
            ("2.0.0", true),
        ] {
            assert_eq!(bucket(false).check(&found(version)).is_ok(), works, "{version}");
            assert!(folder.check(&found(version)).is_ok(), "{version}");
        }
        let said = bucket(false).check(&found("1.9.8")).unwrap_err().to_string();
        assert!(said.contains("Terraform v1.9.8") && said.contains("1.10"), "{said}");
    }
}
