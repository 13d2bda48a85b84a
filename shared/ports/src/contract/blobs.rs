//! Blobs: whole bytes, byte-ordered pages.
use super::{Ground, rows};
use crate::blobs::Blobs;
use tokio::task::JoinSet;

type Shelf = Ground<dyn Blobs>;

rows!(Shelf: keeps_bytes, tells_what_exists, deletes_twice, lists_in_byte_order, lists_by_pages, is_never_torn);

impl Shelf {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
    async fn put(&self, key: &str, body: &str) {
        self.port.put(key, body.into()).await.unwrap();
    }
}

pub async fn keeps_bytes(ground: &Shelf) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    for (name, body) in [("empty", vec![]), ("zeros", vec![0, 255, 10, 0]), ("large", large)] {
        let key = ground.key(&format!("bytes/{name}"));
        assert!(ground.port.get(&key).await.unwrap().is_none(), "{name}");
        // Twice: a writer whose reply was lost writes the same again.
        for _ in 0..2 {
            ground.port.put(&key, body.clone()).await.unwrap();
            assert!(ground.port.get(&key).await.unwrap() == Some(body.clone()), "{name}");
        }
    }
}

/// Of exactly this key: neither what it begins with nor what begins with it.
pub async fn tells_what_exists(ground: &Shelf) {
    let exists = async |name: &str| ground.port.exists(&ground.key(name)).await.unwrap();
    assert!(!exists("exists/a/it").await);
    for body in ["", "x"] {
        ground.put(&ground.key("exists/a/it"), body).await;
        assert!(exists("exists/a/it").await, "{body:?}");
    }
    for other in ["exists", "exists/a", "exists/a/i", "exists/a/it2", "exists/a/it/x"] {
        assert!(!exists(other).await, "{other}");
    }
    ground.port.delete(&ground.key("exists/a/it")).await.unwrap();
    assert!(!exists("exists/a/it").await);
}

pub async fn deletes_twice(ground: &Shelf) {
    let key = ground.key("delete/it");
    ground.put(&key, "x").await;
    for _ in 0..2 {
        ground.port.delete(&key).await.unwrap();
        assert!(ground.port.get(&key).await.unwrap().is_none());
    }
    assert!(ground.port.list(&ground.key("delete/"), None, 10).await.unwrap().is_empty());
    ground.put(&key, "y").await;
    assert_eq!(ground.port.get(&key).await.unwrap().unwrap(), b"y");
}

pub async fn lists_in_byte_order(ground: &Shelf) {
    let sorted = ["A", "a-b", "a/b", "a/c/d", "a/c0", "a0", "aa", "b_%"];
    for name in sorted.iter().rev() {
        ground.put(&ground.key(&format!("order/{name}")), name).await;
    }
    let root = ground.key("order/");
    let expected: Vec<String> = sorted.iter().map(|name| format!("{root}{name}")).collect();
    // A prefix is plain text: it may end inside a name, or where a folder would.
    for (prefix, range) in
        [("", 0..8), ("a", 1..7), ("a/", 2..5), ("a/c", 3..5), ("b_", 7..8), ("x", 8..8)]
    {
        let listed = ground.port.list(&format!("{root}{prefix}"), None, 100).await.unwrap();
        assert_eq!(listed, expected[range], "{prefix}");
    }
}

pub async fn lists_by_pages(ground: &Shelf) {
    let root = ground.key("page/");
    // Parts of a log, as they are named.
    let expected: Vec<String> = (0..25).map(|n| format!("{root}{:012}", n * 4_096)).collect();
    for key in &expected {
        ground.put(key, "part").await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = ground.port.list(&root, after.as_deref(), 10).await.unwrap();
        let Some(last) = page.last().cloned() else { break };
        assert!(page.len() <= 10);
        seen.extend(page);
        after = Some(last);
    }
    assert_eq!(seen, expected);
    let between = format!("{root}{:012}", 4_097);
    let next = ground.port.list(&root, Some(&between), 1).await.unwrap();
    assert_eq!(next, expected[2..3]);
}

pub async fn is_never_torn(ground: &Shelf) {
    let (key, body) = (ground.key("torn"), vec![7_u8; 300_000]);
    let mut racing = JoinSet::new();
    for n in 0..20 {
        let (blobs, key, body) = (ground.port.clone(), key.clone(), body.clone());
        racing.spawn(async move {
            if n % 2 == 0 {
                blobs.put(&key, body).await.unwrap();
            } else if let Some(found) = blobs.get(&key).await.unwrap() {
                assert!(found == body, "{} bytes", found.len());
            }
        });
    }
    while let Some(done) = racing.join_next().await {
        done.unwrap();
    }
    assert!(ground.port.get(&key).await.unwrap() == Some(body));
}
