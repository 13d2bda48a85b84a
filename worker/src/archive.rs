//! The hand-over from a plan to its apply: everything of the work tree that is not in the commit.
//!
//! The apply checks the same commit out again; the archive holds what init, plan and hooks added
//! or changed (found by change time against a mark made right after the checkout) and the list of
//! paths, so that what a hook removed is removed again. Providers stay out: they are links into a
//! cache or hundreds of megabytes, and the apply installs the same ones by the lock file.
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use windlass_core::changes::Resource;
use windlass_core::id::Digest;

const TREE: &str = "tree";
const PATHS: &str = "windlass/paths";
const RESOURCES: &str = "windlass/resources.json";
/// Level 1: a small archive in a millisecond; what is large in it is compressed already.
const LEVEL: i32 = 1;

/// A moment by the file system's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(i64, i64);

/// Marks this moment. A file of the same tick counts as changed later, which is harmless.
pub(crate) fn mark(run: &Path) -> io::Result<Mark> {
    let file = run.join("checked-out");
    fs::write(&file, b"")?;
    Ok(changed_at(&fs::symlink_metadata(&file)?))
}

fn changed_at(meta: &fs::Metadata) -> Mark {
    Mark(meta.ctime(), meta.ctime_nsec())
}

/// The archive of `run`'s work tree, and the digest of the plan file in it. Blocks.
pub(crate) fn pack(
    run: &Path,
    since: Mark,
    plan_file: &Path,
    resources: &[Resource],
) -> io::Result<(Vec<u8>, Digest)> {
    let digest = Digest::of(&fs::read(plan_file)?);
    let tree = run.join(TREE);
    let (mut paths, mut changed) = (Vec::new(), Vec::new());
    walk(&tree, Path::new(""), since, &mut paths, &mut changed)?;

    let mut out = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    out.follow_symlinks(false);
    // First, because the apply removes before it unpacks.
    append(&mut out, PATHS, &paths)?;
    append(&mut out, RESOURCES, &serde_json::to_vec(resources)?)?;
    for path in changed {
        out.append_path_with_name(tree.join(&path), Path::new(TREE).join(&path))?;
    }
    Ok((out.into_inner()?.finish()?, digest))
}

fn append(out: &mut tar::Builder<impl Write>, name: &str, body: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(body.len() as u64);
    header.set_mode(0o600);
    out.append_data(&mut header, name, body)
}

/// Collects all paths, each ended by a zero byte, and those changed since.
fn walk(
    tree: &Path,
    folder: &Path,
    since: Mark,
    paths: &mut Vec<u8>,
    changed: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(tree.join(folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if left_out(&path) {
            continue;
        }
        let meta = entry.metadata()?;
        if meta.is_dir() {
            walk(tree, &path, since, paths, changed)?;
        } else if meta.is_file() || meta.is_symlink() {
            paths.extend(path.as_os_str().as_encoded_bytes());
            paths.push(0);
            if changed_at(&meta) >= since {
                changed.push(path);
            }
        }
    }
    Ok(())
}

/// Git's own data, and providers.
fn left_out(path: &Path) -> bool {
    let named = |path: Option<&Path>, name: &str| {
        path.and_then(Path::file_name).is_some_and(|last| last == name)
    };
    named(Some(path), ".git")
        || (named(Some(path), "providers") && named(path.parent(), ".terraform"))
}

/// Makes `run`'s fresh work tree what it was when it was packed. Returns the resources that the
/// plan expected in the state. Blocks.
pub(crate) fn unpack(bytes: &[u8], run: &Path) -> io::Result<Vec<Resource>> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes)?);
    archive.set_preserve_mtime(true);
    let mut resources = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if name == Path::new(PATHS) {
            let mut kept = Vec::new();
            entry.read_to_end(&mut kept)?;
            remove_others(&run.join(TREE), &kept)?;
        } else if name == Path::new(RESOURCES) {
            let mut json = Vec::new();
            entry.read_to_end(&mut json)?;
            resources = serde_json::from_slice(&json)?;
        } else if name.starts_with(TREE) && !entry.unpack_in(run)? {
            return Err(io::Error::other(format!("{} would leave the work tree", name.display())));
        }
    }
    Ok(resources)
}

