//! Sessions in memory, as documents, and in memory with some of them kept: one suite for all.

use api::auth::{DocSessions, KeptSessions, Kind, MemSessions, Place, Session, Sessions};
use async_trait::async_trait;
use std::sync::Arc;
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::docs::{Found, Listed, PutError};
use windlass_ports::fake::{FakeClock, Faults, Faulty, MemDocs, Strike};
use windlass_ports::{Clock as _, Docs, Expect, Fault, Version};

const START: UnixMs = UnixMs(1_795_342_500_000);
const HOUR_MS: u64 = 3_600_000;

fn ticket(ends: UnixMs, n: u8) -> String {
    format!("{:x}.{}", ends.0, format!("{n:02x}").repeat(32))
}

fn session(ends: UnixMs, actor: &str) -> Session {
    Session { kind: Kind::Link, actor: actor.to_owned(), key: Some("k-1".into()), expires_at: ends }
}

/// A store where others come between a read and a write.
struct Slow(Arc<MemDocs>);

#[async_trait]
impl Docs for Slow {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        let found = self.0.get(key).await;
        tokio::task::yield_now().await;
        found
    }
    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        tokio::task::yield_now().await;
        self.0.put(key, expect, body).await
    }
    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        tokio::task::yield_now().await;
        self.0.delete(key, expect).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.0.list(prefix, after, limit).await
    }
}

async fn suite(name: &str, sessions: &dyn Sessions, clock: &FakeClock) {
    let ends = clock.now().plus_ms(HOUR_MS);
    let places: Vec<Place> = (0..4).map(|n| Place::of(&ticket(ends, n)).unwrap()).collect();
    assert_eq!(sessions.get(&places[0]).await.unwrap(), None, "{name}: nothing was put");
    assert_eq!(sessions.take(&places[0]).await.unwrap(), None, "{name}: nothing to take");
    let (ada, grace) = (session(ends, "ada"), session(ends, "grace"));
    sessions.put(&places[0], ada.clone()).await.unwrap();
    sessions.put(&places[1], grace.clone()).await.unwrap();
    assert_eq!(sessions.get(&places[0]).await.unwrap(), Some(ada.clone()), "{name}: it is kept");
    assert_eq!(sessions.get(&places[0]).await.unwrap(), Some(ada.clone()), "{name}: … and stays");
    assert_eq!(sessions.take(&places[0]).await.unwrap(), Some(ada), "{name}: taken");
    assert_eq!(sessions.take(&places[0]).await.unwrap(), None, "{name}: … once");
    assert_eq!(sessions.get(&places[0]).await.unwrap(), None, "{name}: … and gone");
    assert_eq!(sessions.get(&places[1]).await.unwrap(), Some(grace), "{name}: others stay");
    for place in &places[2..] {
        sessions.put(place, session(ends, "race")).await.unwrap();
        let (a, b, c) =
            tokio::join!(sessions.take(place), sessions.take(place), sessions.take(place));
        let won = [a, b, c].into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count();
        assert_eq!(won, 1, "{name}: of three at once one gets it");
    }
    // What has ended goes with later logins; what has not stays.
    for n in 10..15 {
        clock.advance(3 * HOUR_MS);
        let ends = clock.now().plus_ms(HOUR_MS);
        sessions.put(&Place::of(&ticket(ends, n)).unwrap(), session(ends, "later")).await.unwrap();
    }
    assert_eq!(sessions.get(&places[1]).await.unwrap(), None, "{name}: ended long ago");
    let last = Place::of(&ticket(clock.now().plus_ms(HOUR_MS), 14)).unwrap();
    assert!(sessions.get(&last).await.unwrap().is_some(), "{name}: the newest is there");
}

