//! Documents: conditional writes, races, pages, ages.
use super::{Ground, rows};
use crate::cas::{self, Change};
use crate::docs::{Docs, Expect, KEY_BYTES_MAX, LIST_MAX, PutError, Version};
use crate::fault::Fault;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

type Docks = Ground<dyn Docs>;

rows!(Docks:
    creates_once, swaps_what_it_saw, deletes_what_it_saw, keeps_bytes, refuses_odd_keys,
    one_of_fifty_creates, one_of_fifty_swaps, no_update_is_lost, versions_do_not_repeat,
    lists_in_byte_order, lists_by_pages, prefixes_are_plain_text, ages_grow,
);

impl Docks {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
    async fn body(&self, key: &str) -> Option<Vec<u8>> {
        self.port.get(key).await.unwrap().map(|found| found.body)
    }
    async fn create(&self, key: &str, body: &str) -> Version {
        self.port.put(key, Expect::Absent, body.into()).await.unwrap()
    }
    async fn names(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let listed = self.port.list(prefix, after, limit).await.unwrap();
        listed.into_iter().map(|listed| listed.key).collect()
    }
    /// So many tasks put at once; answers the versions of those that won.
    async fn race(&self, key: &str, expect: &Expect, tasks: usize) -> Vec<(usize, Version)> {
        let mut racing = JoinSet::new();
        for n in 0..tasks {
            let (docs, key, expect) = (self.port.clone(), key.to_owned(), expect.clone());
            racing.spawn(
                async move { (n, docs.put(&key, expect, n.to_string().into_bytes()).await) },
            );
        }
        let mut winners = Vec::new();
        while let Some(done) = racing.join_next().await {
            match done.unwrap() {
                (n, Ok(version)) => winners.push((n, version)),
                (_, Err(PutError::Conflict)) => {}
                (_, Err(PutError::Fault(fault))) => panic!("{}", fault.chain()),
            }
        }
        winners
    }
}

fn conflicts<T>(result: &Result<T, PutError>) -> bool {
    matches!(result, Err(PutError::Conflict))
}

pub async fn creates_once(ground: &Docks) {
    let key = ground.key("create");
    assert!(ground.port.get(&key).await.unwrap().is_none());
    let version = ground.create(&key, "one").await;
    let found = ground.port.get(&key).await.unwrap().unwrap();
    assert_eq!((found.version, found.body), (version, b"one".to_vec()));
    assert!(conflicts(&ground.port.put(&key, Expect::Absent, b"two".into()).await));
    assert_eq!(ground.body(&key).await.unwrap(), b"one");
}

pub async fn swaps_what_it_saw(ground: &Docks) {
    let key = ground.key("swap");
    let first = ground.create(&key, "1").await;
    let second = ground.port.put(&key, Expect::At(first.clone()), b"2".into()).await.unwrap();
    assert_ne!(first, second);
    assert!(conflicts(&ground.port.put(&key, Expect::At(first), b"3".into()).await));
    assert_eq!(ground.body(&key).await.unwrap(), b"2");
    let absent = ground.key("swap-absent");
    assert!(conflicts(&ground.port.put(&absent, Expect::At(second), b"4".into()).await));
    assert!(ground.body(&absent).await.is_none());
}

pub async fn deletes_what_it_saw(ground: &Docks) {
    let key = ground.key("delete");
    let first = ground.create(&key, "1").await;
    let second = ground.port.put(&key, Expect::At(first.clone()), b"2".into()).await.unwrap();
    assert!(conflicts(&ground.port.delete(&key, &first).await));
    assert_eq!(ground.body(&key).await.unwrap(), b"2");
    ground.port.delete(&key, &second).await.unwrap();
    assert!(ground.body(&key).await.is_none());
    ground.port.delete(&key, &second).await.unwrap();
    assert!(conflicts(&ground.port.put(&key, Expect::At(second), b"3".into()).await));
    ground.create(&key, "4").await;
    assert_eq!(ground.body(&key).await.unwrap(), b"4");
}

pub async fn keeps_bytes(ground: &Docks) {
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (name, body) in [("empty", vec![]), ("zeros", vec![0, 255, 0, 10]), ("large", large)] {
        let key = ground.key(&format!("bytes-{name}"));
        ground.port.put(&key, Expect::Absent, body.clone()).await.unwrap();
        assert!(ground.body(&key).await.unwrap() == body, "{name}");
    }
}

pub async fn refuses_odd_keys(ground: &Docks) {
    let fits = format!("{}/{}", ground.prefix, "k".repeat(KEY_BYTES_MAX - ground.prefix.len() - 1));
    ground.create(&fits, "1").await;
    for key in [String::new(), format!("{fits}k")] {
        match ground.port.put(&key, Expect::Absent, b"1".into()).await {
            Err(PutError::Fault(fault)) => assert!(!fault.is_retryable(), "{}", fault.chain()),
            other => panic!("{} bytes: {other:?}", key.len()),
        }
    }
}

pub async fn one_of_fifty_creates(ground: &Docks) {
    let key = ground.key("race-create");
    let winners = ground.race(&key, &Expect::Absent, 50).await;
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(ground.body(&key).await.unwrap(), winners[0].0.to_string().into_bytes());
}

pub async fn one_of_fifty_swaps(ground: &Docks) {
    let key = ground.key("race-swap");
    let version = ground.create(&key, "before").await;
    let winners = ground.race(&key, &Expect::At(version), 50).await;
    assert_eq!(winners.len(), 1, "{winners:?}");
    let found = ground.port.get(&key).await.unwrap().unwrap();
    assert_eq!((found.body, found.version), {
        let (n, version) = winners[0].clone();
        (n.to_string().into_bytes(), version)
    });
}

