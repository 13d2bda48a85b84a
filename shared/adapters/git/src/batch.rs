//! Objects from one `git cat-file --batch` that is kept for a moment: reading a repository's
//! definitions takes microseconds a file instead of two processes a file.
//!
//! Only object ids are asked for. Paths are walked here, tree by tree, so no name of a file is
//! ever part of a request and no symbolic link is ever followed.
use crate::GitError;
use crate::command::{Git, LOCAL_TIMEOUT_MS};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use windlass_core::id::RepoName;

/// A process that nobody asked for this long ends.
const KEEP: Duration = Duration::from_secs(2);
/// A folder with more entries than this fits (about 30 bytes each) is not walked.
const TREE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// `<object id> <type> <size>`, or a name that is missing.
const LINE_BYTES_MAX: u64 = 1_024;

/// Processes at rest, by repository, each with the number of its last rest.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    resting: Mutex<Resting>,
}

#[derive(Debug, Default)]
struct Resting {
    by_repo: BTreeMap<RepoName, (u64, Batch)>,
    rests: u64,
}

impl Batches {
    /// One at rest, if there is one.
    pub(crate) fn take(&self, repo: &RepoName) -> Option<Batch> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.by_repo.remove(repo).map(|(_, batch)| batch)
    }

    /// Keeps it for the next reader, a moment long.
    pub(crate) fn rest(self: &Arc<Self>, repo: &RepoName, batch: Batch) {
        let rest = {
            let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
            resting.rests += 1;
            let rest = resting.rests;
            resting.by_repo.insert(repo.clone(), (rest, batch));
            rest
        };
        let (batches, repo) = (Arc::downgrade(self), repo.clone());
        tokio::spawn(async move {
            tokio::time::sleep(KEEP).await;
            let Some(batches) = batches.upgrade() else { return };
            let mut resting = batches.resting.lock().unwrap_or_else(PoisonError::into_inner);
            if resting.by_repo.get(&repo).is_some_and(|(number, _)| *number == rest) {
                resting.by_repo.remove(&repo);
            }
        });
    }
}

/// A running `git cat-file --batch`.
#[derive(Debug)]
pub(crate) struct Batch {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Killed when dropped.
    _child: Child,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Vec<u8>),
    TooBig(u64),
    Link,
    /// Nothing, a folder or a submodule.
    None,
}

