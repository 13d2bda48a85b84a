//! One bare mirror per repository, in one folder that the server and its workers share.
//!
//! A mirror only ever gains objects: git's own clean-up is switched off in it, so a commit that
//! was fetched once can be checked out after its branch was forced or deleted. References change
//! only in [`Mirrors::fetch`], which holds a lock file against other processes.
use crate::GitError;
use crate::batch::Batches;
use crate::command::{FETCH_TIMEOUT_MS, Git};
use crate::layout::{CREDENTIALS_FILE, ORIGIN_FILE, make_mirror, remove_stale_locks};
use crate::origin::{Credentials, Origin};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_core::id::{RepoName, Sha};

/// The mirrors in one folder. Cheap to clone; clones and other processes share the folder.
#[derive(Clone, Debug)]
pub struct Mirrors {
    dir: PathBuf,
    pub(crate) batches: Arc<Batches>,
}

impl Mirrors {
    /// The folder is made when the first repository is added.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), batches: Arc::default() }
    }

    /// Makes the mirror of `repo`, or points an existing one at another origin: a folder on this
    /// machine (a repository, a work tree or a folder inside one), or a URL, which is not
    /// contacted yet. `NotARepository` when a folder is none.
    pub async fn add(&self, repo: RepoName, origin: String) -> Result<(), GitError> {
        let (mut origin, credentials) = Origin::parse(&origin)?;
        let mut format = "sha1".to_owned();
        if let Origin::Path(path) = &origin {
            let home = home_of(path).await?;
            format = home.object_format;
            origin = Origin::Path(home.common_dir);
        }
        self.make_folder()?;
        let _lock = self.lock(&repo).await?;
        let mirror = self.mirror(&repo);
        let what = || format!("the mirror of {repo} can't be made");
        blocking(move || make_mirror(&mirror, &origin, credentials.as_ref(), &format))
            .await
            .map_err(|e| GitError::io(what(), e))
    }

    /// Brings branches and tags up to date with the origin; those deleted there are deleted here.
    pub async fn fetch(&self, repo: &RepoName) -> Result<(), GitError> {
        self.known(repo)?;
        let lock = self.lock(repo).await?;
        self.fetch_locked(repo, &lock, &["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
            .await
    }

    /// The branch that a new stack tracks unless told otherwise: where the origin's `HEAD` points.
    /// A clone on this machine answers for *its* origin, if it knows, because its own `HEAD` is
    /// whatever a person works on. None for a detached `HEAD`.
    pub async fn default_branch(&self, repo: &RepoName) -> Result<Option<String>, GitError> {
        self.known(repo)?;
        match self.origin(repo)? {
            Origin::Path(path) => local_default_branch(&path).await,
            Origin::Url(_) => {
                let git = self.remote_git(repo, "ls-remote")?;
                let out = git.args(["ls-remote", "--symref", "origin", "HEAD"]).output().await?;
                Ok(symref_of_head(&String::from_utf8_lossy(&out)))
            }
        }
    }

    /// Makes sure that the mirror has this commit, fetching if need be; also one that no branch
    /// reaches, if the origin hands it out.
    pub(crate) async fn ensure(&self, repo: &RepoName, sha: &Sha) -> Result<(), GitError> {
        self.known(repo)?;
        // The lock first: a commit can be here before the files of a fetch in progress are.
        let lock = self.lock(repo).await?;
        if self.has(repo, sha).await? {
            return Ok(());
        }
        let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.fetch_locked(repo, &lock, &all).await?;
        if self.has(repo, sha).await? {
            return Ok(());
        }
        // Whether an origin answers this is its own choice; its refusal is no failure of ours.
        let _ = self.fetch_locked(repo, &lock, &[sha.as_str()]).await;
        match self.has(repo, sha).await? {
            true => Ok(()),
            false => Err(GitError::UnknownCommit { repo: repo.clone(), sha: sha.clone() }),
        }
    }

    pub(crate) async fn has(&self, repo: &RepoName, sha: &Sha) -> Result<bool, GitError> {
        let object = format!("{}^{{commit}}", checked(sha)?);
        let git = self.git(repo, "cat-file")?.args(["cat-file", "-e", &object]);
        Ok(git.run().await?.ok())
    }

    /// A git that works in this repository's mirror.
    pub(crate) fn git(&self, repo: &RepoName, verb: &'static str) -> Result<Git, GitError> {
        self.known(repo)?;
        let mut git_dir = std::ffi::OsString::from("--git-dir=");
        git_dir.push(self.mirror(repo));
        Ok(Git::new(verb).arg(git_dir))
    }

    pub(crate) fn mirror(&self, repo: &RepoName) -> PathBuf {
        self.dir.join(format!("{}.git", file_name(repo)))
    }

    pub(crate) fn known(&self, repo: &RepoName) -> Result<(), GitError> {
        match self.mirror(repo).join(ORIGIN_FILE).exists() {
            true => Ok(()),
            false => Err(GitError::UnknownRepository(repo.clone())),
        }
    }

    fn origin(&self, repo: &RepoName) -> Result<Origin, GitError> {
        let text = fs::read_to_string(self.mirror(repo).join(ORIGIN_FILE))
            .map_err(|e| GitError::io(format!("the origin of {repo} can't be read"), e))?;
        Ok(Origin::parse(&text)?.0)
    }

    /// A git that talks to the origin, with what it needs to be let in.
    fn remote_git(&self, repo: &RepoName, verb: &'static str) -> Result<Git, GitError> {
        let origin = self.origin(repo)?;
        let mut git = self.git(repo, verb)?.timeout_ms(FETCH_TIMEOUT_MS);
        // A line that moves less than this for so long is dead.
        git = git.args(["-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=60"]);
        // Only our default is told not to ask: a person's own command is theirs to get right.
        let own =
            ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| std::env::var_os(name).is_some());
        if origin.speaks_ssh() && !own {
            git = git.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20");
        }
        let credentials = match fs::read_to_string(self.mirror(repo).join(CREDENTIALS_FILE)) {
            Ok(text) => Credentials(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(git),
            Err(e) => {
                return Err(GitError::io(format!("the credentials of {repo} can't be read"), e));
            }
        };
        Ok(git
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", origin.text()))
            .env("GIT_CONFIG_VALUE_0", credentials.basic()))
    }

    async fn fetch_locked(
        &self,
        repo: &RepoName,
        _lock: &File,
        refs: &[&str],
    ) -> Result<(), GitError> {
        let fetch = || -> Result<Git, GitError> {
            let options = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
            let git = self.remote_git(repo, "fetch")?.args(options).arg("--no-recurse-submodules");
            let git = if refs.len() > 1 { git.arg("--prune") } else { git };
            Ok(git.arg("origin").args(refs))
        };
        let output = fetch()?.run().await?;
        if output.ok() {
            return Ok(());
        }
        // We hold our own lock, so a lock file of git's is one that a killed git left behind.
        if output.met_a_lock() && remove_stale_locks(&self.mirror(repo)) > 0 {
            return fetch()?.output().await.map(drop);
        }
        if let Origin::Path(path) = self.origin(repo)?
            && let Err(error @ GitError::NotARepository { .. }) = home_of(&path).await
        {
            return Err(error);
        }
        Err(GitError::Failed { verb: "fetch", said: output.said() })
    }

    fn make_folder(&self) -> Result<(), GitError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|e| GitError::io(format!("{} can't be made", self.dir.display()), e))
    }

    /// Waits for, and holds until dropped, the right to change this mirror.
    async fn lock(&self, repo: &RepoName) -> Result<File, GitError> {
        let path = self.dir.join(format!("{}.lock", file_name(repo)));
        let what = format!("{} can't be locked", path.display());
        let lock = move || {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            file.lock()?;
            Ok(file)
        };
        blocking(lock).await.map_err(|e| GitError::io(what, e))
    }
}

