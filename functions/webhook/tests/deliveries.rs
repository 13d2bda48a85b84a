//! The webhook over the fakes: what is said to whom, what is left behind, and in which order.
use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use webhook::{Answer, Deps, Served, WebhookSecrets, handle};
use windlass_core::delivery::{BODY_BYTES_MAX, KeptDelivery, LiveSecrets};
use windlass_core::event::Intent;
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::fake::{FakeClock, Faults, Faulty, MemDocs, MemQueues, Strike};
use windlass_ports::{Fault, Secrets, WriteIds, cas};

const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const PUSH: &[u8] = br#"{"ref":"refs/heads/main","repository":{"full_name":"Acme/Infra"}}"#;
const START: UnixMs = UnixMs(1_800_000_000_000);

/// A store behind a cache that never looks by itself.
#[derive(Default)]
struct Cached {
    stored: Mutex<BTreeMap<String, String>>,
    cache: Mutex<BTreeMap<String, String>>,
    gets: Mutex<u32>,
    fresh: Mutex<u32>,
    away: Mutex<bool>,
}

#[async_trait]
impl Secrets for Cached {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        *self.gets.lock().expect("test") += 1;
        let known = self.cache.lock().expect("test").get(name).cloned();
        if known.is_none() && *self.away.lock().expect("test") {
            return Err(Fault::retryable("the store of secrets is away"));
        }
        Ok(known.or_else(|| self.stored.lock().expect("test").get(name).cloned()))
    }
    async fn fresh(&self, name: &str) -> Result<Option<String>, Fault> {
        *self.fresh.lock().expect("test") += 1;
        if *self.away.lock().expect("test") {
            return Err(Fault::retryable("the store of secrets is away"));
        }
        let found = self.stored.lock().expect("test").get(name).cloned();
        self.cache
            .lock()
            .expect("test")
            .extend(found.clone().map(|value| (name.to_owned(), value)));
        Ok(found)
    }
    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.stored.lock().expect("test").insert(name.to_owned(), value.to_owned());
        Ok(())
    }
    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.stored.lock().expect("test").remove(name).is_some())
    }
    async fn names(&self) -> Result<Vec<String>, Fault> {
        Ok(vec![])
    }
}

struct World {
    deps: Deps,
    docs: Arc<MemDocs>,
    queues: Arc<MemQueues>,
    secrets: Arc<Cached>,
    clock: FakeClock,
    faults: Faults,
}

impl World {
    fn new() -> Self {
        let clock = FakeClock::at(START);
        let (docs, queues) =
            (Arc::new(MemDocs::new(clock.shared())), Arc::new(MemQueues::new(clock.shared())));
        let secrets = Arc::new(Cached::default());
        let first = BTreeMap::from([("/hook".to_owned(), "first secret".to_owned())]);
        *secrets.stored.lock().expect("test") = first.clone();
        *secrets.cache.lock().expect("test") = first;
        let faults = Faults::none();
        let deps = Deps {
            docs: Arc::new(Faulty::new(docs.clone(), &faults)),
            queues: Arc::new(Faulty::new(queues.clone(), &faults)),
            secrets: Arc::new(WebhookSecrets::new(secrets.clone(), vec!["/hook".to_owned()])),
            clock: clock.shared(),
            write_ids: Arc::new(WriteIds::new("process-1")),
            repositories: Arc::new(vec![Served {
                name: "infra".into(),
                full_name: "acme/infra".to_owned(),
            }]),
        };
        Self { deps, docs, queues, secrets, clock, faults }
    }

    async fn send(&self, event: &str, body: &[u8]) -> Answer {
        handle(&self.deps, &Method::POST, &signed("first secret", event, body), body).await
    }

    fn calls(&self) -> Vec<String> {
        self.faults.trace().into_iter().map(|call| call.name).collect()
    }

    fn bodies(&self) -> Vec<String> {
        self.docs.dump().into_keys().filter(|key| key.starts_with(keys::DUE)).collect()
    }
}

fn signed(secret: &str, event: &str, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let signature = LiveSecrets::of([secret]).sign(body).expect("test");
    headers.insert("content-type", "application/json".parse().expect("test"));
    headers.insert("x-github-event", event.parse().expect("test"));
    headers.insert("x-github-delivery", ID.parse().expect("test"));
    headers.insert("x-hub-signature-256", signature.parse().expect("test"));
    headers
}

fn body_key() -> String {
    keys::delivery_body(START.minute() + 2, ID, &"infra".into())
}