fn remove_others(tree: &Path, kept: &[u8]) -> io::Result<()> {
    let kept: std::collections::BTreeSet<&[u8]> = kept.split(|byte| *byte == 0).collect();
    let (mut here, mut all) = (Vec::new(), Vec::new());
    walk(tree, Path::new(""), Mark(i64::MIN, 0), &mut here, &mut all)?;
    for path in all {
        if !kept.contains(path.as_os_str().as_encoded_bytes()) {
            fs::remove_file(tree.join(path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A work tree as a commit makes it, long before anything else happens.
    fn checkout(run: &Path) -> Mark {
        let tree = run.join(TREE);
        for name in ["root/main.tf", "root/removed.tf", "root/edited.tf", "lib/big.bin", ".git"] {
            write(&tree.join(name), name);
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
        mark(run).unwrap()
    }

    #[test]
    fn an_apply_gets_what_the_plan_left() {
        let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let since = checkout(before.path());
        let root = before.path().join("tree/root");
        write(&root.join("windlass.plan"), "the plan");
        write(&root.join(".terraform.lock.hcl"), "locks");
        write(&root.join(".terraform/modules/m/main.tf"), "module");
        write(&root.join(".terraform/modules/m/.git/HEAD"), "ref");
        write(&root.join(".terraform/providers/p/binary"), "huge");
        write(&root.join("edited.tf"), "changed by a hook");
        write(&before.path().join("tree/build/run.sh"), "#!/bin/sh");
        let script = before.path().join("tree/build/run.sh");
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        symlink("../lib/big.bin", root.join("link")).unwrap();
        fs::remove_file(root.join("removed.tf")).unwrap();

        let resources = [Resource {
            address: "a.b".into(),
            kind: "a".into(),
            name: "b".into(),
            provider: "p".into(),
            module: None,
        }];
        let (bytes, digest) =
            pack(before.path(), since, &root.join("windlass.plan"), &resources).unwrap();
        assert_eq!(digest, Digest::of(b"the plan"));
        let mut names: Vec<String> = Vec::new();
        let mut archive = tar::Archive::new(zstd::Decoder::new(bytes.as_slice()).unwrap());
        for entry in archive.entries().unwrap() {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
        let expect = [
            PATHS,
            RESOURCES,
            "tree/build/run.sh",
            "tree/root/.terraform/modules/m/main.tf",
            "tree/root/.terraform.lock.hcl",
            "tree/root/edited.tf",
            "tree/root/link",
            "tree/root/windlass.plan",
        ];
        assert_eq!(names, expect, "neither providers nor git's data nor unchanged files");

        checkout(after.path());
        assert_eq!(unpack(&bytes, after.path()).unwrap(), resources);
        let read = |name: &str| fs::read_to_string(after.path().join("tree").join(name)).ok();
        #[rustfmt::skip]
        let table = [
            ("root/main.tf",                        Some("root/main.tf")),
            ("root/edited.tf",                      Some("changed by a hook")),
            ("root/removed.tf",                     None),
            ("root/windlass.plan",                  Some("the plan")),
            ("root/.terraform/modules/m/main.tf",   Some("module")),
            ("root/.terraform/providers/p/binary",  None),
            ("root/link",                           Some("lib/big.bin")),
            (".git",                                Some(".git")),
        ];
        for (name, expect) in table {
            assert_eq!(read(name).as_deref(), expect, "{name}");
        }
        let mode = fs::metadata(after.path().join("tree/build/run.sh")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn nothing_leaves_the_work_tree() {
        let run = tempfile::tempdir().unwrap();
        fs::create_dir_all(run.path().join("run/tree")).unwrap();
        let mut out = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.as_mut_bytes()[..14].copy_from_slice(b"tree/../../out");
        header.set_cksum();
        out.append(&header, &b"x"[..]).unwrap();
        let bytes = out.into_inner().unwrap().finish().unwrap();
        assert!(unpack(&bytes, &run.path().join("run")).is_err());
        assert!(!run.path().join("out").exists());
    }
}
