//! The work tree of a job: the project root inside it, mounted files, whether it keeps its state.
//!
//! Paths come from definitions and from commits; none may lead out of the repository, in words or
//! through a link.
use crate::state::OVERRIDE_FILE;
use std::fs;
use std::path::{Component, Path, PathBuf};
use windlass_core::definition::FileMount;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{what} {path:?} must be a path inside the repository")]
    Outside { what: &'static str, path: String },
    #[error("{what} {path:?} leads out of the repository through a link")]
    Leaves { what: &'static str, path: String },
    #[error("{what} {path:?} does not exist at this commit")]
    Missing { what: &'static str, path: String },
    #[error("{what} {path:?} is not a {wanted}")]
    Kind { what: &'static str, path: String, wanted: &'static str },
    #[error(
        "{path} can't be read as Terraform code, and it speaks of a backend: where the state lies must \
         not be guessed"
    )]
    Backend { path: String },
    #[error("{path} can't be written")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

const ROOT: &str = "the project root";
const SOURCE: &str = "the source of a file mount";
const MOUNT: &str = "the place of a file mount";

/// A relative path of plain names; empty and `.` are the folder itself.
fn inside(what: &'static str, path: &str) -> Result<PathBuf, FetchError> {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(FetchError::Outside { what, path: path.to_owned() }),
        }
    }
    Ok(clean)
}

/// What is there, with links followed, if it still lies in the tree.
fn existing(
    tree: &Path,
    what: &'static str,
    path: &str,
    full: &Path,
) -> Result<PathBuf, FetchError> {
    let own = || path.to_owned();
    let real = full.canonicalize().map_err(|_| FetchError::Missing { what, path: own() })?;
    let tree = tree.canonicalize().map_err(|_| FetchError::Missing { what, path: own() })?;
    if real.starts_with(&tree) { Ok(real) } else { Err(FetchError::Leaves { what, path: own() }) }
}

/// The folder that the tool runs in.
pub(crate) fn project_root(tree: &Path, path: &str) -> Result<PathBuf, FetchError> {
    let full = tree.join(inside(ROOT, path)?);
    let real = existing(tree, ROOT, path, &full)?;
    if real.is_dir() {
        Ok(real)
    } else {
        Err(FetchError::Kind { what: ROOT, path: path.to_owned(), wanted: "folder" })
    }
}

