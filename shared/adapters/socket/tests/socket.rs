//! The socket itself: the ports' promises through it, restarts, large bodies, odd peers.
mod common;
use adapter_socket::{Authority, BODY_BYTES_MAX, Call, Client, Denied, Gate, Hello, Token};
use async_trait::async_trait;
use common::{Plane, claim, job, record, report, result, spec, stored};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::job::{News, Phase, Pointer, Step};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::contract::{self, Ground, RealTime, queues::Yard};
use windlass_ports::fake::{FakeClock, MemDocs, MemQueues};
use windlass_ports::{Blobs, Docs, Expect, Fault, Outgoing, PutError, Queues, Secrets};

/// Lets everything through, to try the transport alone.
struct Open;

#[async_trait]
impl Gate for Open {
    fn admit(&self, _: &Hello) -> Result<(), Denied> {
        Ok(())
    }
    async fn check(&self, _: &InstanceId, _: &PoolId, _: &Call, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ports_keep_their_promises_through_it() {
    let clock = FakeClock::at(UnixMs(1_700_000_000_000));
    let queues = MemQueues::new(clock.shared());
    // Enough for receivers that hand messages back to each other.
    queues.set_receives_max(50);
    let plane = Plane::over(MemDocs::new(clock.shared()), queues);
    let _server = plane.serve(Arc::new(Open));
    let client = Arc::new(plane.client("w1", "blue"));
    contract::docs::all(&Ground::new(client.clone(), "t", clock.clone())).await;
    contract::blobs::all(&Ground::new(client.clone(), "t", clock.clone())).await;
    contract::secrets::all(&Ground::new(client.clone(), "t", clock.clone())).await;
    let ground = Ground::new(client as Arc<dyn Queues>, "t", clock);
    contract::queues::all(&Yard { ground, receives_max: 50, waits: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polls_wait_through_it() {
    let plane = Plane::new();
    let _server = plane.serve(Arc::new(Open));
    let client = Arc::new(plane.client("w1", "blue"));
    let ground = Ground::new(client as Arc<dyn Queues>, "t", RealTime);
    let yard = Yard { ground, receives_max: 120, waits: true };
    tokio::join!(
        contract::queues::wakes_on_send(&yard),
        contract::queues::wakes_when_the_group_is_free(&yard),
        contract::queues::nothing_is_lost_or_doubled(&yard),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_pointer_to_result() {
    let plane = Plane::new();
    let _server = plane.serve(plane.authority());
    let worker = plane.client("w1", "blue");
    worker.check().await.unwrap();
    let id = job(Phase::Apply);
    let spec = spec(&id);
    plane.put(&keys::job_spec(&id), &spec).await;
    plane.secrets.set("cluster/token", "hunter2").await.unwrap();
    let plan = spec.plan.as_ref().unwrap().key.clone();
    plane.blobs.put(&plan, vec![7; 100]).await.unwrap();
    let body = serde_json::to_vec(&Pointer { job: id.clone(), stack: "app".into() }).unwrap();
    let pointer = Outgoing { body, ..Outgoing::default() };
    plane.queues.send("jobs-blue-first", pointer).await.unwrap();

    let got = worker.receive("jobs-blue-first", 1, 1_000, 30_000).await.unwrap();
    assert!(Docs::get(&worker, &keys::job_spec(&id)).await.unwrap().is_some());
    assert!(Docs::get(&worker, &keys::job_result(&id)).await.unwrap().is_none());
    // Nothing is open to it before it holds the job.
    assert!(Secrets::get(&worker, "cluster/token").await.is_err());
    let own = keys::instance(&"blue".into(), &"w1".into());
    let busy = stored(&record("w1", "blue", Some(&id)));
    let version = Docs::put(&worker, &own, Expect::Absent, busy.clone()).await.unwrap();
    assert!(Secrets::get(&worker, "cluster/token").await.is_err());
    let mine = stored(&claim("blue", "w1"));
    Docs::put(&worker, &keys::job_claim(&id), Expect::Absent, mine.clone()).await.unwrap();
    let again = Docs::put(&worker, &keys::job_claim(&id), Expect::Absent, mine).await;
    assert!(matches!(again, Err(PutError::Conflict)), "{again:?}");
    Docs::put(&worker, &own, Expect::At(version), busy).await.unwrap();
    assert_eq!(Secrets::get(&worker, "cluster/token").await.unwrap().unwrap(), "hunter2");
    assert_eq!(Blobs::get(&worker, &plan).await.unwrap().unwrap(), [7; 100]);
    let log = keys::log_part(&id, Step::Applying, 0);
    Blobs::put(&worker, &log, b"hello".to_vec()).await.unwrap();
    let ended = stored(&result(&id, "w1"));
    Docs::put(&worker, &keys::job_result(&id), Expect::Absent, ended).await.unwrap();
    let report = Outgoing {
        body: serde_json::to_vec(&report(&id, "w1", News::Ended)).unwrap(),
        group: Some("stack:app".into()),
        dedup: Some("once".into()),
        delay_ms: 0,
    };
    worker.send(keys::REPORTS, report).await.unwrap();
    Queues::delete(&worker, "jobs-blue-first", &got[0].receipt).await.unwrap();
    // And nothing is open to it after.
    let fault = Secrets::get(&worker, "cluster/token").await.unwrap_err();
    assert!(!fault.is_retryable() && fault.to_string().starts_with("not allowed: worker w1"));
    assert_eq!(plane.queues.depth(keys::REPORTS).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_token_comes_in() {
    let plane = Plane::new();
    let _server = plane.serve(plane.authority());
    let token = plane.authority().token(&"w1".into(), &"blue".into());
    for (worker, pool, token, good) in [
        ("w1", "blue", token.clone(), true),
        ("w2", "blue", token.clone(), false),
        ("w1", "red", token.clone(), false),
        ("w1", "blue", Token::from(String::new()), false),
        ("w1", "blue", Token::from("0".repeat(32)), false),
    ] {
        let client = Client::connect(&plane.path(), worker.into(), pool.into(), token.clone());
        let let_in = client.check().await;
        assert_eq!(let_in.is_ok(), good, "{worker} {pool}");
        assert!(let_in.is_ok() || let_in.is_err_and(|fault| !fault.is_retryable()));
        assert!(!format!("{client:?} {token:?}").contains(token.expose()) || token.expose() == "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_outlives_the_server() {
    let plane = Plane::new();
    let client = plane.client("w1", "blue");
    let get = async || Docs::get(&client, "any").await;
    assert!(get().await.unwrap_err().is_retryable(), "nobody is there yet");
    for round in 0..3 {
        let server = plane.serve(Arc::new(Open));
        get().await.unwrap_or_else(|fault| panic!("round {round}: {}", fault.chain()));
        let poll = tokio::spawn({
            let client = client.clone();
            async move { client.receive("q", 1, 20_000, 1_000).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.abort();
        let _ = server.await;
        assert!(poll.await.unwrap().unwrap_err().is_retryable(), "a poll is cut off");
        assert!(get().await.unwrap_err().is_retryable(), "nobody is there any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polls_stand_in_nobodys_way() {
    let plane = Plane::new();
    let _server = plane.serve(Arc::new(Open));
    let client = plane.client("w1", "blue");
    let polls: Vec<_> = (0..20)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.receive(&format!("q{n}"), 1, 10_000, 1_000).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    for _ in 0..20 {
        Docs::get(&client, "any").await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for n in 0..20 {
        let message = Outgoing { body: vec![n], ..Outgoing::default() };
        plane.queues.send(&format!("q{n}"), message).await.unwrap();
    }
    for (n, poll) in polls.into_iter().enumerate() {
        assert_eq!(poll.await.unwrap().unwrap()[0].body, [n as u8]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_dead_worker_goes_to_a_live_one() {
    let plane = Plane::new();
    let _server = plane.serve(Arc::new(Open));
    let (dead, live) = (plane.client("w1", "blue"), plane.client("w2", "blue"));
    let poll = tokio::spawn(async move { dead.receive("q", 1, 10_000, 60_000).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    poll.abort();
    let _ = poll.await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    plane.queues.send("q", Outgoing { body: vec![1], ..Outgoing::default() }).await.unwrap();
    let start = Instant::now();
    let got = live.receive("q", 1, 10_000, 60_000).await.unwrap();
    assert_eq!(got[0].body, [1]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_and_larger_ones_do_not() {
    let plane = Plane::new();
    let _server = plane.serve(Arc::new(Open));
    let client = plane.client("w1", "blue");
    let large: Vec<u8> = (0..BODY_BYTES_MAX).map(|n| (n % 251) as u8).collect();
    Blobs::put(&client, "large", large.clone()).await.unwrap();
    assert!(Blobs::get(&client, "large").await.unwrap() == Some(large));
    let fault = Blobs::put(&client, "larger", vec![0; BODY_BYTES_MAX + 1]).await.unwrap_err();
    assert!(!fault.is_retryable() && fault.to_string().contains("at most 67108864"), "{fault}");
    // One that is in the store already, too large to be handed out.
    plane.blobs.put("larger", vec![0; BODY_BYTES_MAX + 1]).await.unwrap();
    let fault = Blobs::get(&client, "larger").await.unwrap_err();
    assert!(!fault.is_retryable() && fault.to_string().contains("at most 67108864"), "{fault}");
    client.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_peers_harm_nobody() {
    let plane = Plane::new();
    let server = plane.serve(plane.authority());
    let token = plane.authority().token(&"w1".into(), &"blue".into());
    let hello =
        format!(r#"{{"protocol":1,"worker":"w1","pool":"blue","token":"{}"}}"#, token.expose());
    let old = hello.replace("\"protocol\":1", "\"protocol\":0");
    let frame = |header: &str, body: u32| {
        let len = u32::try_from(header.len()).unwrap().to_be_bytes();
        [&len[..], &body.to_be_bytes()[..], header.as_bytes()].concat()
    };
    let greeted = |then: Vec<u8>| [frame(&hello, 0), then].concat();
    for (name, bytes, says) in [
        ("nothing", vec![], ""),
        ("half a length", vec![0, 0], ""),
        ("noise", vec![0xA5; 4_096], "at most 65536"),
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "at most 65536"),
        ("JSON of another kind", frame("[1]", 0), "not understood"),
        ("another version", frame(&old, 0), "versions"),
        ("a call before the greeting", frame(r#"{"call":"list_secrets"}"#, 0), "not understood"),
        ("a greeting and the end", greeted(vec![]), "done"),
        ("half a frame", greeted(frame("{}", 9)), "done"),
        ("garbage after it", greeted(frame("{}", 0)), "not understood"),
        ("an unknown call", greeted(frame(r#"{"call":"erase"}"#, 0)), "not understood"),
        ("too large", greeted(frame("{}", u32::MAX)), "at most 67108864"),
        ("deep nesting", greeted(frame(&"[".repeat(60_000), 0)), "not understood"),
        ("not allowed", greeted(frame(r#"{"call":"list_secrets"}"#, 0)), "not allowed"),
    ] {
        let mut stream = UnixStream::connect(plane.path()).await.unwrap();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(&bytes).await;
        let mut heard = String::new();
        let listen = async {
            let mut bytes = [0; 4_096];
            while !heard.contains(says) {
                match stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => heard.push_str(&String::from_utf8_lossy(&bytes[..n])),
                }
            }
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        tokio::time::timeout(Duration::from_secs(5), listen).await.expect(name);
        assert!(heard.contains(says), "{name}: {heard}");
        assert!(!heard.contains(token.expose()));
    }
    plane.client("w1", "blue").check().await.unwrap();
    assert!(!server.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_private_and_may_lie_deep() {
    let mut plane = Plane::new();
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("d".repeat(60)).join("e".repeat(60));
    std::fs::create_dir_all(&deep).unwrap();
    plane.folder = tempfile::tempdir_in(&deep).unwrap();
    for _ in 0..2 {
        let server = plane.serve(Arc::new(Open));
        plane.client("w1", "blue").check().await.unwrap();
        let mode = std::fs::metadata(plane.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        server.abort();
        let _ = server.await;
    }
}

#[test]
fn the_secret_of_tokens_is_kept() {
    let plane = Plane::new();
    let path = plane.folder.path().join("worker.secret");
    let token = || {
        let authority = Authority::open(&path, plane.docs.clone());
        authority.map(|authority| authority.token(&"w1".into(), &"blue".into()))
    };
    let first = token().unwrap();
    assert!(token().unwrap() == first);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(token().unwrap_err().to_string().contains("chmod 600"));
}
