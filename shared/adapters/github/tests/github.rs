//! What is GitHub's own: credentials, limits, refusals, archives, bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod common;

use adapter_github::{Auth, Fixed, Github, GithubArchive};
use common::{Bench, PLACE, Rotating, app};
use forge_server::{APP_KEY_PKCS8, Failure, ForgeServer, Limits, TOKEN};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use windlass_core::id::Sha;
use windlass_core::keys;
use windlass_ports::contract::source::Origin;
use windlass_ports::fake::MemBlobs;
use windlass_ports::{
    Archive, Blobs, ChangedFiles, CommitStatus, Fault, Forge, Source, StatusState,
};

fn status(bench: &Bench, sha: &Sha) -> CommitStatus {
    CommitStatus {
        repo: bench.repo.clone(),
        sha: sha.clone(),
        context: "windlass/net".to_owned(),
        state: StatusState::Pending,
        description: "queued".to_owned(),
        target_url: None,
    }
}

async fn fault_of(github: &Github, bench: &Bench) -> Fault {
    github.branches(&bench.repo).await.expect_err("it goes wrong")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    #[rustfmt::skip]
    let table = [
        // what GitHub answers        retry  what a person reads
        (Failure::Status(401),        true,  "the token, or the App's key, is not accepted"),
        (Failure::Status(403),        false, "lacks a permission"),
        (Failure::Status(404),        false, "has no access to it"),
        (Failure::Status(422),        false, "422"),
        (Failure::Status(500),        true,  "500"),
        (Failure::Status(503),        true,  "503"),
    ];
    for (failure, retryable, text) in table {
        let github = bench.by_token();
        bench.forge.fail("/repos/", 2, failure.clone());
        let fault = fault_of(&github, &bench).await;
        bench.forge.heal();
        let said = fault.chain();
        assert_eq!(fault.is_retryable(), retryable, "{failure:?}: {said}");
        assert!(said.contains(text) && said.contains(PLACE), "{failure:?}: {said}");
        assert!(!said.contains(TOKEN), "{said}");
        github.set_status(&status(&bench, &sha)).await.expect("healthy again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_obeyed_by_silence() {
    let (bench, origin) = Bench::new();
    origin.push("main", &[("a", "1")], &[]);
    #[rustfmt::skip]
    let table = [
        // limit                                                                              seconds
        (Failure::RateLimit { status: 403, reset_in_s: 2 },                                   2),
        (Failure::RateLimit { status: 429, reset_in_s: 2 },                                   2),
        (Failure::SecondaryLimit { status: 403, retry_after_s: Some(2) },                     2),
        (Failure::SecondaryLimit { status: 429, retry_after_s: None },                        60),
    ];
    for (limit, seconds) in table {
        let github = bench.by_token();
        bench.forge.fail("/branches", 1, limit.clone());
        let before = bench.forge.calls().len();
        for _ in 0..3 {
            let fault = fault_of(&github, &bench).await;
            assert!(fault.is_retryable() && fault.chain().contains("rate limit"), "{fault}");
        }
        assert_eq!(bench.forge.calls().len(), before + 1, "{limit:?}: it asked again");
        if seconds == 2 {
            tokio::time::sleep(Duration::from_millis(2_100)).await;
            github.branches(&bench.repo).await.expect("the limit has passed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_read_again() {
    let (bench, origin) = Bench::new();
    origin.push("main", &[("a", "1")], &[]);
    let token = Rotating::new(TOKEN);
    let github = bench.github(Auth::Token(token.clone()));
    github.branches(&bench.repo).await.expect("the first");
    assert_eq!(token.fresh_reads.load(Ordering::SeqCst), 0);
    bench.forge.set_tokens(&["ghp_theNextOne"]);
    let fault = fault_of(&github, &bench).await;
    assert!(fault.is_retryable(), "until somebody stores the new one: {fault}");
    token.rotate("ghp_theNextOne\n");
    github.branches(&bench.repo).await.expect("the next");
    let reads = token.fresh_reads.load(Ordering::SeqCst);
    github.branches(&bench.repo).await.expect("and from then on");
    assert_eq!(token.fresh_reads.load(Ordering::SeqCst), reads);
}

/// The store's cache ends within minutes; a token that was replaced is used no longer than that,
/// although GitHub would still take it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_kept_past_the_stores_own_cache() {
    let (bench, origin) = Bench::new();
    origin.push("main", &[("a", "1")], &[]);
    let token = Rotating::new(TOKEN);
    let github = bench.github(Auth::Token(token.clone()));
    github.branches(&bench.repo).await.expect("the first");
    bench.forge.set_tokens(&["ghp_theNextOne"]);
    "ghp_theNextOne".clone_into(&mut token.cached.lock().unwrap());
    github.branches(&bench.repo).await.expect("the next");
    assert_eq!(bench.forge.calls().iter().filter(|call| call.status == 401).count(), 0);
    assert_eq!(token.fresh_reads.load(Ordering::SeqCst), 0);
}

/// What a token may not see is not there, says GitHub: perhaps a newer one sees it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_looked_for_with_a_newer_token_once() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let token = Rotating::new(TOKEN);
    let github = bench.github(Auth::Token(token.clone()));
    bench.forge.set_tokens(&[TOKEN, "ghp_seesMore"]);
    bench.forge.blind(TOKEN);
    token.rotate("ghp_seesMore");
    assert_eq!(github.branches(&bench.repo).await.expect("seen").len(), 1);
    for _ in 0..3 {
        assert_eq!(github.read(&bench.repo, &sha, "nothing").await.expect("answered"), None);
    }
    assert_eq!(token.fresh_reads.load(Ordering::SeqCst), 1, "much is rightly not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_makes_tokens_as_it_needs_them() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let github = bench.github(app(APP_KEY_PKCS8));
    let ask = async || github.commit(&bench.repo, &sha).await.expect("answered").expect("there");
    ask().await;
    ask().await;
    assert_eq!(bench.forge.minted(), 1);
    bench.forge.revoke_installation_tokens();
    ask().await;
    assert_eq!(bench.forge.minted(), 2, "a refused token is replaced");
    bench.forge.set_limits(Limits { token_lives_s: 200, ..Limits::default() });
    bench.forge.revoke_installation_tokens();
    ask().await;
    ask().await;
    assert_eq!(bench.forge.minted(), 4, "one that ends within minutes is not used any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_none_is_told_so() {
    let (bench, _origin) = Bench::new();
    let not_installed = bench.github(app(APP_KEY_PKCS8));
    let other = not_installed.branches(&"other".into()).await.expect_err("not installed there");
    assert!(!other.is_retryable() && other.chain().contains("installation"), "{other}");
    let no_key = bench.github(app("secret-but-no-key"));
    let fault = fault_of(&no_key, &bench).await;
    assert!(fault.is_retryable() && fault.chain().contains("not a PEM file"), "{}", fault.chain());
    assert!(!fault.chain().contains("secret-but-no-key"));
    let key = Arc::new(Fixed::new(APP_KEY_PKCS8));
    let stranger = bench.github(Auth::App { id: "999".to_owned(), key });
    let fault = fault_of(&stranger, &bench).await;
    assert!(fault.is_retryable() && fault.chain().contains("not accepted"), "{}", fault.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_branches_cost_no_answer() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let github = bench.by_token();
    for _ in 0..2 {
        assert_eq!(github.branches(&bench.repo).await.unwrap(), [("main".to_owned(), sha.clone())]);
    }
    let answers: Vec<u16> = bench.forge.calls().iter().map(|call| call.status).collect();
    assert_eq!(answers, [200, 304]);
    let next = origin.push("main", &[("a", "2")], &[]);
    assert_eq!(github.branches(&bench.repo).await.unwrap(), [("main".to_owned(), next)]);
}

/// What is cut must not be taken for the whole.
#[tokio::test(flavor = "multi_thread")]
async fn cut_answers() {
    let (bench, origin) = Bench::new();
    let first = origin.push("main", &[("a", "1"), ("d/e/f", "1"), ("d/g", "1")], &[]);
    let second = origin.push("main", &[("b", "1"), ("c", "1"), ("d/h", "1")], &[]);
    let github = bench.by_token();
    bench.forge.set_limits(Limits { tree_entries: 5, ..Limits::default() });
    let files = github.files(&bench.repo, &second).await.unwrap();
    assert_eq!(files, ["a", "b", "c", "d/e/f", "d/g", "d/h"], "folder by folder");
    // To the side: only trees tell, and they are cut.
    assert_eq!(
        github.changed(&bench.repo, Some(&second), &first).await.unwrap(),
        ChangedFiles::Everything
    );
}

/// "This diff is taking too long": as long the next time, so nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_always_fails_stops_nobody() {
    let (bench, origin) = Bench::new();
    let first = origin.push("main", &[("a", "1")], &[]);
    let second = origin.push("main", &[("b", "1")], &[]);
    let github = bench.by_token();
    let known = Some(ChangedFiles::Known(vec!["b".to_owned()]));
    #[rustfmt::skip]
    let table: [(&[&str], Option<ChangedFiles>); 4] = [
        // what answers 502                              what is said; None: later
        (&[],                                            known.clone()),
        (&["/compare/"],                                 known),
        (&["/compare/", "/git/trees/"],                  Some(ChangedFiles::Everything)),
        (&["/compare/", "/git/trees/", "/git/commits/"], None),
    ];
    for (parts, expect) in table {
        parts.iter().for_each(|part| bench.forge.fail(part, 9, Failure::Status(502)));
        let said = github.changed(&bench.repo, Some(&first), &second).await;
        let fork = github.merge_base(&bench.repo, &first, &second).await.expect("said");
        bench.forge.heal();
        assert_eq!(fork.is_some(), parts.is_empty(), "{parts:?}: not known");
        match (said, expect) {
            (Err(fault), None) => assert!(fault.is_retryable(), "{parts:?}: {fault}"),
            (said, expect) => assert_eq!(said.ok(), expect, "{parts:?}"),
        }
    }
}

/// Who is told of a push may come to a server of GitHub's that does not know of it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_shown_yet_is_waited_for() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let github = bench.by_token();
    let unseen = Sha("0123456789abcdef0123456789abcdef01234567".to_owned());
    for fault in [
        github.read(&bench.repo, &unseen, "a").await.unwrap_err(),
        github.files(&bench.repo, &unseen).await.unwrap_err(),
        github.changed(&bench.repo, Some(&sha), &unseen).await.unwrap_err(),
    ] {
        assert!(fault.is_retryable() && fault.chain().contains("yet"), "{fault}");
    }
    bench.forge.remove(PLACE);
    for fault in [
        github.files(&bench.repo, &unseen).await.unwrap_err(),
        github.changed(&bench.repo, Some(&sha), &unseen).await.unwrap_err(),
    ] {
        assert!(!fault.is_retryable() && fault.chain().contains("no access"), "{fault}");
    }
}

/// A repository that is out of reach must not look like one without that file.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_out_of_reach_is_not_empty() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("windlass.yaml", "version: 1")], &[]);
    let github = bench.by_token();
    assert_eq!(github.read(&bench.repo, &sha, "windlass.yml").await.unwrap(), None);
    bench.forge.remove(PLACE);
    let fault = github.read(&bench.repo, &sha, "windlass.yaml").await.unwrap_err();
    assert!(!fault.is_retryable() && fault.chain().contains("no access"), "{fault}");
    assert!(github.resolve(&bench.repo, "main").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_commit_is_fetched_once() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("stacks/net/main.tf", "# net")], &[]);
    let blobs = Arc::new(MemBlobs::new());
    let archive = GithubArchive::new(bench.by_token(), blobs.clone());
    archive.ensure(&bench.repo, &sha).await.unwrap();
    archive.ensure(&bench.repo, &sha).await.unwrap();
    let another = GithubArchive::new(bench.by_app(), blobs.clone());
    another.ensure(&bench.repo, &sha).await.unwrap();
    assert_eq!(bench.asked("/tarball/"), 1);
    let body = blobs.get(&keys::code_archive(&bench.repo, &sha)).await.unwrap().expect("a blob");
    assert_eq!(listed(&body), [format!("acme-infra-{}/stacks/net/main.tf", &sha.as_str()[..7])]);
    let nowhere = Sha("0123456789abcdef0123456789abcdef01234567".to_owned());
    let fault = archive.ensure(&bench.repo, &nowhere).await.unwrap_err();
    assert!(!fault.is_retryable(), "{fault}");
    assert_eq!(blobs.list("archives/", None, 10).await.unwrap().len(), 1);
}

/// Its archives lie on the API's own host; what sees our token there is the API alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_enterprise_servers_archive_comes_without_our_token() {
    let (bench, origin) = Bench::before(ForgeServer::start_enterprise());
    let sha = origin.push("main", &[("main.tf", "# net")], &[]);
    let blobs = Arc::new(MemBlobs::new());
    let archive = GithubArchive::new(bench.by_token(), blobs.clone());
    archive.ensure(&bench.repo, &sha).await.expect("it is there");
    let body = blobs.get(&keys::code_archive(&bench.repo, &sha)).await.unwrap().expect("a blob");
    assert_eq!(listed(&body), [format!("acme-infra-{}/main.tf", &sha.as_str()[..7])]);
    assert_eq!((bench.asked("/api/v3/"), bench.asked("/codeload/")), (1, 1));
}

/// Jobs of one commit come in batches, and each asks for its code.
#[tokio::test(flavor = "multi_thread")]
async fn ten_who_ask_at_once_fetch_it_once() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("stacks/net/main.tf", "# net")], &[]);
    let archive = Arc::new(GithubArchive::new(bench.by_token(), Arc::new(MemBlobs::new())));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (archive, repo, sha) = (archive.clone(), bench.repo.clone(), sha.clone());
        all.spawn(async move { archive.ensure(&repo, &sha).await });
    }
    assert!(all.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(bench.asked("/tarball/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_too_large_is_said_to_be() {
    let (bench, origin) = Bench::new();
    // A commit's id and its files' can't be packed to nothing.
    let sha = origin.push("main", &[("main.tf", &"# net\n".repeat(100))], &[]);
    let blobs = Arc::new(MemBlobs::new());
    let archive = |bytes| GithubArchive::new(bench.by_token(), blobs.clone()).at_most(bytes);
    let fault = archive(64).ensure(&bench.repo, &sha).await.unwrap_err();
    assert!(!fault.is_retryable() && fault.chain().contains("larger than"), "{fault}");
    assert!(blobs.list("archives/", None, 10).await.unwrap().is_empty());
    archive(64 * 1024).ensure(&bench.repo, &sha).await.expect("it fits");
}

fn listed(archive: &[u8]) -> Vec<String> {
    use std::io::Write;
    let mut tar = Command::new("tar")
        .args(["-tzf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.ends_with('/')).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_words_are_cut_and_a_commit_that_is_gone_is_said_to_be() {
    let (bench, origin) = Bench::new();
    let sha = origin.push("main", &[("a", "1")], &[]);
    let github = bench.by_token();
    let long = CommitStatus { description: "ü".repeat(300), ..status(&bench, &sha) };
    github.set_status(&long).await.unwrap();
    let told = bench.forge.statuses(PLACE).pop().and_then(|s| s.description).unwrap_or_default();
    assert!(told.chars().count() == 140 && told.ends_with('…'), "{told}");
    let gone = status(&bench, &Sha("0123456789abcdef0123456789abcdef01234567".to_owned()));
    let fault = github.set_status(&gone).await.unwrap_err();
    assert!(!fault.is_retryable() && fault.chain().contains("No commit found"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_not_there_is_tried_again() {
    let (bench, _origin) = Bench::new();
    let auth = Auth::Token(Arc::new(Fixed::new(TOKEN)));
    let config = adapter_github::Config {
        api_url: "http://127.0.0.1:9".to_owned(),
        repositories: [(bench.repo.clone(), PLACE.to_owned())].into(),
        auth,
    };
    let fault = fault_of(&Github::new(config), &bench).await;
    assert!(
        fault.is_retryable() && fault.chain().contains("can't be reached"),
        "{}",
        fault.chain()
    );
}