#[tokio::test]
async fn all_keep_them_alike() {
    let clock = FakeClock::at(START);
    suite("memory", &MemSessions::new(clock.shared()), &clock).await;
    let docs = Arc::new(MemDocs::new(clock.shared()));
    let kept = KeptSessions::open(Arc::new(Slow(docs.clone())), clock.shared()).await.unwrap();
    suite("kept", &kept, &clock).await;
    assert!(docs.dump().is_empty(), "links are kept nowhere else");
    let docs = Arc::new(MemDocs::new(clock.shared()));
    let kept = DocSessions::new(Arc::new(Slow(docs.clone())), clock.shared());
    suite("documents", &kept, &clock).await;
    let left = docs.dump();
    assert_eq!(left.len(), 1, "the rest was tidied: {:?}", left.keys());
    for (key, body) in left {
        let text = format!("{key} {}", String::from_utf8_lossy(&body));
        assert!(key.starts_with(keys::SESSIONS) && !text.contains(&"0e".repeat(32)), "{text}");
    }
}

/// A browser stays logged in; whoever logged out, or was crowded out, is not back.
#[tokio::test]
async fn a_restart_keeps_browsers_and_nothing_else() {
    let clock = FakeClock::at(START);
    let docs = Arc::new(MemDocs::new(clock.shared()));
    let open = async || KeptSessions::open(docs.clone(), clock.shared()).await.unwrap();
    let of = |kind: Kind, hours: u64, n: u8| {
        let ends = START.plus_ms(hours * HOUR_MS);
        (Place::of(&ticket(ends, n)).unwrap(), Session { kind, ..session(ends, "ada") })
    };
    #[rustfmt::skip]
    let table = [
        // name                      kind           hours  then   is there after a restart
        ("a browser",                Kind::Browser, 12,    "",    true),
        ("a browser that logs out",  Kind::Browser, 12,    "out", false),
        ("one that ends meanwhile",  Kind::Browser, 1,     "",    false),
        ("a token",                  Kind::Token,   12,    "",    false),
        ("a link",                   Kind::Link,    12,    "",    false),
    ];
    let before = open().await;
    for (n, (_, kind, hours, then, _)) in table.iter().enumerate() {
        let (place, session) = of(*kind, *hours, n as u8);
        before.put(&place, session).await.unwrap();
        if *then == "out" {
            assert!(before.take(&place).await.unwrap().is_some());
        }
    }
    clock.advance(2 * HOUR_MS);
    let after = open().await;
    for (n, (name, kind, hours, _, kept)) in table.iter().enumerate() {
        let (place, session) = of(*kind, *hours, n as u8);
        assert_eq!(after.get(&place).await.unwrap(), kept.then_some(session), "{name}");
    }
    for (key, body) in docs.dump() {
        let text = format!("{key} {}", String::from_utf8_lossy(&body));
        assert!(!text.contains(&"00".repeat(32)), "no cookie is in the store: {text}");
    }
    // Of one holder's many, the first to end make room, in the store too.
    for n in 0..250 {
        let ends = START.plus_ms(11 * HOUR_MS + n);
        let browser = Session { kind: Kind::Browser, ..session(ends, "many") };
        after.put(&Place::of(&ticket(ends, 9)).unwrap(), browser).await.unwrap();
    }
    let kept = docs.dump().len();
    assert!(kept <= 201, "{kept} are kept: 200, and one that has ended");
    let again = open().await;
    let of = |n: u64| Place::of(&ticket(START.plus_ms(11 * HOUR_MS + n), 9)).unwrap();
    assert_eq!(again.get(&of(0)).await.unwrap(), None, "it made room");
    assert!(again.get(&of(249)).await.unwrap().is_some());
}

