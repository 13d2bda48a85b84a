//! Git directories as they lie on the disk: mirrors and the `.git` of work trees, written by hand.
use crate::origin::{Credentials, Origin};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Beside git's own files in a mirror: what it fetches from, without credentials …
pub(crate) const ORIGIN_FILE: &str = "windlass-origin";
/// … and the credentials, readable by this user only.
pub(crate) const CREDENTIALS_FILE: &str = "windlass-credentials";

/// The parts of a git directory that git itself insists on. Made by hand because `git init` takes
/// a process, a template and the user's defaults.
pub(crate) fn make_git_dir(dir: &Path, head: &str, config: &str) -> io::Result<()> {
    let builder = || {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
    };
    builder().create(dir.join("objects/info"))?;
    builder().create(dir.join("objects/pack"))?;
    builder().create(dir.join("refs/heads"))?;
    fs::write(dir.join("config"), config)?;
    fs::write(dir.join("HEAD"), format!("{head}\n"))
}

/// The first lines of a configuration file.
pub(crate) fn core_config(bare: bool, object_format: &str) -> String {
    let (version, extension) = match object_format {
        "sha1" => (0, String::new()),
        other => (1, format!("[extensions]\n\tobjectFormat = {other}\n")),
    };
    format!(
        "[core]\n\trepositoryFormatVersion = {version}\n\tbare = {bare}\n\
         \tlogAllRefUpdates = false\n{extension}[gc]\n\tauto = 0\n\tpruneExpire = never\n\
         [maintenance]\n\tauto = false\n"
    )
}

/// Makes a mirror, or points one elsewhere.
pub(crate) fn make_mirror(
    mirror: &Path,
    origin: &Origin,
    credentials: Option<&Credentials>,
    object_format: &str,
) -> io::Result<()> {
    let url = origin.text();
    let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
    let config =
        format!("{}[remote \"origin\"]\n\turl = \"{quoted}\"\n", core_config(true, object_format));
    if !mirror.join("HEAD").exists() {
        make_git_dir(mirror, "ref: refs/heads/main", &config)?;
    }
    write_private(&mirror.join("config"), &config)?;
    match credentials {
        Some(Credentials(text)) => write_private(&mirror.join(CREDENTIALS_FILE), text)?,
        None => match fs::remove_file(mirror.join(CREDENTIALS_FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        },
    }
    // Last: a mirror without it counts as absent.
    write_private(&mirror.join(ORIGIN_FILE), &url)
}

/// Replaces a small file in one step; readers see the old one or the new one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|now| now == text.as_bytes()) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

/// Deletes the lock files of references in a mirror; says how many there were.
pub(crate) fn remove_stale_locks(mirror: &Path) -> usize {
    let mut removed = 0;
    let mut folders = vec![mirror.join("refs")];
    for name in ["packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock"] {
        removed += usize::from(fs::remove_file(mirror.join(name)).is_ok());
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                removed += usize::from(fs::remove_file(&path).is_ok());
            }
        }
    }
    removed
}