/// A repository on this machine.
pub(crate) struct Home {
    /// Its `.git`, or that of the repository which a linked work tree belongs to.
    pub(crate) common_dir: PathBuf,
    object_format: String,
}

pub(crate) async fn home_of(path: &Path) -> Result<Home, GitError> {
    let none = || GitError::NotARepository { path: path.to_path_buf() };
    if !path.is_dir() {
        return Err(none());
    }
    let asked = ["rev-parse", "--git-common-dir", "--show-object-format"];
    let output = Git::new("rev-parse").arg("-C").arg(path).args(asked).run().await?;
    if !output.ok() {
        let said = output.said();
        return Err(match said.contains("not a git repository") {
            true => none(),
            false => GitError::Failed { verb: "rev-parse", said },
        });
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (common, format) = text.trim_end().rsplit_once('\n').ok_or_else(none)?;
    let common_dir = path.join(common).canonicalize().map_err(|_| none())?;
    Ok(Home { common_dir, object_format: format.to_owned() })
}

async fn local_default_branch(path: &Path) -> Result<Option<String>, GitError> {
    let symref = async |name: &str| -> Result<Option<String>, GitError> {
        let git = Git::new("symbolic-ref").arg("-C").arg(path);
        let output = git.args(["symbolic-ref", "--quiet", name]).run().await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.ok().then_some(text))
    };
    if let Some(remote) = symref("refs/remotes/origin/HEAD").await?
        && let Some(branch) = remote.strip_prefix("refs/remotes/origin/")
    {
        let full = format!("refs/heads/{branch}");
        let git = Git::new("show-ref").arg("-C").arg(path);
        if git.args(["show-ref", "--verify", "--quiet", &full]).run().await?.ok() {
            return Ok(Some(branch.to_owned()));
        }
    }
    let head = symref("HEAD").await?;
    Ok(head.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
}

/// `ref: refs/heads/main<TAB>HEAD` in what `ls-remote --symref` prints.
fn symref_of_head(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let name = line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD")?;
        Some(name.to_owned())
    })
}

/// A full commit id, checked before it becomes an argument.
pub(crate) fn checked(sha: &Sha) -> Result<&str, GitError> {
    let text = sha.as_str();
    let full = matches!(text.len(), 40 | 64);
    match full && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        true => Ok(text),
        false => Err(GitError::BadSha(text.to_owned())),
    }
}

/// A name that is a safe file name whatever the repository is called.
fn file_name(repo: &RepoName) -> String {
    let mut name = String::new();
    for (at, byte) in repo.as_str().bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(byte as char),
            b'.' if at > 0 => name.push('.'),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_repository_name_is_a_safe_file_name() {
        for (name, expect) in [
            ("infra", "infra"),
            ("team/infra", "team%2finfra"),
            ("..", "%2e."),
            (".git", "%2egit"),
            ("a.b_c-D9", "a.b_c-D9"),
            ("ü", "%c3%bc"),
        ] {
            assert_eq!(file_name(&name.into()), expect);
        }
    }

    #[test]
    fn only_full_commit_ids_become_arguments() {
        for (text, good) in [
            ("0123456789012345678901234567890123456789", true),
            ("--upload-pack=date", false),
            ("0123456789012345678901234567890123456789^{tree}", false),
            ("01234567", false),
            ("ABCDEF6789012345678901234567890123456789", false),
        ] {
            assert_eq!(checked(&text.into()).is_ok(), good, "{text}");
        }
    }
}
