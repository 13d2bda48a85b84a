//! Code out of a store: the archive of a commit that the control plane made, because workers hold
//! no key to the forge.
//!
//! What a tarball says is not trusted: nothing is written outside of the work tree, in words or
//! through a link, and an archive can't fill the disk beyond a bound.
use crate::Checkout;
use async_trait::async_trait;
use flate2::read::GzDecoder;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tar::EntryType;
use windlass_core::id::{RepoName, Sha};
use windlass_core::keys;
use windlass_ports::{Blobs, Fault};

/// Unpacked, all files together.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
const ENTRIES_MAX: usize = 500_000;

/// Reads commits as the blobs `archives/<repository>/<sha>.tar.gz`.
pub struct BlobCheckout {
    blobs: Arc<dyn Blobs>,
}

impl BlobCheckout {
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs }
    }
}

#[async_trait]
impl Checkout for BlobCheckout {
    async fn checkout(&self, repo: &RepoName, sha: &Sha, dest: &Path) -> Result<(), Fault> {
        let Some(archive) = self.blobs.get(&keys::code_archive(repo, sha)).await? else {
            let sha = sha.short();
            return Err(Fault::retryable(format!("the store has no archive of {repo} at {sha}")));
        };
        let (dest, limits) = (dest.to_owned(), Limits { bytes: BYTES_MAX, entries: ENTRIES_MAX });
        let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, &dest, limits)).await;
        let cut_off = |e| Fault::retryable_from("unpacking was cut off", e);
        unpacked.map_err(cut_off)?.map_err(|error| match error {
            Unpack::Write { .. } => Fault::retryable_from("the code can't be unpacked", error),
            other => Fault::poison_from("the archive of the code can't be used", other),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    bytes: u64,
    entries: usize,
}

#[derive(Debug, thiserror::Error)]
enum Unpack {
    #[error("it is damaged")]
    Damaged(#[source] io::Error),
    #[error("{0} would leave the work tree")]
    Leaves(String),
    #[error("{0} is neither a file, a folder nor a link")]
    Kind(String),
    #[error("it holds more than {0} bytes")]
    TooLarge(u64),
    #[error("it holds more than {0} files")]
    TooMany(usize),
    #[error("{path} can't be written")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Unpacks what lies below the archive's one top folder. Links come last, so that no file is
/// written through one.
fn unpack(archive: &[u8], dest: &Path, limits: Limits) -> Result<(), Unpack> {
    folder(dest).map_err(written(dest))?;
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let (mut left, mut links, mut count) = (limits.bytes, Vec::new(), 0);
    for entry in archive.entries().map_err(Unpack::Damaged)? {
        let mut entry = entry.map_err(Unpack::Damaged)?;
        let kind = entry.header().entry_type();
        // What git notes about the commit.
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        count += 1;
        if count > limits.entries {
            return Err(Unpack::TooMany(limits.entries));
        }
        let name = entry.path().map_err(Unpack::Damaged)?.into_owned();
        let Some(path) = below_top(&name)? else { continue };
        let full = dest.join(&path);
        match kind {
            EntryType::Directory => folder(&full).map_err(written(&path))?,
            EntryType::Regular | EntryType::Continuous => {
                let runs = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
                left = left.checked_sub(entry.size()).ok_or(Unpack::TooLarge(limits.bytes))?;
                file(&mut entry, &full, runs, &path)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(Unpack::Damaged)?.unwrap_or_default();
                links.push((path, target.into_owned()));
            }
            _ => return Err(Unpack::Kind(name.display().to_string())),
        }
    }
    link(dest, &links)
}

/// The path without the archive's top folder; None for that folder itself.
fn below_top(name: &Path) -> Result<Option<PathBuf>, Unpack> {
    let mut parts = name.components().filter(|part| *part != Component::CurDir);
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => Ok(PathBuf::from(name)),
        _ => Err(Unpack::Leaves(name.display().to_string())),
    };
    parts.next().map(plain).transpose()?;
    let rest = parts.map(plain).collect::<Result<PathBuf, _>>()?;
    Ok((!rest.as_os_str().is_empty()).then_some(rest))
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn written(path: &Path) -> impl FnOnce(io::Error) -> Unpack {
    let path = path.display().to_string();
    |source| Unpack::Write { path, source }
}

/// A short read is a damaged archive, a failed write is a full disk.
fn file(from: &mut impl Read, full: &Path, runs: bool, path: &Path) -> Result<(), Unpack> {
    if let Some(parent) = full.parent() {
        folder(parent).map_err(written(path))?;
    }
    let mode = if runs { 0o755 } else { 0o644 };
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(full);
    let mut to = open.map_err(written(path))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).map_err(Unpack::Damaged)? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).map_err(written(path))?,
        }
    }
}

