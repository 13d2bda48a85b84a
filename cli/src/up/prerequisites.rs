//! What must be installed: git, and Terraform or OpenTofu. Missing: one sentence, how to install.
use crate::exit::Failure;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Fails with exit 3 on the first that is missing.
pub(crate) fn check() -> Result<(), Failure> {
    check_in(std::env::var_os("PATH").as_deref())
}

fn check_in(path: Option<&OsStr>) -> Result<(), Failure> {
    if find(path, "git").is_none() {
        return Err(Failure::missing(
            "the program `git` is not on PATH; install it:\n  \
             Debian, Ubuntu   sudo apt-get install git\n  \
             Fedora           sudo dnf install git\n  \
             macOS            xcode-select --install",
        ));
    }
    if find(path, "terraform").is_none() && find(path, "tofu").is_none() {
        return Err(Failure::missing(
            "neither `terraform` nor `tofu` is on PATH; install one of them (1.6 or newer):\n  \
             Terraform   https://developer.hashicorp.com/terraform/install\n  \
             OpenTofu    https://opentofu.org/docs/intro/install\n  \
             macOS       brew install opentofu",
        ));
    }
    Ok(())
}

fn find(path: Option<&OsStr>, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|folder| folder.join(program)).find(|candidate| {
        let about = std::fs::metadata(candidate);
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        let table = [
            (vec![], Some("`git`")),
            (vec!["git"], Some("neither `terraform` nor `tofu`")),
            (vec!["terraform"], Some("`git`")),
            (vec!["git", "terraform"], None),
            (vec!["git", "tofu"], None),
        ];
        for (programs, expect) in table {
            let folder = tempfile::tempdir().unwrap();
            for program in &programs {
                let path = folder.path().join(program);
                std::fs::write(&path, "").unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            let seen = check_in(Some(folder.path().as_os_str())).err().map(|f| f.sentence);
            match (seen, expect) {
                (None, None) => {}
                (Some(seen), Some(expect)) => {
                    assert!(seen.contains(expect), "{programs:?}: {seen}")
                }
                other => panic!("{programs:?}: {other:?}"),
            }
        }
    }
}
