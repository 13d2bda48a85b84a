//! Questions to a real repository, asked with plumbing commands and nobody's settings.
use std::path::Path;
use std::process::Command;

/// What git said when it refused.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

pub(crate) fn git(dir: &Path, args: &[&str]) -> Result<Vec<u8>, Refused> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "safe.directory=*", "-c", "core.quotePath=false"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .map_err(|error| Refused(format!("git does not start: {error}")))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

pub(crate) fn text(dir: &Path, args: &[&str]) -> Result<String, Refused> {
    Ok(String::from_utf8_lossy(&git(dir, args)?).trim_end().to_owned())
}

/// A branch, tag or (abbreviated) id to the id of a commit.
pub(crate) fn resolve(dir: &Path, name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with('-') {
        return None;
    }
    // GitHub's precedence: a branch, a tag, anything else.
    let places =
        [format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/{name}")];
    let forms = places.iter().map(String::as_str).chain([name]);
    forms.into_iter().find_map(|form| {
        let commit = format!("{form}^{{commit}}");
        text(dir, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).ok()
    })
}

/// One commit as `git log` tells it.
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
}

pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    /// As GitHub writes moments: `2026-11-22T10:00:00Z`, and with the offset as committed.
    pub(crate) at: String,
    pub(crate) at_local: String,
}

pub(crate) fn commit(dir: &Path, sha: &str) -> Result<Commit, Refused> {
    let format =
        "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%aI%x00%cn%x00%ce%x00%cd%x00%cI%x00%B";
    let date = "--date=format-local:%Y-%m-%dT%H:%M:%SZ";
    let out = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "safe.directory=*", "log", "-1", "--no-color", format, date, sha, "--"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("TZ", "UTC")
        .output()
        .map_err(|error| Refused(error.to_string()))?;
    if !out.status.success() {
        return Err(Refused(String::from_utf8_lossy(&out.stderr).into_owned()));
    }
    let said = String::from_utf8_lossy(&out.stdout);
    let mut fields = said.split('\0').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let (sha, tree, parents) = (next(), next(), next());
    let mut person = || Person { name: next(), email: next(), at: next(), at_local: next() };
    let (author, committer) = (person(), person());
    Ok(Commit {
        sha,
        tree,
        parents: parents.split_whitespace().map(str::to_owned).collect(),
        author,
        committer,
        message: next().trim_end().to_owned(),
    })
}

/// A changed file. `before` is where a renamed one came from.
pub(crate) struct Changed {
    pub(crate) status: char,
    pub(crate) path: String,
    pub(crate) before: Option<String>,
    pub(crate) blob: String,
}

pub(crate) fn diff(
    dir: &Path,
    base: &str,
    head: &str,
    renames: bool,
) -> Result<Vec<Changed>, Refused> {
    let detect = if renames { "-M" } else { "--no-renames" };
    let out =
        git(dir, &["diff-tree", "-r", "-z", "--raw", "--no-abbrev", detect, base, head, "--"])?;
    Ok(parse_raw(&out))
}

/// What a commit changed against its first parent.
pub(crate) fn own_changes(dir: &Path, commit: &Commit) -> Result<Vec<Changed>, Refused> {
    const NOTHING: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let parent = commit.parents.first().map_or(NOTHING, String::as_str);
    diff(dir, parent, &commit.sha, false)
}

fn parse_raw(out: &[u8]) -> Vec<Changed> {
    let said = String::from_utf8_lossy(out);
    let mut parts = said.split('\0').filter(|part| !part.is_empty());
    let mut all = Vec::new();
    while let (Some(head), Some(first)) = (parts.next(), parts.next()) {
        let fields: Vec<&str> = head.split(' ').collect();
        let status = fields.get(4).and_then(|s| s.chars().next()).unwrap_or('?');
        let blob = fields.get(3).copied().unwrap_or_default().to_owned();
        let (path, before) = match status {
            'R' | 'C' => (parts.next().unwrap_or_default().to_owned(), Some(first.to_owned())),
            _ => (first.to_owned(), None),
        };
        all.push(Changed { status, path, before, blob });
    }
    all
}
