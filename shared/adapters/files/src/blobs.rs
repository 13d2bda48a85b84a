//! The `Blobs` port over a folder: a file per blob, a folder per part of its key.
use crate::names::{Named, named, path_of};
use crate::place::{Durable, OpenError, blocking, private_folder, replace, sync_folder};
use async_trait::async_trait;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_ports::{Blobs, Fault};

/// Parts of logs come often: they are renamed into place whole, but not forced to the disk.
const RELAXED: &str = "logs/";
/// Where files are written before they are renamed, relative to the root.
const TEMPORARIES: &str = ".tmp";
/// A temporary file this old belongs to a process that is gone.
const TEMPORARY_AGE: Duration = Duration::from_secs(3_600);
/// At most this many keys come back from one `list`, as on S3.
const LIST_MAX: usize = 1_000;
/// Tries of a put whose folder a delete is clearing away at the same time.
const PUT_TRIES: u32 = 8;

/// Blobs in one folder, for this user only.
#[derive(Clone, Debug)]
pub struct FolderBlobs {
    root: PathBuf,
}

impl FolderBlobs {
    /// Makes the folder if need be, and clears what an earlier process left half written.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        private_folder(root)?;
        let temporaries = root.join(TEMPORARIES);
        private_folder(&temporaries)?;
        clear_old(&temporaries).map_err(|e| OpenError::io("cleared", &temporaries, e))?;
        Ok(Self { root: root.to_path_buf() })
    }

    fn file(&self, key: &str) -> Result<PathBuf, Fault> {
        match path_of(key) {
            Ok(path) => Ok(self.root.join(path)),
            Err(why) => Err(Fault::poison(format!("{key:?} can't be the key of a blob: {why}"))),
        }
    }

    /// Runs file work that concerns one key.
    async fn on<T: Send + 'static>(
        &self,
        verb: &'static str,
        key: &str,
        work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let (root, file, key) = (self.root.clone(), self.file(key)?, key.to_owned());
        blocking(move || {
            work(&root, &file).map_err(|source| OpenError::Io {
                what: format!("the blob {key} can't be {verb}"),
                source,
            })
        })
        .await
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault> {
        let durable = if key.starts_with(RELAXED) { Durable::No } else { Durable::Yes };
        self.on("written", key, move |root, file| put(root, file, &body, durable)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.on("read", key, |_, file| absent_is_none(fs::read(file))).await
    }

    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        let found =
            self.on("looked for", key, |_, file| absent_is_none(fs::metadata(file))).await?;
        Ok(found.is_some_and(|about| about.is_file()))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let root = self.root.clone();
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        blocking(move || {
            let limit = limit.min(LIST_MAX);
            let mut page =
                Page { prefix: &prefix, after: after.as_deref(), limit, keys: Vec::new() };
            page.walk(&root, "").map_err(|e| OpenError::io("listed", &root, e))?;
            Ok(page.keys)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.on("deleted", key, |root, file| {
            absent_is_none(fs::remove_file(file))?;
            // Folders that became empty go too, up to the first that is not.
            let folders = file.ancestors().skip(1).take_while(|folder| *folder != root);
            for folder in folders {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }
}

fn put(root: &Path, file: &Path, body: &[u8], durable: Durable) -> io::Result<()> {
    let temporaries = root.join(TEMPORARIES);
    let mut tries = 1;
    loop {
        let written = make_folders(root, file, durable)
            .and_then(|()| replace(&temporaries, file, body, durable));
        match written {
            Err(e) if e.kind() == io::ErrorKind::NotFound && tries < PUT_TRIES => tries += 1,
            result => return result,
        }
    }
}

/// The folders between the root and a file; those made are made to last.
fn make_folders(root: &Path, file: &Path, durable: Durable) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    let inside: Vec<&Path> = folder.ancestors().take_while(|folder| *folder != root).collect();
    for folder in inside.iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) if durable == Durable::Yes => {
                folder.parent().map_or(Ok(()), sync_folder)?;
            }
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One page of keys in byte order, found by visiting only the folders that can hold some.
struct Page<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    keys: Vec<String>,
}

impl Page<'_> {
    /// `above` is what every key in this folder begins with: empty, or parts each with a `/`.
    fn walk(&mut self, folder: &Path, above: &str) -> io::Result<()> {
        let Some(entries) = absent_is_none(fs::read_dir(folder))? else { return Ok(()) };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().map(named) {
                Some(Named::File(part)) => found.push((format!("{above}{part}"), None)),
                Some(Named::Folder(part)) => {
                    found.push((format!("{above}{part}/"), Some(entry.path())));
                }
                Some(Named::Other) | None => {}
            }
        }
        // A folder sorts as its keys do, which all go on after the `/`.
        found.sort_unstable();
        for (key, folder) in found {
            if self.keys.len() >= self.limit {
                break;
            }
            match folder {
                Some(folder) if self.may_hold(&key) => self.walk(&folder, &key)?,
                None if self.wants(&key) => self.keys.push(key),
                _ => {}
            }
        }
        Ok(())
    }

    fn wants(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| key > after)
    }

    fn may_hold(&self, above: &str) -> bool {
        let fits = above.starts_with(self.prefix) || self.prefix.starts_with(above);
        fits && self.after.is_none_or(|after| above > after || after.starts_with(above))
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn clear_old(temporaries: &Path) -> io::Result<()> {
    for entry in fs::read_dir(temporaries)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|about| about.modified()).map(|at| at.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > TEMPORARY_AGE)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
