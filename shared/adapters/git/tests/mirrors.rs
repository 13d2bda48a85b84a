//! Mirrors against real repositories: branches, changes, files, names, and what can't be had.
mod common;
use adapter_git::{GitError, Mirrors};
use common::{Bench, git};
use std::io::{Read as _, Write as _};
use windlass_core::id::Sha;
use windlass_ports::{ChangedFiles, Fault, Source as _};

fn known(paths: &[&str]) -> ChangedFiles {
    ChangedFiles::Known(paths.iter().map(|path| (*path).to_owned()).collect())
}

#[tokio::test]
async fn branches_follow_the_origin() {
    let bench = Bench::new();
    bench.add().await;
    let heads = async || bench.mirrors.branches(&bench.repo).await.unwrap();
    assert_eq!(heads().await, [], "an empty repository has no branch");

    let first = bench.commit(&[("a", "1")], "first");
    assert_eq!(heads().await, [("main".to_owned(), first.clone())]);

    bench.git(&["branch", "feature"]);
    let second = bench.commit(&[("a", "2")], "second");
    assert_eq!(
        heads().await,
        [("feature".to_owned(), first.clone()), ("main".to_owned(), second.clone())]
    );

    // A branch becomes a folder of branches, and history is forced back.
    bench.git(&["branch", "-D", "feature"]);
    bench.git(&["branch", "feature/x"]);
    bench.git(&["reset", "-q", "--hard", &first.0]);
    assert_eq!(
        heads().await,
        [("feature/x".to_owned(), second.clone()), ("main".to_owned(), first)]
    );
}

#[tokio::test]
async fn changes_between_commits() {
    let (bench, first) = Bench::with_commit().await;
    let second = bench.commit(&[("b/main.tf", "b2"), ("c/ü \"q\".tf", "c")], "second");
    std::fs::rename(bench.origin().join("a/main.tf"), bench.origin().join("a/moved.tf")).unwrap();
    let third = bench.commit(&[], "a rename");
    bench.mirrors.fetch(&bench.repo).await.unwrap();
    // History that is forced away is still here to be compared with.
    bench.git(&["checkout", "-q", "--orphan", "other"]);
    let orphan = bench.commit(&[("d", "d")], "orphan");
    bench.git(&["branch", "-D", "main"]);
    let gone = Sha("1".repeat(40));
    let everything = ChangedFiles::Everything;
    for (name, base, head, expect) in [
        ("one commit", Some(&first), &second, known(&["b/main.tf", "c/ü \"q\".tf"])),
        ("a rename is both paths", Some(&second), &third, known(&["a/main.tf", "a/moved.tf"])),
        ("backwards", Some(&second), &first, known(&["b/main.tf", "c/ü \"q\".tf"])),
        ("nothing", Some(&third), &third, known(&[])),
        ("another history", Some(&third), &orphan, known(&["d"])),
        ("no base", None, &third, everything.clone()),
        ("a base that is gone", Some(&gone), &third, everything),
    ] {
        let changed = bench.mirrors.changed(&bench.repo, base, head).await.unwrap();
        assert_eq!(changed, expect, "{name}");
    }
    let fault = bench.mirrors.changed(&bench.repo, Some(&first), &gone).await.unwrap_err();
    assert_eq!(fault.to_string(), format!("the repository infra has no commit {gone}"));
}

#[tokio::test]
async fn commits_and_names() {
    let (bench, first) = Bench::with_commit().await;
    bench.git(&["tag", "-a", "v1", "-m", "a tag"]);
    bench.git(&["branch", "feature/x"]);
    let second = bench.commit(&[], "subject: with | and \"quotes\"\n\nbody");
    let resolve = async |name: &str| bench.mirrors.resolve(&bench.repo, name).await.unwrap();
    for (name, expect) in [
        ("main", Some(&second)),
        ("HEAD", Some(&second)),
        ("v1", Some(&first)),
        ("feature/x", Some(&first)),
        ("main~1", Some(&first)),
        (first.short(), Some(&first)),
        (&first.0, Some(&first)),
        ("main:a", None),
        ("nowhere", None),
        ("", None),
        ("--all", None),
        ("-h", None),
        ("ma\nin", None),
        ("$(date)", None),
        (&"1".repeat(40), None),
    ] {
        assert_eq!(resolve(name).await.as_ref(), expect, "{name}");
    }
    let info = bench.mirrors.commit(&bench.repo, &second).await.unwrap().unwrap();
    assert_eq!(info.sha, second);
    assert_eq!(info.author, "Ada");
    assert_eq!(info.subject, "subject: with | and \"quotes\"");
    assert_eq!(info.at_ms, 1_795_341_600_000);
    assert_eq!(bench.mirrors.commit(&bench.repo, &Sha("1".repeat(40))).await.unwrap(), None);
    assert!(bench.mirrors.commit(&bench.repo, &"--all".into()).await.is_err());
}

