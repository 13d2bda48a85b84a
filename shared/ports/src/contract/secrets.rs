//! Secrets: exact values, names without values.
use super::{Ground, rows};
use crate::secrets::Secrets;

type Vault = Ground<dyn Secrets>;

rows!(Vault: keeps_values, refuses_short_values, removes, names_are_sorted);

impl Vault {
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

pub async fn keeps_values(ground: &Vault) {
    let name = ground.name("value");
    assert_eq!(ground.port.get(&name).await.unwrap(), None);
    for value in ["first-value", "-----BEGIN KEY-----\nAAAA\n\n", "pässwörd ☃ $`\"'\\", "second"]
    {
        ground.port.set(&name, value).await.unwrap();
        assert_eq!(ground.port.get(&name).await.unwrap().as_deref(), Some(value));
        assert_eq!(ground.port.fresh(&name).await.unwrap().as_deref(), Some(value));
    }
}

pub async fn refuses_short_values(ground: &Vault) {
    let name = ground.name("short");
    for short in ["", "a", "Zq9§"] {
        let fault = ground.port.set(&name, short).await.unwrap_err();
        assert!(!fault.is_retryable(), "{short:?}");
        assert!(short.len() < 2 || !fault.chain().contains(short), "an error shows a value");
        assert_eq!(ground.port.get(&name).await.unwrap(), None, "{short:?}");
    }
    // Five characters, more bytes.
    ground.port.set(&name, "Zq9§☃").await.unwrap();
}

pub async fn removes(ground: &Vault) {
    let name = ground.name("remove");
    assert!(!ground.port.remove(&name).await.unwrap());
    ground.port.set(&name, "some-value").await.unwrap();
    assert!(ground.port.remove(&name).await.unwrap());
    assert_eq!(ground.port.get(&name).await.unwrap(), None);
    assert_eq!(ground.port.fresh(&name).await.unwrap(), None);
    assert!(!ground.port.remove(&name).await.unwrap());
}

pub async fn names_are_sorted(ground: &Vault) {
    let mut expected: Vec<String> =
        ["b", "a/deep", "a-1", "a0"].iter().map(|n| ground.name(&format!("names/{n}"))).collect();
    for name in &expected {
        ground.port.set(name, "do-not-show-me").await.unwrap();
    }
    expected.sort();
    let names = ground.port.names().await.unwrap();
    let mine: Vec<String> =
        names.into_iter().filter(|name| name.starts_with(&ground.name("names/"))).collect();
    assert_eq!(mine, expected);
}
