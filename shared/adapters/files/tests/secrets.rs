//! Sealed secrets: the port's promises, tampering, and files that others could read.
#![expect(clippy::unwrap_used, reason = "tests may panic, their helpers too")]
use adapter_files::{OpenError, SealedSecrets};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use windlass_ports::Secrets as _;
use windlass_ports::contract::{self, Ground, RealTime};

const VALUE: &str = "hunter2-hunter2";

async fn with_two(folder: &Path) -> SealedSecrets {
    let secrets = SealedSecrets::open(folder).unwrap();
    secrets.set("a", VALUE).await.unwrap();
    secrets.set("b", "another-value").await.unwrap();
    secrets
}

#[tokio::test]
async fn keeps_the_ports_promises() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Arc::new(SealedSecrets::open(&folder.path().join("new")).unwrap());
    contract::secrets::all(&Ground::new(secrets, "t", RealTime)).await;
}

#[tokio::test]
async fn values_are_sealed_and_last() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = with_two(folder.path()).await;
    let file = folder.path().join("secrets.json");
    let before = std::fs::read_to_string(&file).unwrap();
    secrets.set("a", VALUE).await.unwrap();
    let after = std::fs::read_to_string(&file).unwrap();
    assert_ne!(before, after, "the same value looks different each time");
    assert!(!after.contains("hunter2") && !format!("{secrets:?}").contains("hunter2"));
    for name in ["secrets.json", "secrets.key", "secrets.lock"] {
        let about = std::fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let again = SealedSecrets::open(folder.path()).unwrap();
    assert_eq!(again.get("a").await.unwrap().as_deref(), Some(VALUE));
    // Two handles, as two processes have them, see each other's writes.
    again.set("c", "third-value").await.unwrap();
    assert_eq!(secrets.names().await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn tampering_is_noticed() {
    type Tamper = fn(&mut serde_json::Value);
    let flip_sealed: Tamper = |file| {
        let text = &mut file["secrets"]["a"]["sealed"];
        let first = if text.as_str().unwrap().starts_with('0') { "1" } else { "0" };
        *text = format!("{first}{}", &text.as_str().unwrap()[1..]).into();
    };
    let rows: [(&str, Tamper); 7] = [
        ("a bit of the value", flip_sealed),
        ("another nonce", |file| file["secrets"]["a"]["nonce"] = "00".repeat(24).into()),
        ("a short nonce", |file| file["secrets"]["a"]["nonce"] = "00".into()),
        ("cut off", |file| file["secrets"]["a"]["sealed"] = "00".into()),
        ("not hexadecimal", |file| file["secrets"]["a"]["sealed"] = "zz".into()),
        ("another's value", |file| file["secrets"]["a"] = file["secrets"]["b"].clone()),
        ("another version", |file| file["schema"] = 2.into()),
    ];
    for (name, tamper) in rows {
        let folder = tempfile::tempdir().unwrap();
        let secrets = with_two(folder.path()).await;
        let path = folder.path().join("secrets.json");
        let mut file = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        tamper(&mut file);
        std::fs::write(&path, file.to_string()).unwrap();
        let fault = secrets.get("a").await.unwrap_err();
        assert!(!fault.is_retryable() && fault.to_string().contains("is damaged"), "{name}");
        assert!(!fault.chain().contains("hunter2"));
    }
}

#[tokio::test]
async fn another_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    with_two(folder.path()).await;
    let key = folder.path().join("secrets.key");
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    let secrets = SealedSecrets::open(folder.path()).unwrap();
    let fault = secrets.get("a").await.unwrap_err();
    assert!(fault.to_string().contains("sealed with another key"), "{fault}");
    for bad in ["", "ab", &"zz".repeat(32)] {
        std::fs::write(&key, bad).unwrap();
        let error = SealedSecrets::open(folder.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
    std::fs::remove_file(&key).unwrap();
    let error = SealedSecrets::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::KeyGone { .. }), "{error}");
    assert!(!key.exists(), "no new key hides that the old one is gone");
}

#[tokio::test]
async fn files_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = with_two(folder.path()).await;
    for (name, mode) in [("secrets.key", 0o640), ("secrets.json", 0o604), ("secrets.key", 0o620)] {
        let path = folder.path().join(name);
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        set(mode).unwrap();
        let error = SealedSecrets::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 '{}'", path.display())), "{error}");
        assert!(error.contains(&format!("{mode:04o}")), "{error}");
        if name == "secrets.json" {
            assert!(secrets.get("a").await.is_err());
        }
        set(0o600).unwrap();
    }
    assert_eq!(secrets.get("a").await.unwrap().as_deref(), Some(VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        // A handle of its own, as another process has it.
        let secrets = SealedSecrets::open(folder.path()).unwrap();
        tasks.spawn(async move { secrets.set(&format!("n{n:02}"), VALUE).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let names = SealedSecrets::open(folder.path()).unwrap().names().await.unwrap();
    assert_eq!(names.len(), 20);
}

#[tokio::test]
async fn odd_names_and_values_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SealedSecrets::open(folder.path()).unwrap();
    let (long, large) = ("n".repeat(257), "v".repeat(256 * 1024 + 1));
    for (name, value) in
        [("", VALUE), ("a\nb", VALUE), (long.as_str(), VALUE), ("a", "four"), ("a", &large)]
    {
        let fault = secrets.set(name, value).await.unwrap_err();
        assert!(!fault.is_retryable() && !fault.chain().contains("hunter2"), "{fault}");
    }
    assert_eq!(secrets.names().await.unwrap(), [""; 0]);
}