#[tokio::test]
async fn where_a_branch_left_another() {
    let (bench, fork) = Bench::with_commit().await;
    let trunk = bench.commit(&[("b/main.tf", "b2")], "the trunk goes on");
    bench.git(&["checkout", "-q", "-b", "feature", &fork.0]);
    let feature = bench.commit(&[("a/main.tf", "a2")], "a feature");
    bench.git(&["checkout", "-q", "--orphan", "other"]);
    let orphan = bench.commit(&[("d", "d")], "orphan");
    bench.mirrors.fetch(&bench.repo).await.unwrap();
    let gone = Sha("1".repeat(40));
    for (name, a, b, expect) in [
        ("a fork", &trunk, &feature, Some(&fork)),
        ("an ancestor", &trunk, &fork, Some(&fork)),
        ("nothing in common", &trunk, &orphan, None),
        ("one is gone", &trunk, &gone, None),
    ] {
        let base = bench.mirrors.merge_base(&bench.repo, a, b).await.unwrap();
        assert_eq!(base.as_ref(), expect, "{name}");
    }
}

#[tokio::test]
async fn files_at_a_commit() {
    let (bench, _) = Bench::with_commit().await;
    std::os::unix::fs::symlink("/etc/passwd", bench.origin().join("link")).unwrap();
    let big = "x".repeat(2 * 1024 * 1024);
    let sha = bench.commit(
        &[
            (":(glob)*", "odd"),
            ("empty", ""),
            ("fits", &big),
            ("big", &format!("{big}x")),
            ("line\nbreak", "odd"),
        ],
        "files",
    );
    let files = bench.mirrors.files(&bench.repo, &sha).await.unwrap();
    let all = ["a/main.tf", "b/main.tf", "big", "empty", "fits", "line\nbreak", "link"];
    assert_eq!(files, [&[":(glob)*"], &all[..]].concat());

    let read = async |path: &str| bench.mirrors.read(&bench.repo, &sha, path).await;
    for (path, expect) in [
        ("a/main.tf", Some("a1")),
        (":(glob)*", Some("odd")),
        ("empty", Some("")),
        ("fits", Some(big.as_str())),
        ("a", None),
        ("a/", None),
        ("none", None),
        ("", None),
        ("../origin/a/main.tf", None),
        ("/etc/passwd", None),
        ("a//main.tf", None),
        ("a/main.tf/x", None),
        ("link/passwd", None),
        ("line\nbreak", Some("odd")),
        ("a/*.tf", None),
    ] {
        let found = read(path).await.unwrap();
        assert_eq!(found.as_deref(), expect.map(str::as_bytes), "{path}");
    }
    for (path, says) in [("link", "symbolic link"), ("big", "at most 2097152")] {
        let fault = read(path).await.unwrap_err();
        assert!(!fault.is_retryable() && fault.to_string().contains(says), "{fault}");
    }
}