#[tokio::test]
async fn a_delivery_is_kept_queued_and_marked_in_this_order_and_nothing_else_happens() {
    let world = World::new();
    let answer = world.send("push", PUSH).await;
    assert_eq!((answer.status, answer.metric), (StatusCode::ACCEPTED, "accepted"));
    let mark = keys::delivery_mark(ID);
    let body = body_key();
    let calls =
        [format!("docs.put {body}"), "queues.send intents.fifo".into(), format!("docs.put {mark}")];
    assert_eq!(world.calls(), calls);
    let kept =
        cas::load::<KeptDelivery>(&*world.docs, &body).await.expect("test").expect("test").value;
    assert_eq!((kept.event.as_str(), kept.body.as_bytes()), ("push", PUSH));
    let sent = world.queues.peek(keys::INTENTS);
    assert_eq!(sent[0].0.as_deref(), Some("repo:infra"));
    let Intent::Delivery(pointer) = serde_json::from_slice(&sent[0].1).expect("test") else {
        panic!()
    };
    assert_eq!((pointer.id.as_str(), pointer.body_key), (ID, body));
}

#[tokio::test]
async fn a_repetition_is_told_and_leaves_nothing_that_is_not_asked_for_again() {
    let world = World::new();
    world.send("push", PUSH).await;
    for minutes in [0, 1, 60 * 24 * 3] {
        world.clock.advance(minutes * 60_000);
        let answer = world.send("push", PUSH).await;
        assert_eq!((answer.status, answer.metric), (StatusCode::OK, "repeated"), "{minutes}");
    }
    assert_eq!(world.bodies().len(), 3, "one per minute that it came in");
}

/// Wherever it dies: either the owner is told that it failed and nothing is there, or the body lies
/// where the tick finds it. Sent again, it is taken.
#[tokio::test]
async fn whatever_call_is_lost_the_delivery_is_not() {
    for call in 1..=3 {
        for strike in [Strike::CrashBefore, Strike::CrashAfter, Strike::Repeated] {
            let world = World::new();
            world.faults.replan(move |n, _| (n == call).then_some(strike));
            let answer = world.send("push", PUSH).await;
            let case = format!("{strike:?} at {call}");
            let kept = !world.bodies().is_empty();
            assert_eq!(kept, call > 1 || strike != Strike::CrashBefore, "{case}");
            // A put's own first try is recognised; a queue can't tell.
            let taken = strike == Strike::Repeated && call != 2;
            let status = if taken { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE };
            assert_eq!(answer.status, status, "{case}");
            assert_eq!(answer.retry_after.is_some(), !taken, "{case}");
            world.faults.revive();
            let again = world.send("push", PUSH).await;
            assert!(again.status.is_success(), "{case}");
            assert_eq!(world.queues.peek(keys::INTENTS).len(), 1, "{case}: one pointer");
        }
    }
}

#[tokio::test]
async fn each_kind_of_request_has_its_own_answer() {
    type Change = fn(&mut HeaderMap);
    let as_is: Change = |_| {};
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    let other = br#"{"repository":{"full_name":"acme/other"}}"#;
    let cases: [(&str, &[u8], Change, u16, &str); 14] = [
        ("ping", PUSH, as_is, 200, "ping"),
        ("ping", b"{\"zen\":\"\"}", as_is, 200, "ping"),
        ("ping", other, as_is, 404, "not_served"),
        ("push", other, as_is, 404, "not_served"),
        ("star", PUSH, as_is, 202, "unknown_event"),
        ("pull_request", PUSH, as_is, 202, "accepted"),
        ("push", b"{}", as_is, 400, "malformed"),
        ("push", b"not json", as_is, 400, "malformed"),
        ("push", &large, as_is, 413, "too_large"),
        ("push", PUSH, |h| drop(h.remove("x-hub-signature-256")), 401, "unsigned"),
        ("push", PUSH, |h| set(h, "x-hub-signature-256", "sha256=00"), 401, "bad_signature"),
        ("push", PUSH, |h| set(h, "content-type", "text/plain"), 415, "wrong_content_type"),
        (
            "push",
            PUSH,
            |h| set(h, "content-type", "application/x-www-form-urlencoded"),
            415,
            "form_encoded",
        ),
        ("push", PUSH, |h| set(h, "x-github-delivery", "../../heads"), 400, "malformed"),
    ];
    for (event, body, change, status, metric) in cases {
        let world = World::new();
        let mut headers = signed("first secret", event, body);
        change(&mut headers);
        let answer = handle(&world.deps, &Method::POST, &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.metric), (status, metric), "{answer:?}");
        assert_eq!(world.calls().is_empty(), metric != "accepted", "{metric} leaves nothing");
        let json: serde_json::Value = serde_json::from_str(&answer.body).expect("test");
        assert_eq!(json["said"], metric);
        assert!(!answer.body.contains("first secret"));
    }
    let world = World::new();
    let answer = handle(&world.deps, &Method::GET, &HeaderMap::new(), b"").await;
    assert_eq!((answer.status.as_u16(), answer.metric), (405, "not_post"));
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, value.parse().expect("test"));
}