/// Makes the links that stay in the tree. One that leads out of it is left out: nothing that the
/// commit holds lies there.
fn link(dest: &Path, links: &[(PathBuf, PathBuf)]) -> Result<(), Unpack> {
    let mut made = Vec::new();
    for (path, target) in links {
        if !stays(path, target) {
            tracing::warn!(path = %path.display(), "a link out of the repository is left out");
            continue;
        }
        let full = dest.join(path);
        if let Some(parent) = full.parent() {
            folder(parent).map_err(written(path))?;
        }
        symlink(target, &full).map_err(written(path))?;
        made.push(full);
    }
    // Words alone don't tell where a link through another link leads.
    let real = dest.canonicalize().map_err(written(dest))?;
    for full in made {
        if full.canonicalize().is_ok_and(|leads_to| !leads_to.starts_with(&real)) {
            tracing::warn!(path = %full.display(), "a link out of the repository is left out");
            fs::remove_file(&full).map_err(written(&full))?;
        }
    }
    Ok(())
}

/// By its words, the target lies below the root.
fn stays(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    target.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => {
            let above = depth == 0;
            depth = depth.saturating_sub(1);
            !above
        }
        Component::RootDir | Component::Prefix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::os::unix::fs::PermissionsExt;
    use windlass_ports::fake::MemBlobs;

    enum Item<'a> {
        File(&'a str, &'a str),
        Run(&'a str),
        Folder(&'a str),
        Link(&'a str, &'a str),
        Hard(&'a str, &'a str),
        Global,
    }
    use Item::{File, Folder, Global, Hard, Link, Run};

    fn pack(items: &[Item<'_>]) -> Vec<u8> {
        let mut out = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for item in items {
            let (kind, name, body, target, mode) = match item {
                File(name, body) => (EntryType::Regular, *name, *body, "", 0o664),
                Run(name) => (EntryType::Regular, *name, "#!", "", 0o775),
                Folder(name) => (EntryType::Directory, *name, "", "", 0o775),
                Link(name, target) => (EntryType::Symlink, *name, "", *target, 0o777),
                Hard(name, target) => (EntryType::Link, *name, "", *target, 0o664),
                Global => (
                    EntryType::XGlobalHeader,
                    "pax_global_header",
                    "20 comment=0123456\n",
                    "",
                    0o666,
                ),
            };
            let mut header = tar::Header::new_ustar();
            // Past the builder's own checks: a hostile archive has none.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(body.len() as u64);
            header.set_cksum();
            out.append(&header, body.as_bytes()).unwrap();
        }
        out.into_inner().unwrap().finish().unwrap()
    }

    const ROOMY: Limits = Limits { bytes: 1_000, entries: 100 };

    #[test]
    fn a_commit_becomes_a_tree() {
        let temp = tempfile::tempdir().unwrap();
        let dest = temp.path().join("tree");
        let archive = pack(&[
            Global,
            Folder("o-r-abc/"),
            File("o-r-abc/main.tf", "# x"),
            Folder("o-r-abc/bin/"),
            Run("o-r-abc/bin/go.sh"),
            File("o-r-abc/a/b/deep.tf", "# deep"),
            Link("o-r-abc/a/up", "../main.tf"),
            Link("o-r-abc/dangling", "a/none"),
        ]);
        unpack(&archive, &dest, ROOMY).unwrap();
        assert_eq!(fs::read_to_string(dest.join("a/up")).unwrap(), "# x");
        assert_eq!(fs::read_to_string(dest.join("a/b/deep.tf")).unwrap(), "# deep");
        assert!(dest.join("dangling").is_symlink());
        let mode = |name: &str| dest.join(name).metadata().unwrap().permissions().mode() & 0o111;
        assert_eq!((mode("bin/go.sh") & 0o100, mode("main.tf")), (0o100, 0));
    }

    #[test]
    fn nothing_gets_out_and_nothing_grows_without_bound() {
        let large = "x".repeat(600);
        #[rustfmt::skip]
        let table: [(&str, Vec<Item<'_>>, &str); 14] = [
            ("up",               vec![File("t/../../out", "x")],                           "would leave the work tree"),
            ("above the top",    vec![File("../out", "x")],                                "would leave the work tree"),
            ("absolute",         vec![File("/out", "x")],                                  "would leave the work tree"),
            ("hard link",        vec![Hard("t/a", "/etc/passwd")],                         "neither a file"),
            ("twice",            vec![File("t/a", "1"), File("t/a", "2")],                 "can't be written"),
            ("file as a folder", vec![File("t/a", "1"), File("t/a/b", "2")],               "can't be written"),
            ("through a link",   vec![Link("t/a", "b"), File("t/a/out", "x")],            "can't be written"),
            ("too large",        vec![File("t/a", &large), File("t/b", &large)],           "more than 1000 bytes"),
            ("too many",         (0..101).map(|_| Folder("t/a")).collect(),                "more than 100 files"),
            ("link up",          vec![Link("t/a/l", "../../out")],                         "ok"),
            ("link absolute",    vec![Link("t/l", "/etc/passwd")],                         "ok"),
            ("link by a link",   vec![Folder("t/p/q/"), Link("t/p/q/r", "../.."), Link("t/l", "p/q/r/../..")], "ok"),
            ("only a file",      vec![File("t", "x")],                                     "ok"),
            ("nothing",          vec![],                                                   "ok"),
        ];
        for (name, items, expect) in table {
            let temp = tempfile::tempdir().unwrap();
            let dest = temp.path().join("in/tree");
            fs::create_dir_all(dest.parent().unwrap()).unwrap();
            let said = unpack(&pack(&items), &dest, ROOMY);
            let said = said.map_or_else(|e| e.to_string(), |()| "ok".to_owned());
            assert!(said.contains(expect), "{name}: {said}");
            for out in ["out", "in/out"] {
                assert!(!temp.path().join(out).exists(), "{name}");
            }
            for left in ["l", "a/l"] {
                assert!(!dest.join(left).is_symlink(), "{name}: a link leads out");
            }
        }
        let whole = pack(&[File("t/a", "1")]);
        let temp = tempfile::tempdir().unwrap();
        for damaged in [&whole[..whole.len() / 2], b"no archive"] {
            let said = unpack(damaged, &temp.path().join("t"), ROOMY).unwrap_err();
            assert!(matches!(said, Unpack::Damaged(_)), "{said}");
        }
    }

    #[tokio::test]
    async fn a_missing_archive_is_asked_for_again_and_a_bad_one_is_not() {
        let (blobs, temp) = (Arc::new(MemBlobs::new()), tempfile::tempdir().unwrap());
        let (repo, sha) = (RepoName::from("infra"), Sha("0123456789abcdef".into()));
        let checkout = BlobCheckout::new(blobs.clone());
        let missing = checkout.checkout(&repo, &sha, &temp.path().join("1")).await.unwrap_err();
        assert!(missing.is_retryable(), "{missing}");
        blobs.put(&keys::code_archive(&repo, &sha), b"rubbish".to_vec()).await.unwrap();
        let bad = checkout.checkout(&repo, &sha, &temp.path().join("2")).await.unwrap_err();
        assert!(!bad.is_retryable(), "{bad}");
        let good = pack(&[File("t/main.tf", "# x")]);
        blobs.put(&keys::code_archive(&repo, &sha), good).await.unwrap();
        checkout.checkout(&repo, &sha, &temp.path().join("3")).await.unwrap();
        assert_eq!(fs::read_to_string(temp.path().join("3/main.tf")).unwrap(), "# x");
    }
}
