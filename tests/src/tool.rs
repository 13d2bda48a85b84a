//! The wrapper that is the first `terraform` on PATH: it writes down each call, then lets the real
//! tool do its work. It is the proof that does not come from Windlass itself.
//!
//! Each call has two lines in the log: one when it begins, one when it ends. The wrapper outlives
//! the interrupts that its process group gets (a trap, which children do not inherit), so it ends
//! when the tool ends, with the tool's code.
use crate::wait::until;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the wrapper, its log and the gates are.
pub struct Tool {
    folder: PathBuf,
    /// The real program.
    pub real: PathBuf,
}

/// One call of the tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    /// The folder it ran in.
    pub folder: String,
    pub words: Vec<String>,
    /// None if it never ended in order.
    pub code: Option<i32>,
    /// SHA-256 of the plan file that it applied, or that it wrote.
    pub digest: Option<String>,
}

impl Call {
    /// `init`, `plan`, `show`, `apply`, `output`, …
    pub fn verb(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
    pub fn of_run(&self, run: &str) -> bool {
        self.folder.contains(run)
    }
    pub fn says(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }
}

/// Where something stops until the story lets it go on. The first to arrive is held; whoever
/// comes later passes.
#[derive(Clone, Debug)]
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// Shell text that stops at the gate: for hooks and provisioners. Also whoever is held goes on
    /// when the story is over and its folder is gone.
    pub fn shell(&self) -> String {
        let path = self.path.display();
        format!(
            "if mv {path} {path}.reached 2>/dev/null; then \
             until [ -e {path}.open ] || [ ! -e {path}.reached ]; do sleep 0.05; done; fi"
        )
    }
    pub fn reached(&self) -> bool {
        self.with(".reached").exists()
    }
    #[track_caller]
    pub fn wait_reached(&self, patience: Duration) {
        until(&format!("somebody at the gate {}", self.path.display()), patience, || {
            self.reached().then_some(()).ok_or_else(|| "nobody".to_owned())
        });
    }
    pub fn open(&self) {
        fs::write(self.with(".open"), "").expect("a gate can be opened");
    }
    fn with(&self, end: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(end);
        path.into()
    }
}

impl Tool {
    /// Puts a wrapper called `name` (`terraform` or `tofu`) around the real tool.
    pub fn wrap(folder: &Path, name: &str) -> Self {
        let real = real();
        fs::create_dir_all(folder.join("gates")).expect("a folder for gates");
        fs::create_dir_all(folder.join("bin")).expect("a folder for the wrapper");
        let wrapper = folder.join("bin").join(name);
        fs::write(&wrapper, script(&real, folder)).expect("a wrapper");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&wrapper, mode).expect("an executable wrapper");
        Self { folder: folder.to_owned(), real }
    }

    /// PATH with the wrapper first.
    pub fn path(&self) -> OsString {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&usual));
        std::env::join_paths(all).expect("a PATH")
    }

    /// A gate in front of a call: `<name of its folder>.<verb>`, for an apply's own init
    /// `<name of its folder>.init-readonly`.
    pub fn gate(&self, name: &str) -> Gate {
        let path = self.folder.join("gates").join(name);
        fs::write(&path, "").expect("a gate can be made");
        Gate { path }
    }

    /// All calls so far, in the order of their beginnings, but for questions about the version.
    pub fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.folder.join("calls.log")).unwrap_or_default();
        let mut calls: Vec<Call> = Vec::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields[..] {
                ["begin", id, _at, folder, digest, words] => calls.push(Call {
                    id: id.to_owned(),
                    folder: folder.to_owned(),
                    words: words.split_whitespace().map(str::to_owned).collect(),
                    code: None,
                    digest: some(digest),
                }),
                ["end", id, _at, code, digest] => {
                    let call = calls.iter_mut().rev().find(|call| call.id == id);
                    let call = call.expect("what ends has begun");
                    call.code = code.parse().ok();
                    call.digest = call.digest.take().or_else(|| some(digest));
                }
                _ => panic!("the wrapper's log has a strange line: {line:?}"),
            }
        }
        calls.retain(|call| call.verb() != "version");
        calls
    }
}

fn some(text: &str) -> Option<String> {
    (text != "-").then(|| text.to_owned())
}

/// The tool of this machine, whichever it is.
fn real() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| {
        let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
        places.find(|place| place.is_file())
    };
    on_path("terraform").or_else(|| on_path("tofu")).unwrap_or_else(|| {
        panic!("these tests need Terraform (>= 1.6) or OpenTofu on PATH: see the README")
    })
}

fn script(real: &Path, folder: &Path) -> String {
    const TEXT: &str = r#"#!/bin/sh
# Writes down what the tool is asked to do, then lets the real one do it.
log=@FOLDER@/calls.log
gates=@FOLDER@/gates
sum() {
  if [ ! -f "$1" ]; then echo -; return; fi
  { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"; } | cut -d' ' -f1
}
id=$$.$(date +%s%N)
words=$(printf '%s ' "$@" | tr '\t\n' '  ')
verb=$1
digest=-
written=
for word in "$@"; do
  case $word in
    -lockfile=readonly) verb=$verb-readonly ;;
    -out=*) written=${word#-out=} ;;
    -*) ;;
    *) [ "$1" = apply ] && [ "$word" != apply ] && digest=$(sum "$word") ;;
  esac
done
printf 'begin\t%s\t%s\t%s\t%s\t%s\n' "$id" "$(date +%s)" "$PWD" "$digest" "$words" >>"$log"
trap : INT TERM HUP
gate=$gates/${PWD##*/}.$verb
if mv "$gate" "$gate.reached" 2>/dev/null; then
  until [ -e "$gate.open" ] || [ ! -e "$gate.reached" ]; do sleep 0.05; done
fi
@REAL@ "$@"
code=$?
[ -z "$written" ] || digest=$(sum "$written")
printf 'end\t%s\t%s\t%s\t%s\n' "$id" "$(date +%s)" "$code" "$digest" >>"$log"
exit $code
"#;
    let quoted = |path: &Path| format!("'{}'", path.display());
    TEXT.replace("@REAL@", &quoted(real)).replace("@FOLDER@", &quoted(folder))
}
