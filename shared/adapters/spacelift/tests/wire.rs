//! What is Spacelift's own: keys, tokens, refusals, silence, certificates, proxies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod common;

use adapter_spacelift::{Config, Spacelift};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Bench, NOW, Rotating, config, on, victim};
use spacelift_server::{Failure, KEY_SECRET, Options, SpaceliftServer};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass_ports::pool::{Drained, IfBusy};
use windlass_ports::{Fault, Pool};

async fn fault_of(spacelift: &Spacelift) -> Fault {
    spacelift.look(NOW).await.expect_err("it goes wrong")
}

/// No error may hold what opens the door.
fn keeps_silent(bench: &Bench, said: &str) {
    let tokens = bench.server.tokens_ever();
    let secrets = tokens.iter().map(String::as_str).chain([KEY_SECRET]);
    for secret in secrets {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_check() {
    const ENDPOINT: &str = "SPACELIFT_API_KEY_ENDPOINT";
    let echo: &str = Box::leak(format!("odd input: {KEY_SECRET}").into_boxed_str());
    let page = Failure::Status(200, "<html>log in</html>");
    let nothing = Failure::Status(200, r#"{"data":null}"#);
    let no_pool = Failure::Status(200, r#"{"data":{"workerPool":null}}"#);
    let field = Failure::Error("Cannot query field \"pendingRuns\" on type \"WorkerPool\".");
    #[rustfmt::skip]
    let table = [
        // on             what it answers                        retry  what a person reads
        ("workerPool",    Failure::Status(500, "oops"),          true,  "500"),
        ("workerPool",    Failure::Status(503, ""),              true,  "503"),
        ("workerPool",    Failure::Status(404, "<html>"),        false, ENDPOINT),
        ("workerPool",    Failure::Status(301, ""),              false, ENDPOINT),
        ("workerPool",    Failure::Status(407, ""),              false, "HTTPS_PROXY"),
        ("workerPool",    page,                                  true,  ENDPOINT),
        ("workerPool",    nothing,                               true,  ENDPOINT),
        ("workerPool",    no_pool,                               false, "SPACELIFT_WORKER_POOL_ID"),
        ("workerPool",    Failure::Error("pool not found"),      false, "SPACELIFT_WORKER_POOL_ID"),
        ("workerPool",    Failure::Error("internal error"),      true,  "\"internal error\""),
        ("workerPool",    field,                                 false, "pendingRuns"),
        ("apiKeyUser",    Failure::Error("unauthorized"),        false, "SPACELIFT_API_KEY_ID"),
        ("apiKeyUser",    Failure::Error("key not found"),       false, "SPACELIFT_API_KEY_SECRET_NAME"),
        ("apiKeyUser",    Failure::Status(401, ""),              false, "SPACELIFT_API_KEY_SECRET_NAME"),
        ("apiKeyUser",    Failure::Error(echo),                  true,  "odd input: ***"),
        ("apiKeyUser",    Failure::Status(502, ""),              true,  "502"),
    ];
    for (field, failure, retryable, text) in table {
        let bench = Bench::with(&[on("w1", "i-1")]);
        bench.server.fail(field, 1, failure.clone());
        let fault = fault_of(&bench.spacelift).await;
        let said = fault.chain();
        assert_eq!(fault.is_retryable(), retryable, "{failure:?}: {said}");
        assert!(said.contains(text), "{failure:?}: {said}");
        keeps_silent(&bench, &said);
        bench.server.heal();
        bench.spacelift.look(NOW).await.expect("healthy again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_good() {
    let bench = Bench::with(&[]);
    let with = |secret: Option<&str>| {
        let secrets = Rotating::new(secret);
        Spacelift::new(Config { secrets, ..config(bench.server.url()) }).unwrap()
    };
    #[rustfmt::skip]
    let table = [
        // the stored secret     retry  what a person reads
        (Some("wrong-secret"),   false, "does not accept the API key: check SPACELIFT_API_KEY_ID"),
        (Some(" \n"),            true,  "there is no secret spacelift/key"),
        (None,                   true,  "there is no secret spacelift/key"),
    ];
    for (secret, retryable, text) in table {
        let fault = fault_of(&with(secret)).await;
        assert_eq!(fault.is_retryable(), retryable, "{fault}");
        assert!(fault.chain().contains(text), "{fault}");
        assert!(!fault.chain().contains("wrong-secret"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_look_and_not_drain() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    bench.server.set_may_drain(false);
    bench.spacelift.look(NOW).await.expect("it may look");
    let fault = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await;
    let said = fault.expect_err("it may not drain").chain();
    assert!(said.contains("worker:drain-set"), "{said}");
    keeps_silent(&bench, &said);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_kept_until_shortly_before_their_end() {
    let bench = Bench::with(&[]);
    let look = async || bench.spacelift.look(NOW).await.expect("seen");
    look().await;
    look().await;
    assert_eq!(bench.server.minted(), 1, "one is enough for an hour");
    bench.server.revoke_tokens();
    look().await;
    assert_eq!(bench.server.minted(), 2, "a refused one is replaced");
    bench.server.revoke_tokens();
    bench.server.set_token_lives_s(30);
    look().await;
    assert_eq!(bench.server.minted(), 3);
    look().await;
    assert_eq!(bench.server.minted(), 4, "one that ends soon is replaced before it is refused");
    let refused = bench.server.calls().iter().filter(|call| !call.errors.is_empty()).count();
    assert_eq!(refused, 2, "only by the two that were revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_one_token() {
    let bench = Bench::with(&[]);
    let looks: Vec<_> = (0..8)
        .map(|_| {
            let spacelift = bench.spacelift.clone();
            tokio::spawn(async move { spacelift.look(NOW).await })
        })
        .collect();
    for look in looks {
        look.await.unwrap().expect("seen");
    }
    assert_eq!(bench.server.minted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_read_again() {
    let server = SpaceliftServer::start();
    let secrets = Rotating::new(Some(KEY_SECRET));
    let config = Config { secrets: secrets.clone(), ..config(server.url()) };
    let spacelift = Spacelift::new(config).unwrap();
    spacelift.look(NOW).await.expect("the first");
    assert_eq!(secrets.fresh_reads.load(Ordering::SeqCst), 0);
    server.set_key_secret("the-next-secret");
    server.revoke_tokens();
    assert!(!fault_of(&spacelift).await.is_retryable(), "until somebody stores the new one");
    secrets.rotate("the-next-secret\n");
    spacelift.look(NOW).await.expect("the next");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_answered_by_silence() {
    for (failure, text) in [
        (Failure::TooMany { retry_after_s: Some(120) }, "120 s"),
        (Failure::TooMany { retry_after_s: None }, "10 s"),
    ] {
        let bench = Bench::with(&[]);
        bench.server.fail("workerPool", 1, failure);
        let fault = fault_of(&bench.spacelift).await;
        assert!(fault.is_retryable() && fault.chain().contains(text), "{fault}");
        let before = bench.server.calls().len();
        assert!(fault_of(&bench.spacelift).await.is_retryable());
        assert_eq!(bench.server.calls().len(), before, "it asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_not_waited_for() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    let answer_max = Duration::from_millis(300);
    let spacelift = Spacelift::new(Config { answer_max, ..config(bench.server.url()) }).unwrap();
    bench.server.fail("workerPool", 1, Failure::Slow(Duration::from_secs(60)));
    let fault = fault_of(&spacelift).await;
    assert!(fault.is_retryable() && fault.chain().contains("took too long"), "{}", fault.chain());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let fault = fault_of(&Spacelift::new(config(&url)).unwrap()).await;
    assert!(fault.is_retryable() && fault.chain().contains("can't be reached"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_in_every_form() {
    let server = SpaceliftServer::start();
    for tail in ["", "/", "/graphql", "/graphql/", "/graphql\n"] {
        let spacelift = Spacelift::new(config(&format!("{}{tail}", server.url()))).unwrap();
        spacelift.look(NOW).await.expect(tail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority() {
    let server = SpaceliftServer::start_as(&Options { tls: true, ..Options::default() });
    let authority = server.authority().unwrap().to_owned();
    let other = SpaceliftServer::start_as(&Options { tls: true, ..Options::default() });
    let other = other.authority().unwrap().to_owned();
    let flat = authority.replace('\n', "\\n");
    let with = |pem: Option<String>| Config { ca_bundle: pem, ..config(server.url()) };
    let coded = STANDARD.encode(&authority);
    let folded = coded.as_bytes().chunks(76).collect::<Vec<_>>().join(&b'\n');
    let folded = String::from_utf8(folded).unwrap();
    let both = format!("{other}\n{authority}");
    let coded_both = STANDARD.encode(format!("# ours\n{both}"));
    for good in [authority.clone(), flat, both, coded, folded, coded_both] {
        let spacelift = Spacelift::new(with(Some(good))).unwrap();
        spacelift.look(NOW).await.expect("trusted");
    }
    for untrusted in [None, Some(String::new()), Some(other)] {
        let fault = fault_of(&Spacelift::new(with(untrusted)).unwrap()).await;
        assert!(fault.chain().contains("SPACELIFT_CA_BUNDLE"), "{}", fault.chain());
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let coded = STANDARD.encode("not a certificate");
    for none in ["not a certificate", broken, &coded] {
        let fault = Spacelift::new(with(Some(none.to_owned()))).expect_err("no certificate");
        assert!(!fault.is_retryable(), "{fault}");
        assert!(fault.to_string().contains("SPACELIFT_CA_BUNDLE"), "{fault}");
    }
}

/// A proxy of one process's own: it counts tunnels and says where they went.
fn proxy(behind: u16) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let mut near = near.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if near.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.extend(byte);
            }
            let wanted = format!("CONNECT spacelift.internal:{behind} ");
            if !String::from_utf8_lossy(&head).starts_with(&wanted) {
                continue;
            }
            count.fetch_add(1, Ordering::SeqCst);
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let far = TcpStream::connect(("127.0.0.1", behind)).unwrap();
            for (mut from, mut to) in
                [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
            {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    (url, tunnels)
}

/// In a process that has a proxy in its environment.
async fn behind_a_proxy(url: &str) {
    let fault = fault_of(&Spacelift::new(config(url)).unwrap()).await;
    // The tunnel stood, for the certificate is the server's, which names another host.
    assert!(fault.chain().contains("certificate"), "{}", fault.chain());
}

/// The environment belongs to a whole process, so this test starts itself once more in others.
#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_taken_from_the_environment() {
    if let Ok(url) = std::env::var("TEST_SPACELIFT_URL") {
        return behind_a_proxy(&url).await;
    }
    let server = SpaceliftServer::start_as(&Options { tls: true, ..Options::default() });
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let (proxy, tunnels) = proxy(port);
    for (no_proxy, expect) in [("", 1), ("spacelift.internal", 1)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["proxies_are_taken_from_the_environment", "--exact"]);
        child.env("TEST_SPACELIFT_URL", format!("https://spacelift.internal:{port}"));
        child.env("HTTPS_PROXY", &proxy).env("NO_PROXY", no_proxy).env_remove("https_proxy");
        let done = child.output().unwrap();
        let through = no_proxy.is_empty();
        assert_eq!(done.status.success(), through, "{}", String::from_utf8_lossy(&done.stdout));
        assert_eq!(tunnels.load(Ordering::SeqCst), expect, "NO_PROXY={no_proxy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_what_opens_the_door() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    let got = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.unwrap();
    assert_eq!(got, Drained::Idle);
    let config = config(bench.server.url());
    let shown = format!("{config:?} {:?}", bench.spacelift);
    keeps_silent(&bench, &shown);
    let documents = bench.server.calls().into_iter().map(|call| call.document);
    keeps_silent(&bench, &documents.collect::<String>());
}