/// If the store does not forget a session, its browser is not told that it is logged out.
#[tokio::test]
async fn a_logout_that_is_not_stored_is_none() {
    let clock = FakeClock::at(START);
    let faults = Faults::none();
    let docs = Arc::new(Faulty::new(Arc::new(MemDocs::new(clock.shared())), &faults));
    let sessions = KeptSessions::open(docs, clock.shared()).await.unwrap();
    let ends = START.plus_ms(HOUR_MS);
    let place = Place::of(&ticket(ends, 1)).unwrap();
    let browser = Session { kind: Kind::Browser, ..session(ends, "ada") };
    sessions.put(&place, browser).await.unwrap();
    faults.replan(|_, _| Some(Strike::Before));
    assert!(sessions.take(&place).await.is_err());
    assert!(sessions.get(&place).await.unwrap().is_some());
    faults.replan(|_, _| None);
    assert!(sessions.take(&place).await.unwrap().is_some());
    assert_eq!(sessions.get(&place).await.unwrap(), None);
}

/// Whoever takes many pays for them alone.
#[tokio::test]
async fn one_key_crowds_nobody_out() {
    let clock = FakeClock::at(START);
    let sessions = MemSessions::new(clock.shared());
    let place = |n: u64| {
        let ends = START.plus_ms(HOUR_MS + n);
        let of =
            move |key: Option<&str>| Session { key: key.map(str::to_owned), ..session(ends, "x") };
        (Place::of(&ticket(ends, 1)).unwrap(), of)
    };
    // First to end, so first to go if it were about that alone.
    let own = [None, Some("quiet")];
    for (n, key) in own.into_iter().enumerate() {
        let (place, of) = place(n as u64);
        sessions.put(&place, of(key)).await.unwrap();
    }
    for n in 10..2_510 {
        let (place, of) = place(n);
        sessions.put(&place, of(Some(["loud", "louder"][n as usize % 2]))).await.unwrap();
    }
    for (n, key) in own.into_iter().enumerate() {
        let kept = sessions.get(&place(n as u64).0).await.unwrap();
        assert_eq!(kept.map(|kept| kept.key), Some(key.map(str::to_owned)));
    }
    let mut left = 0;
    for n in 10..2_510 {
        left += u64::from(sessions.get(&place(n).0).await.unwrap().is_some());
    }
    assert!(left <= 1_000, "{left} are kept");
    assert!(sessions.get(&place(2_509).0).await.unwrap().is_some(), "their newest works");
}

/// A reply that was lost and repeated is no second taker; one that stays lost gives nothing twice.
#[tokio::test]
async fn a_lost_reply_gives_it_once() {
    for (call, strike) in (1..=4)
        .flat_map(|n| [Strike::Before, Strike::After, Strike::Repeated].map(|strike| (n, strike)))
    {
        let clock = FakeClock::at(START);
        let faults = Faults::none();
        let docs = Faulty::new(Arc::new(MemDocs::new(clock.shared())), &faults);
        let sessions = DocSessions::new(Arc::new(docs), clock.shared());
        let ends = START.plus_ms(HOUR_MS);
        let place = Place::of(&ticket(ends, 1)).unwrap();
        sessions.put(&place, session(ends, "ada")).await.unwrap();
        let before = faults.calls();
        faults.replan(move |n, _| (n == before + call).then_some(strike));
        let first = sessions.take(&place).await;
        let second = sessions.take(&place).await.unwrap();
        let got = first.as_ref().is_ok_and(|first| first.is_some());
        assert!(!(got && second.is_some()), "{call} {strike:?}: given twice");
        let known = got || first.is_err() || second.is_some();
        assert!(known, "{call} {strike:?}: gone without a word");
    }
}

#[test]
fn what_is_a_ticket() {
    let good = ticket(START, 7);
    let (time, secret) = good.split_once('.').unwrap();
    #[rustfmt::skip]
    let table = [
        (good.clone(),                        true),
        (format!("{time}.{}", &secret[..63]), false),
        (format!("{time}{secret}"),           false),
        (format!("../{time}.{secret}"),       false),
        (format!("-1.{secret}"),              false),
        (format!("{}.{secret}", "f".repeat(13)), false),
        (format!(".{secret}"),                false),
        (String::new(),                       false),
        ("the-token-of-this-server".into(),   false),
    ];
    for (text, expect) in table {
        assert_eq!(Place::of(&text).is_some(), expect, "{text}");
    }
}