#[tokio::test]
async fn many_files_are_read_by_one_process() {
    let (bench, first) = Bench::with_commit().await;
    let files: Vec<_> =
        (0..200).map(|n| (format!("d/e{}/f{n}.tf", n % 9), n.to_string())).collect();
    let list: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let sha = bench.commit(&list, "two hundred files");
    let read = async |sha: &Sha, path: &str| bench.mirrors.read(&bench.repo, sha, path).await;
    // The commit is fetched when the first file is asked for; a process at rest sees it.
    assert_eq!(read(&first, "a/main.tf").await.unwrap().unwrap(), b"a1");
    let start = std::time::Instant::now();
    for (path, text) in &list {
        assert_eq!(read(&sha, path).await.unwrap().unwrap(), text.as_bytes());
    }
    println!("200 files in {:?}", start.elapsed());
    let gone = Sha("1".repeat(40));
    assert!(read(&gone, "a/main.tf").await.unwrap_err().to_string().contains("has no commit"));
    // Readers at once, and after the process at rest was ended.
    let mut readers = tokio::task::JoinSet::new();
    for (path, text) in files {
        let (mirrors, repo, sha) = (bench.mirrors.clone(), bench.repo.clone(), sha.clone());
        readers.spawn(async move {
            assert_eq!(mirrors.read(&repo, &sha, &path).await.unwrap().unwrap(), text.as_bytes());
        });
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(read(&first, "a/main.tf").await.unwrap().unwrap(), b"a1");
}

#[tokio::test]
async fn origins_that_are_none() {
    let bench = Bench::new();
    let add = async |origin: String| bench.mirrors.add("x".into(), origin).await;
    let plain = tempfile::tempdir().unwrap();
    for origin in [plain.path().to_str().unwrap(), "/no/such/folder"] {
        let error = add(origin.to_owned()).await.unwrap_err();
        assert!(matches!(error, GitError::NotARepository { .. }), "{error}");
    }
    let fault = bench.mirrors.branches(&"x".into()).await.unwrap_err();
    assert_eq!(fault.to_string(), "the repository x is not known here");

    // One that was there and is gone.
    let (bench, _) = Bench::with_commit().await;
    std::fs::remove_dir_all(bench.origin()).unwrap();
    let fault = bench.mirrors.branches(&bench.repo).await.unwrap_err();
    assert!(fault.to_string().ends_with("is not a git repository"), "{fault}");
}

#[tokio::test]
async fn any_place_inside_a_repository_names_it() {
    let (bench, sha) = Bench::with_commit().await;
    let tree = bench.root.path().join("tree");
    let bare = bench.root.path().join("bare \"q\" ü");
    bench.git(&["worktree", "add", "-q", "-b", "side", tree.to_str().unwrap()]);
    git(bench.root.path(), &["clone", "-q", "--bare", "origin", bare.to_str().unwrap()]);
    let inside = tree.join("a");
    let url = format!("file://{}", bench.origin().display());
    for origin in [tree.to_str().unwrap(), inside.to_str().unwrap(), bare.to_str().unwrap(), &url] {
        bench.mirrors.add("y".into(), origin.to_owned()).await.unwrap();
        let heads = bench.mirrors.branches(&"y".into()).await.unwrap();
        assert!(heads.contains(&("main".to_owned(), sha.clone())), "{origin}");
    }
}

#[tokio::test]
async fn default_branches() {
    let (bench, _) = Bench::with_commit().await;
    let default = async || bench.mirrors.default_branch(&bench.repo).await.unwrap();
    assert_eq!(default().await.as_deref(), Some("main"));
    bench.git(&["checkout", "-q", "-b", "feature"]);
    assert_eq!(default().await.as_deref(), Some("feature"));
    bench.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    assert_eq!(default().await.as_deref(), Some("main"), "a clone knows better");
    bench.git(&["symbolic-ref", "-d", "refs/remotes/origin/HEAD"]);
    bench.git(&["checkout", "-q", "--detach"]);
    assert_eq!(default().await, None);
}

#[tokio::test]
async fn a_lock_that_a_killed_git_left_is_removed() {
    let (bench, sha) = Bench::with_commit().await;
    let heads = bench.root.path().join("mirrors/infra.git/refs/heads");
    std::fs::write(heads.join("main.lock"), "").unwrap();
    assert_eq!(bench.mirrors.branches(&bench.repo).await.unwrap(), [("main".to_owned(), sha)]);
}

#[tokio::test]
async fn many_processes_may_fetch_at_once() {
    let (bench, _) = Bench::with_commit().await;
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..12 {
        let sha = bench.commit(&[("n", &round.to_string())], "next");
        bench.git(&["branch", &format!("b{round}")]);
        // Another value over the same folder is what another process has.
        let mirrors = Mirrors::new(bench.root.path().join("mirrors"));
        let (repo, dest) = (bench.repo.clone(), bench.root.path().join(format!("w{round}")));
        tasks.spawn(async move {
            mirrors.checkout(&repo, &sha, &dest).await?;
            mirrors.branches(&repo).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

/// Answers one request with 401 and hands back what was asked.
fn refusing_server() -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, mut request) = (stream, Vec::new());
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
            let _ = tell.send(String::from_utf8_lossy(&request).into_owned());
        }
    });
    (port, asked)
}

#[tokio::test]
async fn credentials_reach_the_origin_and_nothing_else() {
    let bench = Bench::new();
    let (port, asked) = refusing_server();
    let origin = format!("http://me:hunter2@127.0.0.1:{port}/a.git");
    bench.mirrors.add(bench.repo.clone(), origin).await.unwrap();
    let fault: Fault = bench.mirrors.branches(&bench.repo).await.unwrap_err();
    assert!(fault.is_retryable(), "{fault}");
    assert!(asked.recv().unwrap().contains("Authorization: Basic bWU6aHVudGVyMg=="));
    assert!(!format!("{fault} {fault:?} {}", fault.chain()).contains("hunter2"), "{fault}");
    let mirror = bench.root.path().join("mirrors/infra.git");
    for file in ["config", "windlass-origin"] {
        assert!(!std::fs::read_to_string(mirror.join(file)).unwrap().contains("hunter2"));
    }
    // Pointing it elsewhere forgets them.
    bench.add().await;
    assert!(!mirror.join("windlass-credentials").exists());
}
