//! The repositories that `up` serves: names, mirrors, their first look, and a proposal where
//! nothing is defined yet.
use crate::exit::Failure;
use adapter_git::{GitError, Mirrors};
use scheduler::Repository;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windlass_core::id::{RepoName, Sha};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_definitions::{ROOT_FILES, SourceFile, find_roots, propose};
use windlass_ports::{Docs, Source as _, cas};

/// Code files that a proposal looks at; a repository with more has been laid out by somebody who
/// can write one file.
const CODE_FILES_MAX: usize = 2_000;

/// One `--repo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepoArg {
    pub(crate) name: RepoName,
    pub(crate) origin: String,
}

impl RepoArg {
    /// A folder on this machine; none for a URL.
    #[must_use]
    pub(crate) fn path(&self) -> Option<&Path> {
        let path = Path::new(self.origin.strip_prefix("file://").unwrap_or(&self.origin));
        path.is_absolute().then_some(path)
    }
}

/// `PATH`, `URL` or `NAME=PATH-or-URL`, each under a name of its own.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<RepoArg>, Failure> {
    let mut args: Vec<RepoArg> = Vec::new();
    for text in texts {
        let arg = parse(text)?;
        if let Some(other) = args.iter().find(|other| other.name == arg.name) {
            return Err(Failure::usage(format!(
                "two repositories are called `{}`: {} and {}; name one of them: \
                 --repo other-name={}",
                arg.name,
                shown(&other.origin),
                shown(&arg.origin),
                shown(&arg.origin)
            )));
        }
        args.push(arg);
    }
    Ok(args)
}

fn parse(text: &str) -> Result<RepoArg, Failure> {
    let (name, origin) = match text.split_once('=') {
        Some((name, origin)) if is_name(name) => (Some(name), origin),
        _ => (None, text),
    };
    let url = origin.contains("://") || (scp_like(origin) && !Path::new(origin).exists());
    let origin = match url {
        true => origin.to_owned(),
        false => {
            let path = Path::new(origin);
            let full = path.canonicalize().map_err(|e| {
                Failure::usage(format!("there is no folder {}", path.display())).because(e)
            })?;
            // Anywhere inside a work tree is that repository: one name, whatever folder one is in.
            let bare = full.join("HEAD").is_file() && full.join("objects").is_dir();
            let top = full.ancestors().find(|folder| bare || folder.join(".git").exists());
            top.unwrap_or(&full).to_string_lossy().into_owned()
        }
    };
    let name = name.map_or_else(|| name_of(&origin), str::to_owned);
    if !is_name(&name) {
        return Err(Failure::usage(format!(
            "{} gives no name for a repository; name it: --repo my-name={}",
            shown(&origin),
            shown(&origin)
        )));
    }
    Ok(RepoArg { name: name.into(), origin })
}

fn name_of(origin: &str) -> String {
    let path = origin.split(['?', '#']).next().unwrap_or(origin).trim_end_matches('/');
    let path = path.strip_suffix("/.git").unwrap_or(path);
    let last = path.rsplit(['/', ':']).next().unwrap_or(path);
    last.strip_suffix(".git").unwrap_or(last).to_owned()
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 100
        && text.chars().all(allowed)
}

fn scp_like(text: &str) -> bool {
    text.split('/').next().is_some_and(|before_slash| before_slash.contains(':'))
}

/// An origin without user and password.
pub(crate) fn shown(origin: &str) -> String {
    let Some((scheme, rest)) = origin.split_once("://") else { return origin.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => origin.to_owned(),
    }
}

/// A repository as it was found at the start.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) arg: RepoArg,
    pub(crate) repository: Repository,
    /// Of the default branch; none while the origin is away and nothing was fetched yet.
    pub(crate) head: Option<Sha>,
    pub(crate) defined: bool,
    /// What a person should know about it.
    pub(crate) warning: Option<String>,
}

/// Makes or updates the mirror and looks at what is there.
pub(crate) async fn find(
    mirrors: &Mirrors,
    docs: &dyn Docs,
    arg: RepoArg,
) -> Result<Found, Failure> {
    mirrors.add(arg.name.clone(), arg.origin.clone()).await.map_err(|e| unusable(&arg, e))?;
    let known = cas::load::<RepoHead>(docs, &keys::repo(&arg.name)).await?.map(|head| head.value);
    let branches: BTreeMap<String, Sha> = match (mirrors.fetch(&arg.name).await, &known) {
        (Ok(()), _) => mirrors.branches(&arg.name).await?.into_iter().collect(),
        // It was here before: serve what is known, and go on asking.
        (Err(error), Some(known)) if arg.path().is_none() => {
            let repository =
                Repository { name: arg.name.clone(), default_branch: known.default_branch.clone() };
            let warning = Some(format!("{} can't be reached now: {error}", arg.name));
            return Ok(Found { arg, repository, head: None, defined: true, warning });
        }
        (Err(error), _) => return Err(unusable(&arg, error)),
    };
    if branches.is_empty() {
        return Err(Failure::usage(format!(
            "the repository {} has no commit yet; commit something first",
            shown(&arg.origin)
        )));
    }
    let default_branch = default_branch(mirrors, &arg, known.as_ref(), &branches).await?;
    let head = branches.get(&default_branch).cloned();
    let mut defined = false;
    for file in ROOT_FILES {
        if let Some(head) = &head {
            defined |= mirrors.read(&arg.name, head, file).await?.is_some();
        }
    }
    let repository = Repository { name: arg.name.clone(), default_branch };
    Ok(Found { arg, repository, head, defined, warning: None })
}