pub async fn no_update_is_lost(ground: &Docks) {
    let (tasks, rounds) = (8, 10);
    let mut counting = JoinSet::new();
    for task in 0..tasks {
        let (docs, key) = (ground.port.clone(), ground.key("count"));
        counting.spawn(async move {
            for round in 0..rounds {
                count(&docs, &key, &format!("{task}.{round}")).await;
            }
        });
    }
    while let Some(done) = counting.join_next().await {
        done.unwrap();
    }
    let total = cas::load::<u64>(&*ground.port, &ground.key("count")).await.unwrap().unwrap();
    assert_eq!((total.value, total.revision), (tasks * rounds, tasks * rounds));
}

/// One more, however often it takes.
async fn count(docs: &Arc<dyn Docs>, key: &str, write_id: &str) {
    loop {
        let more = |n: Option<&u64>| Ok(Change::Write(n.copied().unwrap_or(0) + 1, ()));
        match cas::update(&**docs, key, write_id, more).await {
            Ok(()) => return,
            Err(Fault::Retryable { .. }) => {}
            Err(poison) => panic!("{}", poison.chain()),
        }
    }
}

pub async fn versions_do_not_repeat(ground: &Docks) {
    // The same value again and again: what `cas` wraps round it makes every body new, so an
    // adapter whose version is a hash of the body passes too.
    let key = ground.key("aba");
    let mut seen = BTreeSet::new();
    for n in 0..6 {
        let set = |_: Option<&String>| Ok(Change::Write(["A", "B"][n % 2].to_owned(), ()));
        cas::update(&*ground.port, &key, &format!("w{n}"), set).await.unwrap();
        let found = ground.port.get(&key).await.unwrap().unwrap();
        assert!(seen.insert(found.version.clone()), "{:?} came back", found.version);
        if n == 3 {
            ground.port.delete(&key, &found.version).await.unwrap();
        }
    }
}

pub async fn lists_in_byte_order(ground: &Docks) {
    let sorted = ["A", "Z", "a", "a-b", "a/b", "a/b/c", "a0", "aa", "é", "日", "\u{10FFFF}"];
    for name in sorted.iter().rev() {
        ground.create(&ground.key(&format!("order/{name}")), name).await;
    }
    let root = ground.key("order/");
    let expected: Vec<String> = sorted.iter().map(|name| format!("{root}{name}")).collect();
    assert_eq!(ground.names(&root, None, 100).await, expected);
    assert_eq!(ground.names(&format!("{root}a/"), None, 100).await, expected[4..6]);
    let listed = ground.port.list(&root, None, 1).await.unwrap();
    let found = ground.port.get(&listed[0].key).await.unwrap().unwrap();
    assert_eq!(listed[0].version, found.version);
}

pub async fn lists_by_pages(ground: &Docks) {
    let (root, all) = (ground.key("page/"), LIST_MAX + 50);
    let mut creating: JoinSet<Result<(), PutError>> = JoinSet::new();
    for n in 0..all {
        // So many at once as a server answers in time.
        if creating.len() == 40 {
            creating.join_next().await.unwrap().unwrap().unwrap();
        }
        let (docs, key) = (ground.port.clone(), format!("{root}{n:05}"));
        creating.spawn(async move { docs.put(&key, Expect::Absent, vec![]).await.map(drop) });
    }
    while let Some(done) = creating.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(ground.names(&root, None, usize::MAX).await.len(), LIST_MAX);
    assert!(ground.names(&root, None, 0).await.is_empty());
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = ground.names(&root, after.as_deref(), 400).await;
        let Some(last) = page.last().cloned() else { break };
        assert!(page.len() <= 400);
        seen.extend(page);
        after = Some(last);
    }
    let expected: Vec<String> = (0..all).map(|n| format!("{root}{n:05}")).collect();
    assert!(seen == expected, "{} of {all}", seen.len());
    // A place between keys, before all of them, and behind the prefix.
    let between = ground.names(&root, Some(&format!("{root}00001x")), 1).await;
    assert_eq!(between, [format!("{root}00002")]);
    assert_eq!(ground.names(&root, Some("!"), 1).await, [format!("{root}00000")]);
    assert!(ground.names(&root, Some(&format!("{root}~")), 1).await.is_empty());
}

pub async fn prefixes_are_plain_text(ground: &Docks) {
    for name in ["100%", "100x", "a_b", "axb", "[a]", "A_B", "q*", "qq", "it's", "back\\slash"] {
        ground.create(&ground.key(&format!("plain/{name}")), "").await;
    }
    for (prefix, names) in [
        ("100%", &["100%"][..]),
        ("a_", &["a_b"]),
        ("[", &["[a]"]),
        ("q*", &["q*"]),
        ("it'", &["it's"]),
        ("back\\", &["back\\slash"]),
        ("none", &[]),
    ] {
        let root = ground.key("plain/");
        let expected: Vec<String> = names.iter().map(|name| format!("{root}{name}")).collect();
        assert_eq!(ground.names(&format!("{root}{prefix}"), None, 10).await, expected, "{prefix}");
    }
}

pub async fn ages_grow(ground: &Docks) {
    let key = ground.key("age");
    let age = async || ground.port.get(&key).await.unwrap().unwrap().age_ms;
    let version = ground.create(&key, "1").await;
    // S3 tells times in seconds: allow for one, and for a slow machine.
    assert!(age().await < 2_000);
    assert!(ground.time.pass(4_000).await);
    let grown = age().await;
    assert!((3_000..9_000).contains(&grown), "{grown}");
    ground.port.put(&key, Expect::At(version), b"2".into()).await.unwrap();
    assert!(age().await < 2_000);
}
