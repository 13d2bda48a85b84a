//! The server itself: what it sends, what it refuses, what it holds against its client.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use forge_server::{Failure, ForgeServer, TOKEN, signature};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use tempfile::TempDir;

const REPO: &str = "acme/infra";

struct Bench {
    forge: ForgeServer,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { forge: ForgeServer::start(), dir: tempfile::tempdir().unwrap() };
        bench.git(&["init", "-q", "-b", "main"]);
        bench.forge.add(REPO, bench.dir.path());
        bench
    }
    fn git(&self, args: &[&str]) -> String {
        git(self.dir.path(), args)
    }
    fn commit(&self, written: &[(&str, &str)], removed: &[&str]) -> String {
        for (path, text) in written {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for path in removed {
            std::fs::remove_file(self.dir.path().join(path)).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change\n\nand why"]);
        self.git(&["rev-parse", "HEAD"])
    }
    fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent: ureq::Agent = config.into();
        let mut request =
            agent.get(format!("{}{path}", self.forge.url())).header("user-agent", "t");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Takes one request, answers 202, and gives back its head and body.
fn receiver() -> (String, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
    let task = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = Vec::new();
        let mut part = [0; 4_096];
        loop {
            let n = stream.read(&mut part).unwrap();
            text.extend_from_slice(&part[..n]);
            let said = String::from_utf8_lossy(&text).into_owned();
            let Some((head, body)) = said.split_once("\r\n\r\n") else { continue };
            let length = head.to_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                stream
                    .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\n\r\ntaken")
                    .unwrap();
                return (head.to_lowercase(), body.to_owned());
            }
        }
    });
    (url, task)
}

#[test]
fn a_push_is_told_as_it_happened() {
    let bench = Bench::new();
    let first = bench.commit(&[("a.tf", "1"), ("b.tf", "1")], &[]);
    let second = bench.commit(&[("a.tf", "2"), ("c/d.tf", "1")], &["b.tf"]);
    let (url, task) = receiver();
    let told = bench.forge.deliver_push(REPO, "main", Some(&first), Some(&second), &url, "s3cret");
    assert_eq!((told.status, told.body.as_str()), (202, "taken"));
    let (head, body) = task.join().unwrap();
    assert!(head.contains("x-github-event: push"), "{head}");
    assert!(head.contains(&format!("x-github-delivery: {}", told.id)), "{head}");
    let expect = signature("s3cret", body.as_bytes());
    assert!(head.contains(&format!("x-hub-signature-256: {expect}")), "{head}");
    let payload: Value = serde_json::from_str(&body).unwrap();
    let commit = &payload["commits"][0];
    assert_eq!(payload["commits"].as_array().unwrap().len(), 1);
    assert_eq!(commit["id"], json!(second));
    assert_eq!(commit["added"], json!(["c/d.tf"]));
    assert_eq!(commit["removed"], json!(["b.tf"]));
    assert_eq!(commit["modified"], json!(["a.tf"]));
    assert_eq!(payload["head_commit"]["id"], json!(second));
    assert_eq!(payload["repository"]["full_name"], json!(REPO));
    assert_eq!(payload["repository"]["default_branch"], json!("main"));

    let (url, task) = receiver();
    let again = bench.forge.deliver("push", &payload, &url, "s3cret");
    assert_ne!(again.id, told.id, "another delivery");
    let (_, body) = task.join().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), payload);
    assert_eq!(bench.forge.redeliver(&again.id).status, 0, "nobody listens any more");
}

#[test]
fn kinds_of_pushes() {
    let bench = Bench::new();
    let first = bench.commit(&[("a.tf", "1")], &[]);
    bench.git(&["checkout", "-q", "-b", "topic"]);
    let topic = bench.commit(&[("b.tf", "1")], &[]);
    bench.git(&["reset", "-q", "--hard", &first]);
    let forced = bench.commit(&[("c.tf", "1")], &[]);
    let branch = "refs/heads/topic";
    #[rustfmt::skip]
    let table = [
        // what        ref             before        after          created deleted forced commits
        ("created",    branch,         None,         Some(&forced), true,   false,  false, 1),
        ("moved",      branch,         Some(&first), Some(&topic),  false,  false,  false, 1),
        ("forced",     branch,         Some(&topic), Some(&forced), false,  false,  true,  1),
        ("deleted",    branch,         Some(&topic), None,          false,  true,   false, 0),
        ("a tag",      "refs/tags/v1", None,         Some(&first),  true,   false,  false, 0),
    ];
    for (name, reference, before, after, created, deleted, forced, commits) in table {
        let (before, after) = (before.map(String::as_str), after.map(String::as_str));
        let payload = bench.forge.push_payload(REPO, reference, before, after);
        assert_eq!(payload["created"], json!(created), "{name}");
        assert_eq!(payload["deleted"], json!(deleted), "{name}");
        assert_eq!(payload["forced"], json!(forced), "{name}");
        assert_eq!(payload["commits"].as_array().unwrap().len(), commits, "{name}");
        assert_eq!(payload["head_commit"].is_null(), deleted, "{name}");
    }
}

#[test]
fn refuses_as_github_does_and_remembers_what_it_does_not_know() {
    let bench = Bench::new();
    bench.commit(&[("a.tf", "1")], &[]);
    let known = format!("/repos/{REPO}/branches");
    assert_eq!(bench.get(&known, None).0, 401);
    assert_eq!(bench.get(&known, Some("wrong")).0, 401);
    assert_eq!(bench.get("/repos/acme/other/branches", Some(TOKEN)).0, 404);
    assert_eq!(bench.get(&known, Some(TOKEN)).0, 200);
    bench.forge.fail("/branches", 1, Failure::Status(502));
    assert_eq!(bench.get(&known, Some(TOKEN)).0, 502);
    assert_eq!(bench.get(&known, Some(TOKEN)).0, 200);
    assert_eq!(bench.forge.take_mistakes(), Vec::<String>::new());
    let unknown = format!("/repos/{REPO}/pulls");
    assert_eq!(bench.get(&unknown, Some(TOKEN)).0, 404);
    assert_eq!(bench.forge.take_mistakes(), [format!("GET {unknown}")]);
}

#[test]
#[should_panic(expected = "GitHub would not have understood")]
fn an_unknown_route_fails_the_test() {
    let bench = Bench::new();
    bench.get(&format!("/repos/{REPO}/pulls"), Some(TOKEN));
}