/// The branch that definitions live on. Once known it stays, whatever a person has checked out.
async fn default_branch(
    mirrors: &Mirrors,
    arg: &RepoArg,
    known: Option<&RepoHead>,
    branches: &BTreeMap<String, Sha>,
) -> Result<String, Failure> {
    if let Some(known) = known.filter(|known| branches.contains_key(&known.default_branch)) {
        return Ok(known.default_branch.clone());
    }
    let asked = mirrors.default_branch(&arg.name).await.map_err(|e| unusable(arg, e))?;
    if let Some(branch) = asked.filter(|branch| branches.contains_key(branch)) {
        return Ok(branch);
    }
    let usual = ["main", "master"].iter().find(|name| branches.contains_key(**name));
    match (usual, branches.len()) {
        (Some(branch), _) => Ok((*branch).to_owned()),
        (None, 1) => Ok(branches.keys().next().cloned().unwrap_or_default()),
        (None, _) => Err(Failure::usage(format!(
            "the repository {} does not say which of its branches is the default one: its HEAD is \
             detached, and there is no `main`",
            shown(&arg.origin)
        ))),
    }
}

fn unusable(arg: &RepoArg, error: GitError) -> Failure {
    let sentence = match &error {
        GitError::NotARepository { path } => {
            let path = path.display();
            format!("{path} is not a git repository; `git init` makes one there")
        }
        other => format!("the repository {} can't be read: {other}", shown(&arg.origin)),
    };
    let exit = match error {
        GitError::NotARepository { .. } | GitError::BadOrigin { .. } => crate::exit::Exit::Usage,
        _ => crate::exit::Exit::Missing,
    };
    Failure::new(exit, sentence).because(error)
}

/// A proposed `windlass.yaml`, and where it could be written.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) text: String,
    pub(crate) stacks: usize,
    /// None for a URL or a bare repository: it has no work tree here.
    pub(crate) file: Option<PathBuf>,
}

pub(crate) async fn proposal(mirrors: &Mirrors, found: &Found) -> Result<Proposal, Failure> {
    let repo = &found.repository.name;
    let mut files = Vec::new();
    if let Some(head) = &found.head {
        let paths = mirrors.files(repo, head).await?;
        let code = paths.into_iter().filter(|path| is_code(path)).take(CODE_FILES_MAX);
        for path in code {
            let body = mirrors.read(repo, head, &path).await.ok().flatten().unwrap_or_default();
            files.push(SourceFile { path, text: String::from_utf8_lossy(&body).into_owned() });
        }
    }
    let roots = find_roots(&files);
    let file = found.arg.path().and_then(work_tree).map(|folder| folder.join(ROOT_FILES[0]));
    Ok(Proposal { text: propose(&roots), stacks: roots.len(), file })
}

fn is_code(path: &str) -> bool {
    [".tf", ".tofu", ".tf.json", ".tofu.json"].iter().any(|end| path.ends_with(end))
}

fn work_tree(path: &Path) -> Option<PathBuf> {
    let inside = |folder: &&Path| folder.join(".git").exists();
    path.ancestors().find(inside).map(Path::to_path_buf)
}

/// Writes the proposal; never over something that is there.
pub(crate) fn write(proposal: &Proposal) -> Result<PathBuf, Failure> {
    use std::io::Write as _;
    let Some(path) = &proposal.file else {
        return Err(Failure::usage(
            "this repository has no work tree here to write windlass.yaml into; add it there",
        ));
    };
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(proposal.text.as_bytes()));
    match written {
        Ok(()) => Ok(path.clone()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::usage(format!(
            "{} is there but not committed on the default branch; commit it",
            path.display()
        ))),
        Err(e) => Err(Failure::missing(format!("{} can't be written", path.display())).because(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_last_segment_or_from_the_person() {
        #[rustfmt::skip]
        let table = [
            ("https://example.com/team/infra.git",      Some("infra")),
            ("https://me:pw@example.com/infra",         Some("infra")),
            ("git@example.com:team/infra.git",          Some("infra")),
            ("git@example.com:infra",                   Some("infra")),
            ("live=https://example.com/infra.git",      Some("live")),
            ("https://example.com/infra?ref=a=b",       Some("infra")),
            ("https://example.com/",                    Some("example.com")),
            ("/no/such/folder",                         None),
        ];
        for (text, expect) in table {
            let name = parse(text).ok().map(|arg| arg.name.0);
            assert_eq!(name.as_deref(), expect, "{text}");
        }
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("my.infra");
        std::fs::create_dir(&folder).unwrap();
        let arg = parse(&format!("{}/", folder.display())).unwrap();
        assert_eq!(arg.name.as_str(), "my.infra");
        assert!(arg.path().is_some());
    }

    #[test]
    fn a_clash_says_how_to_name() {
        let texts = ["https://u:pw@a.example/infra", "https://b.example/infra.git"];
        let clash = parse_all(&texts.map(str::to_owned)).unwrap_err();
        assert!(clash.sentence.contains("--repo other-name=https://b.example/infra.git"));
        assert!(!clash.sentence.contains("pw"), "{clash}");
    }

    #[test]
    fn a_proposal_never_overwrites() {
        let temp = tempfile::tempdir().unwrap();
        let file = Some(temp.path().join("windlass.yaml"));
        let proposal = Proposal { text: "version: 1\n".into(), stacks: 0, file };
        write(&proposal).unwrap();
        assert!(write(&proposal).unwrap_err().sentence.contains("not committed"));
        let nowhere = Proposal { file: None, ..proposal };
        assert!(write(&nowhere).unwrap_err().sentence.contains("no work tree"));
    }
}