impl Batch {
    /// `git` knows its repository already.
    pub(crate) fn start(git: Git) -> Result<Self, GitError> {
        let mut child = git.args(["cat-file", "--batch"]).spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => {
                Ok(Self { requests, answers: BufReader::new(answers), _child: child })
            }
            _ => Err(failed("it has no pipes")),
        }
    }

    /// The file at `path` of the commit `sha`, at most `max` bytes; None when there is no such
    /// commit. After an error the process is of no use.
    pub(crate) async fn read(
        &mut self,
        sha: &str,
        path: &str,
        max: u64,
    ) -> Result<Option<Entry>, GitError> {
        let limit = Duration::from_millis(LOCAL_TIMEOUT_MS);
        let walk = tokio::time::timeout(limit, self.walk(sha, path, max)).await;
        walk.unwrap_or(Err(GitError::TimedOut { verb: VERB, timeout_ms: LOCAL_TIMEOUT_MS }))
    }

    async fn walk(&mut self, sha: &str, path: &str, max: u64) -> Result<Option<Entry>, GitError> {
        let mut object = format!("{sha}^{{tree}}");
        let id_bytes = sha.len() / 2;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let tree = match self.object(&object, TREE_BYTES_MAX).await? {
                Object::Found(tree) => tree,
                Object::TooBig(_) => return Err(failed("a folder has too many entries")),
                Object::Missing => return Ok(None),
            };
            let Some((mode, id)) = find(&tree, part.as_bytes(), id_bytes) else {
                return Ok(Some(Entry::None));
            };
            object = id;
            match (mode, parts.peek()) {
                (Mode::Folder, Some(_)) => {}
                (Mode::File, None) => break,
                (Mode::Link, None) => return Ok(Some(Entry::Link)),
                _ => return Ok(Some(Entry::None)),
            }
        }
        match self.object(&object, max).await? {
            Object::Found(bytes) => Ok(Some(Entry::File(bytes))),
            Object::TooBig(bytes) => Ok(Some(Entry::TooBig(bytes))),
            Object::Missing => Ok(None),
        }
    }

    async fn object(&mut self, name: &str, max: u64) -> Result<Object, GitError> {
        self.requests.write_all(format!("{name}\n").as_bytes()).await.map_err(broke)?;
        self.requests.flush().await.map_err(broke)?;
        let mut line = Vec::new();
        let mut head = (&mut self.answers).take(LINE_BYTES_MAX);
        head.read_until(b'\n', &mut line).await.map_err(broke)?;
        let line = String::from_utf8_lossy(&line);
        let Some(line) = line.strip_suffix('\n') else {
            return Err(failed("it ended in the middle of an answer"));
        };
        if line.ends_with(" missing") {
            return Ok(Object::Missing);
        }
        let size = line.rsplit_once(' ').and_then(|(_, size)| size.parse::<u64>().ok());
        let size = size.ok_or_else(|| failed("its answer is not understood"))?;
        // A line end follows the bytes.
        let mut rest = (&mut self.answers).take(size + 1);
        if size > max {
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map_err(broke)?;
            return Ok(Object::TooBig(size));
        }
        let mut bytes = Vec::new();
        rest.read_to_end(&mut bytes).await.map_err(broke)?;
        match bytes.pop() {
            Some(b'\n') if bytes.len() as u64 == size => Ok(Object::Found(bytes)),
            _ => Err(failed("it ended in the middle of an answer")),
        }
    }
}

const VERB: &str = "cat-file";

enum Object {
    Found(Vec<u8>),
    TooBig(u64),
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    File,
    Folder,
    Link,
    Submodule,
}

/// The entry of this name in a tree object: `<octal mode> <name>\0<raw id>`, again and again.
fn find(tree: &[u8], name: &[u8], id_bytes: usize) -> Option<(Mode, String)> {
    let mut rest = tree;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let end = space + rest[space..].iter().position(|byte| *byte == 0)?;
        let id = rest.get(end + 1..end + 1 + id_bytes)?;
        if &rest[space + 1..end] == name {
            let mode = match &rest[..space] {
                b"40000" => Mode::Folder,
                b"120000" => Mode::Link,
                b"160000" => Mode::Submodule,
                _ => Mode::File,
            };
            return Some((mode, id.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        rest = &rest[end + 1 + id_bytes..];
    }
    None
}

fn failed(said: &str) -> GitError {
    GitError::Failed { verb: VERB, said: said.to_owned() }
}

fn broke(error: std::io::Error) -> GitError {
    GitError::io("git cat-file broke off", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_read_whatever_is_in_them() {
        let id = |n: u8| [n; 20];
        let entry = |mode: &str, name: &str, n: u8| {
            [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &id(n)].concat()
        };
        let tree = [
            entry("100644", "a b", 1),
            entry("40000", "dir", 0x20),
            entry("120000", "link", 0),
            entry("160000", "sub", 4),
        ]
        .concat();
        for (name, expect) in [
            ("a b", Some((Mode::File, "01".repeat(20)))),
            ("dir", Some((Mode::Folder, "20".repeat(20)))),
            ("link", Some((Mode::Link, "00".repeat(20)))),
            ("sub", Some((Mode::Submodule, "04".repeat(20)))),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(find(&tree, name.as_bytes(), 20), expect, "{name}");
        }
        for cut in 0..tree.len() {
            assert_eq!(find(&tree[..cut], b"nothing", 20), None);
        }
    }
}
