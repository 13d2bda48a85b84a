//! `windlass up` with input that is not as it should be: one sentence, the right code, no damage.
#![expect(clippy::unwrap_used, reason = "a test that can't set its scene has failed")]
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

struct Place {
    temp: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { temp: tempfile::tempdir().unwrap() }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }
    fn up(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.current_dir(self.temp.path()).env_remove("WINDLASS_DATA").env_remove("RUST_LOG");
        command.args(["up", "--data", "data"]).args(words).stdin(Stdio::null());
        command
    }
    /// The exit code, and what was said to whom.
    fn fails(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.up(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
    fn git(&self, folder: &str, words: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let status = Command::new("git")
            .args(who)
            .args(words)
            .current_dir(self.path(folder))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status();
        assert!(status.unwrap().success());
    }
    fn repository(&self, name: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(self.path(name)).unwrap();
        self.git(name, &["init", "--quiet", "--initial-branch=main"]);
        for (path, text) in files {
            let path = self.path(name).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if !files.is_empty() {
            self.git(name, &["add", "--all"]);
            self.git(name, &["commit", "--quiet", "--message", "First"]);
        }
    }
    /// A server that answers, and the line that says where.
    fn serving(&self, words: &[&str]) -> (Child, String) {
        let mut child =
            self.up(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let greeting = lines.find(|line| line.starts_with("Windlass serves")).unwrap();
        (child, greeting)
    }
}

fn end(mut child: Child) -> Option<i32> {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    child.wait().unwrap().code()
}

const CODE: &str = "resource \"terraform_data\" \"a\" {}\n";
const DEFINITIONS: &str = "version: 1\nstacks: []\n";

#[test]
fn each_kind_of_bad_input_has_its_sentence() {
    let place = Place::new();
    place.repository("empty", &[]);
    place.repository("infra", &[("windlass.yaml", DEFINITIONS)]);
    place.repository("other/infra", &[("windlass.yaml", DEFINITIONS)]);
    fs::create_dir(place.path("plain")).unwrap();
    fs::create_dir(place.path("foreign")).unwrap();
    fs::write(place.path("foreign/letter.txt"), "dear").unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    #[rustfmt::skip]
    let table: [(&[&str], i32, &str); 8] = [
        (&["--repo", "nowhere"],                                  2, "there is no folder nowhere"),
        (&["--repo", "plain"],                                    2, "is not a git repository; `git init` makes one there"),
        (&["--repo", "empty"],                                    2, "has no commit yet"),
        (&["--repo", "infra", "--repo", "other/infra"],           2, "--repo other-name="),
        (&["--repo", "infra", "--port", &port],                   3, "is in use; choose another with --port"),
        (&["--repo", "https://me:hush@127.0.0.1:9/x.git"],        3, "the repository https://***@127.0.0.1:9/x.git can't be read"),
        (&["--repo", "infra", "--data", "foreign"],               2, "cannot be used multiple times"),
        (&[],                                                     2, "--repo"),
    ];
    for (words, code, expect) in table {
        let (seen, _, said) = place.fails(words);
        assert_eq!(seen, code, "{words:?}: {said}");
        assert!(said.contains(expect), "{words:?}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
    assert!(Path::new(&place.path("foreign/letter.txt")).exists());
}

#[test]
fn a_repository_without_definitions_gets_a_proposal() {
    let place = Place::new();
    let files = [("live/net/main.tf", CODE), ("live/app/main.tf", CODE)];
    place.repository("infra", &files);
    let (code, proposed, said) = place.fails(&["--repo", "infra"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("has no windlass.yaml") && said.contains("--write"), "{said}");
    assert!(proposed.contains("project_root: live/net"), "{proposed}");
    assert!(!place.path("infra/windlass.yaml").exists());

    let (child, _) = place.serving(&["--repo", "infra", "--write", "--port", "0"]);
    assert_eq!(fs::read_to_string(place.path("infra/windlass.yaml")).unwrap(), proposed);
    assert_eq!(end(child), Some(0));
    // Not ours to commit, and not ours to overwrite.
    let (code, _, said) = place.fails(&["--repo", "infra", "--write"]);
    assert_eq!(code, 2);
    assert!(said.contains("not committed"), "{said}");
}

#[test]
fn a_folder_has_one_server_and_a_start_after_any_end() {
    let place = Place::new();
    place.repository("infra", &[("windlass.yaml", DEFINITIONS)]);
    let words = ["--repo", "infra", "--port", "0"];
    let (mut first, _) = place.serving(&words);
    assert!(place.path("data/server.json").exists());
    let (code, _, said) = place.fails(&words);
    assert_eq!(code, 3);
    assert!(said.contains(&format!("another windlass (process {})", first.id())), "{said}");

    // The lock dies with its holder, however that dies.
    first.kill().unwrap();
    first.wait().unwrap();
    let (second, _) = place.serving(&words);
    assert_eq!(end(second), Some(0));
    assert!(!place.path("data/server.json").exists(), "nobody is there any more");
    fs::write(place.path("data/version"), "windlass data 99\n").unwrap();
    let (code, _, said) = place.fails(&words);
    assert_eq!(code, 3);
    assert!(said.contains("another version"), "{said}");
}

#[test]
fn a_busy_port_is_passed_over() {
    let place = Place::new();
    place.repository("infra", &[("windlass.yaml", DEFINITIONS)]);
    // Whoever has it already is as good as we are.
    let _busy = TcpListener::bind("127.0.0.1:8420");
    let (child, greeting) = place.serving(&["--repo", "infra"]);
    assert!(greeting.contains("http://127.0.0.1:842") && !greeting.contains(":8420"), "{greeting}");
    assert_eq!(end(child), Some(0));
}