/// Copies mounted files to where the stack wants them.
pub(crate) fn mount(tree: &Path, root: &Path, mounts: &[FileMount]) -> Result<(), FetchError> {
    for FileMount { path, source } in mounts {
        let from = existing(tree, SOURCE, source, &tree.join(inside(SOURCE, source)?))?;
        if !from.is_file() {
            return Err(FetchError::Kind { what: SOURCE, path: source.clone(), wanted: "file" });
        }
        let to = root.join(inside(MOUNT, path)?);
        let folder = to.parent().unwrap_or(root);
        // The deepest folder that exists decides: what is made below it can't be a link.
        let deepest = folder.ancestors().find(|folder| folder.exists()).unwrap_or(root);
        existing(tree, MOUNT, path, deepest)?;
        if to.is_dir() || to == root {
            return Err(FetchError::Kind { what: MOUNT, path: path.clone(), wanted: "file" });
        }
        let failed = |source| FetchError::Write { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        if to.is_symlink() {
            fs::remove_file(&to).map_err(failed)?;
        }
        // Over itself there is nothing to copy, and copying would empty it.
        if to.canonicalize().ok().as_deref() != Some(&from) {
            fs::copy(&from, &to).map_err(failed)?;
        }
    }
    Ok(())
}

/// True if the root module says where its state lies (`backend` or `cloud` in `terraform`).
///
/// # Errors
/// When a file that speaks of it can't be read as code: with a state of ours in place of its own
/// everything would be built a second time.
pub(crate) fn declares_backend(root: &Path) -> Result<bool, FetchError> {
    let unreadable = |path: String| FetchError::Backend { path };
    let entries = fs::read_dir(root).map_err(|_| unreadable(ROOT.to_owned()))?;
    for entry in entries {
        let entry = entry.map_err(|_| unreadable(ROOT.to_owned()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let json = name.ends_with(".tf.json") || name.ends_with(".tofu.json");
        let native = name.ends_with(".tf") || name.ends_with(".tofu");
        if name == OVERRIDE_FILE || !(json || native) {
            continue;
        }
        let bytes = fs::read(entry.path()).map_err(|_| unreadable(name.clone()))?;
        let text = String::from_utf8_lossy(&bytes);
        // Tools read over a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        // Parsing costs milliseconds; most files don't even hold the words.
        if !(text.contains("backend") || text.contains("cloud")) {
            continue;
        }
        let declares = if json { json_declares(text) } else { hcl_declares(text) };
        if declares.ok_or_else(|| unreadable(name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// None: it does not parse.
fn hcl_declares(text: &str) -> Option<bool> {
    let body = hcl::parse(text).ok()?;
    let blocks = body.blocks().filter(|block| block.identifier() == "terraform");
    let mut inside = blocks.flat_map(|block| block.body().blocks());
    Some(inside.any(|block| matches!(block.identifier(), "backend" | "cloud")))
}

/// None: it does not parse. Both the file and each of its blocks may be a list of such.
fn json_declares(text: &str) -> Option<bool> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(text).ok()?;
    let each = |value: &Value| match value {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    let blocks = each(&value).iter().flat_map(|body| each(&body["terraform"])).collect::<Vec<_>>();
    let declares = |block: &Value| ["backend", "cloud"].iter().any(|key| block.get(key).is_some());
    Some(blocks.iter().any(declares))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        let tree = run.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("file"), "content").unwrap();
        fs::write(tree.join("a/own"), "own").unwrap();
        fs::write(run.path().join("secret"), "outside").unwrap();
        symlink("a", tree.join("link")).unwrap();
        symlink("../..", tree.join("a/out")).unwrap();
        symlink("../secret", tree.join("leak")).unwrap();
        run
    }

    #[test]
    fn project_roots() {
        let run = tree();
        let tree = run.path().join("tree");
        #[rustfmt::skip]
        let table = [
            ("",          "ok"),
            (".",         "ok"),
            ("a/b",       "ok"),
            ("./a//b/",   "ok"),
            ("link/b",    "ok"),
            ("..",        "must be a path inside the repository"),
            ("a/../a",    "must be a path inside the repository"),
            ("/etc",      "must be a path inside the repository"),
            ("a/out",     "leads out of the repository through a link"),
            ("gone",      "does not exist at this commit"),
            ("file",      "is not a folder"),
        ];
        for (path, expect) in table {
            let said = project_root(&tree, path).map_or_else(|e| e.to_string(), |_| "ok".into());
            assert!(said.ends_with(expect), "{path:?}: {said}");
        }
    }

    #[test]
    fn mounts() {
        #[rustfmt::skip]
        let table = [
            // place,         source,       answer
            ("conf/x.tfvars", "file",       "ok"),
            ("b/x",           "link/own",   "ok"),
            ("own",           "a/own",      "ok"),
            ("../x",          "file",       "must be a path inside the repository"),
            ("/x",            "file",       "must be a path inside the repository"),
            ("x",             "../secret",  "must be a path inside the repository"),
            ("x",             "leak",       "leads out of the repository through a link"),
            ("out/x",         "file",       "leads out of the repository through a link"),
            ("x",             "gone",       "does not exist at this commit"),
            ("x",             "a",          "is not a file"),
            ("b",             "file",       "is not a file"),
        ];
        for (path, source, expect) in table {
            let run = tree();
            let tree = run.path().join("tree");
            let root = project_root(&tree, "a").unwrap();
            let one = FileMount { path: path.into(), source: source.into() };
            let said = mount(&tree, &root, &[one]).map_or_else(|e| e.to_string(), |()| "ok".into());
            assert!(said.ends_with(expect), "{path:?} from {source:?}: {said}");
            if expect == "ok" {
                let (to, from) = (fs::read(root.join(path)), fs::read(tree.join(source)));
                assert_eq!(to.unwrap(), from.unwrap());
            }
            assert_eq!(fs::read(run.path().join("secret")).unwrap(), b"outside");
        }
    }

    #[test]
    fn who_keeps_the_state() {
        #[rustfmt::skip]
        let table = [
            ("main.tf",       "terraform {\n  backend \"s3\" {}\n}",                    true),
            ("bom.tf",        "\u{feff}terraform {\n  backend \"s3\" {}\n}",            true),
            ("list.tf.json",  r#"[{"terraform": {"backend": {"s3": {}}}}]"#,            true),
            ("main.tf",       "terraform {\n  cloud {\n    organization = \"o\"\n  }\n}", true),
            ("main.tf",       "# terraform { backend \"s3\" {} }\nlocals {}",           false),
            ("main.tf",       "resource \"x\" \"backend\" {}",                          false),
            ("a.tf.json",     r#"{"terraform": {"backend": {"s3": {}}}}"#,              true),
            ("a.tf.json",     r#"{"terraform": [{"required_version": "1"}, {"cloud": {}}]}"#, true),
            ("a.tf.json",     r#"{"locals": {"backend": 1}}"#,                          false),
            ("notes.md",      "terraform {\n  backend \"s3\" {}\n}",                    false),
            (OVERRIDE_FILE,   r#"{"terraform": {"backend": {"local": {}}}}"#,           false),
        ];
        for (name, text, expect) in table {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(name), text).unwrap();
            assert_eq!(declares_backend(root.path()).ok(), Some(expect), "{name}: {text}");
        }
    }

    #[test]
    fn a_file_that_may_name_a_backend_and_cannot_be_read_is_no_guess() {
        for (name, bytes) in [
            ("main.tf", &b"terraform {\n backend \"s3\" {"[..]),
            ("a.tf.json", br#"{"terraform": {"backend": "#),
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(name), bytes).unwrap();
            let said = declares_backend(root.path()).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{name} can't be read")), "{said}");
        }
        let broken = tempfile::tempdir().unwrap();
        fs::write(broken.path().join("main.tf"), "locals {").unwrap();
        assert_eq!(declares_backend(broken.path()).ok(), Some(false), "the tool complains of it");
    }
}
