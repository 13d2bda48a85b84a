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

pub(crate) const TREE: &str = "tree";
const PATHS: &str = "windlass/paths";
const RESOURCES: &str = "windlass/resources.json";
/// Level 1: a small archive in a millisecond; what is large in it is compressed already.
const LEVEL: i32 = 1;

/// What a hand-over may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// It is made and read in memory, and travels as one body.
    packed_bytes: u64,
    /// On the disk, all files together.
    bytes: u64,
    /// Listed, changed or not.
    files: usize,
}

pub(crate) const LIMITS: Limits =
    Limits { packed_bytes: 64 * MIB, bytes: 1024 * MIB, files: 500_000 };
const MIB: u64 = 1024 * 1024;
/// Of one file: its header, and its path twice, once in the list.
const BESIDE_BYTES_MAX: u64 = 4 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HandOverError {
    #[error(
        "new and changed files of the work tree come to {} MiB, and {} MiB is the most; the largest \
         is {largest}: let an after_plan hook remove what the apply does not need", mib(*bytes), mib(*most)
    )]
    TooLarge { bytes: u64, most: u64, largest: String },
    #[error(
        "new and changed files of the work tree come to more than {} MiB when packed, which is the \
         most; the largest is {largest}: let an after_plan hook remove what the apply does not need",
        mib(*most)
    )]
    TooLargePacked { most: u64, largest: String },
    #[error(
        "the work tree holds more than {0} files, which is the most: let an after_plan hook remove \
         what the apply does not need"
    )]
    TooMany(usize),
    #[error("it holds more than {0}, the most that a plan hands over")]
    Bomb(String),
    #[error("{0} would leave the work tree")]
    Leaves(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Rounded up, so that what is over a limit does not read like the limit.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

/// A moment by the file system's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(i64, i64);

/// Marks this moment. A file of the same tick counts as changed later, which is harmless.
pub(crate) fn mark(run: &Path) -> io::Result<Mark> {
    let file = run.join("checked-out");
    fs::write(&file, b"")?;
    Ok(changed_at(&fs::symlink_metadata(&file)?))
}

pub(crate) fn changed_at(meta: &fs::Metadata) -> Mark {
    Mark(meta.ctime(), meta.ctime_nsec())
}

/// The archive of `run`'s work tree, and the digest of the plan file in it. Blocks.
pub(crate) fn pack(
    run: &Path,
    since: Mark,
    plan_file: &Path,
    resources: &[Resource],
    limits: Limits,
) -> Result<(Vec<u8>, Digest), HandOverError> {
    let digest = Digest::of(&fs::read(plan_file)?);
    let tree = run.join(TREE);
    let mut found = Found::default();
    walk(&tree, Path::new(""), since, limits.files, &mut found)?;
    let largest = found.largest.display().to_string();
    let (bytes, most) = (found.bytes, limits.bytes);
    if bytes > most {
        return Err(HandOverError::TooLarge { bytes, most, largest });
    }

    let full = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            HandOverError::TooLargePacked { most: limits.packed_bytes, largest: largest.clone() }
        }
        _ => error.into(),
    };
    let packed = Capped { bytes: Vec::new(), most: limits.packed_bytes };
    let mut out = tar::Builder::new(zstd::Encoder::new(packed, LEVEL)?);
    out.follow_symlinks(false);
    fill(&mut out, &tree, &found, resources).map_err(full)?;
    let packed = out.into_inner().and_then(zstd::Encoder::finish).map_err(full)?;
    Ok((packed.bytes, digest))
}

fn fill(
    out: &mut tar::Builder<impl Write>,
    tree: &Path,
    found: &Found,
    resources: &[Resource],
) -> io::Result<()> {
    // First, because the apply removes before it unpacks.
    append(out, PATHS, &found.paths)?;
    append(out, RESOURCES, &serde_json::to_vec(resources)?)?;
    for path in &found.changed {
        out.append_path_with_name(tree.join(path), Path::new(TREE).join(path))?;
    }
    Ok(())
}

/// Memory that takes so much and no more.
struct Capped {
    bytes: Vec<u8>,
    most: u64,
}

impl Write for Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + more.len()) as u64 > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(out: &mut tar::Builder<impl Write>, name: &str, body: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(body.len() as u64);
    header.set_mode(0o600);
    out.append_data(&mut header, name, body)
}

/// What a look through the work tree found.
#[derive(Default)]
struct Found {
    /// All files and links, each ended by a zero byte.
    paths: Vec<u8>,
    files: usize,
    /// Those changed since.
    changed: Vec<PathBuf>,
    /// How much these are.
    bytes: u64,
    largest: PathBuf,
    largest_bytes: u64,
}

impl Found {
    fn note(&mut self, path: PathBuf, meta: &fs::Metadata, since: Mark) {
        self.files += 1;
        self.paths.extend(path.as_os_str().as_encoded_bytes());
        self.paths.push(0);
        if changed_at(meta) >= since {
            self.bytes = self.bytes.saturating_add(meta.len());
            if meta.len() >= self.largest_bytes {
                (self.largest, self.largest_bytes) = (path.clone(), meta.len());
            }
            self.changed.push(path);
        }
    }
}