#[tokio::test]
async fn a_rotated_secret_is_noticed_and_a_guesser_does_not_hammer_the_store() {
    let world = World::new();
    let send = |secret: &'static str| {
        let (deps, headers) = (world.deps.clone(), signed(secret, "push", PUSH));
        async move { handle(&deps, &Method::POST, &headers, PUSH).await.metric }
    };
    let asked = || *world.secrets.fresh.lock().expect("test");
    assert_eq!(send("first secret").await, "accepted");
    assert_eq!(asked(), 0, "a good signature asks nobody");
    // Both are live for a while.
    world.secrets.set("/hook", "first secret\nsecond secret").await.expect("test");
    assert_eq!(send("second secret").await, "repeated");
    assert_eq!(send("first secret").await, "repeated");
    assert_eq!(asked(), 1);
    // Rotated again, or a guess: that is not looked up, so it is not said.
    for _ in 0..50 {
        assert_eq!(send("a guess").await, "unsettled");
    }
    assert_eq!(asked(), 1);
    world.clock.advance(30_000);
    assert_eq!(send("a guess").await, "bad_signature");
    assert_eq!(asked(), 2);
    // The clock was set back: the limit does not last for ever.
    world.clock.set(UnixMs(START.0 - 3_600_000));
    assert_eq!(send("a guess").await, "bad_signature");
    assert_eq!(asked(), 3);
    *world.secrets.away.lock().expect("test") = true;
    world.clock.advance(30_000);
    assert_eq!(send("a guess").await, "store_away", "unknown stays unknown");
    assert_eq!(asked(), 4);
    for _ in 0..50 {
        assert_eq!(send("a guess").await, "unsettled");
    }
    assert_eq!(asked(), 4, "nor does a guesser hammer a store that is away");
    // A look that was not answered is no look: the next one comes sooner.
    *world.secrets.away.lock().expect("test") = false;
    world.secrets.set("/hook", "third secret").await.expect("test");
    world.clock.advance(5_000);
    assert_eq!(send("third secret").await, "repeated");
}

#[tokio::test]
async fn a_secret_that_was_read_holds_while_its_store_is_away() {
    let world = World::new();
    let gets = || *world.secrets.gets.lock().expect("test");
    assert_eq!(world.send("push", PUSH).await.metric, "accepted");
    // The adapter's cache has ended, and the store does not answer.
    world.secrets.cache.lock().expect("test").clear();
    *world.secrets.away.lock().expect("test") = true;
    let before = gets();
    for _ in 0..10 {
        assert_eq!(world.send("push", PUSH).await.metric, "repeated");
    }
    assert_eq!(gets(), before + 1, "it is not asked by each");
    let headers = signed("a guess", "push", PUSH);
    let guess = handle(&world.deps, &Method::POST, &headers, PUSH).await;
    assert_eq!((guess.status.as_u16(), guess.metric), (503, "unsettled"));
    // Who never read one believes nobody.
    let new = World::new();
    new.secrets.cache.lock().expect("test").clear();
    *new.secrets.away.lock().expect("test") = true;
    assert_eq!(new.send("push", PUSH).await.metric, "store_away");
}

#[tokio::test]
async fn without_a_secret_nothing_is_believed() {
    for value in [None, Some("\n \n")] {
        let world = World::new();
        let stored = value.map(|value| ("/hook".to_owned(), value.to_owned()));
        *world.secrets.stored.lock().expect("test") = stored.into_iter().collect();
        world.secrets.cache.lock().expect("test").clear();
        for _ in 0..2 {
            let answer = world.send("push", PUSH).await;
            assert_eq!((answer.status.as_u16(), answer.metric), (503, "no_secret"));
        }
        assert!(world.calls().is_empty());
    }
}

const EVENTS: [(&str, &[u8], &str); 10] = [
    ("ping", include_bytes!("../../../events/github/ping.json"), "ping"),
    ("push", include_bytes!("../../../events/github/push.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-new-branch.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-deleted.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-forced.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-tag.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-cut.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-merge.json"), "accepted"),
    ("push", include_bytes!("../../../events/github/push-bot.json"), "accepted"),
    ("pull_request", include_bytes!("../../../events/github/pull-request.json"), "accepted"),
];

#[tokio::test]
async fn real_payloads_are_taken() {
    for (event, body, metric) in EVENTS {
        let world = World::new();
        assert_eq!(world.send(event, body).await.metric, metric, "{event}");
    }
}