fn walk(
    tree: &Path,
    folder: &Path,
    since: Mark,
    files_max: usize,
    found: &mut Found,
) -> Result<(), HandOverError> {
    let mut entries: Vec<_> = fs::read_dir(tree.join(folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if left_out(&path) {
            continue;
        }
        let meta = entry.metadata()?;
        if meta.is_dir() {
            walk(tree, &path, since, files_max, found)?;
        } else if meta.is_file() || meta.is_symlink() {
            if found.files == files_max {
                return Err(HandOverError::TooMany(files_max));
            }
            found.note(path, &meta, since);
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
/// plan expected in the state. Takes no more than `pack` gives: a small body may unpack to a full
/// disk. Blocks.
pub(crate) fn unpack(
    bytes: &[u8],
    run: &Path,
    limits: Limits,
) -> Result<Vec<Resource>, HandOverError> {
    // The paths of all files, their headers, and what else is beside their content.
    let beside = limits.files as u64 * BESIDE_BYTES_MAX;
    let stream = zstd::Decoder::new(bytes)?.take(limits.bytes.saturating_add(beside));
    let mut archive = tar::Archive::new(stream);
    archive.set_preserve_mtime(true);
    let mut resources = Vec::new();
    let (mut left, mut files) = (limits.bytes, limits.files);
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
            resources = serde_json::from_slice(&json).map_err(io::Error::from)?;
        } else if name.starts_with(TREE) {
            // A sparse file is larger than what is stored of it.
            let too_large = || HandOverError::Bomb(format!("{} MiB", mib(limits.bytes)));
            left = left.checked_sub(entry.size()).ok_or_else(too_large)?;
            let too_many = || HandOverError::Bomb(format!("{} files", limits.files));
            files = files.checked_sub(1).ok_or_else(too_many)?;
            if !entry.unpack_in(run)? {
                return Err(HandOverError::Leaves(name.display().to_string()));
            }
        }
    }
    Ok(resources)
}

fn remove_others(tree: &Path, kept: &[u8]) -> Result<(), HandOverError> {
    let kept: std::collections::BTreeSet<&[u8]> = kept.split(|byte| *byte == 0).collect();
    let mut here = Found::default();
    // What a checkout laid down was bounded there.
    walk(tree, Path::new(""), Mark(i64::MIN, 0), usize::MAX, &mut here)?;
    for path in here.changed {
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
            pack(before.path(), since, &root.join("windlass.plan"), &resources, LIMITS).unwrap();
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
        assert_eq!(unpack(&bytes, after.path(), LIMITS).unwrap(), resources);
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
        assert!(unpack(&bytes, &run.path().join("run"), LIMITS).is_err());
        assert!(!run.path().join("out").exists());
    }
    #[test]
    fn a_hand_over_has_bounds_on_both_sides() {
        // What no packing makes smaller.
        let noise = |len: u64| (0..len).flat_map(|n| Digest::of(&n.to_le_bytes()).0.into_bytes());
        let ample = Limits { packed_bytes: 100_000, bytes: 100_000, files: 8 };
        #[rustfmt::skip]
        let table = [
            (ample,                                     "ok"),
            (Limits { packed_bytes: 12_000, ..ample },  "more than 1 MiB when packed, which is the most; the largest is root/big.zip:"),
            (Limits { bytes: 29_999, ..ample },         "come to 1 MiB, and 1 MiB is the most; the largest is root/big.zip:"),
            (Limits { files: 5, ..ample },              "the work tree holds more than 5 files, which is the most"),
        ];
        let before = tempfile::tempdir().unwrap();
        let since = checkout(before.path());
        let plan = before.path().join("tree/root/windlass.plan");
        write(&plan, "the plan");
        fs::write(plan.with_file_name("big.zip"), noise(500).collect::<Vec<u8>>()).unwrap();
        for (limits, expect) in table {
            let packed = pack(before.path(), since, &plan, &[], limits);
            let said = packed.map_or_else(|e| e.to_string(), |_| "ok".into());
            assert!(said.contains(expect), "{expect:?} is not in {said:?}");
        }

        let (bytes, _) = pack(before.path(), since, &plan, &[], ample).unwrap();
        #[rustfmt::skip]
        let table = [
            (ample,                              "ok"),
            (Limits { bytes: 29_999, ..ample },  "it holds more than 1 MiB, the most that a plan hands over"),
            (Limits { files: 1, ..ample },       "it holds more than 1 files, the most"),
        ];
        for (limits, expect) in table {
            let after = tempfile::tempdir().unwrap();
            checkout(after.path());
            let unpacked = unpack(&bytes, after.path(), limits);
            let said = unpacked.map_or_else(|e| e.to_string(), |_| "ok".into());
            assert!(said.contains(expect), "{expect:?} is not in {said:?}");
        }
    }

    /// A list of paths, or a name, that is longer than any tree has.
    #[test]
    fn what_lies_beside_the_files_is_bounded_too() {
        let mut out = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
        append(&mut out, PATHS, &vec![b'x'; 4 * 1024 * 1024]).unwrap();
        let bytes = out.into_inner().unwrap().finish().unwrap();
        let run = tempfile::tempdir().unwrap();
        fs::create_dir_all(run.path().join(TREE)).unwrap();
        let limits = Limits { packed_bytes: 100_000, bytes: 1024, files: 8 };
        assert!(unpack(&bytes, run.path(), limits).is_err());
    }
}
